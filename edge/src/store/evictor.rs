//! Making room on disk by deleting the least important files.

use std::collections::HashSet;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use arc_swap::ArcSwap;
use prometheus_client::metrics::counter::Counter;
use verge_protocol::Digest;

use super::eviction::{Evictable, victims};
use super::index::SharedIndex;
use super::layout::{Layout, Object};
use super::write_status::is_full;
use crate::table::{Priority, ReferencedBlobs};

/// Evictions for one write that fails because the disk is full.
const MAX_EVICTIONS: u32 = 3;

/// Evicts files by what the wanted releases reference.
pub(super) struct Evictor {
    referenced: ArcSwap<ReferencedBlobs>,
    /// Never evicted, whatever the budget.
    pinned: ArcSwap<HashSet<Digest>>,
    /// Serializes evictions: two at once would evict twice as much as necessary.
    evicting: Mutex<()>,
    /// Held by each write; exclusively by one that evicts because the disk is full: others would take what it frees.
    writing: RwLock<()>,
    evicted: Counter,
    /// Counts referenced blobs that are no longer on disk.
    lost: AtomicU64,
}

impl Evictor {
    pub(super) fn new(evicted: Counter) -> Self {
        let (referenced, pinned) = (ArcSwap::default(), ArcSwap::default());
        let (evicting, writing) = (Mutex::default(), RwLock::default());
        Self { referenced, pinned, evicting, writing, evicted, lost: AtomicU64::default() }
    }

    pub(super) fn set_referenced_blobs(&self, blobs: Arc<ReferencedBlobs>) {
        self.referenced.store(blobs);
    }

    pub(super) fn pin_manifests(&self, manifests: HashSet<Digest>) {
        self.pinned.store(Arc::new(manifests));
    }

    /// The manifests that are never evicted.
    pub(super) fn pinned(&self) -> Arc<HashSet<Digest>> {
        self.pinned.load_full()
    }

    /// The priority of a file; `None` for a pinned manifest, which is more important than any blob.
    pub(super) fn priority(&self, object: Object) -> Option<Priority> {
        match object {
            Object::Blob(digest) => Some(self.referenced.load().priority(&digest)),
            Object::Manifest(id) if self.pinned.load().contains(&id) => None,
            Object::Manifest(_) => Some(Priority::Unreferenced),
        }
    }

    /// Files evicted so far.
    #[cfg(test)]
    pub(super) fn evicted(&self) -> u64 {
        self.evicted.get()
    }

    /// How many referenced blobs were evicted or found to be corrupt or missing so far.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Records that a file is no longer on disk.
    pub(super) fn note_lost(&self, object: Object) {
        if self.priority(object) != Some(Priority::Unreferenced) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Evicts as many bytes as `needed` returns, and `slack` bytes more of what no release references. `false` if that many bytes
    /// cannot be evicted; then nothing is, unless all may be. `needed` is called when no other eviction is in progress.
    pub(super) fn make_room(
        &self,
        layout: &Layout,
        index: &SharedIndex,
        evictable: Evictable,
        slack: u64,
        needed: impl FnOnce() -> u64,
    ) -> bool {
        let _guard = self.lock();
        let needed = needed();
        needed == 0 || self.evict(layout, index, evictable, needed, slack) >= needed
    }

    fn lock(&self) -> MutexGuard<'_, ()> {
        self.evicting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Deletes what [`victims`] selects, and returns how many bytes that frees. The caller holds the lock.
    fn evict(&self, layout: &Layout, index: &SharedIndex, evictable: Evictable, needed: u64, slack: u64) -> u64 {
        // Readers wait for the index, so it is unlocked before the candidates are sorted, which may take long.
        let candidates = index.lock().candidates(&self.referenced.load(), &self.pinned.load());
        let mut freed: u64 = 0;
        for victim in victims(candidates, evictable, needed, slack) {
            let object = victim.key;
            match std::fs::remove_file(layout.path(object)) {
                Ok(()) => self.evicted.inc(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
                Err(error) => {
                    tracing::error!(%object, %error, "failed to evict a file from disk");
                    continue;
                }
            };
            freed = freed.saturating_add(victim.size);
            index.lock().remove(object);
            self.note_lost(object);
        }
        freed
    }

    /// Runs `write`, which takes `needed` bytes. If the disk is full, evicts what is not available of them and retries; where more is
    /// available than can be used, as with a quota, once more with all of them, and with twice as many. Gives up when
    /// there is nothing to evict.
    pub(super) fn retry_when_full(
        &self,
        layout: &Layout,
        index: &SharedIndex,
        evictable: Evictable,
        needed: u64,
        write: impl Fn() -> io::Result<()>,
    ) -> io::Result<()> {
        let with_others = self.writing.read().unwrap_or_else(PoisonError::into_inner);
        let mut result = write();
        drop(with_others);
        if !result.as_ref().is_err_and(is_full) {
            return result;
        }
        // Both held until the last attempt, which is to use what is freed.
        let _evicting = self.lock();
        let _alone = self.writing.write().unwrap_or_else(PoisonError::into_inner);
        // What other writes had taken, and left, may be enough.
        if layout.space().is_some_and(|space| space.available >= needed) {
            result = write();
        }
        for eviction in 0..MAX_EVICTIONS {
            if !result.as_ref().is_err_and(is_full) {
                break;
            }
            let available = layout.space().map_or(0, |space| space.available);
            let lacking = match eviction {
                0 => needed.saturating_sub(available).max(1),
                _ => needed.saturating_mul(u64::from(eviction)),
            };
            if self.evict(layout, index, evictable, lacking, 0) == 0 {
                break;
            }
            result = write();
            // Another program takes what is freed: evicting more would drain the cache for nothing.
            let has_grown = layout.space().is_none_or(|space| space.available > available);
            if result.is_err() && available < lacking && !has_grown {
                break;
            }
        }
        result
    }
}
