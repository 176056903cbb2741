//! Requests to an authority: with timeouts and bounded answers, and with an eye on its clock and on how long it asks to wait.

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, Request, Response, StatusCode, header};
use bytes::{Bytes, BytesMut};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use tokio::time::Instant;
use verge_daemon::{Clock, error_chain};
use verge_protocol::Timestamp;

use crate::certificates::plan::RETRY_AFTER_MAX;

/// How long an authority may take to answer a request.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The largest answer, in bytes.
const ANSWER_MAX: usize = 1 << 20;
/// Differences between clocks up to this are not told apart from slow answers.
const CLOCK_TOLERANCE_MILLIS: i64 = 60_000;

/// Why there is no answer of ACME.
#[derive(Debug, thiserror::Error)]
pub(super) enum TransportError {
    #[error("{0}")]
    Unreachable(String),
    /// An error that asks to wait (`Retry-After`).
    #[error("{message}")]
    Later { message: String, until: Timestamp },
    /// An error without the problem document that ACME prescribes (RFC 8555 §6.7): of a proxy in front of the authority, for example.
    #[error("HTTP {0} without an explanation")]
    Status(StatusCode),
    /// An answer that is not of ACME: a page of a proxy, for example, or of a site whose URL is not that of a directory.
    #[error("{0} answered something that is not JSON: expected an answer of ACME (RFC 8555)")]
    NotJson(String),
}

/// Sends requests. Clones share what is known of the authority's clock.
#[derive(Clone)]
pub(super) struct Transport {
    client: reqwest::Client,
    clock: Clock,
    /// From the last answer with a time.
    clock_ahead_millis: Arc<Mutex<Option<(Instant, i64)>>>,
}

impl Transport {
    /// The error is the path of the file with root certificates and what is wrong with it.
    pub(super) fn new(ca_file: Option<&Path>, clock: Clock) -> Result<Self, (String, String)> {
        let mut builder =
            reqwest::Client::builder().timeout(TIMEOUT).https_only(true).redirect(reqwest::redirect::Policy::none());
        if let Some(path) = ca_file {
            let named = |reason: String| (path.display().to_string(), reason);
            let pem = std::fs::read(path).map_err(|error| named(error.to_string()))?;
            let roots = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| named(error_chain(&error)))?;
            if roots.is_empty() {
                return Err(named("no certificate in the file".to_owned()));
            }
            builder = builder.tls_certs_merge(roots);
        }
        let client = builder.build().map_err(|error| {
            let path = ca_file.map_or_else(|| "TLS".to_owned(), |path| path.display().to_string());
            (path, error_chain(&error))
        })?;
        Ok(Self { client, clock, clock_ahead_millis: Arc::default() })
    }

    /// The authority's time.
    pub(super) fn now(&self) -> Timestamp {
        let ahead = self.clock_ahead_millis().map_or(0, |(_, ahead)| ahead);
        Timestamp(self.clock.now().0.saturating_add_signed(-ahead))
    }

    pub(super) fn clock_ahead_millis(&self) -> Option<(Instant, i64)> {
        *self.lock()
    }

    /// Gets a document, for the time of the answer too; `None`: the answer is an error.
    pub(super) async fn get(&self, url: &str) -> Result<Option<Bytes>, String> {
        let mut answer = self.client.get(url).send().await.map_err(|error| error_chain(&error))?;
        self.observe_time(answer.headers());
        let document = read(&mut answer).await?;
        Ok(Some(document).filter(|_| answer.status().is_success()))
    }

    async fn send(&self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, TransportError> {
        let failed = |error: &dyn std::error::Error| TransportError::Unreachable(error_chain(error));
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(Body::new(body), ANSWER_MAX).await.map_err(|error| failed(&error))?;
        let url = parts.uri.to_string();
        let request = self.client.request(parts.method, &url).headers(parts.headers).body(body);
        let mut answer = request.send().await.map_err(|error| failed(&error))?;
        let theirs = self.observe_time(answer.headers());
        let bytes = read(&mut answer).await.map_err(TransportError::Unreachable)?;
        if answer.status().is_client_error() || answer.status().is_server_error() {
            let problem = serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes);
            if let Some(until) = retry_after(answer.headers(), theirs) {
                let detail = problem.ok().and_then(|problem| Some(problem.get("detail")?.as_str()?.to_owned()));
                let message = detail.unwrap_or_else(|| TransportError::Status(answer.status()).to_string());
                return Err(TransportError::Later { message, until });
            }
            if problem.is_err() {
                return Err(TransportError::Status(answer.status()));
            }
        } else if !bytes.is_empty() && !is_chain(answer.headers()) && !is_json(&bytes) {
            return Err(TransportError::NotJson(url));
        }
        let mut response = Response::new(());
        *response.status_mut() = answer.status();
        response.headers_mut().clone_from(answer.headers());
        Ok(BytesResponse { parts: response.into_parts().0, body: Box::new(bytes) })
    }

    /// The time of the answer, by the authority's clock if it says so.
    fn observe_time(&self, headers: &HeaderMap) -> Timestamp {
        let now = self.clock.now();
        let Some(theirs) = text(headers, header::DATE).and_then(date) else { return now };
        let ahead = now.0.cast_signed().saturating_sub(theirs.0.cast_signed());
        let ahead = if ahead.abs() > CLOCK_TOLERANCE_MILLIS { ahead } else { 0 };
        *self.lock() = Some((Instant::now(), ahead));
        theirs
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Instant, i64)>> {
        self.clock_ahead_millis.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether the answer is a certificate with its chain, the only one that is not JSON (RFC 8555 §7.4.2).
fn is_chain(headers: &HeaderMap) -> bool {
    text(headers, header::CONTENT_TYPE).is_some_and(|kind| kind.starts_with("application/pem-certificate-chain"))
}

fn is_json(bytes: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok()
}

/// The body of an answer.
async fn read(answer: &mut reqwest::Response) -> Result<Bytes, String> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| error_chain(&error))? {
        if bytes.len() + piece.len() > ANSWER_MAX {
            return Err(format!("the answer has more than {ANSWER_MAX} bytes"));
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

/// How long an answer of this time asks to wait: by the authority's clock, as all times of certificates.
fn retry_after(headers: &HeaderMap, answered: Timestamp) -> Option<Timestamp> {
    let text = text(headers, header::RETRY_AFTER)?;
    let wait = match text.trim().parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => answered.age(date(text)?),
    };
    Some(answered.after(wait.min(RETRY_AFTER_MAX)))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok()
}

fn date(text: &str) -> Option<Timestamp> {
    let since = httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(Timestamp::default().after(since))
}

impl HttpClient for Transport {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let transport = self.clone();
        Box::pin(async move { transport.send(request).await.map_err(|error| Error::Other(Box::new(error))) })
    }
}
