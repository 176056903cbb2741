//! Why the origin did not do what it was asked.

use std::error::Error;
use std::time::Duration;

use reqwest::StatusCode;
use verge_protocol::api::ErrorBody;

use super::address::Address;
use super::token::Token;

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No connection came about; nothing was sent.
    #[error("cannot reach the origin at {origin}: {reason}")]
    Unreachable {
        /// Its address.
        origin: String,
        /// Why.
        reason: String,
    },
    /// The connection ended before the answer did. What was asked may or may not have happened.
    #[error("the connection to the origin was cut: {reason}")]
    Cut {
        /// How.
        reason: String,
    },
    /// No byte moved for this long.
    #[error("the origin fell silent for {} s", silence.as_secs())]
    Stalled {
        /// How long it was waited for.
        silence: Duration,
    },
    /// The origin answered that it will not.
    #[error("{}", body.message)]
    Refused {
        /// The status; `None` when it was said within a stream that began well.
        status: Option<StatusCode>,
        /// What it said.
        body: ErrorBody,
    },
    /// Something between here and the origin answered for it. What was asked may or may not have happened.
    #[error("the origin at {origin} answers {status}")]
    Gateway {
        /// The origin's address.
        origin: String,
        /// What was answered.
        status: StatusCode,
    },
    /// Something answered, but not as an origin does.
    #[error("{origin} does not answer like an origin of Verge: {reason}")]
    Foreign {
        /// The address.
        origin: String,
        /// What was odd.
        reason: String,
    },
}

impl ClientError {
    /// What a request that was broken off means.
    pub(super) fn broken(origin: &Address, error: &reqwest::Error) -> Self {
        let reason = root(error);
        if error.is_connect() { Self::Unreachable { origin: origin.to_string(), reason } } else { Self::Cut { reason } }
    }

    /// The stable code of a refusal.
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { body, .. } => Some(&body.code),
            _ => None,
        }
    }

    /// Whether the same call may succeed a moment later.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Cut { .. } | Self::Stalled { .. } | Self::Gateway { .. } => true,
            Self::Refused { status: Some(status), .. } => {
                status.is_server_error()
                    || matches!(*status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS)
            }
            Self::Refused { status: None, .. } | Self::Foreign { .. } => false,
        }
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } => {
                Some("check that it runs and that VERGE_ORIGIN names it; `verge up` starts one on this machine".into())
            }
            Self::Cut { .. } | Self::Stalled { .. } => Some("run it again: what has arrived is kept".into()),
            Self::Foreign { .. } => Some("check that VERGE_ORIGIN is the address of an origin's API".into()),
            Self::Gateway { .. } => None,
            // The origin's own hint is for who has sent no token, as is never done here.
            Self::Refused { status: Some(StatusCode::UNAUTHORIZED), .. } => Some(Token::WHERE_FROM.into()),
            Self::Refused { body: ErrorBody { hint: Some(hint), .. }, .. } => Some(hint.clone()),
            Self::Refused { status, .. } => match status.map(|status| status.as_u16()) {
                Some(403) => Some("ask for a token that allows this".into()),
                _ => None,
            },
        }
    }
}

/// The innermost reason, which is the one that tells a person something.
pub(super) fn root(error: &reqwest::Error) -> String {
    let mut reason: &dyn Error = error;
    while let Some(source) = reason.source() {
        reason = source;
    }
    reason.to_string()
}
