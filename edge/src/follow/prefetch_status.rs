//! What the prefetch task has found out about the blobs that it cannot fetch or store.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use verge_protocol::Digest;

use super::wanted::Wanted;

/// What keeps blobs from being on disk.
#[derive(Debug, Clone, Default)]
pub(super) struct PrefetchStatus {
    /// What the last plan was made for.
    pub(super) planned: Arc<Wanted>,
    /// Blobs of awaited releases for which the plan found no room.
    pub(super) left_out: Arc<HashSet<Digest>>,
    /// Blobs that the origin was asked for and does not have.
    pub(super) absent: Arc<BTreeSet<Digest>>,
    /// Why fetching fails at present.
    pub(super) failure: Option<String>,
}

impl PrefetchStatus {
    /// Whether the last plan was for this release too, and found no room for the blob.
    pub(super) fn is_left_out(&self, manifest: Digest, blob: &Digest) -> bool {
        self.left_out.contains(blob) && self.planned.contains(manifest)
    }

    /// Why some of the blobs do not arrive.
    pub(super) fn problem<'a>(&self, mut blobs: impl Iterator<Item = &'a Digest>) -> Option<String> {
        let absent = if self.absent.is_empty() { None } else { blobs.find(|blob| self.absent.contains(*blob)) };
        absent.map(|blob| format!("the origin does not have blob {blob}")).or_else(|| self.failure.clone())
    }
}
