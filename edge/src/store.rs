//! What an edge keeps on disk: the last state, manifests, and blobs.
//!
//! ```text
//! data/
//!   lock                   held for as long as the edge runs
//!   state.json             rows, position, and what is served where it lags
//!   manifests/<digest>     canonical bytes
//!   blobs/ab/<digest>      bytes
//!   quarantine/            what did not match its digest, for an operator to look at
//!   temporary/             files in the making
//! ```
//!
//! A file appears under its name only when it is whole; what is read is checked against its digest, every time. So nothing here
//! needs to be trusted: what is lost or broken is fetched again.
//!
//! What touches files blocks; [`Disk`] takes it to threads where that is no harm.

mod disk;
mod eviction;
mod index;
mod layout;
mod state_file;

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use bytes::Bytes;
use verge_daemon::Clock;
use verge_protocol::{Blob, Digest, Manifest};

use self::eviction::victims;
use self::index::Index;
use self::layout::Layout;
use crate::metrics::Metrics;
use crate::table::Needs;

pub(crate) use self::disk::Disk;
pub(crate) use self::layout::{Object, OpenError};
pub(crate) use self::state_file::{Saved, Serving};

/// The data folder of one edge.
pub(crate) struct Store {
    layout: Layout,
    index: Mutex<Index>,
    /// One eviction at a time: two would drop twice as much as is needed.
    evicting: Mutex<()>,
    needs: ArcSwap<Needs>,
    /// Manifests that are kept whatever the budget: without them an edge could not boot.
    manifests: ArcSwap<HashSet<Digest>>,
    budget: u64,
    clock: Clock,
    metrics: Metrics,
}

impl Store {
    /// Opens the folder, makes what is not there, and lists what is.
    pub(crate) fn open(root: &Path, budget: u64, clock: Clock, metrics: Metrics) -> Result<Self, OpenError> {
        let layout = Layout::open(root)?;
        let index = Mutex::new(Index::list(&layout)?);
        Ok(Self {
            layout,
            index,
            evicting: Mutex::default(),
            needs: ArcSwap::default(),
            manifests: ArcSwap::default(),
            budget,
            clock,
            metrics,
        })
    }

    /// The last state that was saved. What cannot be read is set aside, and the edge starts over.
    pub(crate) fn state(&self) -> Saved {
        state_file::load(&self.layout)
    }

    /// Saves the state: when this returns, a crash no longer loses it.
    pub(crate) fn save(&self, saved: &Saved) -> io::Result<()> {
        let bytes = serde_json::to_vec(saved).map_err(io::Error::other)?;
        let path = self.layout.state();
        self.with_space(bytes.len() as u64, || self.layout.write(&path, &bytes, layout::Durability::WithName))
    }

    /// Tells what the table served from now on needs: eviction goes by it.
    pub(crate) fn need(&self, needs: Arc<Needs>) {
        self.needs.store(needs);
    }

    /// Tells which manifests are followed from now on: they are kept whatever the budget. To be told before they are fetched.
    pub(crate) fn follow(&self, manifests: HashSet<Digest>) {
        self.manifests.store(Arc::new(manifests));
    }

    /// Whether a file is there, without looking whether it is sound.
    pub(crate) fn holds(&self, object: Object) -> bool {
        self.index().holds(object)
    }

    /// Bytes of all blobs and manifests.
    pub(crate) fn used(&self) -> u64 {
        self.index().used()
    }

    /// How many bytes of blobs and manifests are kept at most.
    pub(crate) fn budget(&self) -> u64 {
        self.budget
    }

    /// Reads a blob. `None` when it is not there, or was not what its name says.
    pub(crate) fn blob(&self, digest: Digest) -> Option<Blob> {
        self.read(Object::Blob(digest), |bytes| Blob::verify(digest, bytes))
    }

    /// Reads a manifest, likewise.
    pub(crate) fn manifest(&self, id: Digest) -> Option<Manifest> {
        self.read(Object::Manifest(id), |bytes| Manifest::verify(id, &bytes))
    }

