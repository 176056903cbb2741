//! The store itself. Methods that touch files block.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use verge_daemon::Clock;
use verge_daemon::atomic_file::Durability;
use verge_daemon::feed::StoredRow;
use verge_daemon::saved_state::{self, Loaded};
use verge_protocol::{Blob, Digest, Manifest};

use super::disk_budget::DiskBudget;
use super::index::{Index, SharedIndex};
use super::layout::{Layout, Object, OpenError};
use super::state_file::{self, StateRecord};
use crate::metrics::Metrics;
use crate::table::ReferencedBlobs;

/// The data directory of one edge.
pub(crate) struct BlockingStore {
    layout: Layout,
    index: SharedIndex,
    budget: DiskBudget,
    clock: Clock,
    corrupt: Counter,
}

impl BlockingStore {
    /// Opens the directory, creates what is missing, and indexes its files. `budget` is in bytes.
    pub(crate) fn open(root: &Path, budget: u64, clock: Clock, metrics: Metrics) -> Result<Self, OpenError> {
        let layout = Layout::open(root)?;
        let index = SharedIndex::new(Index::list(&layout)?);
        let budget = DiskBudget::new(budget, metrics.evicted);
        Ok(Self { layout, index, budget, clock, corrupt: metrics.corrupt })
    }

    /// The state that was saved last, as far as it is sound.
    pub(crate) fn load_state(&self) -> Loaded<StateRecord> {
        state_file::load(&self.layout)
    }

    /// Saves the state. It survives a crash once this returns.
    pub(crate) fn save_state<'a>(&self, records: impl Iterator<Item = StateRecord<&'a StoredRow>>) -> io::Result<()> {
        let bytes = saved_state::encode(records).map_err(io::Error::other)?;
        self.write(&self.layout.state(), &bytes, Durability::WithName)
    }

    /// Sets the blobs that the served table references: eviction goes by their priorities.
    pub(crate) fn set_referenced_blobs(&self, blobs: Arc<ReferencedBlobs>) {
        self.budget.set_referenced_blobs(blobs);
    }

    /// Sets the manifests that are never evicted: without them an edge could not restart. To be called before they are fetched.
    pub(crate) fn pin_manifests(&self, manifests: HashSet<Digest>) {
        self.budget.pin_manifests(manifests);
    }

    /// Whether the file exists, corrupt or not.
    pub(crate) fn contains(&self, object: Object) -> bool {
        self.index.lock().contains(object)
    }

    /// Bytes of all blobs and manifests.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.index.lock().used_bytes()
    }

    /// How many bytes of blobs may be prefetched. See [`DiskBudget::room_for_blobs`].
    pub(crate) fn room_for_blobs(&self) -> u64 {
        self.budget.room_for_blobs(&self.index)
    }

    /// Reads a blob. `None` if it is missing or corrupt.
    pub(crate) fn blob(&self, digest: Digest) -> Option<Blob> {
        self.read(Object::Blob(digest), |bytes| Blob::verify(digest, bytes))
    }

    /// Reads a manifest. `None` if it is missing or corrupt.
    pub(crate) fn manifest(&self, id: Digest) -> Option<Manifest> {
        self.read(Object::Manifest(id), |bytes| Manifest::verify(id, &bytes))
    }

    fn read<T, E: std::fmt::Display>(&self, object: Object, verify: impl FnOnce(Bytes) -> Result<T, E>) -> Option<T> {
        if !self.index.lock().touch(object, self.clock.now()) {
            return None;
        }
        match std::fs::read(self.layout.path(object)) {
            Ok(bytes) => match verify(bytes.into()) {
                Ok(verified) => Some(verified),
                Err(error) => {
                    tracing::error!(%object, %error, "a file on disk is corrupt: quarantined, to be fetched again");
                    self.corrupt.inc();
                    self.index.lock().remove(object);
                    self.layout.quarantine(object);
                    None
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::error!(%object, %error, "a file is missing on disk: to be fetched again");
                self.index.lock().remove(object);
                None
            }
            // The file may still be there, as when too many files are open: the next read may succeed.
            Err(error) => {
                tracing::error!(%object, %error, "failed to read a file from disk");
                None
            }
        }
    }

    /// Writes a blob. If the disk is full, evicts and retries once.
    pub(crate) fn put_blob(&self, blob: &Blob) -> io::Result<()> {
        self.put(Object::Blob(blob.digest()), blob.bytes())
    }

    /// Writes the canonical bytes of a manifest. If the disk is full, evicts and retries once.
    pub(crate) fn put_manifest(&self, id: Digest, bytes: &[u8]) -> io::Result<()> {
        self.put(Object::Manifest(id), bytes)
    }

    fn put(&self, object: Object, bytes: &[u8]) -> io::Result<()> {
        if self.contains(object) {
            return Ok(());
        }
        self.write(&self.layout.path(object), bytes, object.durability())?;
        self.index.lock().add(object, bytes.len() as u64, self.clock.now());
        self.budget.enforce(&self.layout, &self.index);
        Ok(())
    }

    fn write(&self, path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
        let write = || self.layout.write(path, bytes, durability);
        self.budget.retry_when_full(&self.layout, &self.index, bytes.len() as u64, write)
    }
}

