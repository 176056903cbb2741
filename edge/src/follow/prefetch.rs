//! The task that fetches what the table needs before a reader asks, so that a later outage of the origin does not matter.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;
use verge_daemon::{Backoff, Clock, error_chain};
use verge_protocol::pack::Frame;
use verge_protocol::{Blob, Digest};

use super::prefetch_batches::plan;
use crate::store::{Disk, Object};
use crate::table::{Needs, Table};
use crate::upstream::{Upstream, UpstreamError};

/// Batches fetched at once.
const BATCHES_AT_ONCE: usize = 3;
/// How often to look again although nothing was told: what is inherited expires, evicted blobs may fit again, and a disk may
/// be written again.
const LOOK_AGAIN: Duration = Duration::from_mins(10);

pub(super) struct Prefetcher {
    pub(super) upstream: Upstream,
    pub(super) disk: Disk,
    pub(super) table: Arc<ArcSwap<Table>>,
    pub(super) clock: Clock,
}

/// How a round ended.
enum Round {
    /// All came.
    Whole,
    /// Something did not come: worth trying again soon.
    Cut,
    /// The disk takes nothing. To fetch on would be to download whole sites for nobody.
    NoDisk,
}

/// Why a batch ended early.
#[derive(Debug, thiserror::Error)]
enum BatchError {
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error("a blob could not be kept on disk")]
    Disk(#[source] std::io::Error),
}

impl Prefetcher {
    /// Fetches after each swap of the table what it made needed, and tells the store what is needed from then on.
    pub(super) async fn run(self, mut swapped: watch::Receiver<()>) {
        let mut backoff = Backoff::default();
        loop {
            swapped.mark_unchanged();
            let needs = Arc::new(Needs::of(&self.table.load(), self.clock.now()));
            self.disk.need(Arc::clone(&needs));
            // A swap in the middle starts over with what is needed then; what has come by then is kept.
            let round = tokio::select! {
                round = self.fetch(&needs) => round,
                changed = swapped.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            };
            let wait = match round {
                Round::Whole => {
                    backoff.reset();
                    LOOK_AGAIN
                }
                Round::Cut => backoff.failed(rand::random()),
                Round::NoDisk => LOOK_AGAIN,
            };
            tokio::select! {
                changed = swapped.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Fetches what is missing.
    async fn fetch(&self, needs: &Needs) -> Round {
        let batches = plan(needs, self.disk.room_for_blobs(), |digest| self.disk.holds(Object::Blob(*digest)));
        if batches.is_empty() {
            return Round::Whole;
        }
        let blobs: usize = batches.iter().map(Vec::len).sum();
        tracing::info!(blobs, "fetching ahead");
        let outcomes = stream::iter(batches).map(async |batch| self.fetch_batch(&batch).await);
        let mut outcomes = outcomes.buffer_unordered(BATCHES_AT_ONCE);
        let mut missing = 0;
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Ok(these) => missing += these,
                Err(BatchError::Upstream(error)) => {
                    tracing::warn!(error = %error_chain(&error), "fetching ahead was cut short: trying again");
                    return Round::Cut;
                }
                Err(error @ BatchError::Disk(_)) => {
                    tracing::error!(error = %error_chain(&error), "fetching ahead has nowhere to put what comes: it stops");
                    return Round::NoDisk;
                }
            }
        }
        tracing::info!(missing, "fetched ahead");
        if missing == 0 { Round::Whole } else { Round::Cut }
    }

    /// Fetches one batch and keeps each blob as it comes; how many the origin does not hold.
    async fn fetch_batch(&self, batch: &[Digest]) -> Result<usize, BatchError> {
        let mut pack = self.upstream.pack(batch).await?;
        let mut missing = 0;
        while let Some(frame) = pack.next().await? {
            match frame {
                Frame::Blob(blob) => self.keep(blob).await.map_err(BatchError::Disk)?,
                Frame::Missing(digest) => {
                    tracing::error!(%digest, "the origin does not hold a blob that a release needs");
                    missing += 1;
                }
            }
        }
        Ok(missing)
    }

    async fn keep(&self, blob: Blob) -> std::io::Result<()> {
        let kept = self.disk.run(move |store| store.keep_blob(&blob)).await;
        kept.unwrap_or_else(|| Err(std::io::Error::other("the work was not done")))
    }
}
