//! The origins, as daemons ask them: tried in order, with the daemon's own token.

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

/// For a connection to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// For the next piece of an answer to come, not for all of it: a slow link is no fault.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(15);

/// One origin being asked. A boxed future, because the compiler does not yet see that an `AsyncFn`'s is `Send`.
pub type Attempt<'a, T, E> = BoxFuture<'a, Result<T, E>>;

/// Asks the origins. Clones share connections.
#[derive(Clone)]
pub struct Origins {
    client: Client,
    urls: Vec<OriginUrl>,
    token: Secret,
    failures: Counter,
}

/// Why an origin did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum OriginError {
    /// It could not be reached.
    #[error("{origin} cannot be reached")]
    Unreachable {
        /// Which, without what it was asked.
        origin: String,
        /// Why.
        source: reqwest::Error,
    },
    /// It went away in the midst of an answer.
    #[error("the origin's answer was cut")]
    Cut(#[source] reqwest::Error),
    /// It answered with something else than a success.
    #[error("{origin} answers {status}{}", advice(*status))]
    Status {
        /// Which.
        origin: String,
        /// What.
        status: StatusCode,
    },
}

/// What to do about it, if anything can be done.
fn advice(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => {
            ": it does not know the token; `verge edges token` or `verge dns token` issues another, for the `token_file`"
        }
        StatusCode::FORBIDDEN => {
            ": the token is good for something else; edges and name servers have tokens of their own"
        }
        _ => "",
    }
}

/// Of the body of an answer.
impl From<reqwest::Error> for OriginError {
    fn from(error: reqwest::Error) -> Self {
        Self::Cut(error.without_url())
    }
}

impl OriginError {
    /// Whether it is about reaching the origin rather than about what it answers.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Cut(_) => true,
            Self::Status { status, .. } => matches!(
                *status,
                StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT | StatusCode::BAD_GATEWAY
            ),
        }
    }
}

impl Origins {
    /// A client of the origins at `urls`: at least one. No connection is made yet. `user_agent` is who asks, e.g.
    /// `verge-edge/0.1.0`; `failures` counts the attempts that failed, whatever they were for.
    pub fn new(
        urls: Vec<OriginUrl>,
        token: Secret,
        user_agent: &str,
        failures: Counter,
    ) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .user_agent(user_agent)
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(SILENCE_TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            // Whom a daemon follows is said in its configuration, not in its environment.
            .no_proxy()
            .build()?;
        Ok(Self { client, urls, token, failures })
    }

    /// Where they are, in order.
    pub fn urls(&self) -> &[OriginUrl] {
        &self.urls
    }

    /// A question to one of them, to be [sent](Self::send); `path` starts without a slash.
    pub fn get(&self, origin: &OriginUrl, path: &str) -> RequestBuilder {
        self.client.get(origin.route(path))
    }

    /// The same, with a body to come.
    pub fn post(&self, origin: &OriginUrl, path: &str) -> RequestBuilder {
        self.client.post(origin.route(path))
    }

    /// Sends a request with the token. What is not a success is an error.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, OriginError> {
        let request = request.bearer_auth(self.token.expose()).build()?;
        let origin = request.url().origin().ascii_serialization();
        match self.client.execute(request).await {
            Ok(response) if response.status().is_success() => Ok(response),
            Ok(response) => Err(OriginError::Status { origin, status: response.status() }),
            Err(error) => Err(OriginError::Unreachable { origin, source: error.without_url() }),
        }
    }

    /// Tries each origin in order until one succeeds; the error is the last one's.
    pub async fn first<'a, T, E: Error>(
        &'a self,
        attempt: impl Fn(&'a OriginUrl) -> Attempt<'a, T, E>,
    ) -> Result<T, E> {
        self.first_from(0, |_, origin| attempt(origin)).await
    }

    /// The same, from the origin at `start` on, and around; tells each attempt the place of its origin.
    pub async fn first_from<'a, T, E: Error>(
        &'a self,
        start: usize,
        attempt: impl Fn(usize, &'a OriginUrl) -> Attempt<'a, T, E>,
    ) -> Result<T, E> {
        let count = self.urls.len();
        let mut places = (start..start + count).map(|turn| turn % count);
        let last = places.next_back().expect("a configuration names at least one origin");
        for place in places {
            let origin = &self.urls[place];
            match self.counted(attempt(place, origin)).await {
                Ok(value) => return Ok(value),
                Err(error) => {
                    tracing::warn!(%origin, error = %error_chain(&error), "an origin failed: trying the next")
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
    async fn each_is_tried_in_order_and_around() {
        assert_eq!(tried(0, 0).await, (vec![0], Ok(0), 0));
        assert_eq!(tried(0, 2).await, (vec![0, 1, 2], Ok(2), 2));
        assert_eq!(tried(2, 1).await, (vec![2, 0, 1], Ok(1), 2));
        assert_eq!(tried(4, 9).await, (vec![1, 2, 0], Err("not 0".to_owned()), 3));
    }
}
