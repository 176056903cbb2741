//! The change feed.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use futures_util::Stream;
use serde::Deserialize;
use verge_protocol::Position;
use verge_protocol::feed::FeedEvent;

use super::auth::Follows;
use super::extract::QueryParams;
use super::error::ApiError;
use crate::app::App;
use crate::feed::Follower;
use crate::store::StoreError;

#[derive(Deserialize)]
pub(super) struct Question {
    since: Option<Position>,
}

/// `GET /v1/changes?since=POSITION`; `Last-Event-ID`, which a reconnecting client sends by itself, comes first. Ends with the
/// heartbeat before which the token has stopped working.
pub(super) async fn follow(
    Follows { follower, token }: Follows,
    State(app): State<Arc<App>>,
    QueryParams(Question { since }): QueryParams<Question>,
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
    let feed = (Follower::new(&app, since), app, follower);
    Ok(Sse::new(futures_util::stream::try_unfold(feed, move |(mut feed, app, follower)| async move {
        let next = feed.next().await.inspect_err(|error| tracing::error!(%error, "the feed broke off"))?;
        let Some((event, position)) = next else { return Ok(None) };
        // A database that does not answer now ends nobody's token.
        if event == FeedEvent::Heartbeat && matches!(app.database.token(token).await, Ok(None)) {
            tracing::info!(%follower, "somebody follows no more: the token has stopped working");
            return Ok(None);
        }
        let (name, data) = event.to_parts();
        let event = Event::default().event(name).id(position.to_string()).data(data);
        Ok(Some((event, (feed, app, follower))))
    })))
}
