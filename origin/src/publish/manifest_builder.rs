//! Builds a manifest from a build, its encodings and the history of its paths.

use std::collections::{BTreeMap, HashMap};

use verge_protocol::manifest::File;
use verge_protocol::{Build, Coding, Content, Digest, Manifest, SiteName, SitePath};

use super::lifetime::{self, Conventions};
use super::media_type;

/// A manifest and what its release needs besides.
pub(super) struct BuiltManifest {
    pub(super) manifest: Manifest,
    /// Fingerprinted paths and the digests of their bytes.
    pub(super) fingerprints: Vec<(SitePath, Digest)>,
    /// What the client should know about accepted files.
    pub(super) warnings: Vec<String>,
}

/// Builds the manifest. `history` holds the digest that each fingerprinted path was first released with.
pub(super) fn build_manifest(
    site: &SiteName,
    build: Build,
    encodings: &HashMap<(Digest, Coding), Content>,
    history: &HashMap<String, Digest>,
) -> BuiltManifest {
    let mut warnings = Vec::new();
    let mut fingerprints = Vec::new();
    let mut files = BTreeMap::new();
    let paths: Vec<SitePath> = build.files.keys().cloned().collect();
    let conventions = Conventions::of(paths.iter());
    for (path, identity) in build.files {
        let media_type = media_type::of(&path);
        let first = history.get(path.as_str()).copied();
        let decision = lifetime::decide(&conventions, &path, &media_type, identity.digest(), first);
        warnings.extend(decision.warning);
        if decision.fingerprinted {
            fingerprints.push((path.clone(), identity.digest()));
        }
        let encoded = |coding| Some((coding, encodings.get(&(identity.digest(), coding))?.clone()));
        let encodings = if media_type::is_compressible(&media_type) {
            Coding::ALL.into_iter().filter_map(encoded).collect()
        } else {
            BTreeMap::new()
        };
        let (lifetime, fingerprinted) = (decision.lifetime, decision.fingerprinted);
        files.insert(path, File { media_type, lifetime, fingerprinted, identity, encodings });
    }
    BuiltManifest { manifest: Manifest { site: site.clone(), fallback: build.fallback, files }, fingerprints, warnings }
}

/// The contents of a build that are worth encoding, each once, the largest first, so that no large one is left for the end.
pub(super) fn encodable(build: &Build) -> Vec<Content> {
    let compressible = build.files.iter().filter(|(path, _)| media_type::is_compressible(&media_type::of(path)));
    let distinct: HashMap<Digest, &Content> = compressible.map(|(_, content)| (content.digest(), content)).collect();
    let mut contents: Vec<Content> = distinct.into_values().cloned().collect();
    contents.sort_by_key(|content| (std::cmp::Reverse(content.size()), content.digest()));
    contents
}
