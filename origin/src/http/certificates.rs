//! Certificates.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use verge_protocol::Timestamp;
use verge_protocol::api::Certificate;

use super::auth::Admin;
use super::error::ApiError;
use crate::certificates::{Issuer, Standing, issuer_of, key_type_of};

/// `GET /v1/certificates`: every certificate that the fleet has or should have, by domain.
pub(super) async fn list(_: Admin, State(issuer): State<Arc<Issuer>>) -> Result<Json<Vec<Certificate>>, ApiError> {
    let describe = |Standing { wanted, certificate, edges, due, problem }: Standing| Certificate {
        domain: wanted.domain,
        names: wanted.names,
        issuer: certificate.as_ref().and_then(|certificate| issuer_of(&certificate.chain)),
        key_type: certificate.as_ref().and_then(|certificate| key_type_of(&certificate.chain)),
        edges,
        not_after: certificate.map(|certificate| certificate.not_after),
        renewal: (due > Timestamp(0)).then_some(due),
        problem,
    };
    Ok(Json(issuer.standings().await?.into_iter().map(describe).collect()))
}
