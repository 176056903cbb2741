//! Releases.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use verge_protocol::SiteName;
use verge_protocol::api::{CreateRelease, Release};
use verge_protocol::canary::CanaryPlan;
use verge_protocol::host::{HostLabel, ReleaseLabel};

use super::auth::Admin;
use super::error::ApiError;
use super::extract::{JsonBody, PathParams};
use super::{builds, progress, sites};
use crate::publish::{MoveRequest, Publisher};
use crate::sites_url::SitesUrl;
use crate::store::{Database, ReleaseRow};
use crate::uploads::Uploads;

/// `GET /v1/sites/{site}/releases`: the releases of a site, the newest first.
pub(super) async fn list(
    _: Admin,
    State(database): State<Database>,
    State(sites_url): State<SitesUrl>,
    PathParams(site): PathParams<SiteName>,
) -> Result<Json<Vec<Release>>, ApiError> {
    sites::find(&database, &site).await?;
    let channels = database.channels(&site).await?;
    let release = |row: ReleaseRow| Release {
        channels: channels
            .iter()
            .filter(|channel| channel.state.release == row.number)
            .map(|channel| channel.name.clone())
            .collect(),
        url: Some(sites_url.of_release(&ReleaseLabel::new(site.clone(), row.manifest))),
        number: row.number,
        manifest: row.manifest,
        files: row.files,
        bytes: row.bytes,
        created: row.created,
        provenance: row.provenance,
    };
    Ok(Json(database.releases(&site).await?.into_iter().map(release).collect()))
}

/// `POST /v1/sites/{site}/releases`: creates a release of a build, moves a channel to it, and streams the progress.
pub(super) async fn create(
    _: Admin,
    State(uploads): State<Uploads>,
    State(publisher): State<Arc<Publisher>>,
    PathParams(site): PathParams<SiteName>,
    JsonBody(request): JsonBody<CreateRelease>,
) -> Result<Response, ApiError> {
    check_expiry(&request)?;
    let build = builds::load_to_release(&uploads, &site, &request.build).await?;
    let CreateRelease { channel, expected, provenance, idempotency_key: key, expires_seconds, canary, .. } = request;
    if canary.is_some_and(|plan| plan.seconds > CanaryPlan::SECONDS_MAX) {
        let message = format!("a canary of that many seconds is too long: at most {}", CanaryPlan::SECONDS_MAX);
        return Err(ApiError::bad_request("invalid_canary", message));
    }
    let request = MoveRequest { label: HostLabel { site, channel }, expected, key, canary, author: None };
    let events = publisher.publish(request, build, provenance, expires_seconds).await?;
    Ok(progress::stream(events))
}

fn check_expiry(request: &CreateRelease) -> Result<(), ApiError> {
    let invalid = |message: String| Err(ApiError::bad_request("invalid_expiry", message));
    match request.expires_seconds.filter(|seconds| *seconds > 0) {
        Some(_) if request.channel.is_live() => invalid("channel `live` cannot expire".to_owned()),
        Some(seconds) if seconds > CreateRelease::EXPIRES_SECONDS_MAX => invalid(format!(
            "invalid `expires_seconds` {seconds}: expected at most {}",
            CreateRelease::EXPIRES_SECONDS_MAX
        )),
        _ => Ok(()),
    }
}
