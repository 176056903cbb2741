//! An HTTP client of the origins: tried in order, authenticated by the daemon's own token.

mod settings;
mod url;

use std::error::Error;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::StatusCode;
use prometheus_client::metrics::counter::Counter;
use reqwest::{Client, RequestBuilder, Response};

use crate::error_chain;
use crate::secret::Secret;

pub use self::settings::{OriginSettings, OriginSettingsError};
pub use self::url::{OriginUrl, OriginUrlError};

/// Timeout for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout for the next bytes of a response, not for all of it: a slow link is not an error.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// A request to one origin. A boxed future, because the compiler cannot yet prove an `AsyncFn`'s future `Send`.
pub type Attempt<'a, T, E> = BoxFuture<'a, Result<T, E>>;

/// A client of the origins. Clones share connections.
#[derive(Clone)]
pub struct Origins {
    client: Client,
    urls: Vec<OriginUrl>,
    token: Secret,
    failures: Counter,
}

/// Why a request to an origin failed.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// The origin is unreachable.
    #[error("failed to reach {origin}")]
    Unreachable {
        /// The origin's URL, without path and query.
        origin: String,
        /// The cause.
        source: reqwest::Error,
    },
    /// The connection broke during the response.
    #[error("the response of the origin was truncated")]
    Truncated(#[source] reqwest::Error),
    /// The origin answered with an error status.
    #[error("{origin} answered {status}{}", hint(*status))]
    Status {
        /// The origin's URL, without path and query.
        origin: String,
        /// The status.
        status: StatusCode,
    },
}

/// What the operator can do about a status.
fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => {
            ": unknown token; issue a new one with `verge edges token` or `verge dns token` and put it into `token_file`"
        }
        StatusCode::FORBIDDEN => ": the token lacks permission; edges and name servers need their own tokens",
        _ => "",
    }
}

/// An error while reading a response body.
impl From<reqwest::Error> for OriginError {
    fn from(error: reqwest::Error) -> Self {
        Self::Truncated(error.without_url())
    }
}

impl OriginError {
    /// Whether the origin could not be reached or is temporarily unavailable.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Truncated(_) => true,
            Self::Status { status, .. } => matches!(
                *status,
                StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT | StatusCode::BAD_GATEWAY
            ),
        }
    }
}

impl Origins {
    /// A client of the origins at `urls` (at least one), which does not connect yet. `user_agent` identifies the daemon, e.g.
    /// `verge-edge/0.1.0`; `failures` counts failed attempts of all kinds.
    pub fn new(
        urls: Vec<OriginUrl>,
        token: Secret,
        user_agent: &str,
        failures: Counter,
    ) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .user_agent(user_agent)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            // Origins are configured explicitly: proxy variables in the environment are ignored.
            .no_proxy()
            .build()?;
        Ok(Self { client, urls, token, failures })
    }

    /// The origins' URLs, in order.
    pub fn urls(&self) -> &[OriginUrl] {
        &self.urls
    }

    /// A GET request, to be [sent](Self::send); `path` has no leading slash.
    pub fn get(&self, origin: &OriginUrl, path: &str) -> RequestBuilder {
        self.client.get(origin.join(path))
    }

    /// A POST request, to be [sent](Self::send); `path` has no leading slash.
    pub fn post(&self, origin: &OriginUrl, path: &str) -> RequestBuilder {
        self.client.post(origin.join(path))
    }

    /// Sends a request with the token. A status other than 2xx is an error.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, OriginError> {
        let request = request.bearer_auth(self.token.expose()).build()?;
        let origin = request.url().origin().ascii_serialization();
        match self.client.execute(request).await {
            Ok(response) if response.status().is_success() => Ok(response),
            Ok(response) => Err(OriginError::Status { origin, status: response.status() }),
            Err(error) => Err(OriginError::Unreachable { origin, source: error.without_url() }),
        }
    }

    /// Tries each origin in order until one succeeds; returns the last error if none does.
    pub async fn first<'a, T, E: Error>(
        &'a self,
        attempt: impl Fn(&'a OriginUrl) -> Attempt<'a, T, E>,
    ) -> Result<T, E> {
        self.first_from(0, |_, origin| attempt(origin)).await
    }

    /// Like [`Self::first`], starting with the origin at index `start` and wrapping around; passes each attempt its origin's index.
    pub async fn first_from<'a, T, E: Error>(
        &'a self,
        start: usize,
        attempt: impl Fn(usize, &'a OriginUrl) -> Attempt<'a, T, E>,
    ) -> Result<T, E> {
        let count = self.urls.len();
        let mut indices = (start..start + count).map(|index| index % count);
        let last = indices.next_back().expect("a configuration names at least one origin");
        for index in indices {
            let origin = &self.urls[index];
            match self.counted(attempt(index, origin)).await {
                Ok(value) => return Ok(value),
                Err(error) => {
                    tracing::warn!(%origin, error = %error_chain(&error), "request to origin failed: trying the next origin");
                }
            }
        }
        self.counted(attempt(last, &self.urls[last])).await
    }

    async fn counted<T, E>(&self, attempt: Attempt<'_, T, E>) -> Result<T, E> {
        let outcome = attempt.await;
        if outcome.is_err() {
            self.failures.inc();
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures_util::FutureExt as _;

    use super::*;

    /// Which places were tried, what came of it, and how many failures were counted; only the origin at `good` answers.
    async fn tried(start: usize, good: usize) -> (Vec<usize>, Result<usize, String>, u64) {
        let urls = ["http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"];
        let urls = urls.map(|url| url.parse().unwrap()).to_vec();
        let failures = Counter::default();
        let origins = Origins::new(urls, Secret::new("vrg_x"), "test", failures.clone()).unwrap();
        let tried = Mutex::new(Vec::new());
        let outcome = origins.first_from(start, |place, _| {
            tried.lock().unwrap().push(place);
            let outcome = if place == good { Ok(place) } else { Err(std::io::Error::other(format!("not {place}"))) };
            async move { outcome }.boxed()
        });
        let outcome = outcome.await.map_err(|error| error.to_string());
        (tried.into_inner().unwrap(), outcome, failures.get())
    }

    #[tokio::test]
    async fn first_from_tries_each_origin_once_and_wraps_around() {
        assert_eq!(tried(0, 0).await, (vec![0], Ok(0), 0));
        assert_eq!(tried(0, 2).await, (vec![0, 1, 2], Ok(2), 2));
        assert_eq!(tried(2, 1).await, (vec![2, 0, 1], Ok(1), 2));
        assert_eq!(tried(4, 9).await, (vec![1, 2, 0], Err("not 0".to_owned()), 3));
    }
}
