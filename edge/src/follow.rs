//! Following the origin: from the change feed to the table that is served.
//!
//! ```text
//! feed ──Change──► Channels ──► state file ──► Table (swapped) ──► report
//!                  ▲  ▲  └─Wanted─► prefetch ─► blobs
//!        manifests─┘  └─────────────────────────┘ what is held
//! ```
//!
//! [`channels`] decides, without I/O; each other file is a task that does one kind of I/O. The feed itself is
//! [`verge_daemon::feed`].

mod apply;
mod bandwidth_limit;
mod batch_fetcher;
mod channels;
mod holding;
mod manifests;
pub(crate) mod model;
mod origin_contact;
mod prefetch;
mod prefetch_batches;
mod prefetch_status;
mod prefetches;
mod purger;
mod report;
mod wanted;

use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use verge_daemon::feed::{LastSeen, Subscriber};
use verge_daemon::{Clock, Tasks};
use verge_protocol::EdgeName;

use self::apply::ApplyTask;
use self::bandwidth_limit::BandwidthLimit;
use self::channels::Channels;
use self::prefetch_status::PrefetchStatus;
use self::purger::Purger;
use crate::cache::BlobCache;
use crate::challenges::Challenges;
use crate::erased_contents::ErasedContents;
use crate::metrics::Metrics;
use crate::release_hosts::Releases;
use crate::status::{AppliedState, MissingBlobs};
use crate::store::{BlockingStore, Store};
use crate::table::Table;
use crate::tls::FleetCertificates;
use crate::upstream::Upstream;

/// What the tasks that follow the feed work on, shared with the tasks that serve readers.
pub(crate) struct FeedTasks {
    pub(crate) upstream: Upstream,
    pub(crate) store: Store,
    pub(crate) blobs: BlobCache,
    pub(crate) table: Arc<ArcSwap<Table>>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Metrics,
    pub(crate) last_seen: LastSeen,
    /// Kept up to date by the prefetch task.
    pub(crate) missing_blobs: MissingBlobs,
    /// Maximum bytes per second of prefetching.
    pub(crate) prefetch_bandwidth: Option<NonZeroU64>,
    /// The name of this edge, which the origin compares with the owner of its token.
    pub(crate) name: EdgeName,
    /// The public URL of this edge, to be reported to the origin.
    pub(crate) url: Option<String>,
    /// Whether it serves TLS, and so reports which certificates it lacks.
    pub(crate) has_tls: bool,
}

/// Tasks whose saved state is served again, and which do not follow the feed yet.
pub(crate) struct RestoredFeedTasks {
    tasks: FeedTasks,
    channels: Channels,
    applied: watch::Sender<AppliedState>,
}

impl FeedTasks {
    /// Serves the state that the last process saved. Reads the disk; makes no request.
    pub(crate) async fn restore(self) -> RestoredFeedTasks {
        let name = self.name.clone();
        let load = move |store: &BlockingStore| {
            let (mut state, releases) = (store.load_state(), store.load_releases());
            state.is_complete &= releases.is_complete;
            let is_new = state.is_complete && state.records.is_empty() && store.used_bytes() == 0;
            let (mut channels, events) = Channels::restore(state);
            channels.set_name(name);
            if is_new {
                channels.set_new();
            }
            channels.releases().restore(releases);
            for resources in manifests::load(store, &channels.missing_manifests()) {
                channels.add_manifest(resources);
            }
            channels.check_held(|release| store.missing(release.blobs().as_slice()).is_empty());
            channels.advance(Duration::ZERO);
            store.pin_manifests(channels.referenced_manifests());
            store.set_erased_blobs(channels.take_erased_blobs().unwrap_or_default());
            store.set_referenced_blobs(Arc::new(channels.wanted().blobs()));
            (channels, events)
        };
        let (channels, events) = self.store.run_blocking(load).await.unwrap_or_default();
        apply::note(&events, &self.metrics);
        let table = channels.build_table(|site| self.metrics.site(site));
        self.table.store(Arc::new(table));
        let applied = watch::Sender::new(channels.applied_state());
        RestoredFeedTasks { tasks: self, channels, applied }
    }
}

