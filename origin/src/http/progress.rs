//! Progress as a stream: one JSON object a line.

use std::time::Duration;

use axum::body::Body;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tokio::sync::mpsc;
use verge_protocol::api::Progress;

use super::error::ApiError;
use crate::rollout::ProgressStream;

/// After this long without an event, an empty line keeps the connection alive.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);

/// Responds with the events of a rollout as they happen.
pub(super) fn stream(events: ProgressStream) -> Response {
    lines(events, |event| event.unwrap_or_else(|error| Progress::Failed(ApiError::from(&*error).into_body())))
}

/// Responds with events as they happen, in the form that `convert` gives them.
pub(super) fn lines<E, T>(events: mpsc::Receiver<E>, convert: impl Fn(E) -> T + Copy + Send + 'static) -> Response
where
    E: Send + 'static,
    T: Serialize,
{
    let lines = futures_util::stream::unfold(events, move |mut events| async move {
        let Ok(event) = tokio::time::timeout(KEEP_ALIVE_INTERVAL, events.recv()).await else {
            return Some((Ok::<_, std::convert::Infallible>(b"\n".to_vec()), events));
        };
        let mut line = serde_json::to_vec(&convert(event?)).expect("plain data serializes");
        line.push(b'\n');
        Some((Ok(line), events))
    });
    ([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(lines)).into_response()
}
