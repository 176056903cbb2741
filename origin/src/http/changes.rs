//! The change feed.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use futures_util::Stream;
use serde::Deserialize;
use verge_protocol::Position;

use super::auth::Follows;
use super::body::Asked;
use super::error::ApiError;
use crate::app::App;
use crate::feed::Follower;
use crate::store::StoreError;

#[derive(Deserialize)]
pub(super) struct Question {
    since: Option<Position>,
}

/// `GET /v1/changes?since=POSITION`; `Last-Event-ID`, which a reconnecting client sends by itself, comes first.
pub(super) async fn follow(
    Follows(follower): Follows,
    State(app): State<Arc<App>>,
    Asked(Question { since }): Asked<Question>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, StoreError>>>, ApiError> {
    let since = match headers.get("last-event-id") {
        None => since,
        Some(id) => {
            let id = String::from_utf8_lossy(id.as_bytes());
            Some(id.parse().map_err(|error| ApiError::bad_request("bad_position", format!("Last-Event-ID: {error}")))?)
        }
    };
    tracing::info!(%follower, since = since.map(tracing::field::display), "somebody follows the changes");
    let follower = Follower::new(&app, since);
    Ok(Sse::new(futures_util::stream::try_unfold(follower, |mut follower| async {
        let next = follower.next().await.inspect_err(|error| tracing::error!(%error, "the feed broke off"))?;
        Ok(next.map(|(event, position)| {
            let (name, data) = event.to_parts();
            (Event::default().event(name).id(position.to_string()).data(data), follower)
        }))
    })))
}
