//! Getting manifests: from disk, else from an origin, for as long as they are wanted.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::{CancellationToken, DropGuard};
use verge_daemon::{Backoff, Tasks, error_chain};
use verge_protocol::Digest;

use crate::store::{Disk, Store};
use crate::table::Resources;
use crate::upstream::Upstream;

/// Manifests fetched at once: each may be large, and is in memory whole.
const FETCHES_MOST: usize = 4;

/// What became of a manifest.
pub(super) enum Outcome {
    /// It is here.
    Held(Arc<Resources>),
    /// Not this time, and why. It is being tried again.
    Failed(Digest, String),
}

/// The fetches under way.
pub(super) struct Manifests {
    shared: Shared,
    tasks: Tasks,
    /// Dropping a guard ends its fetch.
    fetches: HashMap<Digest, DropGuard>,
    outcomes: mpsc::Receiver<Outcome>,
}

#[derive(Clone)]
struct Shared {
    upstream: Upstream,
    disk: Disk,
    slots: Arc<Semaphore>,
    tell: mpsc::Sender<Outcome>,
}

/// Those of `ids` that the disk holds whole.
pub(super) fn on_disk(store: &Store, ids: &[Digest]) -> Vec<Arc<Resources>> {
    let read = |id: &Digest| Some(Arc::new(Resources::new(*id, store.manifest(*id)?)));
    ids.iter().filter_map(read).collect()
}

impl Manifests {
    pub(super) fn new(upstream: Upstream, disk: Disk, tasks: Tasks) -> Self {
        let (tell, outcomes) = mpsc::channel(16);
        let slots = Arc::new(Semaphore::new(FETCHES_MOST));
        Self { shared: Shared { upstream, disk, slots, tell }, tasks, fetches: HashMap::new(), outcomes }
    }

    /// Fetches exactly `ids` from now on: starts what is not under way, ends what is no longer wanted. The disk keeps those
    /// that are `needed`.
    pub(super) fn want(&mut self, needed: HashSet<Digest>, ids: &[Digest]) {
        self.shared.disk.follow(needed);
        let wanted: HashSet<&Digest> = ids.iter().collect();
        self.fetches.retain(|id, _| wanted.contains(id));
        for id in ids {
            let (tasks, shared) = (&self.tasks, &self.shared);
            self.fetches.entry(*id).or_insert_with(|| {
                let ended = CancellationToken::new();
                let draining = tasks.draining().clone();
                let fetch = shared.clone().fetch(*id);
                let until_unwanted = ended.clone().run_until_cancelled_owned(fetch);
                drop(tasks.spawn("manifest fetch", draining.run_until_cancelled_owned(until_unwanted)));
                ended.drop_guard()
            });
        }
    }

    /// The next outcome. Cancel-safe.
    pub(super) async fn next(&mut self) -> Outcome {
        self.outcomes.recv().await.expect("a sender is kept beside the receiver")
    }
}

impl Shared {
    async fn fetch(self, id: Digest) {
        let mut backoff = Backoff::default();
        loop {
            let outcome = {
                let _slot = self.slots.acquire().await.expect("the semaphore is never closed");
                self.attempt(id).await
            };
            let failed = match &outcome {
                Outcome::Held(_) => false,
                Outcome::Failed(id, reason) => {
                    tracing::warn!(manifest = %id, reason, "a manifest cannot be had: trying again");
                    true
                }
            };
            if self.tell.send(outcome).await.is_err() || !failed {
                return;
            }
            backoff.wait().await;
        }
    }

    async fn attempt(&self, id: Digest) -> Outcome {
        let held = self.disk.run(move |store| on_disk(store, &[id])).await;
        if let Some(resources) = held.into_iter().flatten().next() {
            return Outcome::Held(resources);
        }
        let (bytes, manifest) = match self.upstream.manifest(id).await {
            Ok(fetched) => fetched,
            Err(error) => return Outcome::Failed(id, error_chain(&error)),
        };
        let kept = self.disk.run(move |store| {
            if let Err(error) = store.keep_manifest(id, &bytes) {
                tracing::error!(manifest = %id, %error, "a manifest could not be kept on disk: serving it from memory");
            }
            Arc::new(Resources::new(id, manifest))
        });
        match kept.await {
            Some(resources) => Outcome::Held(resources),
            None => Outcome::Failed(id, "it could not be made ready".to_owned()),
        }
    }
}
