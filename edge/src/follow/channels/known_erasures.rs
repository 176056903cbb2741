//! The contents that were erased, as rows name them.

use std::collections::{BTreeMap, BTreeSet};

use verge_protocol::state::ErasedState;
use verge_protocol::{Digest, SiteName};

use crate::erased_contents::ErasedContents;

/// The erased contents of all sites.
#[derive(Default)]
pub(super) struct Erasures {
    /// Shared with what serves releases.
    contents: ErasedContents,
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
                self.contents.add(site.clone(), content);
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
        self.contents.remove(&key.0, &key.1);
    }

    /// The blobs of all erased contents of a site that nothing else needed when they were erased.
    pub(super) fn blobs(&self, site: &SiteName) -> impl Iterator<Item = Digest> {
        let of_site = self.blobs.iter().filter(move |((of, _), _)| of == site);
        of_site.flat_map(|(_, blobs)| blobs.iter().copied())
    }

    /// The contents, now and from now on.
    pub(super) fn contents(&self) -> &ErasedContents {
        &self.contents
    }

    /// The sites with contents that were erased since the last call.
    pub(super) fn take_changed(&mut self) -> BTreeSet<SiteName> {
        std::mem::take(&mut self.changed)
    }
}
