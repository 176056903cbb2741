//! The contents that sites must not serve any more, whatever release has them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use verge_protocol::{Digest, SiteName};

use crate::table::Resources;

/// The erased contents of all sites, now and from now on. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct ErasedContents(Arc<RwLock<Contents>>);

#[derive(Default)]
struct Contents {
    sites: BTreeMap<SiteName, BTreeSet<Digest>>,
    /// Grows with every change.
    version: u64,
}

impl ErasedContents {
    /// A content is erased from a site.
    pub(crate) fn add(&self, site: SiteName, content: Digest) {
        let mut contents = self.write();
        if contents.sites.entry(site).or_default().insert(content) {
            contents.version += 1;
        }
    }

    /// A content is not erased from a site any more.
    pub(crate) fn remove(&self, site: &SiteName, content: &Digest) {
        let mut contents = self.write();
        if contents.sites.get_mut(site).is_some_and(|erased| erased.remove(content)) {
            contents.version += 1;
        }
    }

    /// A number that grows with every change: what was marked at an earlier one may lack marks.
    pub(crate) fn version(&self) -> u64 {
        self.read().version
    }

    /// The resources, of which those are marked that were erased.
    pub(crate) fn without_erased(&self, resources: Arc<Resources>) -> Arc<Resources> {
        let contents = self.read();
        let erased = contents.sites.get(resources.site()).and_then(|erased| resources.erase(erased));
        erased.map_or(resources, Arc::new)
    }

    fn read(&self) -> RwLockReadGuard<'_, Contents> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Contents> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}
