//! Why probes fail.

use std::error::Error as _;
use std::fmt;
use std::io;
use std::time::Duration;

use reqwest::StatusCode;
use verge_daemon::chain;
use verge_protocol::EdgeName;

/// Why an edge is not healthy, in words for whoever runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Failure {
    /// Nothing listens there.
    Refused,
    /// It took too long, to connect or to answer.
    Silent(Duration),
    /// It cannot be reached, or went away, for another reason.
    Unreachable(String),
    /// It answers, but not that it can serve.
    Status(StatusCode),
    /// The answer is none that an edge gives.
    NotHealth(String),
    /// Another edge answers.
    Misplaced {
        /// Who answers.
        is: EdgeName,
        /// Who should.
        expected: EdgeName,
    },
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused => formatter.write_str("connection refused"),
            Self::Silent(timeout) => write!(formatter, "no answer within {} s", timeout.as_secs_f64()),
            Self::Unreachable(why) => write!(formatter, "cannot be reached: {why}"),
            Self::Status(StatusCode::SERVICE_UNAVAILABLE) => formatter.write_str("answers 503: it cannot serve"),
            Self::Status(status) => write!(formatter, "answers {}", status.as_u16()),
            Self::NotHealth(why) => write!(formatter, "the answer is not an edge's: {why}"),
            Self::Misplaced { is, expected } => write!(formatter, "is edge {is}, not {expected}"),
        }
    }
}

impl Failure {
    /// What became of a connection, without the URL.
    pub(super) fn of(error: reqwest::Error) -> Self {
        let error = error.without_url();
        let causes = std::iter::successors(error.source(), |&cause| cause.source());
        let mut kinds = causes.filter_map(|cause| Some(cause.downcast_ref::<io::Error>()?.kind()));
        if kinds.any(|kind| kind == io::ErrorKind::ConnectionRefused) {
            return Self::Refused;
        }
        Self::Unreachable(chain(&error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_said_in_seconds() {
        assert_eq!(Failure::Silent(Duration::from_secs(2)).to_string(), "no answer within 2 s");
        assert_eq!(Failure::Silent(Duration::from_millis(1_500)).to_string(), "no answer within 1.5 s");
    }
}
