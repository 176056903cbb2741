//! What every part of the origin works with.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinError;
use verge_daemon::{Clock, Tasks};
use verge_protocol::Position;
use verge_protocol::api::Limits;

use crate::config::SitesUrl;
use crate::domains::Resolver;
use crate::edge_reports::EdgeReports;
use crate::metrics::Metrics;
use crate::store::{Blobs, Database};
use crate::channel_locks::ChannelLocks;
use crate::uploads::Uploads;

/// One origin. Shared by all its tasks.
pub(crate) struct App {
    pub(crate) database: Database,
    pub(crate) blobs: Blobs,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    pub(crate) edge_reports: EdgeReports,
    pub(crate) channel_locks: ChannelLocks,
    pub(crate) uploads: Uploads,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
    pub(crate) sites_url: SitesUrl,
    pub(crate) resolver: Resolver,
    pub(crate) encode_budget: Duration,
    /// The last write that was committed: followers of the feed wait on it.
    pub(crate) news: watch::Sender<Position>,
}

impl App {
    /// Writes to the table that is followed, and tells followers how far that is now. Goes on to its end when who asked for it
    /// goes away: what is committed is told. Told is also what was there already, so that asking again makes up for whatever
    /// kept an earlier write from being told.
    pub(crate) async fn write<F>(self: &Arc<Self>, write: impl FnOnce(Arc<Self>) -> F) -> F::Output
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let (app, writing) = (Arc::clone(self), write(Arc::clone(self)));
        let task = self.tasks.spawn("write", async move {
            let outcome = writing.await;
            match app.database.position().await {
                Ok(position) => app.announce(position),
                Err(error) => tracing::error!(%error, "followers could not be told how far the table is"),
            }
            outcome
        });
        match task.await.map_err(JoinError::try_into_panic) {
            Ok(Some(outcome)) => outcome,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // Cut off at the deadline of the shutdown, as who waits for it is.
            Ok(None) | Err(Err(_)) => std::future::pending().await,
        }
    }

    /// Tells followers of a write. To be called after its commit.
    pub(crate) fn announce(&self, position: Position) {
        self.news.send_if_modified(|last| {
            let newer = position > *last;
            *last = position.max(*last);
            newer
        });
    }
}
