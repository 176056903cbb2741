//! Releases.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use verge_protocol::SiteName;
use verge_protocol::api::{CreateRelease, Release};
use verge_protocol::host::HostLabel;

use super::auth::Admin;
use super::extract::{Body, PathParams};
use super::error::ApiError;
use super::{builds, progress, sites};
use crate::app::App;
use crate::publish;

/// `GET /v1/sites/{site}/releases`: the newest first.
pub(super) async fn list(
    _: Admin,
    State(app): State<Arc<App>>,
    PathParams(site): PathParams<SiteName>,
) -> Result<Json<Vec<Release>>, ApiError> {
    sites::known(&app, &site).await?;
    let channels = app.database.channels(&site).await?;
    let releases = app.database.releases(&site).await?;
    let describe = |row: crate::store::ReleaseRow| Release {
        channels: channels
            .iter()
            .filter(|(_, state, _)| state.release == row.number)
            .map(|(name, _, _)| name.clone())
            .collect(),
        number: row.number,
        manifest: row.manifest,
        files: row.files,
        bytes: row.bytes,
        created: row.created,
        provenance: row.provenance,
    };
    Ok(Json(releases.into_iter().map(describe).collect()))
}

/// `POST /v1/sites/{site}/releases`: makes a release of a build, moves a channel to it, and tells how that goes on.
pub(super) async fn publish(
    _: Admin,
    State(app): State<Arc<App>>,
    PathParams(site): PathParams<SiteName>,
    JsonBody(wish): JsonBody<CreateRelease>,
) -> Result<Response, ApiError> {
    let build = builds::load(&app, &site, &wish.build).await?;
    let label = HostLabel { site, channel: wish.channel };
    let steps = publish::publish(&app, label, wish.expected, build, wish.provenance).await?;
    Ok(progress::stream(steps))
}
