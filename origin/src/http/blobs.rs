//! Blobs, for edges.

use std::sync::Arc;

use axum::body::Body as Stream;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt as _;
use verge_protocol::api::BlobsRequest;
use verge_protocol::{Digest, pack};

use super::auth::Edge;
use super::extract::Body;
use super::error::ApiError;
use crate::app::App;
use crate::store::{StoreError, blobs::Found};

/// `POST /v1/blobs`: a pack of those asked for, in that order, read as the edge takes them.
pub(super) async fn send(
    Edge(_): Edge,
    State(app): State<Arc<App>>,
    JsonBody(BlobsRequest { digests }): JsonBody<BlobsRequest>,
) -> Result<Response, ApiError> {
    if digests.len() > BlobsRequest::MAX {
        let message = format!("{} blobs at once: the limit is {}", digests.len(), BlobsRequest::MAX);
        return Err(ApiError::bad_request("over_limit", message));
    }
    let frames = futures_util::stream::iter(digests)
        .then(move |digest| {
            let app = Arc::clone(&app);
            async move { frame(&app, digest).await }
        })
        .chain(futures_util::stream::iter([Ok(pack::end_frame())]));
    Ok(([(header::CONTENT_TYPE, pack::MEDIA_TYPE)], Stream::from_stream(frames)).into_response())
}

async fn frame(app: &App, digest: Digest) -> Result<Bytes, StoreError> {
    match app.blobs.get(digest).await.inspect_err(|error| tracing::error!(%digest, %error, "a blob cannot be read"))? {
        Found::Blob(blob) => {
            app.metrics.blobs_sent.inc();
            Ok(pack::blob_frame(&blob))
        }
        // Nobody's row may say that it is held.
        Found::Missing => {
            app.database.forget_blob(digest).await?;
            Ok(pack::missing_frame(&digest))
        }
        Found::Corrupt => {
            app.metrics.blobs_corrupt.inc();
            app.database.forget_blob(digest).await?;
            Ok(pack::missing_frame(&digest))
        }
    }
}
