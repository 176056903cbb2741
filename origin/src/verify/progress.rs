//! Progress on a terminal.

use std::io::{IsTerminal as _, Write as _, stderr};
use std::sync::{Mutex, PoisonError};

/// After how many steps the line is written again.
const STEPS: u64 = 500;

/// A line on standard error that is written over, if that is a terminal; erased when dropped.
pub(super) struct Progress {
    what: &'static str,
    steps: Mutex<u64>,
    is_shown: bool,
}

impl Progress {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, steps: Mutex::new(0), is_shown: stderr().is_terminal() }
    }

    /// Counts one more step.
    pub(super) fn step(&self) {
        let mut steps = self.steps.lock().unwrap_or_else(PoisonError::into_inner);
        *steps += 1;
        if self.is_shown && steps.is_multiple_of(STEPS) {
            let _ = write!(stderr(), "\r{}: {steps}", self.what);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_shown {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
