//! A name server's private listener, which asks for no token.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use verge_protocol::api::ErrorBody;

use super::error::root_cause;
use super::http::{STALL_LIMIT, SetupError, http};
use super::server_url::ServerUrl;

/// Speaks to one name server.
#[derive(Clone)]
pub struct NameServer {
    http: reqwest::Client,
    address: ServerUrl,
}

/// Why a name server does not say what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum NameServerError {
    /// No connection came about.
    #[error("cannot reach a name server at {node}: {reason}")]
    Unreachable {
        /// Where it should be.
        node: String,
        /// Why.
        reason: String,
    },
    /// The connection ended before the answer did.
    #[error("the connection to the name server was cut: {reason}")]
    Cut {
        /// How.
        reason: String,
    },
    /// It has not answered for this long.
    #[error("the name server fell silent for {} s", silence.as_secs())]
    Silent {
        /// How long it was waited for.
        silence: Duration,
    },
    /// It cannot make sense of the question.
    #[error("{}", .0.message)]
    Refused(ErrorBody),
    /// Something answered, but not as a name server does.
    #[error("{node} does not answer like the private listener of a name server: {reason}")]
    Foreign {
        /// The address.
        node: String,
        /// What was odd.
        reason: String,
    },
}

impl NameServerError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } | Self::Foreign { .. } => {
                Some("set VERGE_NAME_SERVER or --name-server to the URL of its `private_listen`, such as http://127.0.0.1:7601".to_owned())
            }
            Self::Refused(body) => body.hint.clone(),
            Self::Cut { .. } | Self::Silent { .. } => None,
        }
    }
}

impl NameServer {
    /// Makes a client; nothing is sent yet.
    pub fn new(address: ServerUrl) -> Result<Self, SetupError> {
        Ok(Self { http: http(&address)?, address })
    }

    /// Where it is.
    pub fn address(&self) -> &ServerUrl {
        &self.address
    }

    /// `GET /explain`: why a client at `client` is led where it is, as the caller wants to read it; for `name`, or for any site.
    pub async fn explain<T: DeserializeOwned>(&self, client: IpAddr, name: Option<&str>) -> Result<T, NameServerError> {
        let question = [Some(("address", client.to_string())), name.map(|name| ("name", name.to_owned()))];
        let question: Vec<_> = question.into_iter().flatten().collect();
        let request = self.http.get(self.address.join("/explain")).query(&question).timeout(STALL_LIMIT);
        let response = request.send().await.map_err(|error| self.broken(&error))?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| self.broken(&error))?;
        match status {
            StatusCode::OK => serde_json::from_slice(&bytes).map_err(|error| self.foreign(error.to_string())),
            StatusCode::BAD_REQUEST => match serde_json::from_slice(&bytes) {
                Ok(body) => Err(NameServerError::Refused(body)),
                Err(error) => Err(self.foreign(error.to_string())),
            },
            status => Err(self.foreign(format!("it answers {status}"))),
        }
    }

    fn broken(&self, error: &reqwest::Error) -> NameServerError {
        if error.is_connect() {
            NameServerError::Unreachable { node: self.address.to_string(), reason: root_cause(error) }
        } else if error.is_timeout() {
            NameServerError::Silent { silence: STALL_LIMIT }
        } else {
            NameServerError::Cut { reason: root_cause(error) }
        }
    }

    fn foreign(&self, reason: String) -> NameServerError {
        NameServerError::Foreign { node: self.address.to_string(), reason }
    }
}
