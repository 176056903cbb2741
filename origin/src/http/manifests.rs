//! Manifests.

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use verge_protocol::{Digest, compression};

use super::auth::Reader;
use super::error::ApiError;
use super::extract::PathParams;
use crate::publish::Contents;

/// `GET /v1/manifests/{id}`: the manifest's canonical bytes, compressed.
pub(super) async fn show(
    _: Reader,
    State(contents): State<Contents>,
    PathParams(id): PathParams<Digest>,
) -> Result<impl IntoResponse, ApiError> {
    let bytes = contents.manifest(id).await?;
    Ok(([(header::CONTENT_TYPE, compression::MEDIA_TYPE)], compression::compress(&bytes)))
}
