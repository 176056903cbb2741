//! The contents that sites must not serve any more, as rows name them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use verge_protocol::state::ErasedState;
use verge_protocol::{Digest, SiteName};

use crate::table::Resources;

/// The erased contents of all sites.
#[derive(Default)]
pub(super) struct Erasures {
    contents: BTreeMap<SiteName, BTreeSet<Digest>>,
    /// The blobs to be removed for each.
    blobs: BTreeMap<(SiteName, Digest), Vec<Digest>>,
    /// Sites with contents that were erased since the last [`Erasures::take_changed`].
    changed: BTreeSet<SiteName>,
}

impl Erasures {
    /// Takes the row of a content. That one is not erased any more takes effect when its manifests are loaded again.
    pub(super) fn apply(&mut self, site: SiteName, content: Digest, state: Option<ErasedState>) {
        match state {
            Some(state) => {
                self.contents.entry(site.clone()).or_default().insert(content);
                self.changed.insert(site.clone());
                self.blobs.insert((site, content), state.blobs);
            }
            None => self.remove(&(site, content)),
        }
    }

    /// Only these keys exist.
    pub(super) fn retain(&mut self, has_key: impl Fn(&str) -> bool) {
        let is_gone = |(site, content): &&(SiteName, Digest)| !has_key(&format!("erased/{site}/{content}"));
        let gone: Vec<(SiteName, Digest)> = self.blobs.keys().filter(is_gone).cloned().collect();
        for key in &gone {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: &(SiteName, Digest)) {
        self.blobs.remove(key);
        if let Some(contents) = self.contents.get_mut(&key.0) {
            contents.remove(&key.1);
        }
    }

    /// The blobs of all erased contents of a site that nothing else needed when they were erased.
    pub(super) fn blobs(&self, site: &SiteName) -> impl Iterator<Item = Digest> {
        let of_site = self.blobs.iter().filter(move |((of, _), _)| of == site);
        of_site.flat_map(|(_, blobs)| blobs.iter().copied())
    }

    /// The resources, of which those are marked that were erased.
    pub(super) fn without_erased(&self, resources: Arc<Resources>) -> Arc<Resources> {
        let erased = self.contents.get(resources.site()).and_then(|erased| resources.erase(erased));
        erased.map_or(resources, Arc::new)
    }

    /// The sites with contents that were erased since the last call.
    pub(super) fn take_changed(&mut self) -> BTreeSet<SiteName> {
        std::mem::take(&mut self.changed)
    }
}
