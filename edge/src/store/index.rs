//! The in-memory index of the files on disk: sizes and last uses.

use std::collections::{HashMap, HashSet};
use std::fs::DirEntry;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use verge_protocol::{Digest, Timestamp};

use super::eviction::EvictionCandidate;
use super::layout::{Layout, Object, OpenError};
use crate::table::{Priority, ReferencedBlobs};

struct IndexedFile {
    /// In bytes.
    size: u64,
    last_used: Timestamp,
}

/// Sizes and last uses of all blobs and manifests on disk.
#[derive(Default)]
pub(super) struct Index {
    files: HashMap<Object, IndexedFile>,
    used_bytes: u64,
}

/// The index of a store that several threads use.
pub(super) struct SharedIndex(Mutex<Index>);

impl SharedIndex {
    pub(super) fn new(index: Index) -> Self {
        Self(Mutex::new(index))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Index> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    /// Indexes the directory. Files whose names are not digests are ignored.
    pub(super) fn list(layout: &Layout) -> Result<Self, OpenError> {
        let mut index = Self::default();
        index.list_directory(&layout.manifests(), Object::Manifest)?;
        for directory in entries(&layout.blobs())? {
            if directory.path().is_dir() {
                index.list_directory(&directory.path(), Object::Blob)?;
            }
        }
        Ok(index)
    }

    fn list_directory(&mut self, directory: &Path, object: fn(Digest) -> Object) -> Result<(), OpenError> {
        for entry in entries(directory)? {
            let Some(digest) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let Ok(metadata) = entry.metadata() else { continue };
            let modified = metadata.modified().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
            self.add(object(digest), metadata.len(), Timestamp::default().after(modified.unwrap_or_default()));
        }
        Ok(())
    }

    pub(super) fn add(&mut self, object: Object, size: u64, last_used: Timestamp) {
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
            Some(EvictionCandidate { key: *object, size: file.size, last_used: file.last_used, priority })
        };
        self.files.iter().filter_map(candidate).collect()
    }
}

fn entries(directory: &Path) -> Result<Vec<DirEntry>, OpenError> {
    let listed = std::fs::read_dir(directory).and_then(Iterator::collect);
    listed.map_err(|source| OpenError::Access { path: directory.to_owned(), source })
}
