//! The status of the origin.

use axum::Json;
use axum::extract::State;
use verge_protocol::api::Status;

use super::auth::Admin;
use super::error::ApiError;
use crate::store::Database;

/// `GET /v1/status`: the position of the last write, and the origin's version.
pub(super) async fn show(_: Admin, State(database): State<Database>) -> Result<Json<Status>, ApiError> {
    Ok(Json(Status { position: database.position().await?, version: env!("CARGO_PKG_VERSION").to_owned() }))
}
