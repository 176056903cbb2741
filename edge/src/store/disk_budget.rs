//! Keeping to the budget, and making room on a full disk.

use std::io;
use std::sync::PoisonError;

use super::Store;
use super::eviction::victims;

impl Store {
    /// How many bytes of blobs may be fetched ahead: what stays, beside the manifests that are followed, when an eviction has cut
    /// down. More than that, and each would undo the other for ever.
    pub(crate) fn room_for_blobs(&self) -> u64 {
        let manifests = self.index().manifest_bytes(&self.manifests.load());
        self.cut_down_to().saturating_sub(manifests)
    }

    /// A little below the budget, so that the next few blobs need no eviction of their own.
    fn cut_down_to(&self) -> u64 {
        self.budget - self.budget / 32
    }

    /// Drops what is needed least when it has become too much.
    pub(super) fn keep_to_budget(&self) {
        if self.used() > self.budget {
            self.evict(self.cut_down_to());
        }
    }

    /// Writes; on a full disk it makes room for `size` bytes and tries once more.
    pub(super) fn with_space(&self, size: u64, write: impl Fn() -> io::Result<()>) -> io::Result<()> {
        match write() {
            Err(error) if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => {
                tracing::warn!(%error, "the disk is full: making room");
                let room = size.max(self.budget / 32).max(16 << 20);
                self.evict(self.used().saturating_sub(room));
                write()
            }
            written => written,
        }
    }

    /// Drops files until no more than `most` bytes are left, the least needed first.
    fn evict(&self, most: u64) {
        let _one_at_a_time = self.evicting.lock().unwrap_or_else(PoisonError::into_inner);
        // Readers wait for the index, so it is let go before the sorting, which is long where there is much.
        let (candidates, used) = {
            let index = self.index();
            (index.candidates(&self.needs.load(), &self.manifests.load()), index.used())
        };
        for object in victims(candidates, used, most) {
            match std::fs::remove_file(self.layout.path(object)) {
                Ok(()) => self.metrics.evicted.inc(),
                Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
                Err(error) => {
                    tracing::error!(%object, %error, "a file could not be dropped from disk");
                    continue;
                }
            };
            self.index().remove(object);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use bytes::Bytes;
    use verge_protocol::{Blob, Digest};

    use super::super::Object;
    use super::*;
    use crate::table::{Class, Need, Needs};
    use crate::test_support::store as open;

    fn blob(text: &'static str) -> Blob {
        Blob::of(Bytes::from_static(text.as_bytes())).unwrap()
    }

    #[test]
    fn the_budget_holds_and_what_is_needed_stays() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), 6);
        let needs: Needs = [(blob("one").digest(), Need { class: Class::Live, size: 3 })].into_iter().collect();
        store.need(Arc::new(needs));
        store.keep_blob(&blob("one")).unwrap();
        store.keep_blob(&blob("two")).unwrap();
        store.clock.advance(std::time::Duration::from_secs(1));
        store.keep_blob(&blob("six")).unwrap();
        let held = |name| store.blob(blob(name).digest()).is_some();
        assert_eq!((held("one"), held("two"), held("six")), (true, false, true));
        assert_eq!(store.metrics.evicted.get(), 1);
    }

    #[test]
    fn a_full_disk_is_made_room_on_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), 1000);
        store.keep_blob(&blob("one")).unwrap();
        let full_until_evicted = || if store.used() > 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) };
        store.with_space(3, full_until_evicted).unwrap();
        assert!(!store.holds(Object::Blob(blob("one").digest())));
        let tries = std::cell::Cell::new(0);
        let always_full = || {
            tries.set(tries.get() + 1);
            Err(io::ErrorKind::StorageFull.into())
        };
        assert_eq!(store.with_space(3, always_full).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(tries.get(), 2);
    }

    #[test]
    fn followed_manifests_are_kept_whatever_the_budget() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), 4);
        let followed = Digest::of(b"followed");
        store.follow(HashSet::from([followed]));
        store.keep_manifest(Digest::of(b"other"), b"other").unwrap();
        store.keep_manifest(followed, b"followed").unwrap();
        assert!(store.holds(Object::Manifest(followed)) && !store.holds(Object::Manifest(Digest::of(b"other"))));
    }
}
