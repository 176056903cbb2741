//! Purges.

use axum::extract::State;
use axum::response::Response;
use verge_protocol::SiteName;
use verge_protocol::api::PurgeRequest;

use super::auth::Admin;
use super::error::ApiError;
use super::extract::{JsonBody, PathParams};
use super::{progress, sites};
use crate::purges::Purges;
use crate::store::{Database, NewPurge};

/// `POST /v1/sites/{site}/purges`: purges paths of a site and streams which edges have done it.
pub(super) async fn create(
    _: Admin,
    State(database): State<Database>,
    State(purges): State<Purges>,
    PathParams(site): PathParams<SiteName>,
    JsonBody(PurgeRequest { scope, author, message }): JsonBody<PurgeRequest>,
) -> Result<Response, ApiError> {
    sites::find(&database, &site).await?;
    let events = purges.purge(NewPurge { site, scope, author, message }).await?;
    Ok(progress::lines(events, |event| event))
}
