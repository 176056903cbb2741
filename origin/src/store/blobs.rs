//! Bytes by digest, in an object store.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::path::Path as ObjectPath;
use object_store::{ObjectStore, ObjectStoreExt as _};
use verge_protocol::{Blob, BuildId, Digest, SiteName};

use super::error::StoreError;

/// Blobs and build descriptions. Clones share the store.
#[derive(Clone)]
pub(crate) struct Blobs {
    store: Arc<dyn ObjectStore>,
    directory: PathBuf,
}

/// The outcome of reading a blob.
pub(crate) enum BlobLookup {
    /// The blob; its bytes match its digest.
    Verified(Blob),
    /// The blob was never stored, or its file is gone.
    Missing,
    /// The stored bytes did not match the digest. They are now in quarantine.
    Corrupt,
}

impl Blobs {
    /// Opens the store in a directory, creating it if necessary.
    pub(crate) async fn open(directory: &Path) -> Result<Self, StoreError> {
        tokio::fs::create_dir_all(directory).await.map_err(StoreError::CreateDirectory)?;
        let store = LocalFileSystem::new_with_prefix(directory)?;
        Ok(Self { store: Arc::new(store), directory: directory.to_owned() })
    }

    /// Stores a blob atomically. Idempotent. The blob survives a power failure only after [`Blobs::sync`].
    pub(crate) async fn put(&self, blob: &Blob) -> Result<(), StoreError> {
        // A valid file is not rewritten: one that is already synced must not be replaced by one that is not. Reading it
        // quarantines a corrupt one, such as a power failure may leave.
        if matches!(self.get(blob.digest()).await?, BlobLookup::Verified(_)) {
            return Ok(());
        }
        self.store.put(&blob_path(blob.digest()), blob.bytes().clone().into()).await?;
        Ok(())
    }

    /// Reads and verifies a blob. Moves a corrupt one to quarantine.
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
                tracing::error!(%digest, %error, "corrupt blob on disk moved to quarantine");
                let quarantine = ObjectPath::from(format!("quarantine/{digest}"));
                self.store.rename(&path, &quarantine).await?;
                Ok(BlobLookup::Corrupt)
            }
        }
    }

    /// Makes everything stored so far survive a power failure: one `syncfs`, whatever the number of blobs.
    pub(crate) async fn sync(&self) -> Result<(), StoreError> {
        let directory = self.directory.clone();
        let sync = move || {
            let directory = std::fs::File::open(directory)?;
            rustix::fs::syncfs(directory).map_err(std::io::Error::from)
        };
        tokio::task::spawn_blocking(sync)
            .await
            .map_err(std::io::Error::other)
            .and_then(|synced| synced)
            .map_err(StoreError::Sync)
    }

    /// Stores the description of a build as the client sent it.
    pub(crate) async fn put_build(&self, site: &SiteName, id: &BuildId, body: Bytes) -> Result<(), StoreError> {
        self.store.put(&build_path(site, id), body.into()).await?;
        Ok(())
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
    use super::*;

    #[tokio::test]
    async fn a_corrupt_blob_is_quarantined_and_can_be_stored_again() {
        let directory = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(directory.path()).await.unwrap();
        let blob = Blob::of("verge".into()).unwrap();
        blobs.put(&blob).await.unwrap();
        blobs.put(&blob).await.unwrap();
        assert!(matches!(blobs.get(blob.digest()).await.unwrap(), BlobLookup::Verified(stored) if stored == blob));

        let file = directory.path().join(blob_path(blob.digest()).as_ref());
        std::fs::write(&file, "Verge").unwrap();
        assert!(matches!(blobs.get(blob.digest()).await.unwrap(), BlobLookup::Corrupt));
        assert!(matches!(blobs.get(blob.digest()).await.unwrap(), BlobLookup::Missing));
        blobs.put(&blob).await.unwrap();
        blobs.sync().await.unwrap();
        assert!(matches!(blobs.get(blob.digest()).await.unwrap(), BlobLookup::Verified(_)));
    }
}
