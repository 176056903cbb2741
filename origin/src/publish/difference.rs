//! How a build differs from what a channel serves.

use verge_daemon::error_chain;
use verge_protocol::api::BuildDiff;
use verge_protocol::{Build, Digest, Manifest};

use super::contents::Contents;
use super::error::PublishError;
use super::former_scripts;

/// How a build differs from the manifest that a channel serves now, and whether that serves exactly this build. A corrupt manifest
/// counts as empty: it must not prevent the push that may restore it.
pub(crate) async fn difference(
    contents: &Contents,
    build: &Build,
    current: Option<Digest>,
) -> Result<(BuildDiff, bool), PublishError> {
    let mut diff = BuildDiff { added: build.files.len() as u64, ..BuildDiff::default() };
    let Some(id) = current else { return Ok((diff, false)) };
    let manifest = match contents.manifest(id).await {
        Ok(bytes) => Manifest::verify(id, &bytes)?,
        Err(error @ PublishError::CorruptManifest(_)) => {
            tracing::error!(error = error_chain(&error), "failed to compare a build with the current release");
            return Ok((diff, false));
        }
        Err(error) => return Err(error),
    };
    diff.added = 0;
    for (path, content) in &build.files {
        match manifest.files.get(path) {
            None => diff.added += 1,
            Some(file) if file.identity == *content => diff.unchanged += 1,
            Some(_) => diff.changed += 1,
        }
    }
    diff.removed = manifest.files.len() as u64 - diff.changed - diff.unchanged;
    let has_same_files = diff.added + diff.changed + diff.removed == 0;
    Ok((diff, has_same_files && has_same_settings(build, &manifest)))
}

/// Whether everything of a build but its files is as in a manifest with the same files.
fn has_same_settings(build: &Build, manifest: &Manifest) -> bool {
    // Named in full, so that a new field is not forgotten here: pushes that change only that would make no release.
    let Build { files: _, fallback, legacy_service_workers, html, rules } = build;
    *fallback == manifest.fallback
        && *html == manifest.html
        && *rules == manifest.rules
        && former_scripts::lists(manifest, legacy_service_workers)
}
