//! The purges of all sites, as rows name them, and which are done.

use std::collections::{BTreeMap, VecDeque};

use verge_protocol::purge::{Purge, PurgeScope, PurgeState};
use verge_protocol::report::{PURGES_MAX, PurgeProof};
use verge_protocol::{Digest, Generation, Seq, SiteName};

use crate::table::InheritedRelease;

/// The purges of all sites.
#[derive(Default)]
pub(super) struct Purges {
    known: BTreeMap<SiteName, KnownPurges>,
    /// The last purge of each site that is done.
    done: BTreeMap<SiteName, DonePurge>,
    /// What the last purges have found, the latest last.
    proofs: VecDeque<PurgeProof>,
}

/// The purges of a site, as of its row.
struct KnownPurges {
    /// The generation of the row.
    generation: Generation,
    state: PurgeState,
}

/// A purge that is done, with all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DonePurge {
    pub(crate) generation: Generation,
    pub(crate) seq: Seq,
}

/// A purge to be carried out.
pub(in crate::follow) struct DuePurge {
    pub(in crate::follow) site: SiteName,
    pub(in crate::follow) generation: Generation,
    pub(in crate::follow) purge: Purge,
    /// Every release of which the site serves files.
    pub(in crate::follow) releases: Vec<InheritedRelease>,
    /// Blobs of erased contents of the site, to be removed.
    pub(in crate::follow) erased: Vec<Digest>,
}

impl Purges {
    /// Takes the row of a site; `None`: it has no purges.
    pub(super) fn apply(&mut self, site: SiteName, generation: Generation, state: Option<PurgeState>) {
        match state {
            Some(state) => drop(self.known.insert(site, KnownPurges { generation, state })),
            None => self.remove(&site),
        }
    }

    /// Only these keys exist.
    pub(super) fn retain(&mut self, has_key: impl Fn(&str) -> bool) {
        let gone: Vec<SiteName> =
            self.known.keys().filter(|site| !has_key(&format!("purge/{site}"))).cloned().collect();
        for site in &gone {
            self.remove(site);
        }
    }

    fn remove(&mut self, site: &SiteName) {
        self.known.remove(site);
        self.done.remove(site);
    }

    /// Records that a purge, with all before it, was done by this process or an earlier one.
    pub(super) fn set_done(&mut self, site: SiteName, done: DonePurge) {
        self.done.insert(site, done);
    }

    pub(super) fn done(&self) -> impl Iterator<Item = (&SiteName, DonePurge)> {
        self.done.iter().map(|(site, done)| (site, *done))
    }

    pub(super) fn proofs(&self) -> impl Iterator<Item = &PurgeProof> {
        self.proofs.iter()
    }

    /// The oldest purge of each site that is not done.
    pub(super) fn pending(&self) -> impl Iterator<Item = (&SiteName, Generation, &Purge)> {
        self.known.iter().filter_map(|(site, KnownPurges { generation, state })| {
            let done = self.done.get(site).filter(|done| done.generation == *generation);
            let oldest = state.after(done.map(|done| done.seq)).min_by_key(|purge| purge.seq)?;
            Some((site, *generation, oldest))
        })
    }

    /// The paths that are not inherited from what the site served in the history of `generation`, if that has ended: those of all
    /// purges since.
    pub(super) fn since_history(&self, site: &SiteName, generation: Generation) -> Vec<PurgeScope> {
        let known = self.known.get(site).filter(|known| known.generation != generation);
        known.iter().flat_map(|known| &known.state.purges).map(|purge| purge.scope.clone()).collect()
    }

    /// Records what a purge has found.
    pub(super) fn add_proof(&mut self, proof: PurgeProof) {
        self.proofs.push_back(proof);
        while self.proofs.len() > PURGES_MAX {
            self.proofs.pop_front();
        }
    }
}
