//! The purges and erasures that were made, and what must not be served since.
//!
//! Once an edge has confirmed a purge, it serves at a purged path only bytes of releases that the channel has pointed at, or was about to
//! point at, since the purge was made; and never bytes that were erased. A purge that an origin has lost, since it was restored from an
//! older copy, counts no more; nor does one of the same paths by a write of the same number as one that was lost: no edge can tell them
//! apart.

use std::collections::{BTreeMap, BTreeSet};

use verge_edge::model::{Answer, ServedTable};
use verge_protocol::host::HostLabel;
use verge_protocol::purge::PurgeScope;
use verge_protocol::report::EdgeReport;
use verge_protocol::{Digest, Generation, Position, Seq, SiteName};

use crate::database::Database;

/// A purge that was made.
struct Purged {
    number: usize,
    site: SiteName,
    scope: PurgeScope,
    seq: Seq,
    /// The contents that were erased with it.
    erased: BTreeSet<Digest>,
    /// The manifests that each channel has pointed at since, or was about to.
    allowed: BTreeSet<(HostLabel, Digest)>,
    /// The channels that the origin knew. Edges go on serving one that an origin, restored from an older copy, has never known.
    channels: BTreeSet<HostLabel>,
}

#[derive(Default)]
pub(crate) struct PurgeLedger {
    made: usize,
    purges: Vec<Purged>,
    /// The purges that an origin has lost, and in which generation.
    lost: BTreeMap<(SiteName, Seq, PurgeScope), Generation>,
    /// The edges that have confirmed a purge, each with its number.
    confirmed: BTreeSet<(usize, usize)>,
    /// The edges that have confirmed a purge since the last [`Self::take_unchecked`].
    unchecked: BTreeSet<usize>,
    /// Contents that were ever erased. An edge does not serve them, also if the origin has lost the erasure.
    erased: BTreeSet<(SiteName, Digest)>,
}

impl PurgeLedger {
    /// A purge was made by the write `seq`. `in_use` is what the `channels` of the site point at, or are about to.
    pub(crate) fn made(
        &mut self,
        (site, scope): (&SiteName, PurgeScope),
        seq: Seq,
        erased: BTreeSet<Digest>,
        in_use: Vec<(HostLabel, Digest)>,
        channels: BTreeSet<HostLabel>,
    ) {
        self.made += 1;
        self.erased.extend(erased.iter().map(|content| (site.clone(), *content)));
        if self.lost.contains_key(&(site.clone(), seq, scope.clone())) {
            return;
        }
        let (site, allowed) = (site.clone(), in_use.into_iter().collect());
        self.purges.push(Purged { number: self.made, site, scope, seq, erased, allowed, channels });
    }

    /// How many were made.
    pub(crate) fn count(&self) -> u64 {
        self.made as u64
    }

    /// A channel points at a release from now on, or is about to.
    pub(crate) fn allow(&mut self, label: &HostLabel, manifest: Digest) {
        for purged in self.purges.iter_mut().filter(|purged| purged.site == label.site) {
            purged.allowed.insert((label.clone(), manifest));
        }
    }

    /// The origin, which was in the generation `before`, was restored from a copy.
    pub(crate) fn restored(&mut self, before: Generation, database: &Database) {
        let is_known = |one: &Purged| {
            database.purges(&one.site).iter().any(|known| known.seq == one.seq && known.scope == one.scope)
        };
        let lost = self.purges.iter().filter(|one| !is_known(one));
        self.lost.extend(lost.map(|one| ((one.site.clone(), one.seq, one.scope.clone()), before)));
        self.purges.retain(is_known);
    }

    /// An edge reports to an origin in this generation.
    pub(crate) fn reported(&mut self, edge: usize, report: &EdgeReport, generation: Generation) {
        let has_confirmed = |one: &&Purged| report.has_purged(Position { generation, seq: one.seq }, &one.site);
        let numbers: Vec<usize> = self.purges.iter().filter(has_confirmed).map(|one| one.number).collect();
        for number in numbers {
            self.confirm(edge, number);
        }
    }

