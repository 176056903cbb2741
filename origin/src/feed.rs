//! The change feed: every write to the table `state`, in order.

mod open_feeds;
mod recent_rows;
mod row_messages;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::watch;
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;
use verge_daemon::{Clock, Tasks, error_chain};
use verge_protocol::feed::{FeedEvent, FeedMessage, HEARTBEAT_SECONDS, Reset};
use verge_protocol::state::Row;
use verge_protocol::{Checkpoint, Digest, Generation, Position};

use self::open_feeds::{OpenFeed, OpenFeeds};
use self::recent_rows::RecentRows;
pub(crate) use self::row_messages::row_messages;
use crate::metrics::Metrics;
use crate::store::{Database, Divergence, Relation, StoreError};

/// Writes to the feed, and subscriptions to it. Clones share them.
#[derive(Clone)]
pub(crate) struct Feed {
    database: Database,
    clock: Clock,
    tasks: Tasks,
    metrics: Arc<Metrics>,
    /// The position of the last committed write. Subscriptions wait on it.
    committed: watch::Sender<Position>,
    /// Notified when a token may have stopped working.
    tokens: watch::Sender<()>,
    recent: RecentRows,
    open: OpenFeeds,
}

impl Feed {
    /// Starts at the last committed write of the database.
    pub(crate) async fn open(
        database: Database,
        clock: Clock,
        tasks: Tasks,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StoreError> {
        let committed = watch::Sender::new(database.position().await?);
        let tokens = watch::Sender::new(());
        let (recent, open) = (RecentRows::default(), OpenFeeds::default());
        Ok(Self { database, clock, tasks, metrics, committed, tokens, recent, open })
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
            feed.announce_last().await;
            outcome
        });
        match task.await.map_err(JoinError::try_into_panic) {
            Ok(Some(outcome)) => outcome,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // Cancelled at the shutdown deadline, as the caller is.
            Ok(None) | Err(Err(_)) => std::future::pending().await,
        }
    }

    /// Announces the position that the table has. [`Self::write`] does so at its end; one of several transactions, after each.
    pub(crate) async fn announce_last(&self) {
        match self.database.position().await {
            Ok(position) => self.announce(position),
            Err(error) => {
                tracing::error!(error = error_chain(&error), "failed to announce a write to feed subscribers");
            }
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

    /// Sends a heartbeat to all subscribers, at which their tokens are checked. Call it when a token may have stopped working.
    pub(crate) fn tokens_changed(&self) {
        self.tokens.send_replace(());
    }

    /// Subscribes to the writes after `since`, or to the whole table and all later writes. `subscriber` is for people to read. Ends when
    /// its token has opened a number of newer subscriptions.
    pub(crate) fn subscribe(&self, subscriber: String, token: Digest, since: Option<Checkpoint>) -> Subscription {
        Subscription {
            open: self.open.open(&subscriber, token),
            feed: self.clone(),
            committed: self.committed.subscribe(),
            tokens: self.tokens.subscribe(),
            draining: self.tasks.draining().clone(),
            subscriber,
            stage: Stage::Start(since),
            at: Checkpoint::default(),
            queue: VecDeque::new(),
            _counted: Counted::new(self.metrics.feed_subscribers.clone()),
        }
    }

    /// How the feed begins for a subscriber that has read up to `since`. Takes a new generation if this origin was restored from an older
    /// copy since.
    async fn begin(&self, subscriber: &str, since: Checkpoint) -> Result<Begin, StoreError> {
        Ok(match self.database.relation(since).await? {
            Relation::Resumable => Begin::Resume,
            Relation::Compacted => Begin::Reset(Reset::Compacted),
            Relation::Diverged => {
                tracing::warn!(subscriber, %since, "a subscriber has read an earlier history: it starts over");
                Begin::Reset(Reset::Diverged)
            }
            Relation::Ahead => {
                let (database, now, name) = (self.database.clone(), self.clock.now(), subscriber.to_owned());
                let had = self.position();
                let divergence = self.write(async move { database.diverge(since, &name, now).await }).await?;
                if divergence == Divergence::Later {
                    tracing::warn!(subscriber, %since, "a subscriber is in another history: it must wait for a new generation");
                    return Ok(Begin::Later);
                }
                if divergence == Divergence::Noticed {
                    tracing::error!(
                        subscriber,
                        %since,
                        %had,
                        now = %self.position(),
                        "a subscriber has read writes that this origin does not have: was it restored from an older copy? \
                         A new generation was taken, and all subscribers start over"
                    );
                }
                Begin::Reset(Reset::Diverged)
            }
        })
    }
}

/// How the feed begins for a subscriber.
enum Begin {
    /// With the writes after its checkpoint.
    Resume,
    /// With a reset, which ends it.
    Reset(Reset),
    /// It ends at once: the subscriber tries again later.
    Later,
}

/// One subscriber's view of the feed. Dropping it ends it.
pub(crate) struct Subscription {
    feed: Feed,
    committed: watch::Receiver<Position>,
    tokens: watch::Receiver<()>,
    draining: CancellationToken,
    subscriber: String,
    stage: Stage,
    /// All rows up to here are in the queue, or were.
    at: Checkpoint,
    queue: VecDeque<FeedMessage>,
    open: OpenFeed,
    _counted: Counted,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Start(Option<Checkpoint>),
    CatchingUp(Generation),
    Tailing(Generation),
    Ended,
}

impl Subscription {
    /// Waits for the next event. `None` is the end: after a reset, when newer subscriptions have taken its place, or when the origin drains.
    pub(crate) async fn next(&mut self) -> Result<Option<FeedMessage>, StoreError> {
        loop {
            if self.open.closed().is_cancelled() {
                return Ok(None);
            }
            if let Some(message) = self.queue.pop_front() {
                return Ok(Some(message));
            }
            match self.stage {
                Stage::Ended => return Ok(None),
                Stage::Start(since) => self.start(since).await?,
                Stage::CatchingUp(generation) => self.catch_up(generation).await?,
                Stage::Tailing(generation) => {
                    if !self.wait().await {
                        self.stage = Stage::Ended;
                    } else if self.queue.is_empty() {
                        self.tail(generation).await?;
                    }
                }
            }
        }
    }

    async fn start(&mut self, since: Option<Checkpoint>) -> Result<(), StoreError> {
        self.stage = Stage::CatchingUp(self.committed.borrow().generation);
        if let Some(since) = since {
            match self.feed.begin(&self.subscriber, since).await? {
                Begin::Resume => self.at = since,
                Begin::Reset(reset) => self.end(reset),
                Begin::Later => self.stage = Stage::Ended,
            }
        }
        Ok(())
    }

    /// Queues everything that was written since its checkpoint, and that it has caught up.
    async fn catch_up(&mut self, generation: Generation) -> Result<(), StoreError> {
        self.committed.mark_unchanged();
        let read = self.feed.database.rows(self.at.position.seq).await?;
        read.log_damage();
        let complete = read.damaged.is_empty();
        if self.advance(generation, read.at, read.rows) {
            self.queue.push_back(FeedMessage { at: self.at, event: FeedEvent::CaughtUp { complete } });
            self.stage = Stage::Tailing(generation);
        }
        Ok(())
    }

    /// Queues what was written since the last read.
    async fn tail(&mut self, generation: Generation) -> Result<(), StoreError> {
        let committed = *self.committed.borrow_and_update();
        let since = self.at.position.seq;
        let read = self.feed.recent.read(&self.feed.database, since, committed).await?;
        self.advance(generation, read.at(), read.rows_after(since).cloned());
        Ok(())
    }

    /// Queues all rows of the table after the last read, as of `at`. That may be beyond the announced position: a read up to that
    /// position would leave out a key that was written again since. False if the subscription ends instead.
    fn advance(
        &mut self,
        generation: Generation,
        at: Checkpoint,
        rows: impl IntoIterator<Item = (Row, Checkpoint)>,
    ) -> bool {
        if at.position.generation != generation {
            // A generation whose announcement failed is announced by the first that finds it.
            self.feed.announce(at.position);
            // What the subscriber has read is part of this history all the same.
            self.end(Reset::Compacted);
            return false;
        }
        self.queue.extend(row_messages(self.at, rows.into_iter().collect()));
        self.at = at;
        true
    }

    /// Waits for a commit, or for the time of a heartbeat or a change of tokens: a heartbeat is queued then. False if the subscription ends.
    async fn wait(&mut self) -> bool {
        tokio::select! {
            changed = self.committed.changed() => return changed.is_ok(),
            () = tokio::time::sleep(Duration::from_secs(HEARTBEAT_SECONDS)) => {}
            Ok(()) = self.tokens.changed() => {}
            () = self.draining.cancelled() => return false,
            () = self.open.closed().cancelled() => return false,
        }
        self.queue.push_back(FeedMessage { at: self.at, event: FeedEvent::Heartbeat });
        true
    }

    fn end(&mut self, reset: Reset) {
        self.queue.push_back(FeedMessage { at: self.at, event: FeedEvent::Reset(reset) });
        self.stage = Stage::Ended;
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
