//! The store itself. What touches files blocks.

use std::collections::HashSet;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use bytes::Bytes;
use verge_daemon::Clock;
use verge_daemon::atomic_file::Durability;
use verge_protocol::{Blob, Digest, Manifest};

use super::index::Index;
use super::layout::{Layout, Object, OpenError};
use super::state_file::{self, Saved};
use crate::metrics::Metrics;
use crate::table::Needs;

/// The data folder of one edge.
pub(crate) struct Store {
    pub(super) layout: Layout,
    pub(super) index: Mutex<Index>,
    /// One eviction at a time: two would drop twice as much as is needed.
    pub(super) evicting: Mutex<()>,
    pub(super) needs: ArcSwap<Needs>,
    /// Manifests that are kept whatever the budget: without them an edge could not boot.
    pub(super) manifests: ArcSwap<HashSet<Digest>>,
    pub(super) budget: u64,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
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
        self.with_space(bytes.len() as u64, || self.layout.write(&path, &bytes, Durability::WithName))
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
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                tracing::error!(%object, %error, "a file on disk is gone: to be fetched again");
                self.index().remove(object);
                None
            }
            // Too many open files, say: the file is there all the same, and the next to ask may have it.
            Err(error) => {
                tracing::error!(%object, %error, "a file on disk cannot be read now");
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
        self.with_space(size, || self.layout.write(&path, bytes, object.durability()))?;
        self.index().add(object, size, self.clock.now());
        self.keep_to_budget();
        Ok(())
    }

    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::test_support::store as open;

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
    fn a_file_that_cannot_be_read_now_is_not_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), 1000);
        store.keep_blob(&blob("one")).unwrap();
        let path = path_of(folder.path(), &blob("one"));
        // A folder in its place: an error that tells nothing of the file, and is no `NotFound`.
        let aside = folder.path().join("aside");
        std::fs::rename(&path, &aside).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert_eq!(store.blob(blob("one").digest()), None);
        std::fs::remove_dir(&path).unwrap();
        std::fs::rename(&aside, &path).unwrap();
        assert_eq!(store.blob(blob("one").digest()), Some(blob("one")));
        assert_eq!(store.used(), 3);
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
