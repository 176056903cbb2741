//! The contents that releases are made of: which are missing, whether each is what it claims to be, and their bytes.

use std::sync::Arc;

use bytes::Bytes;
use verge_daemon::error_chain;
use verge_protocol::digest::Hasher;
use verge_protocol::{Build, Content, Digest, Manifest, ReleaseNumber, SiteName};

use super::error::PublishError;
use crate::metrics::Metrics;
use crate::store::{BlobLookup, Blobs, Database, StoreError};

/// Reads and verifies contents. Clones share the store.
#[derive(Clone)]
pub(crate) struct Contents {
    pub(crate) database: Database,
    pub(crate) blobs: Blobs,
    pub(crate) metrics: Arc<Metrics>,
}

impl Contents {
    /// The blobs of `build` that its site does not hold in the size that the build gives, each once, in the order of the build.
    pub(crate) async fn missing(&self, site: &SiteName, build: &Build) -> Result<Vec<Digest>, StoreError> {
        let mut held = self.database.blobs_of(site).await?;
        let mut missing = Vec::new();
        for slice in build.files.values().flat_map(Content::slices) {
            if held.insert(slice.digest, slice.size) != Some(slice.size) {
                missing.push(slice.digest);
            }
        }
        Ok(missing)
    }

    /// An error if `build` has a content that was erased from its site.
    pub(crate) async fn check_erased(&self, site: &SiteName, build: &Build) -> Result<(), PublishError> {
        let erased = self.database.erased(site).await?;
        let mut found = build.files.iter().filter_map(|(path, content)| Some((path, erased.get(&content.digest())?)));
        found.next().map_or(Ok(()), |(path, erased)| {
            Err(PublishError::ErasedContent { site: site.clone(), path: path.clone(), erased: erased.clone() })
        })
    }

    /// An error if the release with this manifest has a content that was erased from its site.
    pub(super) async fn check_release(
        &self,
        site: &SiteName,
        release: ReleaseNumber,
        manifest: Digest,
    ) -> Result<(), PublishError> {
        let erased = self.database.erased(site).await?;
        if erased.is_empty() {
            return Ok(());
        }
        let files = Manifest::verify(manifest, &self.manifest(manifest).await?)?.files;
        let found = files.into_iter().find(|(_, file)| erased.contains_key(&file.identity.digest()));
        found.map_or(Ok(()), |(path, _)| Err(PublishError::ErasedRelease { site: site.clone(), release, path }))
    }

    /// Checks that each content of several blobs has the digest that it claims: readers and caches know it by that digest, and
    /// encodings are shared by it. (The blob of a content of one blob was checked when it was received.) Each content is read once in
    /// the origin's lifetime.
    pub(super) async fn verify(&self, build: &Build) -> Result<(), PublishError> {
        for content in build.files.values().filter(|content| content.slices().nth(1).is_some()) {
            if self.database.is_verified(content).await? {
                continue;
            }
            let mut hasher = Hasher::default();
            for slice in content.slices() {
                hasher.update(&self.blob(slice.digest).await?);
            }
            if hasher.finish() != content.digest() {
                return Err(PublishError::WrongContent(content.digest()));
            }
            self.database.set_verified(content).await?;
        }
        Ok(())
    }

    /// Reads a content in full.
    pub(super) async fn read(&self, content: &Content) -> Result<Bytes, PublishError> {
        let mut bytes = Vec::with_capacity(usize::try_from(content.size()).unwrap_or_default());
        for slice in content.slices() {
            bytes.extend_from_slice(&self.blob(slice.digest).await?);
        }
        Ok(bytes.into())
    }

    /// Reads a blob that should exist.
    pub(super) async fn blob(&self, digest: Digest) -> Result<Bytes, PublishError> {
        match self.lookup(digest).await? {
            BlobLookup::Verified(blob) => Ok(blob.into_bytes()),
            BlobLookup::Corrupt => Err(PublishError::CorruptBlob(digest)),
            BlobLookup::Missing => {
                self.metrics.blobs_corrupt.inc();
                Err(PublishError::CorruptBlob(digest))
            }
        }
    }

    /// Reads a blob that may not exist. One that is missing or corrupt is held by no site any more, so that the next push sends it
    /// again.
    pub(crate) async fn lookup(&self, digest: Digest) -> Result<BlobLookup, StoreError> {
        let mut lookup = self.blobs.get(digest).await?;
        if matches!(lookup, BlobLookup::Corrupt) {
            self.metrics.blobs_corrupt.inc();
            // A push may have replaced it since.
            lookup = self.blobs.get(digest).await?;
        }
        if !matches!(lookup, BlobLookup::Verified(_)) {
            // On a full disk nothing can be forgotten, and reads must go on.
            if let Err(error) = self.database.forget_blob(digest).await {
                tracing::error!(%digest, error = error_chain(&error), "failed to record that a blob is missing");
            }
        }
        Ok(lookup)
    }

    /// The bytes of a manifest.
    pub(crate) async fn manifest(&self, id: Digest) -> Result<Bytes, PublishError> {
        let content = self.database.manifest(id).await?.ok_or(PublishError::UnknownManifest(id))?;
        self.read(&content).await.map_err(|error| match error {
            PublishError::CorruptBlob(_) => PublishError::CorruptManifest(id),
            error => error,
        })
    }
}
