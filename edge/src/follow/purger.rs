//! Carrying out purges: what is served at the purged paths leaves the memory, is hashed again on disk, and is replaced where it is bad.
//!
//! A bad blob stays where it is until another one has arrived. If none arrives, as without an origin, it is quarantined as it is when a
//! reader asks for it: it is never served.

use std::collections::HashSet;

use tokio::sync::mpsc;
use verge_daemon::{Tasks, error_chain};
use verge_protocol::purge::PurgeScope;
use verge_protocol::report::{PurgeProof, ServedPath};
use verge_protocol::{Digest, Generation};

use super::channels::DuePurge;
use crate::cache::BlobCache;
use crate::store::{BlobCheck, Store};
use crate::table::{InheritedRelease, Table};
use crate::upstream::Upstream;

/// How many blobs are hashed before readers of the disk get their turn.
const HASHED_AT_ONCE: usize = 64;

/// Carries out one purge at a time.
pub(super) struct Purger {
    worker: Worker,
    tasks: Tasks,
    is_idle: bool,
    results: mpsc::Sender<DonePurge>,
    results_received: mpsc::Receiver<DonePurge>,
}

/// A purge that was carried out.
pub(super) struct DonePurge {
    pub(super) generation: Generation,
    scope: PurgeScope,
    found: PurgeProof,
}

#[derive(Clone)]
struct Worker {
    blobs: BlobCache,
    store: Store,
    upstream: Upstream,
}

/// What is served at the paths of a purge.
#[derive(Default)]
struct Affected {
    files: u64,
    blobs: HashSet<Digest>,
}

impl Purger {
    pub(super) fn new(blobs: BlobCache, store: Store, upstream: Upstream, tasks: Tasks) -> Self {
        let (results, results_received) = mpsc::channel(1);
        Self { worker: Worker { blobs, store, upstream }, tasks, is_idle: true, results, results_received }
    }

    /// Whether no purge is in progress.
    pub(super) fn is_idle(&self) -> bool {
        self.is_idle
    }

    /// Starts a purge. One that is interrupted by a shutdown has no result; the next process carries it out again.
    pub(super) fn start(&mut self, due: DuePurge) {
        self.is_idle = false;
        let (worker, results) = (self.worker.clone(), self.results.clone());
        let purge = self.tasks.draining().clone().run_until_cancelled_owned(async move {
            if let Some(done) = worker.run(due).await {
                // The receiver is gone at a shutdown.
                let _ = results.send(done).await;
            }
        });
        drop(self.tasks.spawn("purge", purge));
    }

    /// The next purge that is done. Cancel-safe.
    pub(super) async fn next(&mut self) -> DonePurge {
        let done = self.results_received.recv().await.expect("`self` holds a sender");
        self.is_idle = true;
        done
    }
}

impl DonePurge {
    /// What the purge has found, and what `table` serves at its path.
    pub(super) fn proof(self, table: &Table) -> PurgeProof {
        let serves = match &self.scope {
            PurgeScope::Path(path) => {
                let channel = table.label(self.found.site.as_str()).served();
                let (status, digest) = match channel.and_then(|channel| channel.file(path.as_str())) {
                    Some(file) if file.is_erased() => (410, None),
                    Some(file) => (200, Some(file.identity().content().digest())),
                    None => (404, None),
                };
                Some(ServedPath { status, digest })
            }
            PurgeScope::All | PurgeScope::Directory(_) => None,
        };
        PurgeProof { serves, ..self.found }
    }
}

impl Worker {
    /// `None` if the process shuts down meanwhile.
    async fn run(&self, due: DuePurge) -> Option<DonePurge> {
        let DuePurge { site, generation, purge, releases, erased } = due;
        let scope = purge.scope.clone();
        self.blobs.drop_from_memory(erased.iter());
        self.store.run_blocking(move |store| erased.into_iter().for_each(|blob| store.remove_blob(blob))).await?;
        let Affected { files, blobs } = self.store.run_blocking(move |_| Affected::of(&releases, &scope)).await?;
        self.blobs.drop_from_memory(blobs.iter());
        let mut found = PurgeProof { site, seq: purge.seq, files, bytes: 0, bad: 0, replaced: 0, serves: None };
        let blobs: Vec<Digest> = blobs.into_iter().collect();
        for chunk in blobs.chunks(HASHED_AT_ONCE) {
            let chunk = chunk.to_vec();
            let checked = self.store.run_blocking(move |store| {
                chunk.into_iter().filter_map(|digest| Some((digest, store.check_blob(digest)?))).collect::<Vec<_>>()
            });
            for (digest, check) in checked.await? {
                match check {
                    BlobCheck::Sound(bytes) => found.bytes += bytes,
                    BlobCheck::Bad => {
                        found.bad += 1;
                        found.replaced += u64::from(self.replace(digest).await?);
                    }
                }
            }
        }
        let PurgeProof { site, files, bytes, bad, replaced, .. } = &found;
        tracing::info!(%site, scope = %purge.scope, files, bytes, bad, replaced, "purge done");
        Some(DonePurge { generation, scope: purge.scope, found })
    }

    /// Replaces a bad blob by one from an origin, or else quarantines it. Returns whether it was replaced.
    async fn replace(&self, digest: Digest) -> Option<bool> {
        tracing::error!(%digest, "a purge found a corrupt blob on disk: fetching another");
        let blob = match self.upstream.blob(digest).await {
            Ok(blob) => blob,
            Err(error) => {
                tracing::error!(%digest, error = %error_chain(&error), "failed to replace a corrupt blob: quarantined");
                // Reading it quarantines it, unless it is sound after all.
                self.store.run_blocking(move |store| store.blob(digest)).await?;
                return Some(false);
            }
        };
        let replaced = self.store.run_blocking(move |store| store.replace_blob(&blob)).await?;
        if let Err(error) = &replaced {
            tracing::error!(%digest, %error, "failed to write a blob in place of a corrupt one: quarantined");
            self.store.run_blocking(move |store| store.blob(digest)).await?;
        }
        Some(replaced.is_ok())
    }
}

impl Affected {
    fn of(releases: &[InheritedRelease], scope: &PurgeScope) -> Self {
        let mut seen = HashSet::new();
        let mut affected = Self::default();
        let resources = releases.iter().flat_map(|release| release.within(scope));
        for resource in resources.filter(|resource| !resource.is_erased()) {
            // Channels share the resources of a manifest.
            if seen.insert(std::sync::Arc::as_ptr(resource)) {
                affected.files += 1;
                let blobs = resource.contents().flat_map(verge_protocol::Content::slices).map(|slice| slice.digest);
                affected.blobs.extend(blobs);
            }
        }
        affected
    }
}
