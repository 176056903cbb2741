//! Orphans: keys that edges serve and that this origin does not know.

use axum::Json;
use axum::extract::State;
use verge_protocol::api::RemoveOrphans;
use verge_protocol::report;

use super::auth::Admin;
use super::error::ApiError;
use super::extract::JsonBody;
use crate::feed::Feed;
use crate::store::Database;

/// `POST /v1/orphans/remove`: writes tombstones, so that edges and name servers drop these keys. Keys that this origin has are left alone;
/// the answer lists the others.
pub(super) async fn remove(
    _: Admin,
    State(database): State<Database>,
    State(feed): State<Feed>,
    JsonBody(RemoveOrphans { keys }): JsonBody<RemoveOrphans>,
) -> Result<Json<RemoveOrphans>, ApiError> {
    if let Some(key) = keys.iter().find(|key| !report::is_key(key)) {
        return Err(ApiError::bad_request("invalid_body", format!("invalid key `{}`", key.escape_debug())));
    }
    let keys = feed.write(async move { database.remove_orphans(&keys).await }).await?;
    Ok(Json(RemoveOrphans { keys }))
}
