//! Channels.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use verge_protocol::api::MoveChannel;
use verge_protocol::host::HostLabel;
use verge_protocol::{ChannelName, SiteName};

use super::auth::Admin;
use super::extract::{Body, PathParams};
use super::error::ApiError;
use super::{progress, sites};
use crate::app::App;
use crate::publish;

/// `POST /v1/sites/{site}/channels/{channel}`: moves a channel to a release that exists, and tells how that goes on.
pub(super) async fn move_to(
    _: Admin,
    State(app): State<Arc<App>>,
    PathParams((site, channel)): PathParams<(SiteName, ChannelName)>,
    JsonBody(wish): JsonBody<MoveChannel>,
) -> Result<Response, ApiError> {
    sites::known(&app, &site).await?;
    let release = app.database.release(&site, wish.release).await?.ok_or_else(|| {
        ApiError::not_found("unknown_release", format!("site `{site}` has no release {}", wish.release))
            .hint("`verge releases` lists what there is")
    })?;
    let label = HostLabel { site, channel };
    let steps = publish::move_to(&app, label, wish.expected, release.number, release.manifest).await?;
    Ok(progress::stream(steps))
}
