//! Errors as they go into the log.

use std::error::Error;

/// An error with its sources, as one line.
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
    #[error("the roof leaks")]
    struct Leak(#[source] std::io::Error);

    #[test]
    fn every_source_is_named() {
        let error = Leak(std::io::Error::other("it rains"));
        assert_eq!(error_chain(&error), "the roof leaks: it rains");
        assert_eq!(error_chain(&std::io::Error::other("it rains")), "it rains");
    }
}
