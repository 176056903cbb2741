//! Removing erased blobs from the object store.
//!
//! An erasure records which blobs nothing needs any more; they are removed after it, and their records after that. What an origin that
//! was killed, or a disk that failed, has left is removed later.

use std::collections::HashSet;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use verge_daemon::error_chain;
use verge_protocol::Digest;

use crate::store::{Blobs, Database, ErasedBlob, StoreError};
use crate::uploads::ActivePacks;

/// How many blobs are removed before others may go on.
const BATCH: usize = 1000;

/// Removes erased blobs. Clones share everything.
#[derive(Clone)]
pub(crate) struct Removal {
    pub(crate) database: Database,
    pub(crate) blobs: Blobs,
    pub(crate) active_packs: ActivePacks,
}

/// Erased blobs are still in the object store.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the store of the origin still has {} of the erased blobs: {}", failed + expected, self.reason())]
pub(crate) struct NotRemoved {
    /// Because the store failed.
    failed: usize,
    /// Because a push in progress may send them again.
    expected: usize,
}

impl NotRemoved {
    fn reason(&self) -> &'static str {
        if self.failed > 0 { "removing failed" } else { "a push in progress may send them again" }
    }
}

impl Removal {
    /// Removes the erased blobs that earlier attempts have left, now and each `interval`, until `draining` is cancelled.
    pub(crate) async fn remove_periodically(self, interval: Duration, draining: CancellationToken) {
        loop {
            match self.database.erased_blobs().await {
                Ok(blobs) => drop(self.remove(&blobs).await),
                Err(error) => tracing::error!(error = error_chain(&error), "failed to list erased blobs"),
            }
            tokio::select! {
                () = tokio::time::sleep(interval) => {}
                () = draining.cancelled() => return,
            }
        }
    }

    /// Removes erased blobs, but for those that are needed again.
    pub(super) async fn remove(&self, blobs: &[ErasedBlob]) -> Result<(), NotRemoved> {
        let mut remaining = NotRemoved::default();
        for batch in blobs.chunks(BATCH) {
            match self.remove_batch(batch).await {
                Ok(NotRemoved { failed, expected }) => {
                    remaining.failed += failed;
                    remaining.expected += expected;
                }
                Err(error) => {
                    tracing::error!(error = error_chain(&error), blobs = batch.len(), "failed to remove erased blobs");
                    remaining.failed += batch.len();
                }
            }
        }
        if remaining == NotRemoved::default() { Ok(()) } else { Err(remaining) }
    }

    /// Those that remain.
    async fn remove_batch(&self, blobs: &[ErasedBlob]) -> Result<NotRemoved, StoreError> {
        let _lock = self.blobs.lock_removals().await;
        let digests: HashSet<Digest> = blobs.iter().map(|blob| blob.digest).collect();
        // In this order: when a pack has ended, its site holds its blobs.
        let expected = self.active_packs.expected_of(&digests);
        let needed = self.database.needed_blobs(&digests).await?;
        let (mut needed, others): (Vec<_>, Vec<_>) =
            blobs.iter().cloned().partition(|blob| needed.contains(&blob.digest));
        // The pack may be one of the site that gave up the blob, and must not give it back.
        needed.retain(|blob| !expected.contains(&blob.digest));
        let (mut removed, mut remaining) = (Vec::new(), NotRemoved::default());
        for blob in others {
            let digest = blob.digest;
            if expected.contains(&digest) {
                remaining.expected += 1;
            } else if let Err(error) = self.blobs.delete(digest).await {
                tracing::error!(%digest, error = error_chain(&error), "failed to remove an erased blob");
                remaining.failed += 1;
            } else {
                removed.push(blob);
            }
        }
        if !removed.is_empty() {
            self.blobs.sync().await?;
        }
        if !removed.is_empty() || !needed.is_empty() {
            self.database.forget_erased_blobs(&removed, &needed).await?;
        }
        Ok(remaining)
    }
}
