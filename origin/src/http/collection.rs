//! Collecting what is not needed any more.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use verge_protocol::api::Collected;
use verge_protocol::{ReleaseNumber, SiteName};

use super::auth::Admin;
use super::error::ApiError;
use super::extract::{PathParams, QueryParams};
use super::sites;
use crate::collection::Collector;
use crate::store::Database;

/// `GET /v1/collection`: what a collection would delete now.
pub(super) async fn plan(_: Admin, State(collector): State<Arc<Collector>>) -> Result<Json<Collected>, ApiError> {
    Ok(Json(collector.plan().await?))
}

/// `POST /v1/collection`: collects now.
pub(super) async fn collect(_: Admin, State(collector): State<Arc<Collector>>) -> Result<Json<Collected>, ApiError> {
    Ok(Json(collector.collect_detached().await?))
}

#[derive(Deserialize)]
pub(super) struct DeleteQuery {
    author: Option<String>,
}

/// `DELETE /v1/sites/{site}/releases/{release}?author=NAME`: deletes a release that no channel uses.
pub(super) async fn delete_release(
    _: Admin,
    State(database): State<Database>,
    State(collector): State<Arc<Collector>>,
    PathParams((site, release)): PathParams<(SiteName, ReleaseNumber)>,
    QueryParams(DeleteQuery { author }): QueryParams<DeleteQuery>,
) -> Result<StatusCode, ApiError> {
    sites::find(&database, &site).await?;
    collector.delete_release(&site, release, author).await?;
    Ok(StatusCode::NO_CONTENT)
}
