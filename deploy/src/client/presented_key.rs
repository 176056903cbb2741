//! The key that a server presents, before there is any reason to trust it.

use reqwest::header::ACCEPT;
use verge_protocol::{Digest, KeyPin};
use verge_trust::{PinMismatch, TrustError};

use super::error::ClientError;
use super::http::{RequestBody, STALL_LIMIT, SetupError, http};
use super::server_url::ServerUrl;

/// The pin of the key that the server at `url` presents; `None` if it is verified by its name, or uses no TLS. Sends no token.
pub async fn presented_key(url: &ServerUrl) -> Result<Result<Option<KeyPin>, ClientError>, SetupError> {
    if !url.is_encrypted() {
        return Ok(Ok(None));
    }
    match connect(url, None).await? {
        Ok(()) => return Ok(Ok(None)),
        Err(ClientError::Untrusted { error: TrustError::Name(_), .. }) => {}
        Err(error) => return Ok(Err(error)),
    }
    // The handshake with a pin that no key has ends with the one that the server has.
    let no_key = KeyPin::new(Digest::from_bytes([0; Digest::LEN]));
    Ok(match connect(url, Some(no_key)).await? {
        Err(ClientError::Untrusted { error: TrustError::Pin(PinMismatch { found, .. }), .. }) => Ok(Some(found)),
        outcome => outcome.map(|()| None),
    })
}

async fn connect(url: &ServerUrl, pin: Option<KeyPin>) -> Result<Result<(), ClientError>, SetupError> {
    let request = http(url, pin)?.get(url.join("/v1/token")).header(ACCEPT, RequestBody::JSON).timeout(STALL_LIMIT);
    Ok(request.send().await.map(drop).map_err(|error| ClientError::from_transport(url, &error)))
}
