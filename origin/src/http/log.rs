//! The log of a site.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use verge_protocol::SiteName;
use verge_protocol::api::LogEntry;

use super::auth::Admin;
use super::error::ApiError;
use super::extract::{PathParams, QueryParams};
use super::sites;
use crate::store::Database;

const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 1000;

#[derive(Deserialize)]
pub(super) struct LogQuery {
    limit: Option<u32>,
}

/// `GET /v1/sites/{site}/log?limit=N`: what was done to a site, the newest first.
pub(super) async fn list(
    _: Admin,
    State(database): State<Database>,
    PathParams(site): PathParams<SiteName>,
    QueryParams(LogQuery { limit }): QueryParams<LogQuery>,
) -> Result<Json<Vec<LogEntry>>, ApiError> {
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        let message = format!("invalid limit {limit}: expected 1 to {LIMIT_MAX}");
        return Err(ApiError::bad_request("invalid_query", message));
    }
    sites::find(&database, &site).await?;
    Ok(Json(database.log(&site, limit).await?))
}
