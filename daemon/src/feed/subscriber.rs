//! The task that keeps a feed open.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};
use verge_protocol::Position;

use super::cursor::{Cursor, Step};
use super::event_stream::EventStream;
use super::{Change, LastSeen};
use crate::backoff::Backoff;
use crate::error_chain;
use crate::origins::Origins;

/// Keeps a feed open and tells what changes.
pub struct Subscriber {
    /// Whose feed.
    pub origins: Origins,
    /// Up to where everything is known already; `None`: start with a snapshot.
    pub position: Option<Position>,
    /// Told of every event.
    pub last_seen: LastSeen,
    /// Told each time a feed is open.
    pub reconnected: Option<Arc<Notify>>,
    /// Where changes go, each once, in order. A slow taker makes the origin wait.
    pub changes: mpsc::Sender<Change>,
}

/// What a feed was good for, when it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Changes came of it.
    Useful,
    /// Nothing came of it but that its history is another.
    Reset,
    /// Nothing came of it.
    Useless,
}

impl End {
    /// Which origin to try first the next time, after a feed of the one at `place`, which was `resumed` or read from its
    /// beginning. An origin that opens its feed and says nothing of use must not keep anybody from the others; but one whose
    /// history has changed is asked for all of it before that counts as nothing.
    fn start_next(self, place: usize, resumed: bool) -> usize {
        match self {
            Self::Useful => 0,
            Self::Reset if resumed => place,
            Self::Reset | Self::Useless => place + 1,
        }
    }
}

impl Subscriber {
    /// Opens a feed, reads it to its end, and opens the next. Ends only when nobody takes its changes any more.
    pub async fn run(self) {
        let mut cursor = Cursor::new(self.position);
        let mut backoff = Backoff::default();
        let mut start = 0;
        while !self.changes.is_closed() {
            let since = cursor.open();
            let resumed = since.is_some();
            match EventStream::open(&self.origins, since, start).await {
                Ok(feed) => {
                    let since = since.map_or_else(|| "the beginning".to_owned(), |position| position.to_string());
                    tracing::info!(origin = feed.origin(), since, "following");
                    if let Some(reconnected) = &self.reconnected {
                        reconnected.notify_one();
                    }
                    let place = feed.place();
                    start = self.read(feed, &mut cursor, &mut backoff).await.start_next(place, resumed);
                }
                Err(error) => tracing::warn!(error = %error_chain(&error), "no origin opens its feed: trying again"),
            }
            backoff.wait().await;
        }
    }

    async fn read(&self, mut feed: EventStream, cursor: &mut Cursor, backoff: &mut Backoff) -> End {
        let mut useful = false;
        loop {
            let event = match feed.next().await {
                Ok(event) => event,
                Err(error) => {
                    tracing::warn!(origin = feed.origin(), error = %error_chain(&error), "the feed ended: opening one again");
                    return if useful { End::Useful } else { End::Useless };
                }
            };
            self.last_seen.record();
            match cursor.hear(event) {
                Step::Wait => {}
                Step::Apply(change) => {
                    // Only what can be used makes a feed good: one that always resets must not be opened in a tight loop.
                    backoff.reset();
                    useful = true;
                    if self.changes.send(change).await.is_err() {
                        return End::Useful;
                    }
                }
                Step::Reopen => {
                    tracing::warn!(origin = feed.origin(), "the origin's history is another: taking the whole table");
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
    fn an_origin_without_use_is_left_and_one_with_another_history_is_heard() {
        for (end, resumed, start) in [
            (End::Useful, true, 0),
            (End::Useful, false, 0),
            (End::Reset, true, 1),
            (End::Reset, false, 2),
            (End::Useless, true, 2),
            (End::Useless, false, 2),
        ] {
            assert_eq!(end.start_next(1, resumed), start, "{end:?} {resumed}");
        }
    }
}
