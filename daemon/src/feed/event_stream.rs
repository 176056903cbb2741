//! The change feed, read from the wire.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _};
use reqwest::{RequestBuilder, Response};
use sse_stream::{Sse, SseByteStream};
use verge_protocol::Position;
use verge_protocol::feed::{FeedEvent, HEARTBEAT_SECONDS};

use crate::origins::{OriginError, OriginUrl, Origins};

/// A feed that says nothing for this long is dead.
const SILENCE: Duration = Duration::from_secs(3 * HEARTBEAT_SECONDS);

/// An open feed.
pub(super) struct EventStream {
    origin: String,
    place: usize,
    events: Pin<Box<dyn Stream<Item = Result<Sse, sse_stream::Error>> + Send>>,
}

/// Why a feed ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum EventStreamError {
    /// The origin closed it.
    #[error("the origin closed the feed")]
    Closed,
    /// Nothing came for too long.
    #[error("the feed was silent for {} s", SILENCE.as_secs())]
    Silent,
    /// The connection broke, or what came is no event stream.
    #[error("the feed broke")]
    Broken(#[from] sse_stream::Error),
    /// An event's data is not of its shape.
    #[error("an event of the feed cannot be read")]
    Malformed(#[from] serde_json::Error),
}

impl EventStream {
    /// Opens the feed after `since`, at the first origin that opens it, from the one at `start` on, and around.
    pub(super) async fn open(origins: &Origins, since: Option<Position>, start: usize) -> Result<Self, OriginError> {
        let attempt = |place, origin| {
            let request = question(origins, origin, since);
            async move { Ok(Self::new(origin.to_string(), place, origins.send(request).await?)) }.boxed()
        };
        origins.first_from(start, attempt).await
    }

    fn new(origin: String, place: usize, response: Response) -> Self {
        let bytes = response.bytes_stream().map_ok(Bytes::from).map_err(reqwest::Error::without_url);
        Self { origin, place, events: SseByteStream::new(bytes).boxed() }
    }

    /// Whose it is.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// The place of that origin among those that are configured.
    pub(super) fn place(&self) -> usize {
        self.place
    }

    /// The next event. Events of kinds that this version does not know are passed over, but count as life.
    ///
    /// Cancel-safe: an event is either returned or still to come.
    pub(super) async fn next(&mut self) -> Result<FeedEvent, EventStreamError> {
        loop {
            let event =
                tokio::time::timeout(SILENCE, self.events.next()).await.map_err(|_| EventStreamError::Silent)?;
            let event = event.ok_or(EventStreamError::Closed)??;
            let (name, data) = (event.event.unwrap_or_default(), event.data.unwrap_or_default());
            if let Some(event) = FeedEvent::from_parts(&name, &data)? {
                return Ok(event);
            }
        }
    }
}

fn question(origins: &Origins, origin: &OriginUrl, since: Option<Position>) -> RequestBuilder {
    let request = origins.get(origin, "v1/changes");
    match since {
        Some(since) => request.query(&[("since", since)]),
        None => request,
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::metrics::counter::Counter;

    use super::*;
    use crate::secret::Secret;

    #[test]
    fn a_feed_goes_on_from_a_position_or_starts_at_the_beginning() {
        let urls = vec!["http://127.0.0.1:7400".parse().unwrap()];
        let origins = Origins::new(urls, Secret::new("vrg_x"), "test", Counter::default()).unwrap();
        let url = |since: Option<&str>| {
            let since = since.map(|since| since.parse().unwrap());
            question(&origins, &origins.urls()[0], since).build().unwrap().url().to_string()
        };
        assert_eq!(url(None), "http://127.0.0.1:7400/v1/changes");
        assert_eq!(url(Some("1-42")), "http://127.0.0.1:7400/v1/changes?since=1-42");
    }
}
