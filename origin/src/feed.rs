//! The change feed: every write to the table `state`, in order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use verge_daemon::Tasks;
use verge_daemon::error_chain;
use verge_protocol::feed::{FeedEvent, HEARTBEAT_SECONDS, Reset};
use verge_protocol::{Position, Seq};

use crate::metrics::Metrics;
use crate::store::{Database, StoreError};

/// Writes to the feed, and subscriptions to it. Clones share them.
#[derive(Clone)]
pub(crate) struct Feed {
    database: Database,
    tasks: Tasks,
    metrics: Arc<Metrics>,
    /// The position of the last committed write. Subscriptions wait on it.
    committed: watch::Sender<Position>,
}

impl Feed {
    /// Starts at the last committed write of the database.
    pub(crate) async fn open(database: Database, tasks: Tasks, metrics: Arc<Metrics>) -> Result<Self, StoreError> {
        let committed = watch::Sender::new(database.position().await?);
        Ok(Self { database, tasks, metrics, committed })
    }

    /// The position of the last committed write.
    pub(crate) fn position(&self) -> Position {
        *self.committed.borrow()
    }

    /// Runs `write`, which may write to the table `state`, and announces the position that the table has then. Both run to completion
    /// even if the caller is dropped. A position that an earlier write failed to announce is announced too.
    pub(crate) async fn write<F>(&self, write: F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let feed = self.clone();
        let task = self.tasks.spawn("write", async move {
            let outcome = write.await;
            match feed.database.position().await {
                Ok(position) => feed.announce(position),
                Err(error) => {
                    tracing::error!(error = error_chain(&error), "failed to announce a write to feed subscribers");
                }
            }
            outcome
        });
        match task.await.map_err(JoinError::try_into_panic) {
            Ok(Some(outcome)) => outcome,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // Cancelled at the shutdown deadline, as the caller is.
            Ok(None) | Err(Err(_)) => std::future::pending().await,
        }
    }

    /// Wakes subscriptions up to a write. Call it after the commit.
    pub(crate) fn announce(&self, position: Position) {
        self.committed.send_if_modified(|last| {
            let is_newer = position > *last;
            *last = position.max(*last);
            is_newer
        });
    }

    /// Subscribes to the writes after `since`, or to the whole table and all later writes.
    pub(crate) fn subscribe(&self, since: Option<Position>) -> Subscription {
        Subscription {
            database: self.database.clone(),
            committed: self.committed.subscribe(),
            draining: self.tasks.draining().clone(),
            stage: Stage::Start(since),
            seq: Seq::default(),
            queue: VecDeque::new(),
            _counted: Counted::new(self.metrics.feed_subscribers.clone()),
        }
    }
}

/// One subscriber's view of the feed. Dropping it ends it.
pub(crate) struct Subscription {
    database: Database,
    committed: watch::Receiver<Position>,
    draining: CancellationToken,
    stage: Stage,
    /// All rows up to here are in the queue, or were.
    seq: Seq,
    queue: VecDeque<FeedEvent>,
    _counted: Counted,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Start(Option<Position>),
    CatchingUp,
    Tailing,
    Ended,
}

impl Subscription {
    /// Waits for the next event. `None` is the end: after a reset, or when the origin drains. The position is the one to resume from
    /// if the connection breaks after the event.
    pub(crate) async fn next(&mut self) -> Result<Option<(FeedEvent, Position)>, StoreError> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                let position = self.position(&event);
                return Ok(Some((event, position)));
            }
            match self.stage {
                Stage::Ended => return Ok(None),
                Stage::Start(since) => self.start(since).await?,
                Stage::CatchingUp | Stage::Tailing => {
                    if !self.read().await? && !self.wait().await {
                        self.stage = Stage::Ended;
                    }
                }
            }
        }
    }

    /// The position of the table after `event`.
    fn position(&self, event: &FeedEvent) -> Position {
        let generation = self.committed.borrow().generation;
        match event {
            FeedEvent::Row(row) => Position { generation, seq: row.seq },
            FeedEvent::CaughtUp(position) => *position,
            FeedEvent::Reset(_) => Position { generation, seq: Seq::default() },
            FeedEvent::Heartbeat => Position { generation, seq: self.seq },
        }
    }

    async fn start(&mut self, since: Option<Position>) -> Result<(), StoreError> {
        self.stage = Stage::CatchingUp;
        if let Some(since) = since {
            let now = *self.committed.borrow();
            match reset(since, now, self.database.floor().await?) {
                None => self.seq = since.seq,
                Some(reset) => {
                    self.queue.push_back(FeedEvent::Reset(reset));
                    self.stage = Stage::Ended;
                }
            }
        }
        Ok(())
    }

    /// Queues what was written since the last read. True if the queue has events.
    async fn read(&mut self) -> Result<bool, StoreError> {
        let committed = *self.committed.borrow_and_update();
        if committed.seq > self.seq || self.stage == Stage::CatchingUp {
            // Everything in the table, which may be beyond the announced position: a read up to that position would leave out a key
            // that was written again since.
            let rows = self.database.rows(self.seq).await?;
            self.seq = rows.last().map_or(self.seq, |row| row.seq);
            self.queue.extend(rows.into_iter().map(FeedEvent::Row));
        }
        if self.stage == Stage::CatchingUp {
            self.queue.push_back(FeedEvent::CaughtUp(Position { generation: committed.generation, seq: self.seq }));
            self.stage = Stage::Tailing;
        }
        Ok(!self.queue.is_empty())
    }

    /// Waits for a commit or for the time of a heartbeat. False if the subscription ends.
    async fn wait(&mut self) -> bool {
        tokio::select! {
            changed = self.committed.changed() => changed.is_ok(),
            () = tokio::time::sleep(Duration::from_secs(HEARTBEAT_SECONDS)) => {
                self.queue.push_back(FeedEvent::Heartbeat);
                true
            }
            () = self.draining.cancelled() => false,
        }
    }
}

/// Why a subscriber at `since` must start over, if it must.
fn reset(since: Position, now: Position, floor: Seq) -> Option<Reset> {
    if since.generation != now.generation {
        Some(Reset::Generation)
    } else if since.seq > now.seq {
        Some(Reset::Ahead)
    } else if since.seq < floor {
        Some(Reset::Compacted)
    } else {
        None
    }
}

/// Counts a subscription while it lives.
struct Counted(Gauge);

impl Counted {
    fn new(gauge: Gauge) -> Self {
        gauge.inc();
        Self(gauge)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_of_another_history_or_before_the_floor_is_reset() {
        let at = |text: &str| text.parse::<Position>().unwrap();
        let cases = [
            ("1-5", "1-9", 0, None),
            ("1-9", "1-9", 9, None),
            ("1-10", "1-9", 0, Some(Reset::Ahead)),
            ("1-5", "2-9", 0, Some(Reset::Generation)),
            ("2-5", "1-9", 0, Some(Reset::Generation)),
            ("1-5", "1-9", 6, Some(Reset::Compacted)),
        ];
        for (since, now, floor, expected) in cases {
            assert_eq!(reset(at(since), at(now), Seq(floor)), expected, "{since} of {now}, floor {floor}");
        }
    }
}
