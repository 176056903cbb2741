//! An HTTP client of the origins: tried in order, authenticated by the daemon's own token.

mod settings;
mod token_check;
mod url;

use std::error::Error;
use std::time::Duration;

use futures_util::future::BoxFuture;
use http::StatusCode;
use http::header::{AUTHORIZATION, DATE, HeaderMap, HeaderValue, InvalidHeaderValue};
use prometheus_client::metrics::counter::Counter;
use reqwest::{Client, RequestBuilder, Response};

use verge_protocol::KeyPin;
use verge_protocol::api::{ErrorBody, TokenOwner};
use verge_trust::{PinMismatch, TrustError};

use crate::error_chain;
use crate::secret::Secret;

pub use self::settings::{OriginSettings, OriginSettingsError};
pub use self::token_check::check_token_owner;
pub(crate) use self::token_check::foreign_token;
pub use self::url::{OriginUrl, OriginUrlError};

/// Timeout for connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Timeout for the next bytes of a response, not for all of it: a slow link is not an error.
const READ_TIMEOUT: Duration = Duration::from_secs(15);
/// Timeout for the body of an error or of a small answer.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// Maximum size of such a body in bytes.
const BODY_MAX: usize = 16 << 10;
/// Characters of an error message that are kept.
const MESSAGE_MAX: usize = 300;

/// A request to one origin. A boxed future, because the compiler cannot yet prove an `AsyncFn`'s future `Send`.
pub type Attempt<'a, T, E> = BoxFuture<'a, Result<T, E>>;

/// A client of the origins. Clones share connections.
#[derive(Clone)]
pub struct Origins {
    client: Client,
    urls: Vec<OriginUrl>,
    failures: Counter,
}

/// Why no client can be made.
#[derive(Debug, thiserror::Error)]
pub enum OriginsError {
    /// The token cannot be sent in a header.
    #[error("malformed token: expected printable ASCII characters")]
    Token(#[from] InvalidHeaderValue),
    /// The HTTP client cannot be created, for example for lack of root certificates.
    #[error("failed to create the HTTP client for the origins")]
    Client(#[from] reqwest::Error),
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
    /// The server has another key than the pinned one. Nothing was sent to it.
    #[error("failed to verify {origin}")]
    OtherKey {
        /// The origin's URL, without path and query.
        origin: String,
        /// The pins.
        source: PinMismatch,
    },
    /// The connection broke during the response.
    #[error("the response of the origin was truncated")]
    Truncated(#[source] reqwest::Error),
    /// The origin answered with an error status.
    #[error("{origin} answered {status}{}{}", message(error.as_deref()), hint(*status, error.as_deref()))]
    Status {
        /// The origin's URL, without path and query.
        origin: String,
        /// The status.
        status: StatusCode,
        /// The error, if an origin sent it: a proxy in front of it has its own.
        error: Option<Box<ErrorBody>>,
    },
    /// The server did not answer as an origin does.
    #[error("unexpected answer from {0}: is it the URL of an origin?")]
    NotOrigin(String),
}

/// The message of the origin, on one line.
fn message(error: Option<&ErrorBody>) -> String {
    let Some(error) = error else { return String::new() };
    let message = error.message.chars().take(MESSAGE_MAX).map(|char| if char.is_control() { ' ' } else { char });
    format!(": {}", message.collect::<String>())
}

/// What the operator can do about a status.
fn hint(status: StatusCode, error: Option<&ErrorBody>) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS if is_token_invalid(status, error) => {
            "; issue a new token with `verge edges token` or `verge dns token` and put it into `token_file`"
        }
        StatusCode::FORBIDDEN if error.is_some_and(|error| error.code == "wrong_token") => {
            "; put this edge's own token into `token_file`: `verge edges token` issues one"
        }
        StatusCode::FORBIDDEN => "; edges and name servers need their own tokens",
        _ => "",
    }
}

/// Whether the origin does not know the token. It answers so in another way to those that have asked too often.
fn is_token_invalid(status: StatusCode, error: Option<&ErrorBody>) -> bool {
    match status {
        StatusCode::UNAUTHORIZED => true,
        StatusCode::TOO_MANY_REQUESTS => error.is_some_and(|error| error.code == "too_many_failures"),
        _ => false,
    }
}

impl OriginError {
    /// An error while reading the body of a response.
    pub fn truncated(error: reqwest::Error) -> Self {
        Self::Truncated(error.without_url())
    }

