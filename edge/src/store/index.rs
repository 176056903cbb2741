//! The in-memory index of the files on disk: sizes, last uses, and writes in progress.

use std::collections::{HashMap, HashSet};
use std::fs::DirEntry;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use verge_protocol::{Digest, Timestamp};

use super::eviction::{EvictionCandidate, Importance};
use super::layout::{Layout, Object, OpenError};
use crate::table::{Priority, ReferencedBlobs};
use verge_daemon::disk_space::allocated;

struct IndexedFile {
    /// The bytes that it takes, in whole blocks.
    size: u64,
    last_used: Timestamp,
}

/// Sizes and last uses of all blobs and manifests on disk.
#[derive(Default)]
pub(super) struct Index {
    files: HashMap<Object, IndexedFile>,
    used_bytes: u64,
    /// Bytes of writes in progress.
    pending_bytes: u64,
}

/// The index of a store that several threads use.
pub(super) struct SharedIndex(Mutex<Index>);

/// A write in progress. Its bytes count as used by [`Index::committed_bytes`] until it is dropped.
pub(super) struct PendingWrite<'a> {
    index: &'a SharedIndex,
    size: u64,
}

impl SharedIndex {
    pub(super) fn new(index: Index) -> Self {
        Self(Mutex::new(index))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Index> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a write of `size` bytes.
    pub(super) fn begin_write(&self, size: u64) -> PendingWrite<'_> {
        self.lock().pending_bytes += size;
        PendingWrite { index: self, size }
    }
}

impl PendingWrite<'_> {
    /// Indexes the file that has been written.
    pub(super) fn complete(mut self, object: Object, now: Timestamp) {
        let mut index = self.index.lock();
        index.pending_bytes -= self.size;
        index.add(object, self.size, now);
        self.size = 0;
    }
}

impl Drop for PendingWrite<'_> {
    fn drop(&mut self) {
        self.index.lock().pending_bytes -= self.size;
    }
}

impl Index {
    /// Indexes the directory, with sizes in whole blocks. Deletes files that no read would find, such as one whose name is no
    /// digest: nothing else would ever delete them.
    pub(super) fn list(layout: &Layout, block: u64) -> Result<Self, OpenError> {
        let mut index = Self::default();
        index.list_directory(layout, &layout.manifests(), Object::Manifest, block)?;
        for directory in entries(&layout.blobs())? {
            if directory.path().is_dir() {
                index.list_directory(layout, &directory.path(), Object::Blob, block)?;
            } else {
                delete_stray(&directory.path());
            }
        }
        Ok(index)
    }

    fn list_directory(
        &mut self,
        layout: &Layout,
        directory: &Path,
        object: fn(Digest) -> Object,
        block: u64,
    ) -> Result<(), OpenError> {
        for entry in entries(directory)? {
            let object = entry.file_name().to_str().and_then(|name| name.parse().ok()).map(object);
            let Some(object) = object.filter(|object| layout.path(*object) == entry.path()) else {
                delete_stray(&entry.path());
                continue;
            };
            let Ok(metadata) = entry.metadata() else { continue };
            let modified = metadata.modified().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
            let size = allocated(metadata.len(), block);
            self.add(object, size, Timestamp::default().after(modified.unwrap_or_default()));
        }
        Ok(())
    }

    fn add(&mut self, object: Object, size: u64, last_used: Timestamp) {
        self.remove(object);
        self.used_bytes += size;
        self.files.insert(object, IndexedFile { size, last_used });
    }

    pub(super) fn remove(&mut self, object: Object) {
        if let Some(file) = self.files.remove(&object) {
            self.used_bytes -= file.size;
        }
    }

    /// Records a use. `false` if the file is not indexed.
    pub(super) fn touch(&mut self, object: Object, now: Timestamp) -> bool {
        self.files.get_mut(&object).map(|file| file.last_used = now).is_some()
    }

    pub(super) fn contains(&self, object: Object) -> bool {
        self.files.contains_key(&object)
    }

    /// Bytes of all blobs and manifests.
    pub(super) fn used_bytes(&self) -> u64 {
        self.used_bytes
    }

    /// Bytes of all blobs and manifests, and of writes in progress.
    pub(super) fn committed_bytes(&self) -> u64 {
        self.used_bytes + self.pending_bytes
    }

    /// Bytes of those `manifests` that are on disk.
    pub(super) fn manifest_bytes(&self, manifests: &HashSet<Digest>) -> u64 {
        manifests.iter().filter_map(|id| self.files.get(&Object::Manifest(*id))).map(|file| file.size).sum()
    }

    /// Everything that may be evicted: all files but the `pinned` manifests.
    pub(super) fn candidates(
        &self,
        referenced: &ReferencedBlobs,
        pinned: &HashSet<Digest>,
    ) -> Vec<EvictionCandidate<Object>> {
        let candidate = |(object, file): (&Object, &IndexedFile)| {
            let priority = match object {
                Object::Blob(digest) => referenced.priority(digest),
                Object::Manifest(id) if pinned.contains(id) => return None,
                Object::Manifest(_) => Priority::Unreferenced,
            };
            let importance = Importance { priority, last_used: file.last_used };
            Some(EvictionCandidate { key: *object, size: file.size, importance })
        };
        self.files.iter().filter_map(candidate).collect()
    }
}

fn entries(directory: &Path) -> Result<Vec<DirEntry>, OpenError> {
    let listed = std::fs::read_dir(directory).and_then(Iterator::collect);
    listed.map_err(|source| OpenError::Access { path: directory.to_owned(), source })
}

fn delete_stray(path: &Path) {
    match std::fs::remove_file(path) {
        Ok(()) => tracing::warn!(file = %path.display(), "deleted a file that is neither a blob nor a manifest"),
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "failed to delete a file that is neither a blob nor a manifest");
        }
    }
}