impl RestoredFeedTasks {
    /// The releases that exist, now and from now on.
    pub(crate) fn releases(&self) -> Releases {
        self.channels.releases()
    }

    /// The challenges of certificate authorities, now and from now on.
    pub(crate) fn challenges(&self) -> Challenges {
        self.channels.challenges()
    }

    /// The certificates of the fleet, now and from now on.
    pub(crate) fn certificates(&self) -> FleetCertificates {
        self.channels.certificates()
    }

    /// Whether all rows are known that the feed had at some time.
    pub(crate) fn has_rows(&self) -> bool {
        self.channels.checkpoint().is_some()
    }

    /// The contents that were erased, now and from now on.
    pub(crate) fn erased(&self) -> ErasedContents {
        self.channels.erased()
    }

    /// How far the feed is applied, now and from now on.
    pub(crate) fn applied(&self) -> watch::Receiver<AppliedState> {
        self.applied.subscribe()
    }

    /// Starts following the origins, until `tasks` drain.
    pub(crate) fn spawn(self, tasks: &Tasks) {
        let Self {
            tasks:
                FeedTasks {
                    upstream,
                    store,
                    blobs,
                    table,
                    clock,
                    metrics,
                    last_seen,
                    missing_blobs,
                    prefetch_bandwidth,
                    name,
                    url,
                    has_tls,
                },
            channels,
            applied,
        } = self;
        let started = Instant::now();
        let reconnected = Arc::new(Notify::new());
        let (changes, changes_received) = mpsc::channel(16);
        let subscriber = Subscriber {
            origins: upstream.origins().clone(),
            checkpoint: channels.checkpoint(),
            last_seen: last_seen.clone(),
            reconnected: Some(Arc::clone(&reconnected)),
            changes,
        };
        let until_drained = |name, task: futures_util::future::BoxFuture<'static, ()>| {
            drop(tasks.spawn(name, tasks.draining().clone().run_until_cancelled_owned(task)));
        };
        until_drained("feed", Box::pin(subscriber.run()));
        let contact = origin_contact::save(last_seen, store.clone(), clock.clone(), tasks.draining().clone());
        drop(tasks.spawn("origin contact", contact));
        let sender = report::Sender {
            upstream: upstream.clone(),
            name,
            url,
            certificates: has_tls.then(|| channels.certificates()),
            clock,
        };
        let report = report::run(sender, applied.subscribe(), reconnected, tasks.draining().clone());
        drop(tasks.spawn("report", report));
        let wanted = watch::Sender::new(Arc::new(channels.wanted()));
        let (status, status_received) = watch::channel(PrefetchStatus::default());
        let (progress, progress_received) = watch::channel(());
        let fetcher = batch_fetcher::BatchFetcher {
            upstream: upstream.clone(),
            store: store.clone(),
            progress,
            bandwidth: prefetch_bandwidth.map(BandwidthLimit::new),
        };
        let prefetch = prefetch::PrefetchTask { fetcher, wanted: wanted.subscribe(), status, missing_blobs };
        until_drained("prefetch", Box::pin(prefetch.run()));
        let purger = Purger::new(blobs, store.clone(), upstream.clone(), tasks.clone());
        let manifests = manifests::ManifestFetches::new(upstream, store.clone(), tasks.clone());
        let apply = ApplyTask {
            channels,
            manifests,
            purger,
            store,
            table,
            applied,
            wanted,
            prefetch: status_received,
            progress: progress_received,
            started,
            check_after: started,
            progress_after: started,
            metrics,
        };
        until_drained("apply", Box::pin(apply.run(changes_received)));
    }
}
