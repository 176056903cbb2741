//! One connection of the change feed, as a stream of events.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, StreamExt as _, TryStreamExt as _};
use reqwest::{RequestBuilder, Response};
use sse_stream::{Sse, SseByteStream};
use verge_protocol::Checkpoint;
use verge_protocol::feed::{FeedEvent, FeedMessage, HEARTBEAT_SECONDS};
use verge_protocol::position::CheckpointError;

use crate::origins::{OriginError, OriginUrl, Origins};

/// A feed without any event for this long is dead.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(3 * HEARTBEAT_SECONDS);

/// An open feed.
pub(super) struct EventStream {
    origin: String,
    index: usize,
    events: Pin<Box<dyn Stream<Item = Result<Sse, sse_stream::Error>> + Send>>,
}

/// Why a feed ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum EventStreamError {
    /// The origin closed it.
    #[error("the origin closed the feed")]
    Closed,
    /// No event was received in time.
    #[error("no event was received for {} s", SILENCE_TIMEOUT.as_secs())]
    TimedOut,
    /// The connection broke, or the body is not an event stream.
    #[error("failed to read the event stream")]
    Broken(#[from] sse_stream::Error),
    /// The data of an event is invalid.
    #[error("failed to parse an event of the feed")]
    Malformed(#[from] serde_json::Error),
    /// The id of an event is not a checkpoint.
    #[error("failed to parse the id of an event of the feed")]
    MalformedId(#[from] CheckpointError),
}

impl EventStream {
    /// Subscribes from `since` at the first origin that accepts, starting with the one at index `start` and wrapping around.
    pub(super) async fn open(origins: &Origins, since: Option<Checkpoint>, start: usize) -> Result<Self, OriginError> {
        let attempt = |index, origin| {
            let request = request(origins, origin, since);
            async move { Ok(Self::new(origin.to_string(), index, origins.send(request).await?)) }.boxed()
        };
        origins.first_from(start, attempt).await
    }

    fn new(origin: String, index: usize, response: Response) -> Self {
        let bytes = response.bytes_stream().map_ok(Bytes::from).map_err(reqwest::Error::without_url);
        Self { origin, index, events: SseByteStream::new(bytes).boxed() }
    }

    /// The origin's URL.
    pub(super) fn origin(&self) -> &str {
        &self.origin
    }

    /// The index of that origin in the configured list.
    pub(super) fn index(&self) -> usize {
        self.index
    }

    /// The next event. Event types unknown to this version are skipped, but count as a sign of life.
    ///
    /// Cancel-safe: no event is lost.
    pub(super) async fn next(&mut self) -> Result<FeedMessage, EventStreamError> {
        loop {
            let event = tokio::time::timeout(SILENCE_TIMEOUT, self.events.next())
                .await
                .map_err(|_| EventStreamError::TimedOut)?;
            let event = event.ok_or(EventStreamError::Closed)??;
            let (name, data) = (event.event.unwrap_or_default(), event.data.unwrap_or_default());
            if let Some(parsed) = FeedEvent::from_parts(&name, &data)? {
                return Ok(FeedMessage { at: event.id.unwrap_or_default().parse()?, event: parsed });
            }
        }
    }
}

fn request(origins: &Origins, origin: &OriginUrl, since: Option<Checkpoint>) -> RequestBuilder {
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
    fn request_has_checkpoint_to_resume_from() {
        let urls = vec!["http://127.0.0.1:7400".parse().unwrap()];
        let origins = Origins::new(urls, None, &Secret::new("vrg_x"), "test", Counter::default()).unwrap();
        let url = |since: Option<&str>| {
            let since = since.map(|since| since.parse().unwrap());
            request(&origins, &origins.urls()[0], since).build().unwrap().url().to_string()
        };
        assert_eq!(url(None), "http://127.0.0.1:7400/v1/changes");
        assert_eq!(url(Some("1-42-00c0ffee00c0ffee")), "http://127.0.0.1:7400/v1/changes?since=1-42-00c0ffee00c0ffee");
    }
}
