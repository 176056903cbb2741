//! The purges of all sites, as rows name them, and which are done.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use verge_protocol::purge::{Purge, PurgeScope, PurgeState};
use verge_protocol::report::{PURGES_MAX, PurgeProof};
use verge_protocol::{Digest, Generation, Seq, SiteName};

use crate::table::InheritedRelease;

/// The purges of all sites.
#[derive(Default)]
pub(super) struct Purges {
    known: BTreeMap<SiteName, KnownPurges>,
    /// The last purge of each site that is done.
    done: BTreeMap<SiteName, PurgePoint>,
    /// The purges of each site that were made in earlier histories already: the newest of those that its row had there too.
    earlier: BTreeMap<SiteName, BTreeMap<Generation, Seq>>,
    /// The site whose purge is being carried out.
    running: Option<SiteName>,
    /// The sites whose last purge has failed.
    failed: BTreeMap<SiteName, FailedPurge>,
    /// What the last purges have found, the latest last.
    proofs: VecDeque<PurgeProof>,
}

/// The purges of a site, as of its row.
struct KnownPurges {
    /// The generation of the row.
    generation: Generation,
    state: PurgeState,
}

/// A purge of a site, with all before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PurgePoint {
    pub(crate) generation: Generation,
    pub(crate) seq: Seq,
}

/// The oldest purge of a site that is not done.
pub(super) struct PendingPurge<'a> {
    pub(super) site: &'a SiteName,
    pub(super) generation: Generation,
    pub(super) purge: &'a Purge,
    /// Every purge of an earlier write is done. A purge that stands for those before it may stand for any since the last that is done.
    pub(super) undone_since: Seq,
}

/// A purge that could not be carried out.
struct FailedPurge {
    reason: String,
    /// When to try again, as time since this process started.
    retry: Duration,
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
        let Some(state) = state else { return self.remove(&site) };
        if let Some(before) = self.known.get(&site).filter(|before| before.generation != generation) {
            let common = state.newest_in(&before.state);
            self.enter_history(&site, (before.generation, generation), common);
        }
        self.known.insert(site, KnownPurges { generation, state });
    }

    /// The row of a site is of another history from now on, which has the purges up to `common` in common with the one `before`: what was
    /// done of them is done.
    fn enter_history(&mut self, site: &SiteName, (before, now): (Generation, Generation), common: Option<Seq>) {
        let Some(common) = common else {
            self.done.remove(site);
            self.earlier.remove(site);
            return;
        };
        if let Some(done) = self.done.get_mut(site).filter(|done| done.generation == before) {
            *done = PurgePoint { generation: now, seq: done.seq.min(common) };
        }
        let earlier = self.earlier.entry(site.clone()).or_default();
        for seq in earlier.values_mut() {
            *seq = common.min(*seq);
        }
        earlier.insert(before, common);
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
        self.earlier.remove(site);
        self.failed.remove(site);
    }

    /// Restores that a purge, with all before it, was done by an earlier process.
    pub(super) fn restore_done(&mut self, site: SiteName, done: PurgePoint) {
        self.done.insert(site, done);
    }

    /// Records that a purge, with all before it, is done. If its history has ended meanwhile, that counts as far as the row of the site has
    /// them too.
    pub(super) fn set_done(&mut self, site: SiteName, PurgePoint { generation, seq }: PurgePoint) {
        let Some(known) = self.known.get(&site) else { return };
        let common = || self.earlier.get(&site)?.get(&generation).copied();
        let seq = if generation == known.generation { Some(seq) } else { common().map(|common| seq.min(common)) };
        if let Some(seq) = seq {
            self.done.insert(site, PurgePoint { generation: known.generation, seq });
        }
    }

    /// Takes all known purges for done: nothing was served or stored before them.
    pub(super) fn set_all_done(&mut self) {
        let newest = |(site, known): (&SiteName, &KnownPurges)| {
            Some((site.clone(), PurgePoint { generation: known.generation, seq: known.state.newest()? }))
        };
        self.done.extend(self.known.iter().filter_map(newest));
    }

    pub(super) fn done(&self) -> impl Iterator<Item = (&SiteName, PurgePoint)> {
        self.done.iter().map(|(site, done)| (site, *done))
    }

    /// Records that the row of a site had a purge, with all before it, in an earlier history.
    pub(super) fn set_earlier(&mut self, site: SiteName, PurgePoint { generation, seq }: PurgePoint) {
        self.earlier.entry(site).or_default().insert(generation, seq);
    }

    pub(super) fn earlier(&self) -> impl Iterator<Item = (&SiteName, PurgePoint)> {
        let points = |(site, earlier)| std::iter::repeat(site).zip(earlier);
        let all = self.earlier.iter().flat_map(points);
        all.map(|(site, (generation, seq))| (site, PurgePoint { generation: *generation, seq: *seq }))
    }

    /// Records that a purge of a site is being carried out.
    pub(super) fn begin(&mut self, site: SiteName) {
        self.running = Some(site);
    }

    /// Records that the purge that was being carried out is done, or why not and when to try again.
    pub(super) fn end(&mut self, failure: Option<(String, Duration)>) {
        let Some(site) = self.running.take() else { return };
        match failure {
            Some((reason, retry)) => drop(self.failed.insert(site, FailedPurge { reason, retry })),
            None => drop(self.failed.remove(&site)),
        }
    }

    /// The site whose purge is being carried out.
    pub(super) fn running(&self) -> Option<&SiteName> {
        self.running.as_ref()
    }

    /// Why the last purge of a site has failed, and when to try again.
    pub(super) fn failure(&self, site: &SiteName) -> Option<(&str, Duration)> {
        self.failed.get(site).map(|failed| (&*failed.reason, failed.retry))
    }

    /// The write that made the newest purge of a site in the history of `generation`.
    pub(super) fn newest(&self, site: &SiteName, generation: Generation) -> Option<Seq> {
        self.known.get(site).filter(|known| known.generation == generation)?.state.newest()
    }

    pub(super) fn proofs(&self) -> impl Iterator<Item = &PurgeProof> {
        self.proofs.iter()
    }

    /// The oldest purge of each site that is not done.
    pub(super) fn pending(&self) -> impl Iterator<Item = PendingPurge<'_>> {
        self.known.iter().filter_map(|(site, KnownPurges { generation, state })| {
            let done = self.done.get(site).filter(|done| done.generation == *generation).map(|done| done.seq);
            let purge = state.after(done).min_by_key(|purge| purge.seq)?;
            let undone_since = match state.merged() {
                Some(merged) if merged == purge.seq => done.map_or(Seq(0), |done| Seq(done.0 + 1)),
                _ => purge.seq,
            };
            Some(PendingPurge { site, generation: *generation, purge, undone_since })
        })
    }

    /// The paths that are not inherited by a row of the site that was written at `row`, in a history that has ended: those of all purges
    /// since. The row leaves out those of the purges before it.
    pub(super) fn since_row(&self, site: &SiteName, (generation, seq): (Generation, Seq)) -> Vec<PurgeScope> {
        let Some(known) = self.known.get(site).filter(|known| known.generation != generation) else {
            return Vec::new();
        };
        let before = self.earlier.get(site).and_then(|earlier| earlier.get(&generation)).copied();
        known.state.after(before.min(Some(seq))).map(|purge| purge.scope.clone()).collect()
    }

    /// Records what a purge has found.
    pub(super) fn add_proof(&mut self, proof: PurgeProof) {
        self.proofs.push_back(proof);
        while self.proofs.len() > PURGES_MAX {
            self.proofs.pop_front();
        }
    }
}
