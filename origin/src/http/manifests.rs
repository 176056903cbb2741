//! Manifests, for edges.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use verge_protocol::{Digest, compression};

use super::auth::Edge;
use super::extract::PathParams;
use super::error::ApiError;
use crate::app::App;
use crate::publish;

/// `GET /v1/manifests/{id}`: its canonical bytes, compressed.
pub(super) async fn show(
    Edge(_): Edge,
    State(app): State<Arc<App>>,
    PathParams(id): PathParams<Digest>,
) -> Result<impl IntoResponse, ApiError> {
    let bytes = publish::manifest_bytes(&app, id).await?;
    Ok(([(header::CONTENT_TYPE, compression::MEDIA_TYPE)], compression::compress(&bytes)))
}
