//! Why probes fail.

mod tls;

use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use reqwest::StatusCode;
use verge_daemon::error_chain;
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
    /// Something is there, but there is no TLS with it that a reader would take.
    Tls(String),
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
            Self::Tls(why) => formatter.write_str(why),
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
        for cause in std::iter::successors(error.source(), |&error| cause(error)) {
            if let Some(error) = cause.downcast_ref::<rustls::Error>() {
                return Self::Tls(tls::words(error));
            }
            if cause.downcast_ref().map(io::Error::kind) == Some(io::ErrorKind::ConnectionRefused) {
                return Self::Refused;
            }
        }
        Self::Unreachable(error_chain(&error))
    }
}

/// What an error comes from. An error of I/O that stands for another says that it comes from the other's cause, and passes
/// over the other itself.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        Some(inner) => Some(inner),
        None => error.source(),
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
