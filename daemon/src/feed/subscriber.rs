//! The task that keeps a feed open.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};
use verge_protocol::Checkpoint;

use super::cursor::{Cursor, Step};
use super::event_stream::EventStream;
use super::{Change, LastSeen};
use crate::backoff::Backoff;
use crate::error_chain;
use crate::origins::Origins;

/// Keeps a feed open and sends what changes.
pub struct Subscriber {
    /// The origins, in order of preference.
    pub origins: Origins,
    /// The checkpoint to resume from; `None`: start with a snapshot.
    pub checkpoint: Option<Checkpoint>,
    /// Updated at every event, and when no origin can be reached.
    pub last_seen: LastSeen,
    /// Notified each time a feed was opened.
    pub reconnected: Option<Arc<Notify>>,
    /// Receives each change once, in order. A slow receiver slows the origin down (back-pressure).
    pub changes: mpsc::Sender<Change>,
}

/// The result of a feed that ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// It delivered changes.
    Useful,
    /// It delivered only the fact that the origin has another history.
    Reset,
    /// It delivered nothing.
    Useless,
}

impl End {
    /// The index of the origin to try first next time, after a feed of the origin at `index`, which was `resumed` or read from the
    /// beginning. An origin that accepts subscriptions but delivers nothing must not keep the daemon from the others; one with
    /// another history is asked once for its snapshot before it counts as such.
    fn next_origin(self, index: usize, resumed: bool) -> usize {
        match self {
            Self::Useful => 0,
            Self::Reset if resumed => index,
            Self::Reset | Self::Useless => index + 1,
        }
    }

    /// Whether the next feed is opened without a pause: the origin has answered, and the snapshot is all that is missing. If that resets too,
    /// there is one.
    fn is_followed_at_once(self, resumed: bool) -> bool {
        self == Self::Reset && resumed
    }
}

impl Subscriber {
    /// Opens a feed, reads it to its end, and opens the next. Ends when the receiver of changes is dropped.
    pub async fn run(self) {
        let mut cursor = Cursor::new(self.checkpoint);
        let mut backoff = Backoff::default();
        let mut start = 0;
        while !self.changes.is_closed() {
            let since = cursor.open();
            let resumed = since.is_some();
            match EventStream::open(&self.origins, since, start).await {
                Ok(feed) => {
                    let since = since.map_or_else(|| "snapshot".to_owned(), |checkpoint| checkpoint.to_string());
                    tracing::info!(origin = feed.origin(), since, "subscribed to the change feed");
                    if let Some(reconnected) = &self.reconnected {
                        reconnected.notify_one();
                    }
                    let index = feed.index();
                    let end = self.read(feed, &mut cursor, &mut backoff).await;
                    start = end.next_origin(index, resumed);
                    if end.is_followed_at_once(resumed) {
                        continue;
                    }
                }
                Err(error) => {
                    self.last_seen.record_failure();
                    tracing::warn!(error = %error_chain(&error), "failed to subscribe at any origin: retrying");
                }
            }
            backoff.wait().await;
        }
    }

    async fn read(&self, mut feed: EventStream, cursor: &mut Cursor, backoff: &mut Backoff) -> End {
        let mut useful = false;
        loop {
            let message = match feed.next().await {
                Ok(message) => message,
                Err(error) => {
                    tracing::warn!(origin = feed.origin(), error = %error_chain(&error), "the change feed ended: reconnecting");
                    return if useful { End::Useful } else { End::Useless };
                }
            };
            self.last_seen.record();
            match cursor.advance(message) {
                Step::Wait => {}
                Step::Apply(change) => {
                    // Only a delivered change resets the back-off: a feed that always resets must not be opened in a tight loop.
                    backoff.reset();
                    useful = true;
                    if self.changes.send(change).await.is_err() {
                        return End::Useful;
                    }
                }
                Step::Reopen => {
                    tracing::warn!(origin = feed.origin(), "the origin has another history: requesting a snapshot");
                    return if useful { End::Useful } else { End::Reset };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshot_that_an_origin_asks_to_request_is_requested_at_once_and_nothing_else() {
        for end in [End::Useful, End::Reset, End::Useless] {
            for resumed in [true, false] {
                let expected = (end, resumed) == (End::Reset, true);
                assert_eq!(end.is_followed_at_once(resumed), expected, "{end:?} {resumed}");
            }
        }
    }

    #[test]
    fn next_origin_skips_useless_one_and_retries_reset_once() {
        for (end, resumed, start) in [
            (End::Useful, true, 0),
            (End::Useful, false, 0),
            (End::Reset, true, 1),
            (End::Reset, false, 2),
            (End::Useless, true, 2),
            (End::Useless, false, 2),
        ] {
            assert_eq!(end.next_origin(1, resumed), start, "{end:?} {resumed}");
        }
    }
}
