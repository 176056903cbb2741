//! Channels.

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use verge_protocol::api::MoveChannel;
use verge_protocol::host::HostLabel;
use verge_protocol::{ChannelName, Seq, SiteName};

use super::auth::Admin;
use super::error::ApiError;
use super::extract::{JsonBody, PathParams, QueryParams};
use super::{progress, sites};
use crate::channel_deletion::ChannelDeletion;
use crate::publish::{MoveRequest, Publisher};
use crate::store::{Database, DeletionCause};

/// `POST /v1/sites/{site}/channels/{channel}`: moves a channel to an existing release and streams the progress.
pub(super) async fn move_channel(
    _: Admin,
    State(database): State<Database>,
    State(publisher): State<Arc<Publisher>>,
    PathParams((site, channel)): PathParams<(SiteName, ChannelName)>,
    JsonBody(MoveChannel { release, expected, idempotency_key: key, author }): JsonBody<MoveChannel>,
) -> Result<Response, ApiError> {
    sites::find(&database, &site).await?;
    let release = database.release(&site, release).await?.ok_or_else(|| {
        ApiError::not_found("unknown_release", format!("site `{site}` has no release {release}"))
            .hint(format!("GET /v1/sites/{site}/releases lists its releases"))
    })?;
    let request = MoveRequest { label: HostLabel { site, channel }, expected, key, canary: None, author };
    let events = publisher.move_channel(request, release.number, release.manifest).await?;
    Ok(progress::stream(events))
}

/// `GET /v1/sites/{site}/channels/{channel}/rollout`: streams the progress of what moves the channel now, or else which edges serve
/// what it points at.
pub(super) async fn rollout(
    _: Admin,
    State(database): State<Database>,
    State(publisher): State<Arc<Publisher>>,
    PathParams((site, channel)): PathParams<(SiteName, ChannelName)>,
) -> Result<Response, ApiError> {
    sites::find(&database, &site).await?;
    let unknown = || {
        ApiError::not_found("unknown_channel", format!("site `{site}` has no channel {channel}"))
            .hint(format!("GET /v1/sites/{site} lists its channels"))
    };
    let label = HostLabel { site: site.clone(), channel: channel.clone() };
    let events = publisher.follow(label).await?.ok_or_else(unknown)?;
    Ok(progress::stream(events))
}

#[derive(Deserialize)]
pub(super) struct DeleteQuery {
    expected: Seq,
    author: Option<String>,
}

/// `DELETE /v1/sites/{site}/channels/{channel}?expected=EPOCH&author=NAME`: deletes a channel other than `live`.
pub(super) async fn delete(
    _: Admin,
    State(database): State<Database>,
    State(deletion): State<ChannelDeletion>,
    PathParams((site, channel)): PathParams<(SiteName, ChannelName)>,
    QueryParams(DeleteQuery { expected, author }): QueryParams<DeleteQuery>,
) -> Result<StatusCode, ApiError> {
    sites::find(&database, &site).await?;
    deletion.delete(HostLabel { site, channel }, expected, DeletionCause::Request(author)).await?;
    Ok(StatusCode::NO_CONTENT)
}
