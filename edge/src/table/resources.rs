//! A manifest, ready to be served.

use std::collections::HashMap;
use std::sync::Arc;

use verge_protocol::{Content, Digest, Fallback, Manifest};

use super::Resource;

/// Everything that one manifest serves, by path. Shared by all channels that point at it or inherit from it.
pub(crate) struct Resources {
    manifest: Digest,
    by_path: HashMap<Box<str>, Arc<Resource>>,
    /// Each `404.html`, by its folder; the root's is empty.
    not_found: HashMap<Box<str>, Arc<Resource>>,
    single_page: Option<Arc<Resource>>,
}

impl Resources {
    /// Makes the manifest `id` ready.
    pub(crate) fn new(id: Digest, manifest: Manifest) -> Self {
        let by_path: HashMap<Box<str>, Arc<Resource>> =
            manifest.files.into_iter().map(|(path, file)| (path.as_str().into(), Arc::new(file.into()))).collect();
        let single_page = match manifest.fallback {
            Fallback::SinglePage { path } => by_path.get(path.as_str()).cloned(),
            Fallback::NotFound => None,
        };
        let not_found = by_path.iter().filter_map(|(path, resource)| {
            let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
            (name == "404.html").then(|| (folder.into(), Arc::clone(resource)))
        });
        let not_found = not_found.collect();
        Self { manifest: id, by_path, not_found, single_page }
    }

    /// The manifest that they are of.
    pub(crate) fn manifest(&self) -> Digest {
        self.manifest
    }

    /// What is served at exactly this path.
    pub(crate) fn get(&self, path: &str) -> Option<&Arc<Resource>> {
        self.by_path.get(path)
    }

    /// The `404.html` that lies in exactly this folder; the root is empty.
    pub(crate) fn not_found(&self, folder: &str) -> Option<&Arc<Resource>> {
        self.not_found.get(folder)
    }

    /// The page that answers navigations to paths that name nothing.
    pub(crate) fn single_page(&self) -> Option<&Arc<Resource>> {
        self.single_page.as_ref()
    }

    /// Every resource, in no order.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Arc<Resource>> {
        self.by_path.values()
    }

    /// Everything that serving it may need, in no order.
    pub(crate) fn contents(&self) -> impl Iterator<Item = &Content> {
        self.all().flat_map(|resource| resource.contents())
    }
}
