//! The disk of an edge: what survives its process. Its budget is one of blobs; what it evicts is less important than what it stores.

use std::collections::{BTreeMap, BTreeSet};

use verge_edge::model::{Disk as Index, Saved};
use verge_protocol::Digest;

#[derive(Default)]
pub(crate) struct Disk {
    pub(crate) state: Option<Saved>,
    /// A byte of the state file that is wrong, by its place.
    pub(crate) damage: Option<usize>,
    manifests: BTreeSet<Digest>,
    blobs: BTreeMap<Digest, u64>,
    /// How many bytes of blobs it has room for.
    pub(crate) budget: u64,
    /// Writes fail.
    pub(crate) is_failing: bool,
    /// Writes have failed, or blobs were lost.
    pub(crate) has_failed: bool,
}

impl Disk {
    pub(crate) fn new(budget: u64) -> Self {
        Self { budget, ..Self::default() }
    }

    /// The state file.
    pub(crate) fn state_file(&self) -> Option<Vec<u8>> {
        let mut bytes = self.state.as_ref()?.to_bytes();
        if let Some(place) = self.damage {
            let place = place % bytes.len();
            bytes[place] ^= 1;
        }
        Some(bytes)
    }

    pub(crate) fn save(&mut self, state: Saved) -> bool {
        if !self.is_failing {
            (self.state, self.damage) = (Some(state), None);
        }
        !self.is_failing
    }

    pub(crate) fn put_manifest(&mut self, id: Digest) {
        if !self.is_failing {
            self.manifests.insert(id);
        }
    }

    /// Stores a blob if it has room beside those that are as important.
    pub(crate) fn put_blob(&mut self, blob: Digest, size: u64, importance: impl Fn(&Digest) -> u8) {
        if self.is_failing || self.blobs.contains_key(&blob) {
            return;
        }
        let used = |blobs: &BTreeMap<Digest, u64>| blobs.values().sum::<u64>() + size;
        let least = |blobs: &BTreeMap<Digest, u64>| {
            let evictable = blobs.keys().copied().filter(|other| importance(other) < importance(&blob));
            evictable.min_by_key(&importance)
        };
        let mut blobs = self.blobs.clone();
        while used(&blobs) > self.budget {
            let Some(victim) = least(&blobs) else { return };
            blobs.remove(&victim);
        }
        blobs.insert(blob, size);
        self.blobs = blobs;
    }

    /// Loses a blob: it turned out to be corrupt.
    pub(crate) fn lose_blob(&mut self, index: usize) -> Option<Digest> {
        let blob = *self.blobs.keys().nth(index.checked_rem(self.blobs.len())?)?;
        self.blobs.remove(&blob);
        self.has_failed = true;
        Some(blob)
    }

    /// Whether it has room for everything, and has never lost anything.
    pub(crate) fn is_sound(&self) -> bool {
        !self.has_failed && self.budget > 1 << 20
    }

    /// Removes a blob.
    pub(crate) fn remove_blob(&mut self, blob: &Digest) {
        self.blobs.remove(blob);
    }
}

impl Index for Disk {
    fn has_manifest(&self, id: &Digest) -> bool {
        self.manifests.contains(id)
    }

    fn has_blob(&self, blob: &Digest) -> bool {
        self.blobs.contains_key(blob)
    }

    fn is_empty(&self) -> bool {
        self.manifests.is_empty() && self.blobs.is_empty()
    }
}
