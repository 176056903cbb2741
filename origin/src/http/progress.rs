//! Progress of publishing as a stream: one JSON object a line.

use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use verge_protocol::api::Progress;

use super::error::ApiError;
use crate::rollout::ProgressStream;

/// After this long without an event, an empty line keeps the connection alive.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Responds with the events as they happen.
pub(super) fn stream(events: ProgressStream) -> Response {
    let lines = futures_util::stream::unfold(events, |mut events| async {
        let Ok(event) = tokio::time::timeout(KEEP_ALIVE_INTERVAL, events.recv()).await else {
            return Some((Ok::<_, std::convert::Infallible>(b"\n".to_vec()), events));
        };
        let event = event?.unwrap_or_else(|error| Progress::Failed(ApiError::from(&*error).into_body()));
        let mut line = serde_json::to_vec(&event).expect("plain data serializes");
        line.push(b'\n');
        Some((Ok(line), events))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}
