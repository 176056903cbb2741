//! The store itself. Methods that touch files block.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use prometheus_client::metrics::counter::Counter;
use verge_daemon::Clock;
use verge_daemon::atomic_file::Durability;
use verge_daemon::feed::StoredRow;
use verge_daemon::saved_state::{self, Loaded};
use verge_protocol::{BLOB_MAX, Blob, Digest, Manifest, Timestamp};

use super::disk_budget::{DiskBudget, Room};
use super::eviction::{Evictable, Importance};
use super::evictor::Evictor;
use super::index::{Index, SharedIndex};
use super::layout::{Layout, Object, OpenError};
use super::origin_contact;
use super::state_file::{self, StateRecord};
use super::write_status::{WriteStatus, is_full};
use crate::metrics::Metrics;
use crate::release_hosts::ReleaseRecord;
use crate::table::{Priority, ReferencedBlobs, ReleaseBlob};

/// The file system's unit of allocation where it cannot be measured.
const DEFAULT_BLOCK: u64 = 4096;

/// The data directory of one edge.
pub(crate) struct BlockingStore {
    layout: Layout,
    index: SharedIndex,
    budget: DiskBudget,
    evictor: Evictor,
    /// Blobs of erased contents. See [`Self::is_erased`].
    erased: ArcSwap<HashSet<Digest>>,
    writes: WriteStatus,
    clock: Clock,
    corrupt: Counter,
}

/// The outcome of storing a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Put {
    /// It is on disk.
    Stored,
    /// Neither the budget nor the file system has room for it, and no less important files to evict are enough.
    NoRoom,
    /// It was erased while it was being fetched, and is not on disk.
    Erased,
}

/// What hashing a blob on disk again has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlobCheck {
    /// It matches its digest; its size in bytes.
    Sound(u64),
    /// It does not, or cannot be read.
    Bad,
}

impl BlockingStore {
    /// Opens the directory, creates what is missing, and indexes its files. `budget` is in bytes.
    pub(crate) fn open(root: &Path, budget: u64, clock: Clock, metrics: Metrics) -> Result<Self, OpenError> {
        let layout = Layout::open(root)?;
        let block = layout.space().map_or(DEFAULT_BLOCK, |space| space.block);
        Self::with_block(layout, DiskBudget { configured: budget, block }, clock, metrics)
    }

    fn with_block(layout: Layout, budget: DiskBudget, clock: Clock, metrics: Metrics) -> Result<Self, OpenError> {
        let index = SharedIndex::new(Index::list(&layout, budget.block)?);
        let evictor = Evictor::new(metrics.evicted);
        let (erased, writes) = (ArcSwap::default(), WriteStatus::default());
        Ok(Self { layout, index, budget, evictor, erased, writes, clock, corrupt: metrics.corrupt })
    }

    /// The state that was saved last, as far as it is sound.
    pub(crate) fn load_state(&self) -> Loaded<StateRecord> {
        state_file::load(&self.layout)
    }

