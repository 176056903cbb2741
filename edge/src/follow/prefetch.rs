//! The task that fetches the blobs that the table references before readers ask for them, so that a later outage of the origin
//! does not matter.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;
use verge_daemon::{Backoff, Clock, error_chain};
use verge_protocol::pack::Frame;
use verge_protocol::{BLOB_MAX, Digest, Timestamp};

use super::prefetch_batches::{LeftOut, PrefetchPlan, prefetch_plan};
use crate::status::MissingBlobs;
use crate::store::{BlockingStore, Object, Put, Store};
use crate::table::{Priority, ReferencedBlobs, Table};
use crate::upstream::{Upstream, UpstreamError};

/// Batches fetched concurrently.
const CONCURRENT_BATCHES: usize = 3;
/// How often to look whether the disk has room or can be written again, and whether blobs were lost. Reads no disk, but for a disk
/// that failed.
const POLL_INTERVAL: Duration = Duration::from_secs(2);
/// How often to plan again while nothing else happens: inherited releases expire.
const RECHECK_INTERVAL: Duration = Duration::from_mins(10);

pub(super) struct PrefetchTask {
    pub(super) upstream: Upstream,
    pub(super) store: Store,
    pub(super) table: Arc<ArcSwap<Table>>,
    pub(super) clock: Clock,
    /// How many blobs of live releases are not on disk.
    pub(super) missing_blobs: MissingBlobs,
}

/// The result of fetching what is missing.
#[derive(Debug, Clone, Copy)]
enum RoundResult {
    /// Nothing is missing.
    Complete,
    /// All that fits is on disk.
    NoRoom(LeftOut),
    /// Some blobs did not arrive, or no longer fit: worth another round soon.
    Incomplete,
    /// A file of so many bytes cannot be written. To continue would download whole sites in vain.
    DiskFailed(u64),
}

/// Why a batch was given up.
#[derive(Debug, thiserror::Error)]
enum BatchError {
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error("failed to write {size} bytes to disk")]
    Disk { size: u64, source: io::Error },
    #[error("a blob that was planned no longer fits on disk")]
    NoRoom,
}

impl PrefetchTask {
    /// After each swap of the table, tells the store which blobs it references and fetches those that are missing.
    pub(super) async fn run(self, mut table_swapped: watch::Receiver<()>) {
        let mut backoff = Backoff::default();
        let mut last = RoundResult::Complete;
        let mut is_short_of_room = false;
        loop {
            table_swapped.mark_unchanged();
            let (table, now) = (self.table.load_full(), self.clock.now());
            let referenced = Arc::new(ReferencedBlobs::of(table.channels(), now));
            self.store.set_referenced_blobs(Arc::clone(&referenced));
            let lost_before = self.store.lost_blobs();
            self.count_missing(&referenced);
            // A swap meanwhile starts the next round at once; blobs that have arrived are kept.
            last = tokio::select! {
                result = self.fetch_missing(&table, now, &referenced, last) => result,
                changed = table_swapped.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            };
            self.count_missing(&referenced);
            match last {
                RoundResult::Complete if is_short_of_room => {
                    tracing::info!("all blobs of the served releases fit on disk again");
                    is_short_of_room = false;
                }
                RoundResult::NoRoom(LeftOut { blobs, .. }) if !is_short_of_room => {
                    tracing::warn!(
                        blobs,
                        "no room on disk for all blobs of the served releases: fetching them when asked"
                    );
                    is_short_of_room = true;
                }
                _ => {}
            }
            let retry = async {
                match last {
                    RoundResult::Incomplete => backoff.wait().await,
                    RoundResult::DiskFailed(_) => tokio::time::sleep(POLL_INTERVAL).await,
                    RoundResult::Complete => {
                        backoff.reset();
                        self.poll(move |store| store.lost_blobs() != lost_before).await;
                    }
                    RoundResult::NoRoom(left_out) => {
                        backoff.reset();
                        self.poll(move |store| store.room_for_blobs() >= left_out.sufficient_room).await;
                    }
                }
            };
            tokio::select! {
                changed = table_swapped.changed() => if changed.is_err() { return },
                () = retry => {}
            }
        }
    }

    fn count_missing(&self, referenced: &ReferencedBlobs) {
        let live = referenced.iter().filter(|(_, blob)| blob.priority == Priority::Live);
        let missing = live.filter(|(digest, _)| !self.store.contains(Object::Blob(*digest)));
        self.missing_blobs.set(missing.count() as u64);
    }

    /// Waits until `condition` holds, checked every [`POLL_INTERVAL`], for [`RECHECK_INTERVAL`] at most.
    async fn poll(&self, condition: impl Fn(&BlockingStore) -> bool + Clone + Send + 'static) {
        let holds = async {
            loop {
                tokio::time::sleep(POLL_INTERVAL).await;
                if self.store.run_blocking(condition.clone()).await != Some(false) {
                    return;
                }
            }
        };
        let _ = tokio::time::timeout(RECHECK_INTERVAL, holds).await;
    }

