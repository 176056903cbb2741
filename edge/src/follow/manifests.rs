//! Getting manifests, from disk or else from an origin, until they have arrived or are no longer wanted.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};
use verge_daemon::{Backoff, Tasks, error_chain};
use verge_protocol::Digest;

use crate::store::{BlockingStore, Store};
use crate::table::Resources;
use crate::upstream::{Upstream, UpstreamError};

/// Concurrent fetches: a manifest may be large, and is held in memory as a whole.
const MAX_CONCURRENT: usize = 4;

/// Concurrent fetches of manifests that rollouts wait for, besides the others, so that they do not wait for these.
const MAX_CONCURRENT_URGENT: usize = 2;

/// The result of one attempt to get a manifest.
pub(super) enum FetchResult {
    /// The manifest.
    Fetched(Arc<Resources>),
    /// Why the attempt failed. Another one follows.
    Failed(Digest, ManifestFailure),
}

/// Why an attempt to get a manifest failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ManifestFailure {
    /// On one line.
    pub(super) reason: String,
    /// Whether the origin does not have it, so that no edge can get it; `None` if the origin did not say.
    pub(super) is_absent_at_origin: Option<bool>,
}

impl ManifestFailure {
    /// A failure of which nothing is known but the reason.
    pub(super) fn of(reason: &str) -> Self {
        Self { reason: reason.to_owned(), is_absent_at_origin: None }
    }
}

impl From<UpstreamError> for ManifestFailure {
    fn from(error: UpstreamError) -> Self {
        let is_absent_at_origin = (!error.is_unreachable()).then(|| error.is_lacking());
        Self { reason: error_chain(&error), is_absent_at_origin }
    }
}

/// The manifests that are being fetched.
pub(super) struct ManifestFetches {
    fetcher: Fetcher,
    tasks: Tasks,
    in_flight: HashMap<Digest, InFlight>,
    results: mpsc::Receiver<FetchResult>,
}

struct InFlight {
    is_urgent: bool,
    /// Dropping it cancels the fetch.
    _cancel: DropGuard,
}

#[derive(Clone)]
struct Fetcher {
    upstream: Upstream,
    store: Store,
    urgent_permits: Arc<Semaphore>,
    other_permits: Arc<Semaphore>,
    results: mpsc::Sender<FetchResult>,
}

/// Those of the manifests `ids` that are on disk and not corrupt.
pub(super) fn load(store: &BlockingStore, ids: &[Digest]) -> Vec<Arc<Resources>> {
    let read = |id: &Digest| Some(Arc::new(Resources::new(*id, store.manifest(*id)?)));
    ids.iter().filter_map(read).collect()
}

impl ManifestFetches {
    pub(super) fn new(upstream: Upstream, store: Store, tasks: Tasks) -> Self {
        let (sender, results) = mpsc::channel(16);
        let urgent_permits = Arc::new(Semaphore::new(MAX_CONCURRENT_URGENT));
        let other_permits = Arc::new(Semaphore::new(MAX_CONCURRENT));
        let fetcher = Fetcher { upstream, store, urgent_permits, other_permits, results: sender };
        Self { fetcher, tasks, in_flight: HashMap::new(), results }
    }

    /// Fetches exactly the manifests `missing` from now on, in this order, and cancels all other fetches. Those that are `urgent` do not
    /// wait for the others. `referenced` manifests are pinned on disk.
    pub(super) fn set_wanted(
        &mut self,
        referenced: HashSet<Digest>,
        missing: &[Digest],
        urgent: impl Iterator<Item = Digest>,
    ) {
        self.fetcher.store.pin_manifests(referenced);
        let (wanted, urgent): (HashSet<&Digest>, HashSet<Digest>) = (missing.iter().collect(), urgent.collect());
        let is_in_time = |id: &Digest, fetch: &InFlight| fetch.is_urgent || !urgent.contains(id);
        self.in_flight.retain(|id, fetch| wanted.contains(id) && is_in_time(id, fetch));
        for id in missing {
            let (tasks, fetcher, is_urgent) = (&self.tasks, &self.fetcher, urgent.contains(id));
            self.in_flight.entry(*id).or_insert_with(|| {
                let cancelled = CancellationToken::new();
                let draining = tasks.draining().clone();
                let fetch = fetcher.clone().fetch(*id, is_urgent);
                let until_cancelled = cancelled.clone().run_until_cancelled_owned(fetch);
                drop(tasks.spawn("manifest fetch", draining.run_until_cancelled_owned(until_cancelled)));
                InFlight { is_urgent, _cancel: cancelled.drop_guard() }
            });
        }
    }

    /// The next result. Cancel-safe.
    pub(super) async fn next(&mut self) -> FetchResult {
        self.results.recv().await.expect("`fetcher` holds a sender")
    }
}

impl Fetcher {
    async fn fetch(self, id: Digest, is_urgent: bool) {
        let permits = if is_urgent { &self.urgent_permits } else { &self.other_permits };
        let mut backoff = Backoff::default();
        loop {
            let result = {
                let _permit = permits.acquire().await.expect("the semaphore is never closed");
                self.attempt(id).await
            };
            let has_failed = match &result {
                FetchResult::Fetched(_) => false,
                FetchResult::Failed(id, ManifestFailure { reason, .. }) => {
                    tracing::warn!(manifest = %id, reason, "failed to fetch a manifest: retrying");
                    true
                }
            };
            if self.results.send(result).await.is_err() || !has_failed {
                return;
            }
            backoff.wait().await;
        }
    }

    async fn attempt(&self, id: Digest) -> FetchResult {
        let loaded = self.store.run_blocking(move |store| load(store, &[id])).await;
        if let Some(resources) = loaded.into_iter().flatten().next() {
            return FetchResult::Fetched(resources);
        }
        let (bytes, manifest) = match self.upstream.manifest(id).await {
            Ok(fetched) => fetched,
            Err(error) => return FetchResult::Failed(id, error.into()),
        };
        let stored = self.store.run_blocking(move |store| {
            // Prefetching writes it again if it is served.
            if let Err(error) = store.put_manifest(id, &bytes) {
                tracing::error!(manifest = %id, %error, "failed to write a manifest to disk: serving it from memory");
            }
            Arc::new(Resources::new(id, manifest))
        });
        match stored.await {
            Some(resources) => FetchResult::Fetched(resources),
            None => FetchResult::Failed(id, ManifestFailure::of("failed to load the manifest")),
        }
    }
}