    /// Saves the state. It survives a crash once this returns. If the disk is full, any blob may be evicted for it.
    pub(crate) fn save_state<'a>(&self, records: impl Iterator<Item = StateRecord<&'a StoredRow>>) -> io::Result<()> {
        let bytes = saved_state::encode(records).map_err(io::Error::other)?;
        self.write(&self.layout.state(), &bytes, Durability::WithName, Evictable::All)
    }

    /// When a process last saw an origin; `None` if none did, or it is not known.
    pub(crate) fn load_origin_contact(&self) -> Option<Timestamp> {
        origin_contact::load(&self.layout)
    }

    /// Saves when an origin was seen. It survives a crash of the process, not one of the machine.
    pub(crate) fn save_origin_contact(&self, at: Timestamp) -> io::Result<()> {
        origin_contact::save(&self.layout, at)
    }

    /// The releases that the last process saved. Of a damaged file, which is copied to the quarantine, the sound records.
    pub(crate) fn load_releases(&self) -> Loaded<ReleaseRecord> {
        let path = self.layout.releases();
        saved_state::load(&path, || self.layout.copy_to_quarantine(&path, "releases.json"))
    }

    /// Saves the releases, as [`Self::save_state`] does the state.
    pub(crate) fn save_releases(&self, records: &[ReleaseRecord]) -> io::Result<()> {
        let bytes = saved_state::encode(records).map_err(io::Error::other)?;
        self.write(&self.layout.releases(), &bytes, Durability::WithName, Evictable::All)
    }

    /// Sets the blobs that the wanted releases reference: eviction goes by their priorities. Deletes those of erased contents that are
    /// not referenced any more.
    pub(crate) fn set_referenced_blobs(&self, blobs: Arc<ReferencedBlobs>) {
        self.evictor.set_referenced_blobs(blobs);
        let is_left = |blob: &&Digest| self.is_erased(blob) && self.contains(Object::Blob(**blob));
        for blob in self.erased.load().iter().filter(is_left) {
            if let Err(error) = self.remove_blob(*blob) {
                tracing::error!(%blob, %error, "failed to delete an erased blob");
            }
        }
    }

    /// Sets the blobs of erased contents. To be called before they are [removed](Self::remove_blob).
    pub(crate) fn set_erased_blobs(&self, blobs: HashSet<Digest>) {
        self.erased.store(Arc::new(blobs));
    }

    /// Whether a blob is of an erased content, and no wanted release references it: it is not stored, also if it was being fetched when
    /// it was erased.
    pub(crate) fn is_erased(&self, digest: &Digest) -> bool {
        self.erased.load().contains(digest)
            && self.evictor.priority(Object::Blob(*digest)) == Some(Priority::Unreferenced)
    }

    /// Sets the manifests that are never evicted: without them an edge could not restart. To be called before they are fetched.
    pub(crate) fn pin_manifests(&self, manifests: HashSet<Digest>) {
        self.evictor.pin_manifests(manifests);
    }

    /// Whether the file exists, corrupt or not.
    pub(crate) fn contains(&self, object: Object) -> bool {
        self.index.lock().contains(object)
    }

    /// Those of the blobs that are not on disk, in the same order.
    pub(crate) fn missing<'a>(&self, blobs: &'a [ReleaseBlob]) -> Vec<&'a ReleaseBlob> {
        // Readers wait for the index: it is locked for as many look-ups at a time as take some ten microseconds.
        let missing_of = |chunk: &'a [ReleaseBlob]| {
            let index = self.index.lock();
            chunk.iter().filter(|blob| !index.contains(Object::Blob(blob.digest))).collect::<Vec<_>>()
        };
        blobs.chunks(256).flat_map(missing_of).collect()
    }

    /// Bytes of all blobs and manifests, in whole blocks of the file system.
    pub(crate) fn used_bytes(&self) -> u64 {
        self.index.lock().used_bytes()
    }

    /// The room for all referenced blobs, stored and missing ones. See [`DiskBudget::room_for_blobs`].
    pub(crate) fn room_for_blobs(&self) -> Room {
        let space = self.layout.space();
        let index = self.index.lock();
        let pinned = index.manifest_bytes(&self.evictor.pinned());
        self.budget.room_for_blobs(index.committed_bytes(), pinned, space)
    }

    /// Why the last write to disk failed; `None` once a write has succeeded.
    pub(crate) fn write_failure(&self) -> Option<String> {
        self.writes.failure()
    }

    /// Whether the last write to disk failed because the disk was full.
    pub(crate) fn is_full(&self) -> bool {
        self.writes.is_full()
    }

    /// Whether a file of `size` bytes could be written after a write has failed: writes and deletes one as large as the largest blob,
    /// evicting unreferenced files if the disk is full, and measures whether there is room for the rest.
    pub(crate) fn can_write(&self, size: u64) -> bool {
        let evictable = Evictable::LessImportantThan(Importance::never_used(Priority::Preview));
        let probed = self.write_and_record(BLOB_MAX, evictable, || self.layout.probe());
        probed.is_ok()
            && self.layout.space().is_none_or(|space| space.available >= self.budget.allocated_by_write(size))
    }

    /// How many referenced blobs were evicted or found to be corrupt or missing so far.
    pub(crate) fn lost_blobs(&self) -> u64 {
        self.evictor.lost()
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
                    self.remove_from_index(object);
                    self.layout.quarantine(object);
                    None
                }
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::error!(%object, %error, "a file is missing on disk: to be fetched again");
                self.remove_from_index(object);
                None
            }
            // The file may still be there, as when too many files are open: the next read may succeed.
            Err(error) => {
                tracing::error!(%object, %error, "failed to read a file from disk");
                None
            }
        }
    }

    /// Hashes a blob on disk again, and leaves it where it is. `None` if it is not there.
    pub(crate) fn check_blob(&self, digest: Digest) -> Option<BlobCheck> {
        let object = Object::Blob(digest);
        if !self.contains(object) {
            return None;
        }
        match std::fs::read(self.layout.path(object)) {
            Ok(bytes) => {
                let size = bytes.len() as u64;
                Some(if Digest::of(&bytes) == digest { BlobCheck::Sound(size) } else { BlobCheck::Bad })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.remove_from_index(object);
                None
            }
            Err(error) => {
                tracing::error!(%object, %error, "failed to read a file from disk");
                Some(BlobCheck::Bad)
            }
        }
    }

    /// Deletes a blob for good, if it is there. On an error it may still be, and is not read any more.
    pub(crate) fn remove_blob(&self, digest: Digest) -> io::Result<()> {
        let object = Object::Blob(digest);
        self.index.lock().remove(object);
        match std::fs::remove_file(self.layout.path(object)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Writes a blob over the file of the same digest, which is bad. Readers find the one or the other, never none.
    pub(crate) fn replace_blob(&self, blob: &Blob) -> io::Result<()> {
        let object = Object::Blob(blob.digest());
        self.corrupt.inc();
        let write = self.index.begin_write(self.budget.allocated(blob.bytes().len() as u64));
        let priority = self.evictor.priority(object).unwrap_or(Priority::Unreferenced);
        let evictable = Evictable::LessImportantThan(Importance::never_used(priority));
        self.write(&self.layout.path(object), blob.bytes(), object.durability(), evictable)?;
        write.complete(object, self.clock.now());
        Ok(())
    }

    fn remove_from_index(&self, object: Object) {
        self.index.lock().remove(object);
        self.evictor.note_lost(object);
    }

    /// Writes a blob that was asked for. It replaces blobs of lower priority, and those of the same that were used less recently.
    pub(crate) fn put_blob(&self, blob: &Blob) -> io::Result<Put> {
        let object = Object::Blob(blob.digest());
        let last_used = self.clock.now();
        self.put_unless_erased(blob, || self.put(object, blob.bytes(), |priority| Importance { priority, last_used }))
    }

    /// Writes a blob that may be asked for. It replaces only blobs of lower priority.
    pub(crate) fn put_prefetched_blob(&self, blob: &Blob) -> io::Result<Put> {
        self.put_unless_erased(blob, || self.put(Object::Blob(blob.digest()), blob.bytes(), Importance::never_used))
    }

    /// Looks before the write and after it: what is erased in between may have been removed before it was there.
    fn put_unless_erased(&self, blob: &Blob, put: impl FnOnce() -> io::Result<Put>) -> io::Result<Put> {
        let digest = blob.digest();
        if self.is_erased(&digest) {
            return Ok(Put::Erased);
        }
        let result = put()?;
        if self.is_erased(&digest) {
            self.remove_blob(digest)?;
            return Ok(Put::Erased);
        }
        Ok(result)
    }

    /// Writes the canonical bytes of a manifest. A pinned one is written even beyond the budget, and replaces any blob.
    pub(crate) fn put_manifest(&self, id: Digest, bytes: &[u8]) -> io::Result<Put> {
        self.put(Object::Manifest(id), bytes, Importance::never_used)
    }

    fn put(&self, object: Object, bytes: &[u8], importance: impl Fn(Priority) -> Importance) -> io::Result<Put> {
        if self.contains(object) {
            return Ok(Put::Stored);
        }
        let needed = self.budget.allocated(bytes.len() as u64);
        let pending = self.index.begin_write(needed);
        let shortfall = |used| self.budget.shortfall(used, needed, self.layout.space());
        let importance = self.evictor.priority(object).map(importance);
        let evictable = if let Some(importance) = importance {
            if !self.make_room(Evictable::LessImportantThan(importance), shortfall) {
                return Ok(Put::NoRoom);
            }
            // For a write that fails all the same, as over a quota: blobs of the same priority stay, since it is not known how many
            // it would cost.
            Evictable::LessImportantThan(Importance::never_used(importance.priority))
        } else {
            self.enforce_budget();
            Evictable::All
        };
        let written = self.try_write(bytes.len(), evictable, || {
            self.layout.write(&self.layout.path(object), bytes, object.durability())
        });
        // Writes that began at the same time took the room that there was for each.
        if importance.is_some() && written.as_ref().is_err_and(is_full) && shortfall(0) > 0 {
            return Ok(Put::NoRoom);
        }
        self.writes.record(&written);
        written?;
        pending.complete(object, self.clock.now());
        Ok(Put::Stored)
    }

    /// Evicts files, the least important first, until the configured budget is met, as after it was lowered.
    pub(crate) fn enforce_budget(&self) {
        self.make_room(Evictable::All, |used| self.budget.excess(used));
    }

    /// See [`Evictor::make_room`].
    fn make_room(&self, evictable: Evictable, needed: impl FnOnce(u64) -> u64) -> bool {
        let used = || self.index.lock().committed_bytes();
        let slack = self.budget.slack(used());
        self.evictor.make_room(&self.layout, &self.index, evictable, slack, || needed(used()))
    }

    fn write(&self, path: &Path, bytes: &[u8], durability: Durability, evictable: Evictable) -> io::Result<()> {
        self.write_and_record(bytes.len(), evictable, || self.layout.write(path, bytes, durability))
    }

    /// Runs `write`, as [`Self::try_write`] does, and records the result.
    fn write_and_record(
        &self,
        size: usize,
        evictable: Evictable,
        write: impl Fn() -> io::Result<()>,
    ) -> io::Result<()> {
        let result = self.try_write(size, evictable, write);
        self.writes.record(&result);
        result
    }

    /// Runs `write`, of a file of `size` bytes, and retries it on a full disk.
    fn try_write(&self, size: usize, evictable: Evictable, write: impl Fn() -> io::Result<()>) -> io::Result<()> {
        let needed = self.budget.allocated_by_write(size as u64);
        self.evictor.retry_when_full(&self.layout, &self.index, evictable, needed, write)
    }
}

#[cfg(test)]
impl BlockingStore {
    /// A store in the directory `root` whose clock stands still, and whose budget does not count whole blocks.
    pub(crate) fn open_for_test(root: &Path, budget: u64) -> Self {
        let metrics = Metrics::new(&mut prometheus_client::registry::Registry::default());
        let (layout, budget) = (Layout::open(root).unwrap(), DiskBudget { configured: budget, block: 1 });
        Self::with_block(layout, budget, Clock::manual(verge_protocol::Timestamp(1)), metrics).unwrap()
    }

    /// Moves the clock on, so that files used from now on are more recently used than all others.
    pub(crate) fn advance_clock(&self) {
        self.clock.advance(std::time::Duration::from_secs(1));
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
        assert_eq!(store.put_blob(&blob("one")).unwrap(), Put::Stored);
        assert_eq!(store.put_blob(&blob("one")).unwrap(), Put::Stored);
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
        assert_eq!(store.put_blob(&blob("one")).unwrap(), Put::Stored);
        std::fs::write(path_of(directory.path(), &blob("one")), "One").unwrap();
        assert_eq!(store.blob(blob("one").digest()), None);
        assert_eq!(store.corrupt.get(), 1);
        assert_eq!(store.used_bytes(), 0);
        let quarantined = directory.path().join("quarantine").join(format!("blob-{}", blob("one").digest()));
        assert_eq!(std::fs::read(quarantined).unwrap(), b"One");
        assert_eq!(store.put_blob(&blob("one")).unwrap(), Put::Stored);
        assert_eq!(store.blob(blob("one").digest()), Some(blob("one")));
    }

    #[test]
    fn corrupt_blob_when_checked_stays_until_it_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlockingStore::open_for_test(directory.path(), 1000);
        let one = blob("one");
        assert_eq!(store.check_blob(one.digest()), None);
        assert_eq!(store.put_blob(&one).unwrap(), Put::Stored);
        assert_eq!(store.check_blob(one.digest()), Some(BlobCheck::Sound(3)));
        let path = path_of(directory.path(), &one);
        std::fs::write(&path, "One").unwrap();
        assert_eq!(store.check_blob(one.digest()), Some(BlobCheck::Bad));
        assert_eq!(std::fs::read(&path).unwrap(), b"One");
        store.replace_blob(&one).unwrap();
        assert_eq!((store.check_blob(one.digest()), store.used_bytes()), (Some(BlobCheck::Sound(3)), 3));
        // A reader has quarantined it meanwhile.
        std::fs::write(&path, "One").unwrap();
        assert_eq!(store.blob(one.digest()), None);
        store.replace_blob(&one).unwrap();
        assert_eq!((store.blob(one.digest()), store.used_bytes()), (Some(one), 3));
    }

    #[test]
    fn missing_file_when_read_leaves_the_index() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlockingStore::open_for_test(directory.path(), 1000);
        assert_eq!(store.put_blob(&blob("one")).unwrap(), Put::Stored);
        std::fs::remove_file(path_of(directory.path(), &blob("one"))).unwrap();
        assert_eq!(store.blob(blob("one").digest()), None);
        assert!(!store.contains(Object::Blob(blob("one").digest())));
    }

    #[test]
    fn unreadable_file_stays_in_the_index() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlockingStore::open_for_test(directory.path(), 1000);
        assert_eq!(store.put_blob(&blob("one")).unwrap(), Put::Stored);
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
        let referenced = ReferencedBlob::new(Priority::Live, 3);
        store.set_referenced_blobs(Arc::new([(blob("one").digest(), referenced)].into_iter().collect()));
        assert_eq!(store.put_blob(&blob("one")).unwrap(), Put::Stored);
        assert_eq!(store.put_blob(&blob("two")).unwrap(), Put::Stored);
        store.clock.advance(std::time::Duration::from_secs(1));
        assert_eq!(store.put_blob(&blob("six")).unwrap(), Put::Stored);
        let held = |name| store.blob(blob(name).digest()).is_some();
        assert_eq!((held("one"), held("two"), held("six")), (true, false, true));
        assert_eq!(store.evictor.evicted(), 1);
    }

    #[test]
    fn erased_blob_is_not_written_once_nothing_references_it() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlockingStore::open_for_test(directory.path(), 1000);
        let one = blob("one");
        let is_stored = || (store.contains(Object::Blob(one.digest())), path_of(directory.path(), &one).exists());
        let live = ReferencedBlob::new(Priority::Live, 3);
        store.set_referenced_blobs(Arc::new([(one.digest(), live)].into_iter().collect()));
        store.set_erased_blobs(HashSet::from([one.digest()]));
        assert_eq!(store.put_blob(&one).unwrap(), Put::Stored, "another site has it");
        store.set_referenced_blobs(Arc::default());
        assert_eq!(is_stored(), (false, false), "it does not any more");
        assert_eq!(store.put_blob(&one).unwrap(), Put::Erased);
        assert_eq!(store.put_prefetched_blob(&one).unwrap(), Put::Erased);
        store.set_erased_blobs(HashSet::new());
        // The file is there when it is erased, after it was removed in vain.
        let put = || {
            store.set_erased_blobs(HashSet::from([one.digest()]));
            store.remove_blob(one.digest()).unwrap();
            store.put(Object::Blob(one.digest()), one.bytes(), Importance::never_used)
        };
        assert_eq!(store.put_unless_erased(&one, put).unwrap(), Put::Erased);
        assert_eq!(is_stored(), (false, false));
    }

    #[test]
    fn write_to_a_full_disk_evicts_what_it_needs_and_no_more() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlockingStore::open_for_test(directory.path(), 1000);
        let names = ["aaaa", "bbbb", "cccc", "dddd"];
        for name in names {
            assert_eq!(store.put_blob(&blob(name)).unwrap(), Put::Stored);
            store.clock.advance(std::time::Duration::from_secs(1));
        }
        let live = ReferencedBlob::new(Priority::Live, 4);
        let referenced = names[..2].iter().map(|name| (blob(name).digest(), live));
        store.set_referenced_blobs(Arc::new(referenced.collect()));
        let held = || names.map(|name| store.contains(Object::Blob(blob(name).digest())));
        let retry = |evictable, needed, write: &dyn Fn() -> io::Result<()>| {
            store.evictor.retry_when_full(&store.layout, &store.index, evictable, needed, write)
        };
        let full_above = |used| {
            let store = &store;
            move || if store.used_bytes() > used { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
        };
        retry(Evictable::All, 4, &full_above(12)).unwrap();
        assert_eq!(held(), [true, true, false, true]);
        // A live blob is not evicted for another: the write fails.
        let for_live = Evictable::LessImportantThan(Importance::never_used(Priority::Live));
        assert_eq!(retry(for_live, 4, &full_above(4)).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(held(), [true, true, false, false]);
        // For the state it is, the least recently used first.
        retry(Evictable::All, 1, &full_above(4)).unwrap();
        assert_eq!(held(), [false, true, false, false]);
        assert_eq!(store.lost_blobs(), 1);
    }

    #[test]
    fn write_that_keeps_failing_on_a_full_disk_is_given_up() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlockingStore::open_for_test(directory.path(), 1000);
        for name in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"] {
            assert_eq!(store.put_blob(&blob(name)).unwrap(), Put::Stored);
        }
        let attempts = std::cell::Cell::new(0);
        let always_full = || {
            attempts.set(attempts.get() + 1);
            Err(io::ErrorKind::StorageFull.into())
        };
        let retry = || store.evictor.retry_when_full(&store.layout, &store.index, Evictable::All, 1, always_full);
        assert_eq!(retry().unwrap_err().kind(), io::ErrorKind::StorageFull);
        // Two before anything is evicted, since the disk has room. Evicted: one, one, and two.
        assert_eq!((attempts.get(), store.used_bytes()), (5, 6));
    }

    #[test]
    fn lowered_budget_is_enforced_by_importance() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlockingStore::open_for_test(directory.path(), 1000);
        for name in ["one", "two", "six"] {
            assert_eq!(store.put_blob(&blob(name)).unwrap(), Put::Stored);
        }
        drop(store);
        let store = BlockingStore::open_for_test(directory.path(), 6);
        let live = ReferencedBlob::new(Priority::Live, 3);
        store.set_referenced_blobs(Arc::new(
            ["one", "six"].map(|name| (blob(name).digest(), live)).into_iter().collect(),
        ));
        store.enforce_budget();
        let held = |name| store.contains(Object::Blob(blob(name).digest()));
        assert_eq!((held("one"), held("two"), held("six")), (true, false, true));
    }

    #[test]
    fn stray_files_are_deleted_when_opened() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlockingStore::open_for_test(directory.path(), 1000);
        assert_eq!(store.put_blob(&blob("one")).unwrap(), Put::Stored);
        drop(store);
        let blobs = directory.path().join("blobs");
        let misplaced = blobs.join("zz").join(blob("one").digest().to_string());
        let strays = [blobs.join("stray"), misplaced, directory.path().join("manifests/.tmp1234")];
        std::fs::create_dir(blobs.join("zz")).unwrap();
        for path in &strays {
            std::fs::write(path, "stray").unwrap();
        }
        let store = BlockingStore::open_for_test(directory.path(), 1000);
        assert!(strays.iter().all(|path| !path.exists()));
        assert_eq!((store.used_bytes(), store.blob(blob("one").digest())), (3, Some(blob("one"))));
    }

    #[test]
    fn pinned_manifests_over_budget_are_kept() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlockingStore::open_for_test(directory.path(), 4);
        let pinned = Digest::of(b"pinned");
        store.pin_manifests(HashSet::from([pinned]));
        assert_eq!(store.put_manifest(Digest::of(b"x"), b"x").unwrap(), Put::Stored);
        assert_eq!(store.put_manifest(Digest::of(b"other"), b"other").unwrap(), Put::NoRoom);
        assert_eq!(store.put_manifest(pinned, b"pinned").unwrap(), Put::Stored);
        assert!(store.contains(Object::Manifest(pinned)) && !store.contains(Object::Manifest(Digest::of(b"x"))));
    }

    #[test]
    fn failed_write_is_reported_until_one_succeeds() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlockingStore::open_for_test(directory.path(), 1000);
        std::fs::remove_dir(directory.path().join("temporary")).unwrap();
        assert_eq!(store.put_blob(&blob("one")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(store.write_failure().as_deref(), Some("No such file or directory (os error 2)"));
        assert!(!store.can_write(1));
        std::fs::create_dir(directory.path().join("temporary")).unwrap();
        assert!(store.can_write(1) && !store.can_write(1 << 60));
        assert_eq!((store.write_failure(), store.used_bytes()), (None, 0));
    }
}
