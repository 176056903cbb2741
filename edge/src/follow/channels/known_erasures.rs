//! The contents that were erased, as rows name them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

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
    /// Whether other blobs are to be removed than at the last [`Erasures::take_blobs`].
    has_other_blobs: bool,
}

impl Erasures {
    /// Takes the row of a content. That one is not erased any more takes effect when its manifests are loaded again.
    pub(super) fn apply(&mut self, site: SiteName, content: Digest, state: Option<ErasedState>) {
        match state {
            Some(state) => {
                self.contents.add(site.clone(), content);
                self.changed.insert(site.clone());
                self.blobs.insert((site, content), state.blobs);
                self.has_other_blobs = true;
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
        self.has_other_blobs |= self.blobs.remove(key).is_some();
        self.contents.remove(&key.0, &key.1);
    }

    /// The blobs of all erased contents of a site that nothing else needed when they were erased.
    pub(super) fn blobs(&self, site: &SiteName) -> impl Iterator<Item = Digest> {
        let first = (site.clone(), Digest::from_bytes([0; Digest::LEN]));
        let of_site = self.blobs.range(first..).take_while(move |((of, _), _)| of == site);
        of_site.flat_map(|(_, blobs)| blobs.iter().copied())
    }

    /// The blobs of all sites, if they have changed since the last call.
    pub(super) fn take_blobs(&mut self) -> Option<HashSet<Digest>> {
        let has_changed = std::mem::take(&mut self.has_other_blobs);
        has_changed.then(|| self.blobs.values().flatten().copied().collect())
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
