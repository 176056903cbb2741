//! Bytes by digest, in an object store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt as _};
use verge_protocol::{Blob, BuildId, Digest, SiteName};

use super::StoreError;

/// Blobs, and the descriptions of builds under way.
#[derive(Clone)]
pub(crate) struct Blobs {
    store: Arc<dyn ObjectStore>,
    folder: PathBuf,
}

/// What became of a blob.
pub(crate) enum Found {
    /// Here it is, verified.
    Blob(Blob),
    /// It was never stored, or is gone.
    Missing,
    /// It was there, but its bytes had changed at rest. It has been set aside.
    Corrupt,
}

impl Blobs {
    /// Opens a folder, making it if need be.
    pub(crate) async fn open(folder: &Path) -> Result<Self, StoreError> {
        tokio::fs::create_dir_all(folder).await.map_err(StoreError::Sync)?;
        let store = LocalFileSystem::new_with_prefix(folder)?;
        Ok(Self { store: Arc::new(store), folder: folder.to_owned() })
    }

    /// Stores a blob, whole or not at all. Storing one twice is well. It survives a power cut only after [`Blobs::sync`].
    pub(crate) async fn put(&self, blob: &Blob) -> Result<(), StoreError> {
        // A good file is left alone: one that is safely on disk must not be replaced by one that is not yet. A bad one, as a
        // power cut may leave it, is set aside by looking at it.
        if matches!(self.get(blob.digest()).await?, Found::Blob(_)) {
            return Ok(());
        }
        self.store.put(&blob_path(blob.digest()), blob.bytes().clone().into()).await?;
        Ok(())
    }

    /// Reads a blob and checks it.
    pub(crate) async fn get(&self, digest: Digest) -> Result<Found, StoreError> {
        let path = blob_path(digest);
        let bytes = match self.store.get(&path).await {
            Ok(found) => found.bytes().await?,
            Err(object_store::Error::NotFound { .. }) => return Ok(Found::Missing),
            Err(error) => return Err(error.into()),
        };
        match Blob::verify(digest, bytes) {
            Ok(blob) => Ok(Found::Blob(blob)),
            Err(error) => {
                tracing::error!(%digest, %error, "a blob went bad at rest and is set aside");
                let aside = ObjectPath::from(format!("quarantine/{digest}"));
                self.store.rename(&path, &aside).await?;
                Ok(Found::Corrupt)
            }
        }
    }

    /// Makes everything stored so far survive a power cut: one flush of the file system, however many blobs there were.
    pub(crate) async fn sync(&self) -> Result<(), StoreError> {
        let folder = self.folder.clone();
        let sync = move || {
            let folder = std::fs::File::open(folder)?;
            rustix::fs::syncfs(folder).map_err(std::io::Error::from)
        };
        tokio::task::spawn_blocking(sync)
            .await
            .map_err(std::io::Error::other)
            .and_then(|synced| synced)
            .map_err(StoreError::Sync)
    }

    /// Keeps the description of a build, as it came.
    pub(crate) async fn put_build(&self, site: &SiteName, id: &BuildId, body: Bytes) -> Result<(), StoreError> {
        self.store.put(&build_path(site, id), body.into()).await?;
        Ok(())
    }

    /// The description of a build, as it came.
    pub(crate) async fn get_build(&self, site: &SiteName, id: &BuildId) -> Result<Option<Bytes>, StoreError> {
        match self.store.get(&build_path(site, id)).await {
            Ok(found) => Ok(Some(found.bytes().await?)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Two levels, so that no folder grows past what file systems like.
fn blob_path(digest: Digest) -> ObjectPath {
    let name = digest.to_string();
    ObjectPath::from(format!("blobs/{}/{name}", &name[..2]))
}

fn build_path(site: &SiteName, id: &BuildId) -> ObjectPath {
    ObjectPath::from(format!("builds/{site}/{id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_blob_gone_bad_is_set_aside_and_can_be_stored_again() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).await.unwrap();
        let blob = Blob::of("verge".into()).unwrap();
        blobs.put(&blob).await.unwrap();
        blobs.put(&blob).await.unwrap();
        assert!(matches!(blobs.get(blob.digest()).await.unwrap(), Found::Blob(found) if found == blob));

        let file = folder.path().join(blob_path(blob.digest()).as_ref());
        std::fs::write(&file, "Verge").unwrap();
        assert!(matches!(blobs.get(blob.digest()).await.unwrap(), Found::Corrupt));
        assert!(matches!(blobs.get(blob.digest()).await.unwrap(), Found::Missing));
        blobs.put(&blob).await.unwrap();
        blobs.sync().await.unwrap();
        assert!(matches!(blobs.get(blob.digest()).await.unwrap(), Found::Blob(_)));
    }
}
