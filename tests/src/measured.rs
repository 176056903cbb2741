//! Saying what a test has found besides that all is well.

use std::fmt::Display;
use std::io::Write as _;

/// Says it even when the test passes. `tests/run` shows these lines.
pub fn measured(what: impl Display) {
    say("measured", &what);
}

/// Says that a test could not be made here. `tests/run` counts these lines.
pub fn skipped(why: impl Display) {
    say("skipped", &why);
}

/// One write a line: tests speak at the same time. What is written like this is not held back for tests that pass.
fn say(kind: &str, what: &dyn Display) {
    let _ = std::io::stderr().write_all(format!("{kind}: {what}\n").as_bytes());
}
