//! Following the origin: from the change feed to the table that is served.
//!
//! ```text
//! feed ──Change──► Channels ──► Table (swapped)
//!                    ▲  │  └──► Saved (disk) ──► report
//!        manifests ──┘  └──► needs ──► prefetch
//! ```
//!
//! [`channels`] decides, without I/O; the other files each do one kind of it. The feed is [`verge_daemon::feed`]'s.

mod apply;
mod channels;
mod manifests;
mod prefetch;
mod prefetch_batches;
mod report;
mod save;

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, mpsc, watch};
use verge_daemon::feed::{LastSeen, Subscriber};
use verge_daemon::{Clock, Tasks};

use self::apply::Applier;
use self::channels::Channels;
use crate::metrics::Metrics;
use crate::status::Applied;
use crate::store::{Disk, Store};
use crate::table::{Needs, Table};
use crate::upstream::Upstream;

/// What following works on. All of it is shared with those who serve.
pub(crate) struct Follower {
    pub(crate) upstream: Upstream,
    pub(crate) disk: Disk,
    pub(crate) table: Arc<ArcSwap<Table>>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) last_seen: LastSeen,
    /// Where readers reach this edge, to be told to the origin.
    pub(crate) url: Option<String>,
}

/// An edge whose last state is served again, but which does not follow yet.
pub(crate) struct Booted {
    follower: Follower,
    channels: Channels,
    applied: watch::Sender<Applied>,
}

impl Follower {
    /// Puts what the disk holds in place, as it was when the last process ended. Reads the disk; asks nobody.
    pub(crate) async fn boot(self) -> Booted {
        let now = self.clock.now();
        let read = move |store: &Store| {
            let mut channels = Channels::restore(store.state());
            for resources in manifests::on_disk(store, &channels.wanted(now)) {
                channels.hold(resources);
            }
            channels.settle();
            channels
        };
        let channels = self.disk.run(read).await.unwrap_or_default();
        let table = channels.table(|site| self.metrics.site(site));
        self.disk.follow(channels.needed(now));
        self.disk.need(Arc::new(Needs::of(&table, now)));
        self.table.store(Arc::new(table));
        let applied = watch::Sender::new(channels.applied());
        Booted { follower: self, channels, applied }
    }
}

impl Booted {
    /// How far it serves, as it goes on.
    pub(crate) fn applied(&self) -> watch::Receiver<Applied> {
        self.applied.subscribe()
    }

    /// Follows the origins until `tasks` drain.
    pub(crate) fn run(self, tasks: &Tasks) {
        let Self { follower, channels, applied } = self;
        let reconnected = Arc::new(Notify::new());
        let (changes, changes_received) = mpsc::channel(16);
        let listener = Subscriber {
            origins: follower.upstream.origins().clone(),
            position: channels.applied().position,
            last_seen: follower.last_seen.clone(),
            reconnected: Some(Arc::clone(&reconnected)),
            changes,
        };
        let saves = watch::Sender::new(None);
        let durable = watch::Sender::new(channels.applied());
        let swapped = watch::Sender::new(());
        let until_drained = |name, task: futures_util::future::BoxFuture<'static, ()>| {
            drop(tasks.spawn(name, tasks.draining().clone().run_until_cancelled_owned(task)));
        };
        until_drained("feed", Box::pin(listener.run()));
        until_drained("save", Box::pin(save::run(follower.disk.clone(), saves.subscribe(), durable.clone())));
        let (upstream, draining) = (follower.upstream.clone(), tasks.draining().clone());
        drop(tasks.spawn("report", report::run(upstream, follower.url, durable.subscribe(), reconnected, draining)));
        let prefetcher = prefetch::Prefetcher {
            upstream: follower.upstream.clone(),
            disk: follower.disk.clone(),
            table: Arc::clone(&follower.table),
            clock: follower.clock.clone(),
        };
        until_drained("prefetch", Box::pin(prefetcher.run(swapped.subscribe())));
        let applier = Applier {
            channels,
            manifests: manifests::Manifests::new(follower.upstream, follower.disk, tasks.clone()),
            table: follower.table,
            applied,
            saves,
            swapped,
            clock: follower.clock,
            metrics: follower.metrics,
        };
        until_drained("apply", Box::pin(applier.run(changes_received)));
    }
}
