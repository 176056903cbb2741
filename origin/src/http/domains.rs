//! Domains of sites.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use verge_protocol::DomainName;
use verge_protocol::api::{Domain, DomainRequest, Proof};

use super::auth::Admin;
use super::error::ApiError;
use super::extract::{JsonBody, PathParams};
use super::sites;
use crate::domains::{self, Domains};
use crate::store::{Database, DomainRow};

/// `GET /v1/domains`: every domain, by name.
pub(super) async fn list(
    _: Admin,
    State(database): State<Database>,
    State(domains): State<Domains>,
) -> Result<Json<Vec<Domain>>, ApiError> {
    Ok(Json(database.domains().await?.into_values().map(|row| domain(row, &domains)).collect()))
}

/// `PUT /v1/domains/{domain}`: claims a domain for a site, and checks it now.
pub(super) async fn claim(
    _: Admin,
    State(database): State<Database>,
    State(domains): State<Domains>,
    PathParams(name): PathParams<DomainName>,
    JsonBody(request): JsonBody<DomainRequest>,
) -> Result<Json<Domain>, ApiError> {
    sites::find(&database, &request.site).await?;
    let row = domains.claim(name, request).await?;
    Ok(Json(domain(row, &domains)))
}

/// `DELETE /v1/domains/{domain}`: gives a domain up.
pub(super) async fn remove(
    _: Admin,
    State(domains): State<Domains>,
    PathParams(name): PathParams<DomainName>,
) -> Result<StatusCode, ApiError> {
    domains.remove(name).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn domain(row: DomainRow, domains: &Domains) -> Domain {
    Domain {
        findings: domains.findings(&row.name),
        orders_certificate: domains.orders_certificates(),
        delegation: domains.delegation(&row.name),
        proof: Proof { name: domains::record_name(&row.name), value: row.proof },
        name: row.name,
        site: row.site,
        redirect_to: row.redirect_to,
        proven: row.proven,
        problem: row.problem,
    }
}
