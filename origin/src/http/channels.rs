//! Channels.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use verge_protocol::api::MoveChannel;
use verge_protocol::host::HostLabel;
use verge_protocol::{ChannelName, SiteName};

use super::auth::Admin;
use super::error::ApiError;
use super::extract::{JsonBody, PathParams};
use super::{progress, sites};
use crate::publish::Publisher;
use crate::store::Database;

/// `POST /v1/sites/{site}/channels/{channel}`: moves a channel to an existing release and streams the progress.
pub(super) async fn move_channel(
    _: Admin,
    State(database): State<Database>,
    State(publisher): State<Arc<Publisher>>,
    PathParams((site, channel)): PathParams<(SiteName, ChannelName)>,
    JsonBody(MoveChannel { release, expected, idempotency_key: _ }): JsonBody<MoveChannel>,
) -> Result<Response, ApiError> {
    sites::find(&database, &site).await?;
    let release = database.release(&site, release).await?.ok_or_else(|| {
        ApiError::not_found("unknown_release", format!("site `{site}` has no release {release}"))
            .hint(format!("GET /v1/sites/{site}/releases lists its releases"))
    })?;
    let label = HostLabel { site, channel };
    let events = publisher.move_channel(label, expected, release.number, release.manifest).await?;
    Ok(progress::stream(events))
}
