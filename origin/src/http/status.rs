//! The status of the origin.

use axum::Json;
use axum::extract::State;
use verge_protocol::api::Status;

use super::auth::Admin;
use super::error::ApiError;
use crate::problems::Problems;
use crate::store::Database;

/// `GET /v1/status`: the position of the last write, the origin's version, and what needs an operator.
pub(super) async fn show(
    _: Admin,
    State(database): State<Database>,
    State(problems): State<Problems>,
) -> Result<Json<Status>, ApiError> {
    let (position, problems) = (database.position().await?, problems.list().await?);
    Ok(Json(Status { position, version: env!("CARGO_PKG_VERSION").to_owned(), problems }))
}
