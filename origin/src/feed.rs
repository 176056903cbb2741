//! The change feed, seen from one follower.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use verge_protocol::feed::{FeedEvent, HEARTBEAT_SECONDS, Reset};
use verge_protocol::{Position, Seq};

use crate::app::App;
use crate::store::{Database, StoreError};

/// Reads the feed from a position on. Dropping it ends it.
pub(crate) struct Follower {
    database: Database,
    news: watch::Receiver<Position>,
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

impl Follower {
    /// Starts after `since`, or with the whole table.
    pub(crate) fn new(app: &Arc<App>, since: Option<Position>) -> Self {
        Self {
            database: app.database.clone(),
            news: app.news.subscribe(),
            draining: app.tasks.draining().clone(),
            stage: Stage::Start(since),
            seq: Seq::default(),
            queue: VecDeque::new(),
            _counted: Counted::new(app.metrics.followers.clone()),
        }
    }

    /// The next event, as soon as there is one; `None` at the end, which is after a reset or when the origin drains. Together
    /// with it, the position to ask for when the connection breaks after it.
    pub(crate) async fn next(&mut self) -> Result<Option<(FeedEvent, Position)>, StoreError> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                let at = self.position(&event);
                return Ok(Some((event, at)));
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

    /// Where the table is after `event`.
    fn position(&self, event: &FeedEvent) -> Position {
        let generation = self.news.borrow().generation;
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
            let now = *self.news.borrow();
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

    /// Queues what was written since; whether there was anything to say.
    async fn read(&mut self) -> Result<bool, StoreError> {
        let news = *self.news.borrow_and_update();
        if news.seq > self.seq || self.stage == Stage::CatchingUp {
            // All that is there, which may be more than the news: cut off at the news, a key that was written again since would
            // be missing from the snapshot.
            let rows = self.database.rows(self.seq).await?;
            self.seq = rows.last().map_or(self.seq, |row| row.seq);
            self.queue.extend(rows.into_iter().map(FeedEvent::Row));
        }
        if self.stage == Stage::CatchingUp {
            self.queue.push_back(FeedEvent::CaughtUp(Position { generation: news.generation, seq: self.seq }));
            self.stage = Stage::Tailing;
        }
        Ok(!self.queue.is_empty())
    }

    /// Waits for news, or until it is time for a heartbeat; whether to go on.
    async fn wait(&mut self) -> bool {
        tokio::select! {
            changed = self.news.changed() => changed.is_ok(),
            () = tokio::time::sleep(Duration::from_secs(HEARTBEAT_SECONDS)) => {
                self.queue.push_back(FeedEvent::Heartbeat);
                true
            }
            () = self.draining.cancelled() => false,
        }
    }
}

/// Whether a follower at `since` must start over.
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

/// Counts a follower for as long as it lives.
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
    fn who_must_start_over() {
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
