//! How a command ends early: what a person reads, and what the shell sees.

use std::error::Error;

use crate::exit::Exit;

/// An error, told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What the shell sees.
    pub exit: Exit,
    /// What went wrong, as a fragment that `error:` precedes.
    pub message: String,
    /// The things at fault, a line each.
    pub details: Vec<String>,
    /// What to do about it.
    pub hints: Vec<String>,
}

impl Failure {
    /// Tells `error` and what is behind it.
    pub fn new(exit: Exit, error: &dyn Error) -> Self {
        let mut message = error.to_string();
        let mut behind = error.source();
        while let Some(cause) = behind {
            message = format!("{message}: {cause}");
            behind = cause.source();
        }
        Self { exit, message, details: Vec::new(), hints: Vec::new() }
    }

    /// Adds what to do about it, if there is something.
    #[must_use]
    pub fn hint(mut self, hint: Option<impl Into<String>>) -> Self {
        self.hints.extend(hint.map(Into::into));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("failed to open the door")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn what_is_behind_an_error_is_told_too() {
        let error = Outer(std::io::Error::other("the key is lost"));
        let failure = Failure::new(Exit::Failure, &error).hint(Some("look under the mat")).hint(None::<&str>);
        assert_eq!(failure.message, "failed to open the door: the key is lost");
        assert_eq!(failure.hints, ["look under the mat"]);
    }
}