#[cfg(test)]
impl BlockingStore {
    /// A store in the directory `root` whose clock stands still.
    pub(crate) fn open_for_test(root: &Path, budget: u64) -> Self {
        let metrics = Metrics::new(&mut prometheus_client::registry::Registry::default());
        Self::open(root, budget, Clock::manual(verge_protocol::Timestamp(1)), metrics).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::table::{Priority, ReferencedBlob};

    fn blob(text: &'static str) -> Blob {
        Blob::of(Bytes::from_static(text.as_bytes())).unwrap()
    }

    fn path_of(root: &Path, blob: &Blob) -> PathBuf {
        let digest = blob.digest().to_string();
        root.join("blobs").join(&digest[..2]).join(digest)
    }

    #[test]
    fn blobs_survive_reopening() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlockingStore::open_for_test(directory.path(), 1000);
        store.put_blob(&blob("one")).unwrap();
        store.put_blob(&blob("one")).unwrap();
        assert_eq!(store.used_bytes(), 3);
        drop(store);
        let store = BlockingStore::open_for_test(directory.path(), 1000);
        assert_eq!(store.used_bytes(), 3);
        assert_eq!(store.blob(blob("one").digest()), Some(blob("one")));
        assert_eq!(store.blob(blob("two").digest()), None);
    }

    #[test]
    fn corrupt_blob_when_read_is_quarantined() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlockingStore::open_for_test(directory.path(), 1000);
        store.put_blob(&blob("one")).unwrap();
        std::fs::write(path_of(directory.path(), &blob("one")), "One").unwrap();
        assert_eq!(store.blob(blob("one").digest()), None);
        assert_eq!(store.corrupt.get(), 1);
        assert_eq!(store.used_bytes(), 0);
        let quarantined = directory.path().join("quarantine").join(format!("blob-{}", blob("one").digest()));
        assert_eq!(std::fs::read(quarantined).unwrap(), b"One");
        store.put_blob(&blob("one")).unwrap();
        assert_eq!(store.blob(blob("one").digest()), Some(blob("one")));
    }

    #[test]
    fn missing_file_when_read_leaves_the_index() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlockingStore::open_for_test(directory.path(), 1000);
        store.put_blob(&blob("one")).unwrap();
        std::fs::remove_file(path_of(directory.path(), &blob("one"))).unwrap();
        assert_eq!(store.blob(blob("one").digest()), None);
        assert!(!store.contains(Object::Blob(blob("one").digest())));
    }

    #[test]
    fn unreadable_file_stays_in_the_index() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlockingStore::open_for_test(directory.path(), 1000);
        store.put_blob(&blob("one")).unwrap();
        let path = path_of(directory.path(), &blob("one"));
        // A directory in its place: reading it fails, but not with `NotFound`.
        let aside = directory.path().join("aside");
        std::fs::rename(&path, &aside).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert_eq!(store.blob(blob("one").digest()), None);
        std::fs::remove_dir(&path).unwrap();
        std::fs::rename(&aside, &path).unwrap();
        assert_eq!(store.blob(blob("one").digest()), Some(blob("one")));
        assert_eq!(store.used_bytes(), 3);
    }

    #[test]
    fn data_directory_in_use_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let _first = BlockingStore::open_for_test(directory.path(), 1);
        let metrics = Metrics::new(&mut prometheus_client::registry::Registry::default());
        let second = BlockingStore::open(directory.path(), 1, Clock::system(), metrics);
        assert!(matches!(second, Err(OpenError::DataDir(_))));
    }

    #[test]
    fn put_over_budget_evicts_unreferenced_blobs_first() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlockingStore::open_for_test(directory.path(), 6);
        let referenced = ReferencedBlob { priority: Priority::Live, size: 3 };
        store.set_referenced_blobs(Arc::new([(blob("one").digest(), referenced)].into_iter().collect()));
        store.put_blob(&blob("one")).unwrap();
        store.put_blob(&blob("two")).unwrap();
        store.clock.advance(std::time::Duration::from_secs(1));
        store.put_blob(&blob("six")).unwrap();
        let held = |name| store.blob(blob(name).digest()).is_some();
        assert_eq!((held("one"), held("two"), held("six")), (true, false, true));
        assert_eq!(store.budget.evicted(), 1);
    }

    #[test]
    fn write_to_a_full_disk_evicts_and_retries_once() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlockingStore::open_for_test(directory.path(), 1000);
        store.put_blob(&blob("one")).unwrap();
        let retry =
            |write: &dyn Fn() -> io::Result<()>| store.budget.retry_when_full(&store.layout, &store.index, 3, write);
        let full_until_evicted =
            || if store.used_bytes() > 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) };
        retry(&full_until_evicted).unwrap();
        assert!(!store.contains(Object::Blob(blob("one").digest())));
        let attempts = std::cell::Cell::new(0);
        let always_full = || {
            attempts.set(attempts.get() + 1);
            Err(io::ErrorKind::StorageFull.into())
        };
        assert_eq!(retry(&always_full).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(attempts.get(), 2);
    }

    #[test]
    fn pinned_manifests_over_budget_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlockingStore::open_for_test(directory.path(), 4);
        let pinned = Digest::of(b"pinned");
        store.pin_manifests(HashSet::from([pinned]));
        store.put_manifest(Digest::of(b"other"), b"other").unwrap();
        store.put_manifest(pinned, b"pinned").unwrap();
        assert!(store.contains(Object::Manifest(pinned)) && !store.contains(Object::Manifest(Digest::of(b"other"))));
    }
}
