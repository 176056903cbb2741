//! Blobs, for edges.

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::StreamExt as _;
use verge_daemon::error_chain;
use verge_protocol::api::BlobsRequest;
use verge_protocol::{Digest, pack};

use super::auth::Edge;
use super::error::ApiError;
use super::extract::JsonBody;
use crate::publish::Contents;
use crate::store::{BlobLookup, StoreError};

/// `POST /v1/blobs`: a pack of the requested blobs, in their order, streamed as the edge receives it.
pub(super) async fn download(
    Edge(..): Edge,
    State(contents): State<Contents>,
    JsonBody(BlobsRequest { digests }): JsonBody<BlobsRequest>,
) -> Result<Response, ApiError> {
    if digests.len() > BlobsRequest::MAX {
        let message = format!("{} blobs in one request: the limit is {}", digests.len(), BlobsRequest::MAX);
        return Err(ApiError::bad_request("limit_exceeded", message));
    }
    let frames = futures_util::stream::iter(digests)
        .then(move |digest| {
            let contents = contents.clone();
            async move { frame(&contents, digest).await }
        })
        .chain(futures_util::stream::iter([Ok(pack::end_frame())]));
    Ok(([(header::CONTENT_TYPE, pack::MEDIA_TYPE)], Body::from_stream(frames)).into_response())
}

async fn frame(contents: &Contents, digest: Digest) -> Result<Bytes, StoreError> {
    let lookup = contents.lookup(digest).await;
    match lookup.inspect_err(|error| tracing::error!(%digest, error = error_chain(error), "failed to read a blob"))? {
        BlobLookup::Verified(blob) => {
            contents.metrics.blobs_sent.inc();
            Ok(pack::blob_frame(&blob))
        }
        BlobLookup::Missing | BlobLookup::Corrupt => Ok(pack::missing_frame(&digest)),
    }
}
