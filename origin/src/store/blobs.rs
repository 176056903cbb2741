//! Bytes by digest, in an object store.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt as _, PutMode};
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard};
use verge_daemon::disk_space::DiskSpace;
use verge_protocol::{BLOB_MAX, Blob, BuildId, Digest, SiteName};

use super::error::StoreError;

/// Blobs and build descriptions. Clones share the store.
#[derive(Clone)]
pub(crate) struct Blobs {
    store: Arc<dyn ObjectStore>,
    directory: PathBuf,
    /// When it was opened, by the clock of the file system; `None` if no file could be created then.
    opened: Option<SystemTime>,
    /// Held while a corrupt blob is replaced.
    repairing: Arc<tokio::sync::Mutex<()>>,
    /// See [`Blobs::prevent_removals`] and [`Blobs::lock_removals`].
    removals: Arc<tokio::sync::RwLock<()>>,
    /// Whether the last write found the disk full.
    is_full: Arc<AtomicBool>,
}

/// The outcome of reading a blob.
pub(crate) enum BlobLookup {
    /// The blob; its bytes match its digest.
    Verified(Blob),
    /// The blob was never stored, or its file is gone.
    Missing,
    /// The stored bytes do not match the digest.
    Corrupt,
}

impl Blobs {
    /// Opens the store in a directory, creating it if necessary.
    ///
    /// A process that is killed while it writes leaves files behind: see [`Self::delete_unfinished`].
    pub(crate) async fn open(directory: &Path) -> Result<Self, StoreError> {
        tokio::fs::create_dir_all(directory).await.map_err(StoreError::CreateDirectory)?;
        let store = LocalFileSystem::new_with_prefix(directory)?;
        let opened = tempfile::tempfile_in(directory).and_then(|file| file.metadata()?.modified()).ok();
        let directory = directory.to_owned();
        let (repairing, removals) = (Arc::default(), Arc::default());
        Ok(Self { store: Arc::new(store), directory, opened, repairing, removals, is_full: Arc::default() })
    }

    /// Stores a blob atomically. Idempotent. The blob survives a power failure only after [`Blobs::sync`].
    ///
    /// Leaves some of the disk free (see [`DiskSpace`]), so that when it is full of blobs, rollbacks and settings still work.
    pub(crate) async fn put(&self, blob: &Blob) -> Result<(), StoreError> {
        self.put_within(blob, DiskSpace::available_for_blobs).await
    }

    /// Stores a blob of a manifest, likewise, which may use most of the reserve.
    pub(crate) async fn put_manifest(&self, blob: &Blob) -> Result<(), StoreError> {
        self.put_within(blob, DiskSpace::available_for_metadata).await
    }

    async fn put_within(&self, blob: &Blob, available: fn(&DiskSpace) -> u64) -> Result<(), StoreError> {
        match self.get(blob.digest()).await? {
            BlobLookup::Verified(_) => return Ok(()),
            BlobLookup::Corrupt => {
                // One at a time: the second must not set aside what the first has put in its place.
                let _guard = self.repairing.lock().await;
                if matches!(self.get(blob.digest()).await?, BlobLookup::Verified(_)) {
                    return Ok(());
                }
                self.quarantine(blob.digest()).await?;
                return self.create(blob).await;
            }
            BlobLookup::Missing => {}
        }
        self.check_space(blob.bytes(), available)?;
        self.create(blob).await
    }

    /// Writes the file of a blob, unless another writer has done so meanwhile: a file that may be synced already must not be replaced by
    /// one that is not.
    async fn create(&self, blob: &Blob) -> Result<(), StoreError> {
        match self.write(&blob_path(blob.digest()), blob.bytes().clone(), PutMode::Create).await {
            Err(StoreError::Objects(object_store::Error::AlreadyExists { .. })) => Ok(()),
            outcome => outcome,
        }
    }

    /// No blob is removed while it is held. Hold it to announce that blobs will be needed: others may do so at the same time. Do not
    /// take it twice: a removal that waits in between waits for ever, and so does the second call.
    pub(crate) async fn prevent_removals(&self) -> OwnedRwLockReadGuard<()> {
        Arc::clone(&self.removals).read_owned().await
    }

    /// While it is held, nobody else removes blobs, nor announces that some will be needed. Hold it to remove blobs, from finding out that
    /// nothing needs them. Those who ask for either lock get it in that order.
    pub(crate) async fn lock_removals(&self) -> OwnedRwLockWriteGuard<()> {
        Arc::clone(&self.removals).write_owned().await
    }

