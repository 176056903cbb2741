//! The change feed, read from the wire.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _};
use reqwest::Response;
use sse_stream::{Sse, SseByteStream};
use verge_protocol::feed::{FeedEvent, HEARTBEAT_SECONDS};

/// A feed that says nothing for this long is dead.
const SILENCE: Duration = Duration::from_secs(3 * HEARTBEAT_SECONDS);

/// An open feed.
pub(crate) struct Feed {
    origin: String,
    place: usize,
    events: Pin<Box<dyn Stream<Item = Result<Sse, sse_stream::Error>> + Send>>,
}

/// Why a feed ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FeedError {
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

impl Feed {
    pub(super) fn new(origin: String, place: usize, response: Response) -> Self {
        let bytes = response.bytes_stream().map_ok(Bytes::from).map_err(reqwest::Error::without_url);
        Self { origin, place, events: SseByteStream::new(bytes).boxed() }
    }

    /// Whose it is.
    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    /// The place of that origin among those that are configured.
    pub(crate) fn place(&self) -> usize {
        self.place
    }

    /// The next event. Events of kinds that this version does not know are passed over, but count as life.
    ///
    /// Cancel-safe: an event is either returned or still to come.
    pub(crate) async fn next(&mut self) -> Result<FeedEvent, FeedError> {
        loop {
            let event = tokio::time::timeout(SILENCE, self.events.next()).await.map_err(|_| FeedError::Silent)?;
            let event = event.ok_or(FeedError::Closed)??;
            let (name, data) = (event.event.unwrap_or_default(), event.data.unwrap_or_default());
            if let Some(event) = FeedEvent::from_parts(&name, &data)? {
                return Ok(event);
            }
        }
    }
}
