//! Whole clusters in one process, for tests and measurements.
#![expect(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a panic is how a test reports an error")]

use std::fmt::Display;
use std::io::Write as _;

pub mod certificate_fleet;
#[cfg(target_os = "linux")]
pub mod hosts;
#[cfg(target_os = "linux")]
pub mod internet;
mod push;
pub mod secured;
mod tls_reader;
mod world;

pub use push::push_site;
pub use world::{Response, World};

/// Prints a measurement, also when the test passes. `tests/run` shows these lines.
pub fn report_measurement(text: impl Display) {
    print_line("measured", &text);
}

/// Prints why a test was skipped. `tests/run` counts these lines.
pub fn report_skipped(reason: impl Display) {
    print_line("skipped", &reason);
}

/// Bypasses the capture of output by the test harness. A line is one write, since tests run in parallel.
fn print_line(prefix: &str, text: &dyn Display) {
    let _ = std::io::stderr().write_all(format!("{prefix}: {text}\n").as_bytes());
}
