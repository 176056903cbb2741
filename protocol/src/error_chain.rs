//! The text of an error with its causes, for logs, for people, and as a reason sent to another process.

use std::error::Error;

/// An error with all its sources, on one line.
pub fn error_chain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        line.push_str(": ");
        line.push_str(&error.to_string());
        source = error.source();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("failed to save")]
    struct Leak(#[source] std::io::Error);

    #[test]
    fn all_sources_are_included() {
        let error = Leak(std::io::Error::other("disk full"));
        assert_eq!(error_chain(&error), "failed to save: disk full");
        assert_eq!(error_chain(&std::io::Error::other("disk full")), "disk full");
    }
}
