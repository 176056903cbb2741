//! A failed command: the message, details, hints and exit code.

use std::error::Error;

use verge_protocol::error_chain;

use crate::exit::Exit;

/// A failed command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What went wrong: a fragment, printed after `error:`.
    pub message: String,
    /// The items at fault, one line each.
    pub details: Vec<String>,
    /// What to do about it, as imperatives.
    pub hints: Vec<String>,
}

impl Failure {
    /// A failure with the message of `error` and its sources.
    pub fn new(exit: Exit, error: &dyn Error) -> Self {
        Self { exit, message: error_chain(error), details: Vec::new(), hints: Vec::new() }
    }

    /// Adds a hint, if there is one.
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
    #[error("failed to load the profile")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn failure_message_includes_error_sources() {
        let error = Outer(std::io::Error::other("permission denied"));
        let failure = Failure::new(Exit::Failure, &error).hint(Some("run `verge up`")).hint(None::<&str>);
        assert_eq!(failure.message, "failed to load the profile: permission denied");
        assert_eq!(failure.hints, ["run `verge up`"]);
    }
}
