//! The task that keeps a feed open.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use super::backoff::Backoff;
use super::cursor::{Change, Cursor, Step};
use crate::status::Heard;
use crate::upstream::{Feed, Upstream, chain};

pub(super) struct Listener {
    pub(super) upstream: Upstream,
    pub(super) cursor: Cursor,
    pub(super) heard: Heard,
    /// Told each time a feed is open.
    pub(super) reconnected: Arc<Notify>,
    pub(super) changes: mpsc::Sender<Change>,
}

impl Listener {
    /// Opens a feed, reads it to its end, and opens the next. Ends only when nobody takes its changes any more.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::default();
        while !self.changes.is_closed() {
            let since = self.cursor.open();
            match self.upstream.changes(since).await {
                Ok(feed) => {
                    let since = since.map_or_else(|| "the beginning".to_owned(), |position| position.to_string());
                    tracing::info!(origin = feed.origin(), since, "following");
                    self.reconnected.notify_one();
                    self.read(feed, &mut backoff).await;
                }
                Err(error) => tracing::warn!(error = %chain(&error), "no origin opens its feed: trying again"),
            }
            backoff.wait().await;
        }
    }

    async fn read(&mut self, mut feed: Feed, backoff: &mut Backoff) {
        loop {
            let event = match feed.next().await {
                Ok(event) => event,
                Err(error) => {
                    tracing::warn!(origin = feed.origin(), error = %chain(&error), "the feed ended: opening it again");
                    return;
                }
            };
            self.heard.now();
            match self.cursor.hear(event) {
                Step::Wait => {}
                Step::Apply(change) => {
                    // Only what can be used makes a feed good: one that always resets must not be opened in a tight loop.
                    backoff.reset();
                    if self.changes.send(change).await.is_err() {
                        return;
                    }
                }
                Step::Reopen => {
                    tracing::warn!(origin = feed.origin(), "the origin's history is another: taking the whole table");
                    return;
                }
            }
        }
    }
}