    /// An origin tells a client that an edge has confirmed the purge of a site that was made by the write `seq`.
    pub(crate) fn told(&mut self, edge: usize, site: &SiteName, seq: Seq) {
        let number = self.purges.iter().find(|one| one.site == *site && one.seq == seq).map(|one| one.number);
        if let Some(number) = number {
            self.confirm(edge, number);
        }
    }

    fn confirm(&mut self, edge: usize, number: usize) {
        if self.confirmed.insert((edge, number)) {
            self.unchecked.insert(edge);
        }
    }

    /// The edges that have confirmed a purge since the last call.
    pub(crate) fn take_unchecked(&mut self) -> BTreeSet<usize> {
        std::mem::take(&mut self.unchecked)
    }

    /// A purge that an edge has not confirmed.
    pub(crate) fn unconfirmed(&self, edge: usize) -> Option<String> {
        let missing = self.purges.iter().find(|one| !self.confirmed.contains(&(edge, one.number)));
        missing
            .map(|one| format!("e{edge} has not confirmed the purge of {} in {} at {}", one.scope, one.site, one.seq))
    }

    /// Whether a page of a release that was replaced by the write `replaced`, from an edge that was in this generation, may miss the file
    /// at `path`. What an origin has lost may be on its way to edges.
    pub(crate) fn may_be_missing(
        &self,
        (site, path): (&SiteName, &str),
        content: Digest,
        replaced: Option<Seq>,
        generation: Option<Generation>,
    ) -> bool {
        let mut purges = self.purges.iter().filter(|one| one.site == *site && one.scope.covers(path));
        let mut lost = self.lost.iter().filter(|((of, _, scope), _)| of == site && scope.covers(path));
        self.erased.contains(&(site.clone(), content))
            || purges.any(|one| replaced.is_some_and(|end| one.seq > end))
            || lost.any(|(_, last)| generation <= Some(*last))
    }

    /// What an edge must not serve and does. `labels` are the channels, `paths` those that the site ever had; `contents` tells what a
    /// release has at a path. `since_shown` tells what a channel has pointed at since it pointed at what the edge shows: the edge may be
    /// about to serve it, if the origin does not know the channel.
    pub(crate) fn violation<'a>(
        &self,
        edge: usize,
        table: &ServedTable,
        labels: impl Fn(&SiteName) -> Vec<HostLabel>,
        since_shown: impl Fn(&HostLabel) -> BTreeSet<Digest>,
        paths: impl Fn(&SiteName) -> &'a BTreeSet<String>,
        contents: impl Fn(&Digest, &str) -> Option<Digest>,
    ) -> Option<String> {
        for one in self.purges.iter().filter(|one| self.confirmed.contains(&(edge, one.number))) {
            let is_affected = |path: &&String| !one.erased.is_empty() || one.scope.covers(path);
            for label in labels(&one.site) {
                let is_unknown = !one.channels.contains(&label);
                let unknown = if is_unknown { since_shown(&label) } else { BTreeSet::new() };
                for path in paths(&one.site).iter().filter(is_affected) {
                    let Answer::File(seen) = table.answer(&label, &format!("/{path}")) else { continue };
                    let allowed = one.allowed.iter().filter(|(of, _)| *of == label);
                    let mut allowed = allowed.map(|(_, manifest)| manifest).chain(&unknown);
                    let is_purged =
                        one.scope.covers(path) && !allowed.any(|manifest| contents(manifest, path) == Some(seen));
                    if is_purged || one.erased.contains(&seen) {
                        return Some(format!(
                            "e{edge} serves /{path} in {label}, and has confirmed the purge of {} at {}",
                            one.scope, one.seq
                        ));
                    }
                }
            }
        }
        None
    }
}
