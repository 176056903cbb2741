//! Keeping blobs and manifests within a number of bytes, and making room on a full disk.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use prometheus_client::metrics::counter::Counter;
use verge_protocol::Digest;

use super::eviction::victims;
use super::index::SharedIndex;
use super::layout::Layout;
use crate::table::ReferencedBlobs;

/// How many bytes may be used, and what decides which files are evicted.
pub(super) struct DiskBudget {
    bytes: u64,
    referenced: ArcSwap<ReferencedBlobs>,
    /// Never evicted, whatever the budget.
    pinned: ArcSwap<HashSet<Digest>>,
    /// Serializes evictions: two at once would evict twice as much as necessary.
    evicting: Mutex<()>,
    evicted: Counter,
}

impl DiskBudget {
    pub(super) fn new(bytes: u64, evicted: Counter) -> Self {
        Self { bytes, referenced: ArcSwap::default(), pinned: ArcSwap::default(), evicting: Mutex::default(), evicted }
    }

    pub(super) fn set_referenced_blobs(&self, blobs: Arc<ReferencedBlobs>) {
        self.referenced.store(blobs);
    }

    pub(super) fn pin_manifests(&self, manifests: HashSet<Digest>) {
        self.pinned.store(Arc::new(manifests));
    }

    /// Files evicted so far.
    #[cfg(test)]
    pub(super) fn evicted(&self) -> u64 {
        self.evicted.get()
    }

    /// How many bytes of blobs may be prefetched: what an eviction would leave beside the pinned manifests. With more, prefetching
    /// and eviction would undo each other forever.
    pub(super) fn room_for_blobs(&self, index: &SharedIndex) -> u64 {
        let manifests = index.lock().manifest_bytes(&self.pinned.load());
        self.low_watermark().saturating_sub(manifests)
    }

    /// The bytes that an eviction leaves: somewhat below the budget, so that the next few blobs do not cause an eviction each.
    fn low_watermark(&self) -> u64 {
        self.bytes - self.bytes / 32
    }

    /// Evicts if the budget is exceeded.
    pub(super) fn enforce(&self, layout: &Layout, index: &SharedIndex) {
        if index.lock().used_bytes() > self.bytes {
            self.evict(layout, index, self.low_watermark());
        }
    }

    /// Runs `write`. If the disk is full, evicts at least `size` bytes and runs it once more.
    pub(super) fn retry_when_full(
        &self,
        layout: &Layout,
        index: &SharedIndex,
        size: u64,
        write: impl Fn() -> io::Result<()>,
    ) -> io::Result<()> {
        match write() {
            Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                tracing::warn!(%error, "the disk is full: evicting files");
                let room = size.max(self.bytes / 32).max(16 << 20);
                let used = index.lock().used_bytes();
                self.evict(layout, index, used.saturating_sub(room));
                write()
            }
            result => result,
        }
    }

    /// Deletes files, the least important first, until at most `target` bytes are used.
    fn evict(&self, layout: &Layout, index: &SharedIndex, target: u64) {
        let _guard = self.evicting.lock().unwrap_or_else(PoisonError::into_inner);
        // Readers wait for the index, so it is unlocked before the candidates are sorted, which may take long.
        let (candidates, used) = {
            let index = index.lock();
            (index.candidates(&self.referenced.load(), &self.pinned.load()), index.used_bytes())
        };
        for object in victims(candidates, used, target) {
            match std::fs::remove_file(layout.path(object)) {
                Ok(()) => self.evicted.inc(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
                Err(error) => {
                    tracing::error!(%object, %error, "failed to evict a file from disk");
                    continue;
                }
            };
            index.lock().remove(object);
        }
    }
}