    /// Fetches missing manifests and blobs of `table`, as long as the disk can be written. `last` is the result of the last round.
    async fn fetch_missing(
        &self,
        table: &Table,
        now: Timestamp,
        referenced: &ReferencedBlobs,
        last: RoundResult,
    ) -> RoundResult {
        let prepare = move |store: &BlockingStore| {
            let failed_size = match last {
                RoundResult::DiskFailed(size) => Some(size),
                _ => store.write_failure().map(|_| BLOB_MAX as u64),
            };
            store.enforce_budget();
            failed_size.filter(|size| !store.can_write(*size))
        };
        match self.store.run_blocking(prepare).await {
            Some(None) => {}
            Some(Some(size)) => return RoundResult::DiskFailed(size),
            None => return RoundResult::Incomplete,
        }
        let manifests = self.fetch_missing_manifests(table, now).await.map_err(|error| stop(&error));
        if let Err(failed @ RoundResult::DiskFailed(_)) = manifests {
            return failed;
        }
        let Some(room) = self.store.run_blocking(BlockingStore::room_for_blobs).await else {
            return RoundResult::Incomplete;
        };
        let is_on_disk = |digest: &Digest| self.store.contains(Object::Blob(*digest));
        let PrefetchPlan { batches, left_out } = prefetch_plan(referenced, room, is_on_disk);
        let complete =
            manifests.map_or_else(|failed| failed, |()| left_out.map_or(RoundResult::Complete, RoundResult::NoRoom));
        if batches.is_empty() {
            return complete;
        }
        let blobs: usize = batches.iter().map(Vec::len).sum();
        tracing::info!(blobs, "prefetching blobs");
        let results = stream::iter(batches).map(async |batch| self.fetch_batch(&batch).await);
        let mut results = results.buffer_unordered(CONCURRENT_BATCHES);
        let mut missing = 0;
        while let Some(result) = results.next().await {
            match result {
                Ok(missing_in_batch) => missing += missing_in_batch,
                Err(error) => return stop(&error),
            }
        }
        tracing::info!(missing, "prefetched blobs");
        if missing == 0 { complete } else { RoundResult::Incomplete }
    }

    /// Fetches the served manifests that could not be written when they arrived: without them an edge could not restart.
    async fn fetch_missing_manifests(&self, table: &Table, now: Timestamp) -> Result<(), BatchError> {
        let served = table.channels().flat_map(|channel| channel.inherited(now).chain([channel.own()]));
        let served: Vec<Digest> = served.map(|resources| resources.manifest()).collect();
        for id in served {
            if !self.store.contains(Object::Manifest(id)) {
                let (bytes, _) = self.upstream.manifest(id).await?;
                // `Put::NoRoom`: no longer pinned, so no longer needed.
                let _ = self.write(bytes.len(), move |store| store.put_manifest(id, &bytes)).await?;
            }
        }
        Ok(())
    }

    /// Fetches one batch and stores each blob as it arrives. Returns how many blobs the origin does not have.
    async fn fetch_batch(&self, batch: &[Digest]) -> Result<usize, BatchError> {
        let mut pack = self.upstream.pack(batch).await?;
        let mut missing = 0;
        while let Some(frame) = pack.next().await? {
            match frame {
                Frame::Blob(blob) => {
                    let size = blob.bytes().len();
                    match self.write(size, move |store| store.put_prefetched_blob(&blob)).await? {
                        Put::Stored => {}
                        Put::NoRoom => return Err(BatchError::NoRoom),
                    }
                }
                Frame::Missing(digest) => {
                    tracing::error!(%digest, "the origin does not have a blob that a release references");
                    missing += 1;
                }
            }
        }
        Ok(missing)
    }

    async fn write<F>(&self, size: usize, put: F) -> Result<Put, BatchError>
    where
        F: FnOnce(&BlockingStore) -> io::Result<Put> + Send + 'static,
    {
        let result = self.store.run_blocking(put).await;
        let result = result.unwrap_or_else(|| Err(io::Error::other("the disk task was aborted")));
        result.map_err(|source| BatchError::Disk { size: size as u64, source })
    }
}

/// Logs why a round ends early, unless the store does, and returns its result.
fn stop(error: &BatchError) -> RoundResult {
    match error {
        BatchError::Upstream(error) => {
            tracing::warn!(error = %error_chain(error), "prefetching failed: retrying");
            RoundResult::Incomplete
        }
        BatchError::NoRoom => {
            tracing::debug!(%error, "prefetching stopped");
            RoundResult::Incomplete
        }
        BatchError::Disk { size, .. } => {
            tracing::debug!(error = %error_chain(error), "prefetching stopped");
            RoundResult::DiskFailed(*size)
        }
    }
}
