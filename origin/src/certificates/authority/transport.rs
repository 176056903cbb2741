//! Requests to an authority: with timeouts and bounded answers, and with an eye on its clock and on how long it asks to wait.

use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use axum::body::Body;
use axum::http::{HeaderMap, Request, Response, StatusCode, header};
use bytes::{Bytes, BytesMut};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
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
    /// An error without the problem document that ACME prescribes (RFC 8555 §6.7): of a proxy in front of the authority, for example.
    #[error("HTTP {0} without an explanation")]
    Status(StatusCode),
}

/// Sends requests. Clones share what was observed.
#[derive(Clone)]
pub(super) struct Transport {
    client: reqwest::Client,
    clock: Clock,
    observed: Arc<Mutex<Observed>>,
}

#[derive(Default)]
struct Observed {
    /// From the last answer with a time.
    clock_ahead_millis: Option<i64>,
    /// From the last answer, if that was an error.
    retry_after: Option<Timestamp>,
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
        let client = builder.build().map_err(|error| ("TLS".to_owned(), error_chain(&error)))?;
        Ok(Self { client, clock, observed: Arc::default() })
    }

    pub(super) fn clock_ahead_millis(&self) -> Option<i64> {
        self.lock().clock_ahead_millis
    }

    /// How long the last answer, an error, asked to wait.
    pub(super) fn take_retry_after(&self) -> Option<Timestamp> {
        self.lock().retry_after.take()
    }

    /// Sends a request for its own sake.
    pub(super) async fn contact(&self, url: &str) -> Result<(), String> {
        let answer = self.client.get(url).send().await.map_err(|error| error_chain(&error))?;
        self.observe(answer.status().is_success(), answer.headers());
        Ok(())
    }

    async fn send(&self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, TransportError> {
        let failed = |error: &dyn std::error::Error| TransportError::Unreachable(error_chain(error));
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(Body::new(body), ANSWER_MAX).await.map_err(|error| failed(&error))?;
        let request = self.client.request(parts.method, parts.uri.to_string()).headers(parts.headers).body(body);
        let mut answer = request.send().await.map_err(|error| failed(&error))?;
        self.observe(answer.status().is_success(), answer.headers());
        let mut bytes = BytesMut::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| failed(&error))? {
            if bytes.len() + piece.len() > ANSWER_MAX {
                return Err(TransportError::Unreachable(format!("the answer has more than {ANSWER_MAX} bytes")));
            }
            bytes.extend_from_slice(&piece);
        }
        let is_problem = || serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(&bytes).is_ok();
        if (answer.status().is_client_error() || answer.status().is_server_error()) && !is_problem() {
            return Err(TransportError::Status(answer.status()));
        }
        let mut response = Response::new(());
        *response.status_mut() = answer.status();
        response.headers_mut().clone_from(answer.headers());
        Ok(BytesResponse { parts: response.into_parts().0, body: Box::new(bytes.freeze()) })
    }

    fn observe(&self, is_success: bool, headers: &HeaderMap) {
        let now = self.clock.now();
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let date = |text: &str| {
            let since = httpdate::parse_http_date(text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
            Some(Timestamp::default().after(since))
        };
        let mut observed = self.lock();
        let theirs = text(header::DATE).and_then(date);
        if let Some(theirs) = theirs {
            let ahead = now.0.cast_signed().saturating_sub(theirs.0.cast_signed());
            observed.clock_ahead_millis = Some(if ahead.abs() > CLOCK_TOLERANCE_MILLIS { ahead } else { 0 });
        }
        observed.retry_after = text(header::RETRY_AFTER).filter(|_| !is_success).and_then(|text| {
            let wait = match text.trim().parse() {
                Ok(seconds) => Duration::from_secs(seconds),
                Err(_) => theirs.unwrap_or(now).age(date(text)?),
            };
            // By the authority's clock, as all times of certificates.
            Some(theirs.unwrap_or(now).after(wait.min(RETRY_AFTER_MAX)))
        });
    }

    fn lock(&self) -> MutexGuard<'_, Observed> {
        self.observed.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
