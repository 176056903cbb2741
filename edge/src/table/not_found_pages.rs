//! The pages that a release has for paths without a file.

use std::collections::HashMap;
use std::sync::Arc;

use super::resource::Resource;

/// The name of such a page.
const FILE_NAME: &str = "404.html";

/// Each `404.html` of a release, as a tree of the directories that have one, or have one below them.
///
/// Finding the nearest one takes time in proportion to the length of the path, whoever chose it, and ends at the first directory that is not
/// in the tree.
#[derive(Default)]
pub(super) struct NotFoundPages {
    page: Option<Arc<Resource>>,
    directories: HashMap<Box<str>, NotFoundPages>,
}

impl NotFoundPages {
    /// Those among the resources of a release.
    pub(super) fn of<'a>(resources: impl Iterator<Item = (&'a str, &'a Arc<Resource>)>) -> Self {
        let mut root = Self::default();
        for (path, page) in resources {
            let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
            if name == FILE_NAME {
                let names = directory.split('/').filter(|name| !name.is_empty());
                let found = names.fold(&mut root, |parent, name| parent.directories.entry(name.into()).or_default());
                found.page = Some(Arc::clone(page));
            }
        }
        root
    }

    /// The page in this directory, or in the nearest directory above it; the root is the empty string.
    pub(super) fn nearest(&self, directory: &str) -> Option<&Arc<Resource>> {
        let (mut current, mut nearest) = (self, self.page.as_ref());
        // The root is no name.
        for name in directory.split('/').filter(|_| !directory.is_empty()) {
            let Some(below) = current.directories.get(name) else { break };
            current = below;
            nearest = current.page.as_ref().or(nearest);
        }
        nearest
    }
}
