//! Whole clusters in one process, for tests and measurements.
#![expect(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a test that panics has said what is wrong")]

#[cfg(target_os = "linux")]
pub mod hosts;
#[cfg(target_os = "linux")]
pub mod internet;
mod measured;
mod world;

pub use measured::{measured, skipped};
pub use world::{Answer, World};
