//! What releases and builds need.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::Deserialize;
use verge_protocol::{BuildId, Content, Digest, Manifest, SiteName, SitePath};

/// The blobs and contents that manifests and builds name. Manifests and builds may be added later.
#[derive(Debug, Default)]
pub(super) struct Marks {
    manifests: HashSet<Digest>,
    builds: HashSet<(SiteName, BuildId)>,
    /// The blobs of files, and of their encodings.
    blobs: HashMap<SiteName, HashSet<Digest>>,
    /// The contents of files, before encoding.
    contents: HashSet<Digest>,
}

/// What is read of the description of a build.
#[derive(Deserialize)]
pub(super) struct BuildFiles {
    files: BTreeMap<SitePath, Content>,
}

impl Marks {
    pub(super) fn has_manifest(&self, id: &Digest) -> bool {
        self.manifests.contains(id)
    }

    pub(super) fn has_build(&self, site: &SiteName, id: &BuildId) -> bool {
        self.builds.contains(&(site.clone(), id.clone()))
    }

    pub(super) fn add_manifest(&mut self, id: Digest, manifest: Manifest) {
        let blobs = self.blobs.entry(manifest.site).or_default();
        for file in manifest.files.into_values() {
            self.contents.insert(file.identity.digest());
            let contents = [&file.identity].into_iter().chain(file.encodings.values());
            blobs.extend(contents.flat_map(Content::slices).map(|slice| slice.digest));
        }
        self.manifests.insert(id);
    }

    pub(super) fn add_build(&mut self, site: SiteName, id: BuildId, build: BuildFiles) {
        let blobs = self.blobs.entry(site.clone()).or_default();
        for content in build.files.into_values() {
            self.contents.insert(content.digest());
            blobs.extend(content.slices().map(|slice| slice.digest));
        }
        self.builds.insert((site, id));
    }

    /// Whether a release or build of the site needs a blob.
    pub(super) fn needs_blob(&self, site: &SiteName, blob: &Digest) -> bool {
        self.blobs.get(site).is_some_and(|blobs| blobs.contains(blob))
    }

    /// Whether a release or build of any site does.
    pub(super) fn any_needs_blob(&self, blob: &Digest) -> bool {
        self.blobs.values().any(|blobs| blobs.contains(blob))
    }

    /// Whether a file of any site has a content.
    pub(super) fn needs_content(&self, content: &Digest) -> bool {
        self.contents.contains(content)
    }
}
