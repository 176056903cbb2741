//! The contents that releases are made of: whether they are there, and what they claim to be.

use bytes::Bytes;
use verge_protocol::api::BuildDiff;
use verge_protocol::digest::Hasher;
use verge_protocol::{Build, Content, Digest, Manifest, SiteName};

use super::PublishError;
use crate::app::App;
use crate::store::StoreError;
use crate::store::blobs::Found;

/// The blobs of `build` that its site does not hold in the size that the build says, each once, in the order of the build.
pub(crate) async fn missing(app: &App, site: &SiteName, build: &Build) -> Result<Vec<Digest>, StoreError> {
    let mut held = app.database.blobs_of(site).await?;
    let mut missing = Vec::new();
    for piece in build.files.values().flat_map(Content::pieces) {
        if held.insert(piece.digest, piece.size) != Some(piece.size) {
            missing.push(piece.digest);
        }
    }
    Ok(missing)
}

/// Checks that each content of several blobs has the digest it claims: readers and caches go by that, and encodings are shared
/// by it. (A content of one blob has it by its blob.) Each is read once in the origin's life.
pub(super) async fn verify(app: &App, build: &Build) -> Result<(), PublishError> {
    for content in build.files.values().filter(|content| content.pieces().nth(1).is_some()) {
        if app.database.is_verified(content).await? {
            continue;
        }
        let mut hasher = Hasher::default();
        for piece in content.pieces() {
            hasher.update(&blob(app, piece.digest).await?);
        }
        if hasher.finish() != content.digest() {
            return Err(PublishError::WrongContent(content.digest()));
        }
        app.database.set_verified(content).await?;
    }
    Ok(())
}

/// Reads a whole content.
pub(super) async fn read(app: &App, content: &Content) -> Result<Bytes, PublishError> {
    let mut whole = Vec::with_capacity(usize::try_from(content.size()).unwrap_or_default());
    for piece in content.pieces() {
        whole.extend_from_slice(&blob(app, piece.digest).await?);
    }
    Ok(whole.into())
}

/// Reads a blob that should be there. One that is not as it should be is noted, so that the next push brings it again.
async fn blob(app: &App, digest: Digest) -> Result<Bytes, PublishError> {
    match app.blobs.get(digest).await? {
        Found::Blob(blob) => Ok(blob.into_bytes()),
        Found::Missing | Found::Corrupt => {
            app.metrics.blobs_corrupt.inc();
            app.database.forget_blob(digest).await?;
            Err(PublishError::BadBlob(digest))
        }
    }
}

/// The bytes of a manifest.
pub(crate) async fn manifest_bytes(app: &App, id: Digest) -> Result<Bytes, PublishError> {
    let content = app.database.manifest(id).await?.ok_or(PublishError::UnknownManifest(id))?;
    read(app, &content).await.map_err(|error| match error {
        PublishError::BadBlob(_) => PublishError::LostManifest(id),
        error => error,
    })
}

/// How a build differs from what the channel serves now. Of a manifest that was lost nothing is known, which is no reason to
/// refuse the push that may bring it back.
pub(crate) async fn changes(app: &App, build: &Build, current: Option<Digest>) -> Result<BuildDiff, PublishError> {
    let mut changes = BuildDiff { added: build.files.len() as u64, ..BuildDiff::default() };
    let Some(id) = current else { return Ok(changes) };
    let manifest = match manifest_bytes(app, id).await {
        Ok(bytes) => Manifest::verify(id, &bytes)?,
        Err(error @ PublishError::LostManifest(_)) => {
            tracing::error!(%error, "a build cannot be compared with what is live");
            return Ok(changes);
        }
        Err(error) => return Err(error),
    };
    changes.added = 0;
    for (path, content) in &build.files {
        match manifest.files.get(path) {
            None => changes.added += 1,
            Some(file) if file.identity == *content => changes.unchanged += 1,
            Some(_) => changes.changed += 1,
        }
    }
    changes.removed = manifest.files.len() as u64 - changes.changed - changes.unchanged;
    Ok(changes)
}
