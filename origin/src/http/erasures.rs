//! Erasures.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use verge_protocol::SiteName;
use verge_protocol::api::{EraseRequest, ErasurePlan, PurgeProgress};

use super::auth::Admin;
use super::error::ApiError;
use super::extract::{JsonBody, PathParams};
use super::{progress, sites};
use crate::erasure::Erasures;
use crate::store::Database;

/// `POST /v1/sites/{site}/erasures/plan`: what an erasure would remove. Changes nothing.
pub(super) async fn plan(
    _: Admin,
    State(database): State<Database>,
    State(erasures): State<Erasures>,
    PathParams(site): PathParams<SiteName>,
    JsonBody(request): JsonBody<EraseRequest>,
) -> Result<Json<ErasurePlan>, ApiError> {
    sites::find(&database, &site).await?;
    Ok(Json(erasures.plan(&site, &request.target).await?))
}

/// `POST /v1/sites/{site}/erasures`: erases contents of a site and streams which edges have done it.
pub(super) async fn create(
    _: Admin,
    State(database): State<Database>,
    State(erasures): State<Erasures>,
    PathParams(site): PathParams<SiteName>,
    JsonBody(request): JsonBody<EraseRequest>,
) -> Result<Response, ApiError> {
    sites::find(&database, &site).await?;
    let events = erasures.erase(site, request).await?;
    Ok(progress::lines(events, |event| {
        event.unwrap_or_else(|error| PurgeProgress::Failed(ApiError::from(error).into_body()))
    }))
}
