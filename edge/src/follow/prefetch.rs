//! The task that fetches what the table needs before a reader asks, so that a later outage of the origin does not matter.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::{StreamExt as _, stream};
use tokio::sync::watch;
use verge_daemon::Clock;
use verge_protocol::Digest;
use verge_protocol::pack::Frame;

use super::backoff::Backoff;
use super::plan::plan;
use crate::store::{Disk, Object};
use crate::table::{Needs, Table};
use crate::upstream::{Upstream, UpstreamError, chain};

/// Batches fetched at once.
const BATCHES_AT_ONCE: usize = 3;
/// How often to look again although nothing was told: what is inherited expires, and evicted blobs may fit again.
const LOOK_AGAIN: Duration = Duration::from_mins(10);

pub(super) struct Prefetcher {
    pub(super) upstream: Upstream,
    pub(super) disk: Disk,
    pub(super) table: Arc<ArcSwap<Table>>,
    pub(super) clock: Clock,
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
            let whole = tokio::select! {
                whole = self.fetch(&needs) => whole,
                changed = swapped.changed() => match changed {
                    Ok(()) => continue,
                    Err(_) => return,
                },
            };
            let wait = if whole {
                backoff.reset();
                LOOK_AGAIN
            } else {
                backoff.failed(rand::random())
            };
            tokio::select! {
                changed = swapped.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Fetches what is missing; whether all of it came.
    async fn fetch(&self, needs: &Needs) -> bool {
        let batches = plan(needs, self.disk.budget(), |digest| self.disk.holds(Object::Blob(*digest)));
        if batches.is_empty() {
            return true;
        }
        let blobs: usize = batches.iter().map(Vec::len).sum();
        tracing::info!(blobs, "fetching ahead");
        let outcomes = stream::iter(batches).map(async |batch| self.fetch_batch(&batch).await);
        let mut outcomes = outcomes.buffer_unordered(BATCHES_AT_ONCE);
        let mut whole = true;
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Ok(missing) => whole &= missing == 0,
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "fetching ahead was cut short: trying again");
                    return false;
                }
            }
        }
        tracing::info!(whole, "fetched ahead");
        whole
    }

    /// Fetches one batch and keeps each blob as it comes; how many did not come.
    async fn fetch_batch(&self, batch: &[Digest]) -> Result<usize, UpstreamError> {
        let mut pack = self.upstream.pack(batch).await?;
        let mut missing = 0;
        while let Some(frame) = pack.next().await? {
            match frame {
                Frame::Blob(blob) => {
                    if let Some(Err(error)) = self.disk.run(move |store| store.keep_blob(&blob)).await {
                        tracing::error!(%error, "a blob could not be kept on disk");
                        missing += 1;
                    }
                }
                Frame::Missing(digest) => {
                    tracing::error!(%digest, "the origin does not hold a blob that a release needs");
                    missing += 1;
                }
            }
        }
        Ok(missing)
    }
}