    /// Removes a blob for good, under [`Self::lock_removals`]. That there is none is no error.
    pub(crate) async fn delete(&self, digest: Digest) -> Result<(), StoreError> {
        match self.store.delete(&blob_path(digest)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Removes a blob, as [`Self::delete`] does, and returns its size in bytes; 0 if there is none.
    pub(crate) async fn delete_sized(&self, digest: Digest) -> Result<u64, StoreError> {
        let size = match self.store.head(&blob_path(digest)).await {
            Ok(object) => object.size,
            Err(object_store::Error::NotFound { .. }) => return Ok(0),
            Err(error) => return Err(error.into()),
        };
        self.delete(digest).await?;
        Ok(size)
    }

    /// Moves a corrupt blob, such as a power failure may leave, to quarantine. Another writer may have done so.
    pub(crate) async fn quarantine(&self, digest: Digest) -> Result<(), StoreError> {
        let quarantine = ObjectPath::from(format!("quarantine/{digest}"));
        match self.store.rename(&blob_path(digest), &quarantine).await {
            Ok(()) => tracing::error!(%digest, "corrupt blob on disk moved to quarantine"),
            Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// Reads and verifies a blob. Changes nothing: of two that read a corrupt blob, neither fails, and neither removes what a push has
    /// put in its place meanwhile.
    pub(crate) async fn get(&self, digest: Digest) -> Result<BlobLookup, StoreError> {
        let path = blob_path(digest);
        let bytes = match self.store.get(&path).await {
            Ok(object) => object.bytes().await?,
            Err(object_store::Error::NotFound { .. }) => return Ok(BlobLookup::Missing),
            Err(error) => return Err(error.into()),
        };
        match Blob::verify(digest, bytes) {
            Ok(blob) => Ok(BlobLookup::Verified(blob)),
            Err(error) => {
                tracing::error!(%digest, %error, "corrupt blob on disk");
                Ok(BlobLookup::Corrupt)
            }
        }
    }

    async fn write(&self, path: &ObjectPath, bytes: Bytes, mode: PutMode) -> Result<(), StoreError> {
        let written = self.store.put_opts(path, bytes.into(), mode.into()).await.map_err(StoreError::from);
        match &written {
            Ok(_) => self.is_full.store(false, Ordering::Relaxed),
            Err(error) if error.is_storage_full() => self.is_full.store(true, Ordering::Relaxed),
            Err(_) => {}
        }
        written.map(drop)
    }

    /// Checks whether blobs can be written: an error tells why not. After a write that found the disk full, there must be room for
    /// several blobs again.
    pub(crate) async fn check_write(&self) -> Result<(), StoreError> {
        let bytes = if self.is_full.load(Ordering::Relaxed) { 4 * BLOB_MAX } else { 4096 };
        let directory = self.directory.clone();
        let write = move || {
            if DiskSpace::of(&directory)?.available_for_blobs() < bytes as u64 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            // A file without a name: nothing is left of it, whatever happens to the process.
            tempfile::tempfile_in(directory)?.write_all(&vec![0xa5; bytes])
        };
        let written = tokio::task::spawn_blocking(write).await;
        written.map_err(io::Error::other).and_then(|written| written).map_err(StoreError::Write)?;
        self.is_full.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Deletes the files that processes killed before this store was opened left unfinished, which takes a while in a large store;
    /// others may write meanwhile. Returns how many there were.
    pub(crate) async fn delete_unfinished(&self) -> io::Result<u64> {
        let Some(opened) = self.opened else { return Ok(0) };
        let directory = self.directory.clone();
        tokio::task::spawn_blocking(move || delete_unfinished(&directory, opened)).await.map_err(io::Error::other)?
    }

    /// Makes everything stored so far survive a power failure: one `syncfs`, whatever the number of blobs.
    pub(crate) async fn sync(&self) -> Result<(), StoreError> {
        let directory = self.directory.clone();
        let sync = move || {
            let directory = std::fs::File::open(directory)?;
            rustix::fs::syncfs(directory).map_err(io::Error::from)
        };
        tokio::task::spawn_blocking(sync)
            .await
            .map_err(io::Error::other)
            .and_then(|synced| synced)
            .map_err(StoreError::Sync)
    }

    /// An error if so many bytes are not available.
    fn check_space(&self, bytes: &Bytes, available: fn(&DiskSpace) -> u64) -> Result<(), StoreError> {
        let space = DiskSpace::of(&self.directory);
        if space.is_ok_and(|space| available(&space) < bytes.len() as u64) {
            self.is_full.store(true, Ordering::Relaxed);
            return Err(StoreError::Write(io::ErrorKind::StorageFull.into()));
        }
        Ok(())
    }

    /// Stores the description of a build as the client sent it.
    pub(crate) async fn put_build(&self, site: &SiteName, id: &BuildId, body: Bytes) -> Result<(), StoreError> {
        self.check_space(&body, DiskSpace::available_for_blobs)?;
        self.write(&build_path(site, id), body, PutMode::Overwrite).await
    }

    /// Deletes the description of a build. That there is none is no error.
    pub(crate) async fn delete_build(&self, site: &SiteName, id: &BuildId) -> Result<(), StoreError> {
        match self.store.delete(&build_path(site, id)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The description of a build as the client sent it.
    pub(crate) async fn get_build(&self, site: &SiteName, id: &BuildId) -> Result<Option<Bytes>, StoreError> {
        match self.store.get(&build_path(site, id)).await {
            Ok(object) => Ok(Some(object.bytes().await?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Deletes unfinished files in `directory` and below. `object_store` writes a file under its name, `#` and a number, and renames it.
fn delete_unfinished(directory: &Path, before: SystemTime) -> io::Result<u64> {
    let mut deleted = 0;
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            deleted += delete_unfinished(&entry.path(), before)?;
        } else if entry.file_name().as_encoded_bytes().contains(&b'#') {
            match entry.metadata().and_then(|metadata| metadata.modified()) {
                Ok(modified) if modified < before => std::fs::remove_file(entry.path())?,
                // One that was finished meanwhile is gone.
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => continue,
            }
            deleted += 1;
        }
    }
    Ok(deleted)
}

/// Two levels keep directories small.
fn blob_path(digest: Digest) -> ObjectPath {
    let name = digest.to_string();
    ObjectPath::from(format!("blobs/{}/{name}", &name[..2]))
}

fn build_path(site: &SiteName, id: &BuildId) -> ObjectPath {
    ObjectPath::from(format!("builds/{site}/{id}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_corrupt_blob_is_quarantined_when_it_is_stored_again() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path()).await.unwrap();
        let blob = Blob::of("verge".into()).unwrap();
        blobs.put(&blob).await.unwrap();
        blobs.put(&blob).await.unwrap();
        assert!(matches!(blobs.get(blob.digest()).await.unwrap(), BlobLookup::Verified(stored) if stored == blob));

        let file = directory.path().join(blob_path(blob.digest()).as_ref());
        std::fs::write(&file, "Verge").unwrap();
        for _ in 0..2 {
            assert!(matches!(blobs.get(blob.digest()).await.unwrap(), BlobLookup::Corrupt));
        }
        let (one, other) = tokio::join!(blobs.put(&blob), blobs.put(&blob));
        one.and(other).unwrap();
        blobs.sync().await.unwrap();
        assert!(matches!(blobs.get(blob.digest()).await.unwrap(), BlobLookup::Verified(_)));
        let quarantined = directory.path().join(format!("quarantine/{}", blob.digest()));
        assert_eq!(std::fs::read_to_string(quarantined).unwrap(), "Verge");
        blobs.quarantine(Digest::of(b"gone")).await.unwrap();
    }

    #[tokio::test]
    async fn blob_that_another_writer_has_stored_meanwhile_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path()).await.unwrap();
        let blob = Blob::of("verge".into()).unwrap();
        blobs.put(&blob).await.unwrap();
        let inode = || std::fs::metadata(directory.path().join(blob_path(blob.digest()).as_ref())).unwrap().ino();
        let before = inode();
        blobs.create(&blob).await.unwrap();
        assert_eq!(inode(), before);
    }

    #[tokio::test]
    async fn announcements_exclude_removals_and_not_each_other() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path()).await.unwrap();
        let announcements = (blobs.prevent_removals().await, blobs.prevent_removals().now_or_never().unwrap());
        let mut removal = Box::pin(blobs.lock_removals());
        assert!((&mut removal).now_or_never().is_none());
        drop(announcements);
        let removal = removal.now_or_never().unwrap();
        assert!(blobs.prevent_removals().now_or_never().is_none());
        assert!(blobs.lock_removals().now_or_never().is_none());
        drop(removal);
        assert!(blobs.prevent_removals().now_or_never().is_some());
    }

    #[tokio::test]
    async fn unfinished_files_of_earlier_processes_are_deleted() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path()).await.unwrap();
        let blob = Blob::of("verge".into()).unwrap();
        blobs.put(&blob).await.unwrap();
        let build = (&"demo".parse().unwrap(), &"b1".parse().unwrap());
        blobs.put_build(build.0, build.1, "{}".into()).await.unwrap();
        let unfinished = [blob_path(blob.digest()), build_path(build.0, build.1)];
        let unfinished = unfinished.map(|path| directory.path().join(format!("{path}#12")));
        for path in &unfinished {
            std::fs::write(path, "half").unwrap();
        }
        assert_eq!(blobs.delete_unfinished().await.unwrap(), 0, "in progress");
        let before = blobs.opened.unwrap() - std::time::Duration::from_secs(1);
        for path in &unfinished {
            std::fs::File::open(path).unwrap().set_modified(before).unwrap();
        }
        assert_eq!(blobs.delete_unfinished().await.unwrap(), 2);
        assert!(unfinished.iter().all(|path| !path.exists()));
        assert!(matches!(blobs.get(blob.digest()).await.unwrap(), BlobLookup::Verified(_)));
        assert!(blobs.get_build(build.0, build.1).await.unwrap().is_some());
        blobs.check_write().await.unwrap();
    }
}
