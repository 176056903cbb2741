//! Builds a manifest from a build, the formats of its files, its encodings and the history of its paths.

use std::collections::{BTreeMap, HashMap};

use verge_protocol::manifest::File;
use verge_protocol::{Build, Coding, Content, Digest, Lifetime, Manifest, SiteName, SitePath};

use super::build_output::BuildOutput;
use super::contents::Contents;
use super::error::PublishError;
use super::file_format::{FileFormat, FileFormats};
use super::{former_scripts, lifetime};
use crate::store::{Fingerprint, NewFingerprint};

/// What a new manifest depends on besides its build: the earlier releases of its site, on all channels.
#[derive(Default)]
pub(super) struct SiteHistory {
    /// Of each path whose name may contain a hash.
    fingerprints: HashMap<String, Fingerprint>,
    /// The unhashed scripts of all releases, the most recent first.
    scripts: Vec<SitePath>,
}

impl SiteHistory {
    /// Reads the history of `site`.
    pub(super) async fn load(contents: &Contents, site: &SiteName) -> Result<Self, PublishError> {
        let fingerprints = contents.database.fingerprints(site).await?;
        Ok(Self { fingerprints, scripts: former_scripts::of_earlier_releases(contents, site).await? })
    }
}

/// A manifest and what its release needs besides.
pub(super) struct BuiltManifest {
    pub(super) manifest: Manifest,
    /// Paths whose names may contain a hash.
    pub(super) fingerprints: Vec<NewFingerprint>,
    /// What the client should know about accepted files.
    pub(super) warnings: Vec<String>,
}

/// Builds the manifest.
pub(super) fn build_manifest(
    site: &SiteName,
    build: Build,
    mut formats: FileFormats,
    encodings: &HashMap<(Digest, Coding), Content>,
    history: SiteHistory,
) -> BuiltManifest {
    let mut contradicted = Vec::new();
    let mut fingerprints = Vec::new();
    let mut files = BTreeMap::new();
    let paths: Vec<SitePath> = build.files.keys().cloned().collect();
    let output = BuildOutput::of(paths.iter());
    for (path, identity) in build.files {
        let Some(format) = formats.by_path.remove(&path) else { unreachable!("every file of the build has a format") };
        let FileFormat { media_type, content_encoding, is_encodable } = format;
        let (digest, earlier) = (identity.digest(), history.fingerprints.get(path.as_str()));
        let decision = lifetime::decide(&output, &path, &media_type, digest, earlier);
        contradicted.extend(decision.contradiction.map(|contradiction| (path.clone(), contradiction)));
        if decision.remembered {
            let immutable = decision.lifetime == Lifetime::Immutable;
            fingerprints.push(NewFingerprint { path: path.clone(), digest, immutable });
        }
        let encoded = |coding| Some((coding, encodings.get(&(digest, coding))?.clone()));
        let encodings =
            if is_encodable { Coding::ALL.into_iter().filter_map(encoded).collect() } else { BTreeMap::new() };
        let (lifetime, fingerprinted) = (decision.lifetime, decision.fingerprinted);
        files.insert(path, File { media_type, lifetime, fingerprinted, identity, content_encoding, encodings });
    }
    let former_scripts = Some(former_scripts::choose(build.legacy_service_workers, history.scripts, &files));
    let manifest = Manifest {
        site: site.clone(),
        fallback: build.fallback,
        files,
        former_scripts,
        html: build.html,
        rules: build.rules,
    };
    let warnings = lifetime::warnings(&contradicted).into_iter().chain(formats.warnings).collect();
    BuiltManifest { manifest, fingerprints, warnings }
}

/// The contents of a build that are worth encoding, each once, the largest first, so that no large one is left for the end.
pub(super) fn encodable(build: &Build, formats: &FileFormats) -> Vec<Content> {
    let is_encodable = |path: &SitePath| formats.by_path.get(path).is_some_and(|format| format.is_encodable);
    let encodable = build.files.iter().filter(|(path, _)| is_encodable(path));
    let distinct: HashMap<Digest, &Content> = encodable.map(|(_, content)| (content.digest(), content)).collect();
    let mut contents: Vec<Content> = distinct.into_values().cloned().collect();
    contents.sort_by_key(|content| (std::cmp::Reverse(content.size()), content.digest()));
    contents
}
