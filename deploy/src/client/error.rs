//! Errors of requests to the origin.

use std::error::Error;
use std::time::Duration;

use reqwest::StatusCode;
use verge_protocol::api::ErrorBody;
use verge_trust::TrustError;

use super::server_url::ServerUrl;

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection could not be established; nothing was sent.
    #[error("cannot reach the origin at {origin}: {reason}")]
    Unreachable {
        /// Its URL.
        origin: String,
        /// Why.
        reason: String,
    },
    /// The origin is not who it should be; nothing was sent.
    #[error("cannot verify the origin at {origin}: {error}")]
    Untrusted {
        /// Its URL.
        origin: String,
        /// Why.
        error: TrustError,
    },
    /// The connection ended before the response was complete. The request may or may not have been executed.
    #[error("lost the connection to the origin: {reason}")]
    ConnectionLost {
        /// Why.
        reason: String,
    },
    /// No data was transferred for this long.
    #[error("the origin did not respond for {} s", limit.as_secs())]
    Stalled {
        /// The time without progress.
        limit: Duration,
    },
    /// The origin answered with an error.
    #[error("{}", body.message)]
    Refused {
        /// The status; `None` if the error came within an event stream.
        status: Option<StatusCode>,
        /// The error.
        body: ErrorBody,
    },
    /// A proxy answered in place of the origin. The request may or may not have been executed.
    #[error("the origin at {origin} is unavailable: {status}")]
    Gateway {
        /// The origin's URL.
        origin: String,
        /// The status.
        status: StatusCode,
    },
    /// The response is not that of an origin.
    #[error("unexpected response from {origin}: {reason}")]
    UnexpectedResponse {
        /// The URL.
        origin: String,
        /// What was unexpected.
        reason: String,
    },
}

impl ClientError {
    /// Classifies a transport error.
    pub(super) fn from_transport(origin: &ServerUrl, error: &reqwest::Error) -> Self {
        if let Some(error) = TrustError::find(error) {
            return Self::Untrusted { origin: origin.to_string(), error };
        }
        let reason = root_cause(error);
        if error.is_connect() {
            Self::Unreachable { origin: origin.to_string(), reason }
        } else {
            Self::ConnectionLost { reason }
        }
    }

    /// The code of an error of the API.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { body, .. } => Some(&body.code),
            _ => None,
        }
    }

    /// Whether the same request may succeed later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::ConnectionLost { .. } | Self::Stalled { .. } | Self::Gateway { .. } => {
                true
            }
            Self::Refused { status: Some(status), .. } => {
                // A full disk does not mend itself.
                (status.is_server_error() && *status != StatusCode::INSUFFICIENT_STORAGE)
                    || matches!(*status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
            }
            Self::Untrusted { .. } | Self::Refused { status: None, .. } | Self::UnexpectedResponse { .. } => false,
        }
    }
}

/// The innermost source, which is the most specific.
pub(super) fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
