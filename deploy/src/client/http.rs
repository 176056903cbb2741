//! The HTTP client that requests to origins and name servers share.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _, TryStreamExt as _, iter};
use serde::Serialize;
use verge_protocol::KeyPin;

use super::server_url::ServerUrl;

/// The longest time without progress before a request fails.
pub(super) const STALL_LIMIT: Duration = Duration::from_secs(30);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Request bodies are sent in chunks of this size, so that progress is visible on a slow link.
const CHUNK: usize = 32 * 1024;

/// Why a client cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The token cannot be sent in a header.
    #[error("invalid token: it contains characters that are not allowed in a token")]
    Token,
    /// HTTPS needs root certificates, which cannot be loaded.
    #[error("failed to load the root certificates of this machine")]
    Certificates(#[source] reqwest::Error),
}

/// An HTTP client for the server at `url`, verified by the pin of its key if there is one.
pub(super) fn http(url: &ServerUrl, pin: Option<KeyPin>) -> Result<reqwest::Client, SetupError> {
    let mut http = reqwest::Client::builder()
        .user_agent(concat!("verge/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        // Origins and name servers do not redirect, and the token must not be sent to another server.
        .redirect(reqwest::redirect::Policy::none());
    if url.is_loopback() {
        http = http.no_proxy();
    }
    if let Some(name) = url.localhost_name() {
        // Port 0 keeps the port of the URL.
        let addresses = [SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv6Addr::LOCALHOST, 0))];
        http = http.resolve_to_addrs(name, &addresses);
    }
    // Neither loads root certificates: a slim container may have none.
    if !url.is_encrypted() {
        http = http.tls_certs_only([]);
    } else if let Some(pin) = pin {
        http = http.tls_backend_preconfigured(verge_trust::pinned(pin));
    }
    http.build().map_err(SetupError::Certificates)
}

/// A request body and its media type.
pub(super) struct RequestBody {
    pub(super) media_type: &'static str,
    pub(super) chunks: BoxStream<'static, io::Result<Bytes>>,
}

impl RequestBody {
    pub(super) const JSON: &str = "application/json";

    /// A body that is sent as `stream` yields it, in chunks of limited size.
    pub(super) fn new(
        media_type: &'static str,
        stream: impl futures_util::Stream<Item = io::Result<Bytes>> + Send + 'static,
    ) -> Self {
        let chunks = stream.map_ok(|bytes| iter(split(bytes).map(Ok::<_, io::Error>))).try_flatten();
        Self { media_type, chunks: chunks.boxed() }
    }

    /// `body` as JSON.
    pub(super) fn json(body: &impl Serialize) -> Self {
        let json = serde_json::to_vec(body).expect("API bodies can be serialized");
        Self::new(Self::JSON, iter([Ok(Bytes::from(json))]))
    }
}

fn split(mut bytes: Bytes) -> impl Iterator<Item = Bytes> {
    std::iter::from_fn(move || (!bytes.is_empty()).then(|| bytes.split_to(bytes.len().min(CHUNK))))
}
