//! What is on disk, in memory: how large, and when it was last of use.

use std::collections::{HashMap, HashSet};
use std::fs::DirEntry;
use std::path::Path;
use std::time::SystemTime;

use verge_protocol::{Digest, Timestamp};

use super::eviction::Candidate;
use super::layout::{Layout, Object, OpenError};
use crate::table::{Class, Needs};

struct Held {
    size: u64,
    last_used: Timestamp,
}

/// Sizes and last uses of all blobs and manifests.
#[derive(Default)]
pub(super) struct Index {
    held: HashMap<Object, Held>,
    used: u64,
}

impl Index {
    /// Lists the folder. Files whose names are no digests are left alone.
    pub(super) fn list(layout: &Layout) -> Result<Self, OpenError> {
        let mut index = Self::default();
        index.list_folder(&layout.manifests(), Object::Manifest)?;
        for folder in entries(&layout.blobs())? {
            if folder.path().is_dir() {
                index.list_folder(&folder.path(), Object::Blob)?;
            }
        }
        Ok(index)
    }

    fn list_folder(&mut self, folder: &Path, object: fn(Digest) -> Object) -> Result<(), OpenError> {
        for entry in entries(folder)? {
            let Some(digest) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let Ok(metadata) = entry.metadata() else { continue };
            let since = metadata.modified().ok().and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
            self.add(object(digest), metadata.len(), Timestamp::default().after(since.unwrap_or_default()));
        }
        Ok(())
    }

    pub(super) fn add(&mut self, object: Object, size: u64, last_used: Timestamp) {
        self.remove(object);
        self.used += size;
        self.held.insert(object, Held { size, last_used });
    }

    pub(super) fn remove(&mut self, object: Object) {
        if let Some(held) = self.held.remove(&object) {
            self.used -= held.size;
        }
    }

    /// Notes a use; `false` when it is not there.
    pub(super) fn touch(&mut self, object: Object, now: Timestamp) -> bool {
        self.held.get_mut(&object).map(|held| held.last_used = now).is_some()
    }

    pub(super) fn holds(&self, object: Object) -> bool {
        self.held.contains_key(&object)
    }

    /// Bytes of everything.
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// Bytes of those `manifests` that are held.
    pub(super) fn manifest_bytes(&self, manifests: &HashSet<Digest>) -> u64 {
        manifests.iter().filter_map(|id| self.held.get(&Object::Manifest(*id))).map(|held| held.size).sum()
    }

    /// Everything that may be dropped: all but the manifests that are `followed`.
    pub(super) fn candidates(&self, needs: &Needs, followed: &HashSet<Digest>) -> Vec<Candidate<Object>> {
        let candidate = |(object, held): (&Object, &Held)| {
            let class = match object {
                Object::Blob(digest) => needs.class(digest),
                Object::Manifest(id) if followed.contains(id) => return None,
                Object::Manifest(_) => Class::Unreferenced,
            };
            Some(Candidate { key: *object, size: held.size, last_used: held.last_used, class })
        };
        self.held.iter().filter_map(candidate).collect()
    }
}

fn entries(folder: &Path) -> Result<Vec<DirEntry>, OpenError> {
    let listed = std::fs::read_dir(folder).and_then(Iterator::collect);
    listed.map_err(|source| OpenError::Inside { path: folder.to_owned(), source })
}
