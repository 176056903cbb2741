//! The change feed.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use futures_util::Stream;
use serde::Deserialize;
use verge_daemon::error_chain;
use verge_protocol::Checkpoint;
use verge_protocol::feed::{FeedEvent, FeedMessage};

use super::auth::Subscriber;
use super::error::ApiError;
use super::extract::QueryParams;
use crate::feed::Feed;
use crate::store::{Database, StoreError};

#[derive(Deserialize)]
pub(super) struct Params {
    since: Option<Checkpoint>,
}

/// `GET /v1/changes?since=CHECKPOINT`: the change feed as server-sent events. `Last-Event-ID`, which a reconnecting client sends,
/// takes precedence over `since`. The feed ends when the token stops working, or has opened a number of newer ones.
pub(super) async fn subscribe(
    Subscriber { owner, token }: Subscriber,
    State(feed): State<Feed>,
    State(database): State<Database>,
    QueryParams(Params { since }): QueryParams<Params>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, StoreError>>>, ApiError> {
    let since = match headers.get("last-event-id") {
        None => since,
        Some(id) => {
            let checkpoint = String::from_utf8_lossy(id.as_bytes()).parse();
            let invalid =
                |error| ApiError::bad_request("invalid_checkpoint", format!("invalid Last-Event-ID: {error}"));
            Some(checkpoint.map_err(invalid)?)
        }
    };
    tracing::info!(subscriber = %owner, since = since.map(tracing::field::display), "feed subscription started");
    let state = (feed.subscribe(owner.to_string(), token, since), database, owner);
    Ok(Sse::new(futures_util::stream::try_unfold(state, move |(mut subscription, database, owner)| async move {
        let next = subscription
            .next()
            .await
            .inspect_err(|error| tracing::error!(error = error_chain(error), "failed to read the feed"))?;
        let Some(FeedMessage { at, event }) = next else { return Ok(None) };
        // A database error does not end a subscription.
        if event == FeedEvent::Heartbeat && matches!(database.token_owner(token).await, Ok(None)) {
            tracing::info!(subscriber = %owner, "feed subscription ended: the token has stopped working");
            return Ok(None);
        }
        let (name, data) = event.to_parts();
        let event = Event::default().event(name).id(at.to_string()).data(data);
        Ok(Some((event, (subscription, database, owner))))
    })))
}
