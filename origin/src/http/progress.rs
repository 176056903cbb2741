//! Streams of progress: one JSON object a line.

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use verge_protocol::api::Progress;

use super::error::ApiError;
use crate::publish::Steps;

/// Answers with what comes through `steps`, as it comes.
pub(super) fn stream(steps: Steps) -> Response {
    let lines = futures_util::stream::unfold(steps, |mut steps| async {
        let step = steps.recv().await?;
        let event = step.unwrap_or_else(|error| Progress::Failed(ApiError::from(error).into_body()));
        let mut line = serde_json::to_vec(&event).expect("plain data serializes");
        line.push(b'\n');
        Some((Ok::<_, std::convert::Infallible>(line), steps))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}
