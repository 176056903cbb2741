//! Client of a name server's private listener, which requires no token.

use std::net::IpAddr;
use std::time::Duration;

use reqwest::StatusCode;
use serde::de::DeserializeOwned;
use verge_protocol::api::ErrorBody;

use super::error::root_cause;
use super::http::{STALL_LIMIT, SetupError, http};
use super::server_url::ServerUrl;

/// The client of one name server.
#[derive(Clone)]
pub struct NameServer {
    http: reqwest::Client,
    url: ServerUrl,
}

/// Why a request to a name server failed.
#[derive(Debug, thiserror::Error)]
pub enum NameServerError {
    /// The connection failed.
    #[error("cannot reach a name server at {url}: {reason}")]
    Unreachable {
        /// The URL.
        url: String,
        /// Why.
        reason: String,
    },
    /// The connection was closed before the answer was complete.
    #[error("the connection to the name server was closed: {reason}")]
    Closed {
        /// Why.
        reason: String,
    },
    /// There was no answer in time.
    #[error("the name server did not answer within {} s", limit.as_secs())]
    Timeout {
        /// The time limit.
        limit: Duration,
    },
    /// The name server rejected the request.
    #[error("{}", .0.message)]
    Rejected(ErrorBody),
    /// The answer is not that of a name server.
    #[error("{url} is not the private listener of a name server: {reason}")]
    NotNameServer {
        /// The URL.
        url: String,
        /// Why.
        reason: String,
    },
}

impl NameServerError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unreachable { .. } | Self::NotNameServer { .. } => {
                Some("set VERGE_NAME_SERVER or --name-server to the URL of its `private_listen`, such as http://127.0.0.1:7601".to_owned())
            }
            Self::Rejected(body) => body.hint.clone(),
            Self::Closed { .. } | Self::Timeout { .. } => None,
        }
    }
}

impl NameServer {
    /// Creates a client. Sends nothing.
    pub fn new(url: ServerUrl) -> Result<Self, SetupError> {
        Ok(Self { http: http(&url, None)?, url })
    }

    /// The URL of the private listener.
    pub fn url(&self) -> &ServerUrl {
        &self.url
    }

    /// `GET /explain`: which edges a client at `client` gets for `name`, or for any site, and why.
    pub async fn explain<T: DeserializeOwned>(&self, client: IpAddr, name: Option<&str>) -> Result<T, NameServerError> {
        let parameters = [Some(("address", client.to_string())), name.map(|name| ("name", name.to_owned()))];
        let parameters: Vec<_> = parameters.into_iter().flatten().collect();
        let request = self.http.get(self.url.join("/explain")).query(&parameters).timeout(STALL_LIMIT);
        let response = request.send().await.map_err(|error| self.failed(&error))?;
        let status = response.status();
        let bytes = response.bytes().await.map_err(|error| self.failed(&error))?;
        match status {
            StatusCode::OK => serde_json::from_slice(&bytes).map_err(|error| self.not_name_server(error.to_string())),
            StatusCode::BAD_REQUEST => match serde_json::from_slice(&bytes) {
                Ok(body) => Err(NameServerError::Rejected(body)),
                Err(error) => Err(self.not_name_server(error.to_string())),
            },
            // It does not answer at this host, and says why.
            StatusCode::MISDIRECTED_REQUEST => {
                Err(self.not_name_server(String::from_utf8_lossy(&bytes).trim().to_owned()))
            }
            status => Err(self.not_name_server(format!("status {status}"))),
        }
    }

    fn failed(&self, error: &reqwest::Error) -> NameServerError {
        if error.is_connect() {
            NameServerError::Unreachable { url: self.url.to_string(), reason: root_cause(error) }
        } else if error.is_timeout() {
            NameServerError::Timeout { limit: STALL_LIMIT }
        } else {
            NameServerError::Closed { reason: root_cause(error) }
        }
    }

    fn not_name_server(&self, reason: String) -> NameServerError {
        NameServerError::NotNameServer { url: self.url.to_string(), reason }
    }
}
