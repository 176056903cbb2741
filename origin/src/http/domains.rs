//! Domains of sites.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use verge_protocol::DomainName;
use verge_protocol::api::{Domain, DomainFinding, DomainRequest, Proof};

use super::auth::Admin;
use super::error::ApiError;
use super::extract::{JsonBody, PathParams};
use super::sites;
use crate::certificates::Issuer;
use crate::domains::{self, Domains};
use crate::store::{Database, DomainRow};

/// `GET /v1/domains`: every domain, by name.
pub(super) async fn list(
    _: Admin,
    State(database): State<Database>,
    State(domains): State<Domains>,
    State(issuer): State<Arc<Issuer>>,
) -> Result<Json<Vec<Domain>>, ApiError> {
    let mut limited = issuer.rate_limited_domains().await?;
    let domain = |row: DomainRow| {
        let limit = limited.remove(&row.name);
        domain(row, limit, &domains)
    };
    Ok(Json(database.domains().await?.into_values().map(domain).collect()))
}

/// `PUT /v1/domains/{domain}`: claims a domain for a site, and checks it now.
pub(super) async fn claim(
    _: Admin,
    State(database): State<Database>,
    State(domains): State<Domains>,
    State(issuer): State<Arc<Issuer>>,
    PathParams(name): PathParams<DomainName>,
    JsonBody(request): JsonBody<DomainRequest>,
) -> Result<Json<Domain>, ApiError> {
    sites::find(&database, &request.site).await?;
    let row = domains.claim(name, request).await?;
    let limit = issuer.rate_limited_domains().await?.remove(&row.name);
    Ok(Json(domain(row, limit, &domains)))
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

/// A domain with what is wrong: in DNS, and with its certificate because of the authority. What blocks the earliest step comes first.
fn domain(row: DomainRow, limit: Option<DomainFinding>, domains: &Domains) -> Domain {
    let mut findings = domains.findings(&row.name);
    findings.extend(limit);
    findings.sort_by_key(|finding| finding.blocks.first().copied());
    Domain {
        findings,
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
