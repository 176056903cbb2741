//! The task that fetches the blobs that the table references before readers ask for them, so that a later outage of the origin
//! does not matter.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;
use verge_daemon::{Backoff, Clock, error_chain};
use verge_protocol::pack::Frame;
use verge_protocol::{Blob, Digest};

use super::prefetch_batches::prefetch_batches;
use crate::store::{Object, Store};
use crate::table::{ReferencedBlobs, Table};
use crate::upstream::{Upstream, UpstreamError};

/// Batches fetched concurrently.
const CONCURRENT_BATCHES: usize = 3;
/// How often to look for missing blobs while the table does not change: inherited releases expire, evicted blobs may fit again,
/// and a failed disk may work again.
const RECHECK_INTERVAL: Duration = Duration::from_mins(10);

pub(super) struct PrefetchTask {
    pub(super) upstream: Upstream,
    pub(super) store: Store,
    pub(super) table: Arc<ArcSwap<Table>>,
    pub(super) clock: Clock,
}

/// The result of fetching what is missing.
enum RoundResult {
    /// Nothing is missing.
    Complete,
    /// Some blobs did not arrive: worth a retry soon.
    Incomplete,
    /// The disk cannot be written. To continue would download whole sites in vain.
    DiskFailed,
}

/// Why a batch was given up.
#[derive(Debug, thiserror::Error)]
enum BatchError {
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error("failed to write a blob to disk")]
    Disk(#[source] std::io::Error),
}

impl PrefetchTask {
    /// After each swap of the table, tells the store which blobs it references and fetches those that are missing.
    pub(super) async fn run(self, mut table_swapped: watch::Receiver<()>) {
        let mut backoff = Backoff::default();
        loop {
            table_swapped.mark_unchanged();
            let referenced = Arc::new(ReferencedBlobs::of(self.table.load().channels(), self.clock.now()));
            self.store.set_referenced_blobs(Arc::clone(&referenced));
            // A swap meanwhile starts the next round at once; blobs that have arrived are kept.
            let result = tokio::select! {
                result = self.fetch_missing(&referenced) => result,
                changed = table_swapped.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            };
            let wait = match result {
                RoundResult::Complete => {
                    backoff.reset();
                    RECHECK_INTERVAL
                }
                RoundResult::Incomplete => backoff.failed(rand::random()),
                RoundResult::DiskFailed => RECHECK_INTERVAL,
            };
            tokio::select! {
                changed = table_swapped.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    async fn fetch_missing(&self, referenced: &ReferencedBlobs) -> RoundResult {
        let is_on_disk = |digest: &Digest| self.store.contains(Object::Blob(*digest));
        let batches = prefetch_batches(referenced, self.store.room_for_blobs(), is_on_disk);
        if batches.is_empty() {
            return RoundResult::Complete;
        }
        let blobs: usize = batches.iter().map(Vec::len).sum();
        tracing::info!(blobs, "prefetching blobs");
        let results = stream::iter(batches).map(async |batch| self.fetch_batch(&batch).await);
        let mut results = results.buffer_unordered(CONCURRENT_BATCHES);
        let mut missing = 0;
        while let Some(result) = results.next().await {
            match result {
                Ok(missing_in_batch) => missing += missing_in_batch,
                Err(BatchError::Upstream(error)) => {
                    tracing::warn!(error = %error_chain(&error), "prefetching failed: retrying");
                    return RoundResult::Incomplete;
                }
                Err(error @ BatchError::Disk(_)) => {
                    tracing::error!(error = %error_chain(&error), "prefetching stopped: the disk cannot be written");
                    return RoundResult::DiskFailed;
                }
            }
        }
        tracing::info!(missing, "prefetched blobs");
        if missing == 0 { RoundResult::Complete } else { RoundResult::Incomplete }
    }

    /// Fetches one batch and stores each blob as it arrives. Returns how many blobs the origin does not have.
    async fn fetch_batch(&self, batch: &[Digest]) -> Result<usize, BatchError> {
        let mut pack = self.upstream.pack(batch).await?;
        let mut missing = 0;
        while let Some(frame) = pack.next().await? {
            match frame {
                Frame::Blob(blob) => self.put(blob).await.map_err(BatchError::Disk)?,
                Frame::Missing(digest) => {
                    tracing::error!(%digest, "the origin does not have a blob that a release references");
                    missing += 1;
                }
            }
        }
        Ok(missing)
    }

    async fn put(&self, blob: Blob) -> std::io::Result<()> {
        let result = self.store.run_blocking(move |store| store.put_blob(&blob)).await;
        result.unwrap_or_else(|| Err(std::io::Error::other("the disk task was aborted")))
    }
}
