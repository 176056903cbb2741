//! Secrets for edges.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use verge_daemon::{Clock, error_chain, sealing};
use verge_protocol::Digest;
use verge_protocol::api::{SECRETS_MAX, SecretsAnswer, SecretsRequest};

use super::auth::{self, Edge};
use super::error::ApiError;
use super::extract::JsonBody;
use crate::certificates::{SecretName, Vault, VaultError};
use crate::feed::Feed;
use crate::store::Database;

/// `POST /v1/secrets`: secrets, sealed to the public key of the edge whose token the request carries. The first request binds the edge to
/// its key, even if it names no secret.
pub(super) async fn request(
    Edge(edge, token): Edge,
    State(database): State<Database>,
    State(vault): State<Vault>,
    State(feed): State<Feed>,
    State(clock): State<Clock>,
    JsonBody(SecretsRequest { public_key, secrets }): JsonBody<SecretsRequest>,
) -> Result<Json<SecretsAnswer>, ApiError> {
    if secrets.len() > SECRETS_MAX {
        let message = format!("{} secrets: a request may name at most {SECRETS_MAX}", secrets.len());
        return Err(ApiError::bad_request("limit_exceeded", message).hint("send several requests"));
    }
    let invalid = |error: sealing::PublicKeyError| ApiError::bad_request("invalid_key", error.to_string());
    // No edge is bound to a key to which nothing can be sealed.
    sealing::check_public_key(&public_key).map_err(invalid)?;
    let Some(bound) = database.bind_edge_key(&edge, token, &public_key, clock.now()).await? else {
        return Err(auth::revoked());
    };
    if bound != public_key {
        tracing::warn!(%edge, "secrets refused: the edge has another key than the one that it is bound to");
        // Whole: edges show messages of the origin, but no hints.
        let message = format!(
            "edge {edge} is bound to another public key; if its `edge.key` or its disk was replaced, write the token of \
             `verge edges token {edge}` to its `token_file`, and restart it"
        );
        return Err(ApiError::new(StatusCode::CONFLICT, "other_key", message).hint(format!(
            "POST /v1/edges/{edge}/token issues a token, whose first request binds the edge to its key"
        )));
    }
    vault.ensure_ticket_secret(&feed).await?;
    let mut answer = SecretsAnswer::default();
    for name in secrets {
        if let Some(secret) = read(&vault, name).await? {
            let sealed = sealing::seal(&public_key, &edge, name, &secret).map_err(invalid)?;
            answer.sealed.insert(name, sealed);
        }
    }
    Ok(Json(answer))
}

/// One that is damaged is left out, as one that does not exist: the others are sent. A private key is deleted then, so that its certificate is
/// ordered anew, unless it is encrypted under another master key.
async fn read(vault: &Vault, name: Digest) -> Result<Option<Vec<u8>>, VaultError> {
    match vault.get(&SecretName::CertificateKey(name)).await {
        Ok(None) => {}
        Err(VaultError::Damaged(_)) => vault.delete_damaged_key(name).await?,
        found => return found,
    }
    match vault.get(&SecretName::Tickets(name)).await {
        Err(error @ VaultError::Damaged(_)) => {
            tracing::error!(error = error_chain(&error), "the secret of session tickets is left out");
            Ok(None)
        }
        found => found,
    }
}

impl From<VaultError> for ApiError {
    fn from(error: VaultError) -> Self {
        let message = error.to_string();
        match error {
            VaultError::Locked(_) => Self::new(StatusCode::SERVICE_UNAVAILABLE, "master_key", message).hint(
                "put the right master key back, then restart the origin; if it is lost: verge-origin forget-secrets",
            ),
            VaultError::Damaged(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, "damaged_secret", message),
            VaultError::Store(error) => Self::from(error),
        }
    }
}
