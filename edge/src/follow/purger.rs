//! Carrying out purges: what is served at the purged paths leaves the memory, is hashed again on disk, and is replaced where it is bad.
//!
//! A bad blob stays where it is until another one has arrived. If none arrives, as without an origin, it is quarantined as it is when a
//! reader asks for it: it is never served.

use std::collections::HashSet;

use tokio::task::JoinHandle;
use verge_daemon::{Tasks, error_chain};
use verge_protocol::purge::PurgeScope;
use verge_protocol::report::{PurgeProof, ServedPath};
use verge_protocol::{Digest, Generation};

use super::channels::DuePurge;
use crate::cache::BlobCache;
use crate::store::{BlobCheck, BlockingStore, Store};
use crate::table::{InheritedRelease, Table};
use crate::upstream::Upstream;

/// How many blobs are hashed before readers of the disk get their turn.
const HASHED_AT_ONCE: usize = 64;

/// Carries out one purge at a time.
pub(super) struct Purger {
    worker: Worker,
    running: PurgeTask,
}

/// The task of the purge that is in progress, if one is.
struct PurgeTask {
    tasks: Tasks,
    running: Option<JoinHandle<Option<Result<PurgeResult, Interrupted>>>>,
}

/// The process shuts down.
struct Interrupted;

/// The outcome of a purge. The error says why it failed.
type PurgeResult = Result<DonePurge, String>;

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
        Self { worker: Worker { blobs, store, upstream }, running: PurgeTask { tasks, running: None } }
    }

    /// Starts a purge; none is in progress.
    pub(super) fn start(&mut self, due: DuePurge) {
        let worker = self.worker.clone();
        self.running.start(async move { worker.run(due).await });
    }

    /// The result of the purge in progress; for ever pending if there is none. Cancel-safe.
    pub(super) async fn next(&mut self) -> PurgeResult {
        self.running.result().await
    }
}

impl PurgeTask {
    /// Starts a purge. One that is interrupted by a shutdown has no result; the next process carries it out again.
    fn start(&mut self, purge: impl Future<Output = PurgeResult> + Send + 'static) {
        let purge = self.tasks.draining().clone().run_until_cancelled_owned(purge);
        self.running = Some(self.tasks.spawn("purge", async { purge.await.ok_or(Interrupted) }));
    }

    /// See [`Purger::next`]. A purge that panics has failed.
    async fn result(&mut self) -> PurgeResult {
        let Some(task) = &mut self.running else { return std::future::pending().await };
        let result = task.await;
        self.running = None;
        match result {
            Ok(Some(Ok(result))) => result,
            Ok(Some(Err(Interrupted)) | None) => std::future::pending().await,
            Err(error) => {
                tracing::error!(%error, "a purge panicked");
                Err("the purge panicked".to_owned())
            }
        }
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
    async fn run(&self, due: DuePurge) -> PurgeResult {
        let DuePurge { site, generation, purge, releases, erased } = due;
        let scope = purge.scope.clone();
        self.blobs.drop_from_memory(erased.iter());
        run_blocking(&self.store, move |store| remove_blobs(store, &erased)).await??;
        let Affected { files, blobs } = run_blocking(&self.store, move |_| Affected::of(&releases, &scope)).await?;
        self.blobs.drop_from_memory(blobs.iter());
        let mut found = PurgeProof { site, seq: purge.seq, files, bytes: 0, bad: 0, replaced: 0, serves: None };
        let blobs: Vec<Digest> = blobs.into_iter().collect();
        for chunk in blobs.chunks(HASHED_AT_ONCE) {
            let chunk = chunk.to_vec();
            let checked = run_blocking(&self.store, move |store| {
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
        Ok(DonePurge { generation, scope: purge.scope, found })
    }

    /// Replaces a bad blob by one from an origin, or else quarantines it. Returns whether it was replaced.
    async fn replace(&self, digest: Digest) -> Result<bool, String> {
        tracing::error!(%digest, "a purge found a corrupt blob on disk: fetching another");
        let blob = match self.upstream.blob(digest).await {
            Ok((blob, pack)) => {
                pack.end().await;
                blob
            }
            Err(error) => {
                tracing::error!(%digest, error = %error_chain(&error), "failed to replace a corrupt blob: quarantined");
                // Reading it quarantines it, unless it is sound after all.
                run_blocking(&self.store, move |store| store.blob(digest)).await?;
                return Ok(false);
            }
        };
        let replaced = run_blocking(&self.store, move |store| store.replace_blob(&blob)).await?;
        if let Err(error) = &replaced {
            tracing::error!(%digest, %error, "failed to write a blob in place of a corrupt one: quarantined");
            run_blocking(&self.store, move |store| store.blob(digest)).await?;
        }
        Ok(replaced.is_ok())
    }
}

/// An error if the work panicked, or the process shuts down.
async fn run_blocking<T: Send + 'static>(
    store: &Store,
    work: impl FnOnce(&BlockingStore) -> T + Send + 'static,
) -> Result<T, String> {
    store.run_blocking(work).await.ok_or_else(|| "a disk task did not end".to_owned())
}

/// Deletes all that it can of the blobs. The error names the first that it cannot.
fn remove_blobs(store: &BlockingStore, blobs: &[Digest]) -> Result<(), String> {
    let remove = |blob: &Digest| {
        store.remove_blob(*blob).map_err(|error| format!("failed to delete the erased blob {blob}: {error}"))
    };
    blobs.iter().map(remove).fold(Ok(()), Result::and)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn purge_that_panics_has_failed_and_the_next_one_can_start() {
        let directory = tempfile::tempdir().unwrap();
        let tasks = Tasks::default();
        let store = Store::new(BlockingStore::open_for_test(directory.path(), 1000), tasks.clone());
        let mut running = PurgeTask { tasks, running: None };
        running.start(async { panic!("a bug") });
        assert_eq!(running.result().await.err().as_deref(), Some("the purge panicked"));
        running.start(async move { run_blocking(&store, |_| panic!("a bug")).await });
        assert_eq!(running.result().await.err().as_deref(), Some("a disk task did not end"));
    }
}
