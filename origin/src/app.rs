//! What every part of the origin works with.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use verge_daemon::{Clock, Tasks};
use verge_protocol::Position;
use verge_protocol::api::Limits;

use crate::config::SitesUrl;
use crate::domains::Resolver;
use crate::fleet::Fleet;
use crate::metrics::Metrics;
use crate::store::{Blobs, Database};
use crate::turns::Turns;
use crate::uploads::Uploads;

/// One origin. Shared by all its tasks.
pub(crate) struct App {
    pub(crate) database: Database,
    pub(crate) blobs: Blobs,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    pub(crate) fleet: Fleet,
    pub(crate) turns: Turns,
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
    /// Tells followers of a write. To be called after its commit.
    pub(crate) fn announce(&self, position: Position) {
        self.news.send_if_modified(|last| {
            let newer = position > *last;
            *last = position.max(*last);
            newer
        });
    }
}
