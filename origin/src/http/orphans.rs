//! Orphans: keys that edges serve and that this origin does not know.

use axum::extract::State;
use axum::http::StatusCode;
use verge_protocol::api::RemoveOrphans;
use verge_protocol::state::Key;

use super::auth::Admin;
use super::error::ApiError;
use super::extract::JsonBody;
use crate::feed::Feed;
use crate::store::Database;

/// `POST /v1/orphans/remove`: writes tombstones, so that edges and name servers drop these keys. 409 if this origin has one of them.
pub(super) async fn remove(
    _: Admin,
    State(database): State<Database>,
    State(feed): State<Feed>,
    JsonBody(RemoveOrphans { keys }): JsonBody<RemoveOrphans>,
) -> Result<StatusCode, ApiError> {
    let invalid = |error| ApiError::bad_request("invalid_body", format!("invalid orphan: {error}"));
    let keys: Vec<Key> = keys.iter().map(|key| key.parse()).collect::<Result<_, _>>().map_err(invalid)?;
    let has_value = feed.write(async move { database.remove_orphans(&keys).await }).await?;
    match has_value {
        None => Ok(StatusCode::NO_CONTENT),
        Some(key) => Err(ApiError::conflict("not_an_orphan", format!("`{key}` is not an orphan: the origin has it"))
            .hint("GET /v1/status lists the orphans")),
    }
}
