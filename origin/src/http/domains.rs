//! Domains of sites.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use verge_protocol::DomainName;
use verge_protocol::api::{Domain, DomainRequest, Proof};

use super::auth::Admin;
use super::extract::{Body, PathParams};
use super::error::ApiError;
use super::sites;
use crate::app::App;
use crate::domains;
use crate::store::DomainRow;

/// `GET /v1/domains`: by name.
pub(super) async fn list(_: Admin, State(app): State<Arc<App>>) -> Result<Json<Vec<Domain>>, ApiError> {
    Ok(Json(app.database.domains().await?.into_values().map(describe).collect()))
}

/// `PUT /v1/domains/{domain}`: wants a site to be shown at a domain, and looks for the proof now.
pub(super) async fn want(
    _: Admin,
    State(app): State<Arc<App>>,
    PathParams(name): PathParams<DomainName>,
    JsonBody(wanted): JsonBody<DomainRequest>,
) -> Result<Json<Domain>, ApiError> {
    sites::known(&app, &wanted.site).await?;
    Ok(Json(describe(domains::want(&app, name, wanted).await?)))
}

/// `DELETE /v1/domains/{domain}`
pub(super) async fn remove(
    _: Admin,
    State(app): State<Arc<App>>,
    PathParams(name): PathParams<DomainName>,
) -> Result<StatusCode, ApiError> {
    domains::remove(&app, name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn describe(row: DomainRow) -> Domain {
    Domain {
        proof: Proof { name: domains::proof_name(&row.name), value: row.proof },
        name: row.name,
        site: row.site,
        redirect_to: row.redirect_to,
        proven: row.proven,
        problem: row.problem,
    }
}
