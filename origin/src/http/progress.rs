//! Streams of progress: one JSON object a line.

use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use verge_protocol::api::Progress;

use super::error::ApiError;
use crate::publish::Steps;

/// After so long without a step, an empty line says that the origin is at work.
const QUIET_MAX: Duration = Duration::from_secs(10);

/// Answers with what comes through `steps`, as it comes.
pub(super) fn stream(steps: Steps) -> Response {
    let lines = futures_util::stream::unfold(steps, |mut steps| async {
        let Ok(step) = tokio::time::timeout(QUIET_MAX, steps.recv()).await else {
            return Some((Ok::<_, std::convert::Infallible>(b"\n".to_vec()), steps));
        };
        let step = step?;
        let event = step.unwrap_or_else(|error| Progress::Failed(ApiError::from(error).into_body()));
        let mut line = serde_json::to_vec(&event).expect("plain data serializes");
        line.push(b'\n');
        Some((Ok(line), steps))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}