    fn read<T, E: std::fmt::Display>(&self, object: Object, verify: impl FnOnce(Bytes) -> Result<T, E>) -> Option<T> {
        if !self.index().touch(object, self.clock.now()) {
            return None;
        }
        match std::fs::read(self.layout.path(object)) {
            Ok(bytes) => match verify(bytes.into()) {
                Ok(sound) => Some(sound),
                Err(error) => {
                    tracing::error!(%object, %error, "a file on disk is corrupt: set aside, to be fetched again");
                    self.metrics.corrupt.inc();
                    self.index().remove(object);
                    self.layout.quarantine(object);
                    None
                }
            },
            Err(error) => {
                tracing::error!(%object, %error, "a file on disk cannot be read: to be fetched again");
                self.index().remove(object);
                None
            }
        }
    }

    /// Keeps a blob. On a full disk it makes room and tries once more.
    pub(crate) fn keep_blob(&self, blob: &Blob) -> io::Result<()> {
        self.keep(Object::Blob(blob.digest()), blob.bytes())
    }

    /// Keeps the canonical bytes of a manifest, likewise.
    pub(crate) fn keep_manifest(&self, id: Digest, bytes: &[u8]) -> io::Result<()> {
        self.keep(Object::Manifest(id), bytes)
    }

    fn keep(&self, object: Object, bytes: &[u8]) -> io::Result<()> {
        if self.holds(object) {
            return Ok(());
        }
        let size = bytes.len() as u64;
        let path = self.layout.path(object);
        self.with_space(size, || self.layout.write(&path, bytes, layout::Durability::Bytes))?;
        let used = {
            let mut index = self.index();
            index.add(object, size, self.clock.now());
            index.used()
        };
        if used > self.budget {
            // A little below, so that the next few blobs need no eviction of their own.
            self.evict(self.budget - self.budget / 32);
        }
        Ok(())
    }

    fn with_space(&self, size: u64, write: impl Fn() -> io::Result<()>) -> io::Result<()> {
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
        let victims = {
            let index = self.index();
            victims(index.candidates(&self.needs.load(), &self.manifests.load()), index.used(), most)
        };
        for object in victims {
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

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use verge_protocol::Timestamp;

    use super::*;
    use crate::table::{Class, Need};

    fn open(root: &Path, budget: u64) -> Store {
        let metrics = Metrics::new(&mut prometheus_client::registry::Registry::default());
        Store::open(root, budget, Clock::manual(Timestamp(1)), metrics).unwrap()
    }

    fn blob(text: &'static str) -> Blob {
        Blob::of(Bytes::from_static(text.as_bytes())).unwrap()
    }

    fn path_of(root: &Path, blob: &Blob) -> PathBuf {
        let digest = blob.digest().to_string();
        root.join("blobs").join(&digest[..2]).join(digest)
    }

    #[test]
    fn what_is_kept_outlives_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), 1000);
        store.keep_blob(&blob("one")).unwrap();
        store.keep_blob(&blob("one")).unwrap();
        assert_eq!(store.used(), 3);
        drop(store);
        let store = open(folder.path(), 1000);
        assert_eq!(store.used(), 3);
        assert_eq!(store.blob(blob("one").digest()), Some(blob("one")));
        assert_eq!(store.blob(blob("two").digest()), None);
    }

    #[test]
    fn a_flipped_byte_is_set_aside() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), 1000);
        store.keep_blob(&blob("one")).unwrap();
        std::fs::write(path_of(folder.path(), &blob("one")), "One").unwrap();
        assert_eq!(store.blob(blob("one").digest()), None);
        assert_eq!(store.metrics.corrupt.get(), 1);
        assert_eq!(store.used(), 0);
        let aside = folder.path().join("quarantine").join(format!("blob-{}", blob("one").digest()));
        assert_eq!(std::fs::read(aside).unwrap(), b"One");
        store.keep_blob(&blob("one")).unwrap();
        assert_eq!(store.blob(blob("one").digest()), Some(blob("one")));
    }

    #[test]
    fn a_file_that_vanished_is_not_there() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), 1000);
        store.keep_blob(&blob("one")).unwrap();
        std::fs::remove_file(path_of(folder.path(), &blob("one"))).unwrap();
        assert_eq!(store.blob(blob("one").digest()), None);
        assert!(!store.holds(Object::Blob(blob("one").digest())));
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

    #[test]
    fn two_edges_never_share_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let _first = open(folder.path(), 1);
        let metrics = Metrics::new(&mut prometheus_client::registry::Registry::default());
        let second = Store::open(folder.path(), 1, Clock::system(), metrics);
        assert!(matches!(second, Err(OpenError::Folder(_))));
    }
}