    /// Whether the origin could not be reached or is temporarily unavailable.
    pub fn is_unreachable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::OtherKey { .. } | Self::Truncated(_) => true,
            Self::Status { status, .. } => matches!(
                *status,
                StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT | StatusCode::BAD_GATEWAY
            ),
            Self::NotOrigin(_) => false,
        }
    }

    /// Whether the origin refused the request because of the token, which no retry changes.
    pub fn is_refused(&self) -> bool {
        let Self::Status { status, error, .. } = self else { return false };
        *status == StatusCode::FORBIDDEN || is_token_invalid(*status, error.as_deref())
    }

    /// Whether the origin itself, and not a proxy, answered that it does not have what was requested or cannot read it.
    pub fn is_lacking(&self) -> bool {
        let is_lacking = |status| matches!(status, StatusCode::NOT_FOUND | StatusCode::INTERNAL_SERVER_ERROR);
        matches!(self, Self::Status { error: Some(_), status, .. } if is_lacking(*status))
    }

    /// Whether the origin is of a version that does not know the route.
    pub(crate) fn is_unknown_route(&self) -> bool {
        matches!(self, Self::Status { error: Some(error), .. } if error.code == "unknown_route")
    }
}

impl Origins {
    /// A client of the origins at `urls` (at least one), which does not connect yet. They are verified by their name or, if there is one, by
    /// the pin of their key. `user_agent` identifies the daemon, e.g. `verge-edge/0.1.0`; `failures` counts failed attempts of all kinds.
    pub fn new(
        urls: Vec<OriginUrl>,
        pin: Option<KeyPin>,
        token: &Secret,
        user_agent: &str,
        failures: Counter,
    ) -> Result<Self, OriginsError> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", token.expose()))?;
        authorization.set_sensitive(true);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, authorization)]);
        Ok(Self { client: client(pin, headers, user_agent)?, urls, failures })
    }

    /// A client that has no token yet.
    pub(crate) fn without_token(
        urls: Vec<OriginUrl>,
        pin: Option<KeyPin>,
        user_agent: &str,
    ) -> Result<Self, OriginsError> {
        Ok(Self { client: client(pin, HeaderMap::new(), user_agent)?, urls, failures: Counter::default() })
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
    ///
    /// # Panics
    ///
    /// If the request cannot be built: its query, headers or body cannot be encoded.
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, OriginError> {
        let request = request.build().expect("queries, headers and bodies of requests to origins can be encoded");
        let origin = request.url().origin().ascii_serialization();
        match self.client.execute(request).await {
            Ok(response) if response.status().is_success() => Ok(response),
            Ok(response) => {
                let status = response.status();
                let body = small_body(response).await.unwrap_or_default();
                Err(OriginError::Status { origin, status, error: serde_json::from_slice(&body).ok() })
            }
            Err(error) => match TrustError::find(&error) {
                Some(TrustError::Pin(source)) => Err(OriginError::OtherKey { origin, source }),
                _ => Err(OriginError::Unreachable { origin, source: error.without_url() }),
            },
        }
    }

    /// Requests the owner of the token from one origin.
    pub async fn token_owner(&self, origin: &OriginUrl) -> Result<TokenOwner, OriginError> {
        self.token_owner_and_time(origin).await.map(|(owner, _)| owner)
    }

    /// Like [`Self::token_owner`], with the origin's time, by the `Date` header of its response.
    pub(crate) async fn token_owner_and_time(
        &self,
        origin: &OriginUrl,
    ) -> Result<(TokenOwner, Option<HeaderValue>), OriginError> {
        let response = self.send(self.get(origin, "v1/token")).await?;
        let date = response.headers().get(DATE).cloned();
        let body = small_body(response).await?;
        let owner = serde_json::from_slice(&body).map_err(|_| OriginError::NotOrigin(origin.to_string()))?;
        Ok((owner, date))
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

fn client(pin: Option<KeyPin>, headers: HeaderMap, user_agent: &str) -> reqwest::Result<Client> {
    let builder = Client::builder()
        .user_agent(user_agent)
        .default_headers(headers)
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        // Origins are configured explicitly: proxy variables in the environment are ignored.
        .no_proxy();
    match pin {
        Some(pin) => builder.tls_backend_preconfigured(verge_trust::pinned(pin)).build(),
        None => builder.build(),
    }
}

/// The start of a body that is small if the server is an origin.
async fn small_body(mut response: Response) -> Result<Vec<u8>, OriginError> {
    let read = async {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(OriginError::truncated)? {
            body.extend_from_slice(&chunk);
            if body.len() >= BODY_MAX {
                break;
            }
        }
        Ok(body)
    };
    tokio::time::timeout(BODY_TIMEOUT, read).await.unwrap_or_else(|_| Ok(Vec::new()))
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
        let origins = Origins::new(urls, None, &Secret::new("vrg_x"), "test", failures.clone()).unwrap();
        let tried = Mutex::new(Vec::new());
        let outcome = origins.first_from(start, |place, _| {
            tried.lock().unwrap().push(place);
            let outcome = if place == good { Ok(place) } else { Err(std::io::Error::other(format!("not {place}"))) };
            async move { outcome }.boxed()
        });
        let outcome = outcome.await.map_err(|error| error.to_string());
        (tried.into_inner().unwrap(), outcome, failures.get())
    }

    #[test]
    fn token_that_cannot_be_sent_is_an_error() {
        for token in ["vrg\nx", "vrg_ü\u{7f}"] {
            let error = Origins::new(Vec::new(), None, &Secret::new(token), "test", Counter::default()).err().unwrap();
            assert_eq!(error.to_string(), "malformed token: expected printable ASCII characters");
        }
    }

    #[tokio::test]
    async fn refused_request_carries_the_token_and_has_the_message_of_the_origin() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer = async |headers: HeaderMap| {
            let bearer = headers[AUTHORIZATION].to_str().unwrap().to_owned();
            let message = format!("{bearer}\nis of fra-2");
            (StatusCode::FORBIDDEN, axum::Json(ErrorBody { code: "wrong_token".to_owned(), message, hint: None }))
        };
        let router = axum::Router::new().fallback(answer);
        let mut task = tokio::task::JoinSet::new();
        task.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let origins =
            Origins::new(vec![url.parse().unwrap()], None, &Secret::new("vrg_x"), "test", Counter::default()).unwrap();
        let error = origins.send(origins.get(&origins.urls()[0], "v1/x")).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "{url} answered 403 Forbidden: Bearer vrg_x is of fra-2; put this edge's own token into `token_file`: \
                 `verge edges token` issues one"
            )
        );
        assert!(error.is_refused() && !error.is_unreachable());
    }

    #[tokio::test]
    async fn first_from_tries_each_origin_once_and_wraps_around() {
        assert_eq!(tried(0, 0).await, (vec![0], Ok(0), 0));
        assert_eq!(tried(0, 2).await, (vec![0, 1, 2], Ok(2), 2));
        assert_eq!(tried(2, 1).await, (vec![2, 0, 1], Ok(1), 2));
        assert_eq!(tried(4, 9).await, (vec![1, 2, 0], Err("not 0".to_owned()), 3));
    }
}
