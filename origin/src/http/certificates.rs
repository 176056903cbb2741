//! Certificates.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use verge_protocol::api::{Certificate, RekeyRequest};
use verge_protocol::{DomainName, Timestamp};

use super::auth::Admin;
use super::error::ApiError;
use super::extract::JsonBody;
use crate::certificates::{Issuer, RekeyError, Rekeying, Standing, Vault, issuer_of, key_type_of};
use crate::feed::Feed;
use crate::store::Database;

/// `GET /v1/certificates`: every certificate that the fleet has or, if there is an authority to order it from, should have, by domain.
pub(super) async fn list(_: Admin, State(issuer): State<Arc<Issuer>>) -> Result<Json<Vec<Certificate>>, ApiError> {
    let describe =
        |Standing { wanted, certificate, edges, lacking, due, next_try, progress, problem }: Standing| Certificate {
            domain: wanted.domain,
            names: wanted.names,
            issuer: certificate.as_ref().and_then(|certificate| issuer_of(&certificate.chain)),
            key_type: certificate.as_ref().and_then(|certificate| key_type_of(&certificate.chain)),
            edges: edges.unwrap_or_default(),
            lacking,
            is_api: edges.is_none(),
            not_after: certificate.map(|certificate| certificate.not_after),
            renewal: (due > Timestamp(0)).then_some(due),
            next_try,
            progress,
            problem,
        };
    let is_listed = |standing: &Standing| issuer.has_authority() || standing.certificate.is_some();
    Ok(Json(issuer.standings().await?.into_iter().filter(is_listed).map(describe).collect()))
}

/// `POST /v1/certificates/rekey`: orders certificates anew, with other private keys. Edges present the earlier ones until they are issued.
pub(super) async fn rekey(
    _: Admin,
    State(database): State<Database>,
    State(feed): State<Feed>,
    State(vault): State<Vault>,
    State(issuer): State<Arc<Issuer>>,
    JsonBody(request): JsonBody<RekeyRequest>,
) -> Result<Json<BTreeSet<DomainName>>, ApiError> {
    if let RekeyRequest::Domains(names) = &request
        && let Some(name) = names.iter().find(|name| issuer.is_of_api(name))
    {
        return Err(RekeyError::OfApi(name.clone()).into());
    }
    let rekeying = Rekeying { database, feed, vault, has_authority: issuer.has_authority() };
    Ok(Json(match request {
        RekeyRequest::Domains(names) => rekeying.certificates(&names).await?,
        RekeyRequest::All => rekeying.everything().await?,
    }))
}

impl From<RekeyError> for ApiError {
    fn from(error: RekeyError) -> Self {
        match error {
            RekeyError::UnknownCertificate(_) => {
                Self::new(StatusCode::NOT_FOUND, "unknown_certificate", error.to_string())
                    .hint("GET /v1/certificates lists them")
            }
            RekeyError::OfApi(_) => Self::bad_request("identity_key", error.to_string()).hint(
                "to replace it, delete `identity.key` in the data directory and restart the origin: all clients need the new pin then",
            ),
            RekeyError::NoAuthority => Self::bad_request("no_authority", error.to_string()).hint("add the section, and restart the origin"),
            RekeyError::Vault(error) => error.into(),
            RekeyError::Store(error) => error.into(),
        }
    }
}
