//! The state machine of following: which rows were accepted, which manifests and blobs have arrived, and so what is served.
//!
//! A channel moves to its last row as soon as it [holds](holding) the release of that row; until then it lags and serves what it did
//! before, whole. A channel that serves nothing does not wait for blobs, but lags until they are there. A release on its way to a
//! channel is prepared: its manifest and blobs are fetched before a row of the channel names it.
//!
//! No channel waits for another, and the order in which manifests and blobs arrive does not matter in the end.
//!
//! [`ingest`] adds rows, [`references`] lists what they need, [`saved_state`] saves and restores them.
//!
//! [holding]: super::holding

mod canaries;
mod domains;
mod erasures;
mod ingest;
mod known_erasures;
mod known_purges;
mod purges;
mod references;
pub(super) mod saved_state;
mod tracked_channel;

#[cfg(test)]
mod convergence_tests;
#[cfg(test)]
mod test_support;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use verge_daemon::feed::RowStore;
use verge_protocol::host::HostLabel;
use verge_protocol::report::{Lag, Preparation};
use verge_protocol::state::ChannelState;
use verge_protocol::{ChannelName, Checkpoint, Digest, EdgeName, Generation, SiteName};

use self::domains::VerifiedDomains;
use self::known_erasures::Erasures;
pub(super) use self::known_purges::DuePurge;
use self::known_purges::Purges;
use self::tracked_channel::{AcceptedRow, Rollout, SupersededRow, TrackedChannel};
use super::holding::Holding;
use super::manifests::ManifestFailure;
use crate::challenges::Challenges;
use crate::erased_contents::ErasedContents;
use crate::metrics::{CanaryCounters, Traffic};
use crate::release_hosts::Releases;
use crate::status::AppliedState;
use crate::store::SUPERSEDED_INHERITED;
use crate::table::{Channel, DomainRedirect, HttpsPolicy, InheritedRelease, Resources, Table};
use crate::tls::FleetCertificates;

/// Every channel, every rollout and every domain in the feed. Times are durations since the process started: what clocks say does not
/// matter.
#[derive(Default)]
pub(super) struct Channels {
    rows: RowStore,
    tracked: BTreeMap<(SiteName, ChannelName), TrackedChannel>,
    /// The rollouts of the present history. A channel that does not exist yet may have one.
    rollouts: BTreeMap<(SiteName, ChannelName), Rollout>,
    domains: VerifiedDomains,
    /// The HTTPS settings of sites that have other ones than the default.
    https: BTreeMap<SiteName, HttpsPolicy>,
    /// Shared with what serves them.
    releases: Releases,
    /// Likewise.
    challenges: Challenges,
    /// Likewise.
    certificates: FleetCertificates,
    /// The name of this edge; `None`: it is no canary edge.
    name: Option<EdgeName>,
    /// The counters of each channel of which a canary runs, with the manifest that it serves.
    canaries: BTreeMap<(SiteName, ChannelName), (Digest, CanaryCounters)>,
    purges: Purges,
    erasures: Erasures,
    manifests: HashMap<Digest, Arc<Resources>>,
    /// Why the last attempt to get a manifest failed.
    failures: HashMap<Digest, ManifestFailure>,
    /// How much is on disk of the releases that something waits for, as of the last look.
    holdings: HashMap<Digest, Holding>,
    catch_up: CatchUp,
    /// Whether nothing was served or stored before the first snapshot.
    is_new: bool,
    /// Whether the table has changed since the last [`Channels::advance`].
    changed: bool,
    /// Whether [`Channels::to_save`] has changed since the last [`Channels::take_unsaved`].
    unsaved: bool,
}

/// How much of what the origin had when this process started it has got.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum CatchUp {
    /// Nothing: it knows what the last process saved.
    #[default]
    Begun,
    /// All rows of the feed, and not these of the manifests that they named.
    Read(BTreeSet<Digest>),
    /// The manifests too, but for those that could not be fetched.
    Complete,
}

impl Channels {
    /// Nothing was served or stored before the first snapshot, so that its purges are done.
    pub(super) fn set_new(&mut self) {
        self.is_new = true;
    }

    /// The releases that exist, now and from now on.
    pub(super) fn releases(&self) -> Releases {
        self.releases.clone()
    }

    /// The challenges of certificate authorities, now and from now on.
    pub(super) fn challenges(&self) -> Challenges {
        self.challenges.clone()
    }

    /// The certificates of the fleet, now and from now on.
    pub(super) fn certificates(&self) -> FleetCertificates {
        self.certificates.clone()
    }

    /// The contents that were erased, now and from now on.
    pub(super) fn erased(&self) -> ErasedContents {
        self.erasures.contents().clone()
    }

    /// Adds a manifest that has arrived.
    pub(super) fn add_manifest(&mut self, resources: Arc<Resources>) {
        let id = resources.manifest();
        let resources = self.erasures.contents().without_erased(resources);
        self.failures.remove(&id);
        self.manifests.insert(id, resources);
        self.changed = true;
    }

    /// Records that an attempt to get a manifest has failed.
    pub(super) fn record_failure(&mut self, id: Digest, mut failure: ManifestFailure) {
        // While the origin is away, what it does not have is still absent.
        let before = self.failures.get(&id).and_then(|before| before.is_absent_at_origin);
        failure.is_absent_at_origin = failure.is_absent_at_origin.or(before);
        self.failures.insert(id, failure);
    }

    /// Records how much of a release is on disk.
    pub(super) fn set_holding(&mut self, manifest: Digest, holding: Holding) {
        self.holdings.insert(manifest, holding);
    }

    /// Moves every channel that can serve its accepted row to it. Returns whether the table has changed.
    pub(super) fn advance(&mut self, now: Duration) -> bool {
        for channel in self.tracked.values_mut() {
            let Some(accepted) = &channel.accepted else { continue };
            let manifest = accepted.state.manifest;
            if !self.manifests.contains_key(&manifest) {
                continue;
            }
            let is_held = channel.holds(manifest) || self.holdings.get(&manifest).is_some_and(Holding::is_complete);
            if channel.not_served().is_none() {
                self.unsaved |= is_held != channel.is_held;
                channel.is_held = is_held;
                continue;
            }
            let serving = channel.served.as_ref().map(|row| row.state.manifest);
            let serving = serving.filter(|serving| self.manifests.contains_key(serving));
            if !is_held && serving.is_some_and(|serving| serving != manifest) {
                continue;
            }
            let before = std::mem::replace(&mut channel.served, channel.accepted.clone());
            channel.is_held = is_held;
            let is_superseded = |row: &AcceptedRow| {
                channel.served.as_ref().is_some_and(|served| {
                    served.stored.generation != row.stored.generation && served.state.manifest != row.state.manifest
                })
            };
            if let Some(row) = before.filter(is_superseded) {
                channel.superseded = Some(SupersededRow { row, until: now + SUPERSEDED_INHERITED });
            }
            (self.changed, self.unsaved) = (true, true);
        }
        self.changed |= self.update_canaries();
        self.update_catch_up();
        std::mem::take(&mut self.changed)
    }

    /// What is released meanwhile is not waited for, and what is not referenced any more is not needed.
    fn update_catch_up(&mut self) {
        let CatchUp::Read(missing) = &self.catch_up else { return };
        let referenced: BTreeSet<Digest> = self.references().collect();
        let missing: BTreeSet<Digest> =
            missing.intersection(&referenced).copied().filter(|id| !self.is_settled(*id)).collect();
        self.catch_up = if missing.is_empty() { CatchUp::Complete } else { CatchUp::Read(missing) };
    }

    /// Drops what is no longer referenced, and what has expired, and marks what was erased. Comes between changes and the look at what is
    /// on disk.
    pub(super) fn prune(&mut self, now: Duration) {
        for channel in self.tracked.values_mut() {
            if channel.superseded.take_if(|superseded| superseded.until <= now).is_some() {
                (self.changed, self.unsaved) = (true, true);
            }
        }
        let referenced = self.referenced_manifests();
        let before = self.manifests.len();
        self.manifests.retain(|id, _| referenced.contains(id));
        self.failures.retain(|id, _| referenced.contains(id));
        self.changed |= self.manifests.len() != before;
        self.mark_erased();
        if !self.holdings.is_empty() {
            let awaited: HashSet<Digest> = self.awaited().map(|(id, _)| id).collect();
            self.holdings.retain(|id, _| awaited.contains(id));
        }
    }

    /// Builds the table to serve. `traffic` returns the counters of a site.
    pub(super) fn build_table(&self, traffic: impl Fn(&SiteName) -> Arc<Traffic>) -> Table {
        let mut pending = Vec::new();
        let mut served = Vec::new();
        for ((site, channel), tracked) in &self.tracked {
            let label = HostLabel { site: site.clone(), channel: channel.clone() };
            let Some((state, own)) = self.serving(tracked) else {
                pending.push((label, traffic(site)));
                continue;
            };
            let key = (site.clone(), channel.clone());
            let mut traffic = traffic(site);
            if let Some(counters) = self.canary_counters(&key) {
                traffic = Arc::new(traffic.with_canary(counters.clone()));
            }
            let mut inherited = self.inherited_by(&label, tracked, state);
            let (mut release, mut own) = (state.release, own);
            if let Some(rollout) = self.canary_of(&key) {
                let before = std::mem::replace(&mut own, &self.manifests[&rollout.manifest]);
                release = rollout.release;
                inherited.newer.retain(|newer| newer.resources.manifest() != rollout.manifest);
                inherited.older.retain(|older| older.resources.manifest() != rollout.manifest);
                inherited.older.insert(0, InheritedRelease::whole(Arc::clone(before)));
            }
            served.push(Channel::new(label, release, Arc::clone(own), inherited, traffic));
        }
        let is_complete = self.rows.position().is_some();
        let table = Table::new(served.into_iter(), pending.into_iter(), is_complete);
        let mut table = table.with_https(self.https.clone());
        for (domain, state) in self.domains.iter() {
            match self.domains.redirect_target(state) {
                Some(to) => {
                    let redirect = DomainRedirect::new(to.clone(), state.site.clone(), traffic(&state.site));
                    table.add_redirect(domain, redirect);
                }
                None => table.add_domain(domain, &state.site),
            }
        }
        table
    }

    /// The manifests of the releases that are served now.
    pub(super) fn served_manifests(&self) -> impl Iterator<Item = Digest> {
        self.tracked.values().filter_map(|channel| self.serving(channel)).map(|(state, _)| state.manifest)
    }

    /// The channels that are served, and the generation and the value of the row of each.
    pub(super) fn serving_rows(&self) -> impl Iterator<Item = (HostLabel, Generation, &ChannelState)> {
        self.tracked.iter().filter_map(|((site, channel), tracked)| {
            let (state, _) = self.serving(tracked)?;
            let generation = tracked.served.as_ref()?.stored.generation;
            Some((HostLabel { site: site.clone(), channel: channel.clone() }, generation, state))
        })
    }

    /// The checkpoint to resume the feed from.
    pub(super) fn checkpoint(&self) -> Option<Checkpoint> {
        self.rows.checkpoint()
    }

    /// The row that a channel serves and its resources; `None` if it cannot be served.
    fn serving<'a>(&'a self, channel: &'a TrackedChannel) -> Option<(&'a ChannelState, &'a Arc<Resources>)> {
        let state = &channel.served.as_ref()?.state;
        Some((state, self.manifests.get(&state.manifest)?))
    }

    /// Whether a manifest has arrived, or the last attempt to get it failed.
    fn is_settled(&self, manifest: Digest) -> bool {
        self.manifests.contains_key(&manifest) || self.failures.contains_key(&manifest)
    }

    /// How far the feed is applied.
    pub(super) fn applied_state(&self) -> AppliedState {
        let is_of_no_channel =
            |key: &&str| ["domain/", "rollout/", "purge/", "erased/"].iter().any(|kind| key.starts_with(kind));
        let refused = self.rows.refused().map(|(key, _)| key).filter(is_of_no_channel);
        let served = self.tracked.values().filter(|channel| self.serving(channel).is_some()).count();
        // A rollout ends with the history in which it began, and a purge keeps nothing alive.
        let orphans = self.rows.orphans().filter(|key| !key.starts_with("rollout/") && !key.starts_with("purge/"));
        let lags: Vec<(Lag, bool)> = self.lags().collect();
        AppliedState {
            position: self.rows.position(),
            history: self.rows.checkpoint().map(|checkpoint| checkpoint.history),
            first_obtainable: lags.iter().filter(|(_, is_absent)| !is_absent).map(|(lag, _)| lag.seq).min(),
            lagging: lags.into_iter().map(|(lag, _)| lag).collect(),
            preparations: self.preparations().collect(),
            canaries: self.canaries(),
            purging: self.purging().collect(),
            purged: self.purges.proofs().cloned().collect(),
            channels: self.tracked.len(),
            served,
            has_caught_up: self.catch_up == CatchUp::Complete,
            unknown: self.rows.unknown_keys() + refused.count(),
            orphans: orphans.map(str::to_owned).collect(),
            not_saving: None,
        }
    }

    /// The channels that lag, and whether the origin does not have what they need.
    fn lags(&self) -> impl Iterator<Item = (Lag, bool)> {
        self.tracked.iter().filter_map(|((site, channel), tracked)| {
            let mut is_absent_at_origin = false;
            let (seq, reason) = match (&tracked.refused, &tracked.accepted) {
                (Some((seq, reason)), _) => (*seq, reason.clone()),
                (None, accepted) => {
                    let accepted = accepted.as_ref()?;
                    let is_current = tracked.not_served().is_none() && tracked.is_held;
                    let reason = if !is_current || self.serving(tracked).is_none() {
                        is_absent_at_origin = self.is_absent_at_origin(accepted.state.manifest);
                        self.lag_reason(accepted.state.manifest)
                    } else if !accepted.state.manifests().all(|id| self.is_settled(id)) {
                        "fetching the manifests of earlier releases".to_owned()
                    } else {
                        return None;
                    };
                    (accepted.stored.row.seq, reason)
                }
            };
            Some((Lag { site: site.clone(), channel: channel.clone(), seq, reason }, is_absent_at_origin))
        })
    }

    /// Why the release of `manifest` cannot be served yet.
    fn lag_reason(&self, manifest: Digest) -> String {
        if !self.manifests.contains_key(&manifest) {
            let failure = self.failures.get(&manifest).map(|failure| failure.reason.clone());
            return failure.unwrap_or_else(|| "fetching the manifest".to_owned());
        }
        self.holdings.get(&manifest).map_or_else(|| "fetching the files".to_owned(), Holding::lag_reason)
    }

    /// Whether the release of `manifest` cannot be served because the origin does not have the manifest, or all that is missing.
    fn is_absent_at_origin(&self, manifest: Digest) -> bool {
        if self.manifests.contains_key(&manifest) {
            self.holdings.get(&manifest).is_some_and(|holding| holding.is_absent_at_origin)
        } else {
            self.failures.get(&manifest).is_some_and(|failure| failure.is_absent_at_origin == Some(true))
        }
    }

    fn preparations(&self) -> impl Iterator<Item = Preparation> {
        self.rollouts.iter().map(|((site, channel), rollout)| {
            let manifest = rollout.state.manifest;
            let holding = self.holdings.get(&manifest);
            let failure = || self.failures.get(&manifest).map(|failure| failure.reason.clone());
            Preparation {
                site: site.clone(),
                channel: channel.clone(),
                manifest,
                done: holding.map_or(0, Holding::done),
                total: holding.map_or(0, |holding| holding.bytes),
                prepared: holding.is_some_and(Holding::is_complete),
                problem: holding.map_or_else(failure, Holding::problem),
            }
        })
    }

    /// Whether there is something to save since the last call.
    pub(super) fn take_unsaved(&mut self) -> bool {
        std::mem::take(&mut self.unsaved)
    }
}

#[cfg(test)]
mod tests {
    use verge_daemon::feed::{Change, MissingKeys};
    use verge_protocol::Seq;

    use super::test_support::{
        NOW, add_manifest, add_release, apply_rows, apply_rows_at, at, entry, lagging, preparations, release, restart,
        rollout, rollout_tombstone, row, serves, set_absent, set_holding, tombstone, wanted,
    };
    use super::*;
    use crate::table::Priority::{Coming, Inherited, Live};

    #[test]
    fn channel_advances_when_its_release_is_held_independently_of_others() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[]), row("b", 2, 2, &[])]);
        assert!(add_release(&mut channels, 1));
        assert_eq!((serves(&channels, "a"), serves(&channels, "b")), ("1 []".into(), String::new()));
        let reason = "fetching the manifest".to_owned();
        assert_eq!(lagging(&channels), [("b".into(), 2, reason)]);
        channels.record_failure(release(2).manifest(), ManifestFailure::of("connection refused"));
        assert_eq!(lagging(&channels), [("b".into(), 2, "connection refused".into())]);
        assert!(add_release(&mut channels, 2));
        assert_eq!(lagging(&channels), []);
        apply_rows(&mut channels, vec![row("b", 3, 3, &[2])]);
        assert_eq!(serves(&channels, "b"), "2 []");
        add_manifest(&mut channels, 3);
        set_holding(&mut channels, 3, false);
        assert_eq!(serves(&channels, "b"), "2 [3]", "chunks of pages that other edges serve already");
        assert_eq!(lagging(&channels), [("b".into(), 3, "fetching 1 of 1 files (5 of 5 bytes)".into())]);
        assert_eq!(wanted(&channels), [(Live, 1), (Live, 2), (Coming, 3)].into());
        assert!(set_holding(&mut channels, 3, true));
        assert_eq!((serves(&channels, "b"), lagging(&channels).len()), ("3 [2]".into(), 0));
        assert_eq!(wanted(&channels), [(Live, 1), (Inherited, 2), (Live, 3)].into());
    }

    #[test]
    fn channel_without_any_release_serves_its_first_at_once_and_lags_until_it_is_held() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[])]);
        assert!(add_manifest(&mut channels, 1));
        set_holding(&mut channels, 1, false);
        for _restart in 0..2 {
            assert_eq!((serves(&channels, "a"), lagging(&channels).len()), ("1 []".into(), 1));
            channels = restart(&channels);
            assert_eq!(serves(&channels, "a"), "");
            add_manifest(&mut channels, 1);
        }
        // A later release waits, even for one that is not held.
        apply_rows(&mut channels, vec![row("a", 2, 2, &[1])]);
        add_manifest(&mut channels, 2);
        assert_eq!((serves(&channels, "a"), lagging(&channels)[0].1), ("1 [2]".into(), 2));
        set_holding(&mut channels, 2, true);
        assert_eq!((serves(&channels, "a"), lagging(&channels).len()), ("2 [1]".into(), 0));
    }

    #[test]
    fn release_that_loses_blobs_after_the_switch_does_not_lag() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[])]);
        add_release(&mut channels, 1);
        let mut channels = restart(&channels);
        assert_eq!(lagging(&channels), [("a".into(), 1, "fetching the manifest".into())]);
        add_manifest(&mut channels, 1);
        assert_eq!((channels.awaited_releases().len(), lagging(&channels).len()), (0, 0));
        // The row is written again without what is inherited no longer.
        apply_rows(&mut channels, vec![row("a", 2, 1, &[])]);
        assert_eq!((channels.awaited_releases().len(), lagging(&channels).len()), (0, 0));
    }

    #[test]
    fn prepared_release_is_served_as_soon_as_the_row_moves() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[]), rollout("a", 2, 2), rollout("b", 3, 3)]);
        add_release(&mut channels, 1);
        assert_eq!(channels.missing_manifests(), [release(2).manifest(), release(3).manifest()]);
        assert_eq!(preparations(&channels), [("a".into(), 0, 0, false), ("b".into(), 0, 0, false)]);
        assert!(add_manifest(&mut channels, 2));
        set_holding(&mut channels, 2, false);
        assert_eq!(preparations(&channels)[0], ("a".into(), 0, 5, false));
        assert_eq!((serves(&channels, "a"), lagging(&channels).len()), ("1 [2]".into(), 0));
        assert_eq!(wanted(&channels), [(Live, 1), (Coming, 2)].into());
        set_holding(&mut channels, 2, true);
        add_release(&mut channels, 3);
        let mut channels = restart(&channels);
        for number in [1, 2, 3] {
            add_release(&mut channels, number);
        }
        assert_eq!(preparations(&channels), [("a".into(), 5, 5, true), ("b".into(), 5, 5, true)]);
        assert_eq!((entry(&channels, "b"), channels.applied_state().channels), ("not found", 1));
        let moved =
            vec![row("a", 4, 2, &[1]), rollout_tombstone("a", 5), row("b", 6, 3, &[]), rollout_tombstone("b", 7)];
        apply_rows(&mut channels, moved);
        assert_eq!((serves(&channels, "a"), serves(&channels, "b")), ("2 [1]".into(), "3 []".into()));
        assert_eq!((lagging(&channels), preparations(&channels)), (vec![], vec![]));
    }

    #[test]
    fn prepared_release_that_lost_a_blob_is_checked_again_before_it_is_served() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[]), rollout("a", 2, 2)]);
        add_release(&mut channels, 1);
        add_release(&mut channels, 2);
        assert!(channels.unchecked_releases().is_empty());
        channels.apply(Change::Rows(at(1, 3), vec![row("a", 3, 2, &[1])]));
        let unchecked = channels.unchecked_releases();
        assert_eq!(unchecked.iter().map(|release| release.manifest()).collect::<Vec<_>>(), [release(2).manifest()]);
        set_holding(&mut channels, 2, false);
        assert_eq!((serves(&channels, "a"), lagging(&channels).len()), ("1 [2]".into(), 1));
    }

    #[test]
    fn abandoned_rollout_is_forgotten() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[]), rollout("a", 2, 2)]);
        add_release(&mut channels, 1);
        add_release(&mut channels, 2);
        apply_rows(&mut channels, vec![rollout_tombstone("a", 3)]);
        channels.prune(NOW);
        channels.advance(NOW);
        assert_eq!((serves(&channels, "a"), preparations(&channels)), ("1 []".into(), vec![]));
        assert_eq!((wanted(&channels), channels.referenced_manifests().len()), ([(Live, 1)].into(), 1));
    }

    #[test]
    fn rollout_of_an_earlier_history_is_dropped_and_is_no_orphan() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[]), rollout("a", 2, 2)]);
        let rows = vec![row("a", 1, 1, &[])];
        channels.apply(Change::Snapshot { at: at(2, 1), rows, missing: MissingKeys::Unknown });
        for _restart in 0..2 {
            assert_eq!(preparations(&channels), []);
            assert_eq!(channels.applied_state().orphans, Vec::<String>::new());
            channels = restart(&channels);
        }
    }

    #[test]
    fn channel_that_lags_because_the_origin_lacks_a_blob_or_manifest_is_behind_no_other_edge() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[]), row("b", 2, 2, &[]), row("a", 100, 3, &[1])]);
        let first_obtainable = |channels: &Channels| channels.applied_state().first_obtainable;
        assert_eq!(first_obtainable(&channels), Some(Seq(2)));
        add_release(&mut channels, 2);
        for (is_absent_at_origin, expected) in [
            (None, Some(Seq(100))),
            (Some(true), None),
            // The origin is away.
            (None, None),
            (Some(false), Some(Seq(100))),
        ] {
            let failure = ManifestFailure { is_absent_at_origin, ..ManifestFailure::of("failed") };
            channels.record_failure(release(3).manifest(), failure);
            assert_eq!((lagging(&channels)[0].1, first_obtainable(&channels)), (100, expected));
        }
        add_manifest(&mut channels, 3);
        set_holding(&mut channels, 3, false);
        assert_eq!(first_obtainable(&channels), Some(Seq(100)), "it is being fetched");
        set_absent(&mut channels, 3);
        assert_eq!((lagging(&channels)[0].1, first_obtainable(&channels)), (100, None));
        apply_rows(&mut channels, vec![row("b", 5000, 4, &[2])]);
        assert_eq!(first_obtainable(&channels), Some(Seq(5000)));
        // The origin has it again.
        set_holding(&mut channels, 3, false);
        assert_eq!(first_obtainable(&channels), Some(Seq(100)));
    }

    #[test]
    fn release_behind_one_whose_manifest_is_missing_is_inherited_from_too() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 4, &[3, 2, 1])]);
        assert_eq!(channels.missing_manifests(), [4, 3, 2, 1].map(|number| release(number).manifest()));
        add_release(&mut channels, 4);
        for (arrives, expected) in [(3, "4 [3]"), (1, "4 [3, 1]"), (2, "4 [3, 2, 1]")] {
            assert!(add_manifest(&mut channels, arrives));
            assert_eq!(serves(&channels, "a"), expected);
        }
        // The origin writes the row again when a release is not inherited any more.
        apply_rows(&mut channels, vec![row("a", 2, 4, &[3])]);
        assert_eq!((serves(&channels, "a"), lagging(&channels).len()), ("4 [3]".into(), 0));
    }

    #[test]
    fn lagging_channel_inherits_from_the_releases_it_has_missed() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 2, &[1])]);
        add_release(&mut channels, 2);
        add_release(&mut channels, 1);
        apply_rows(&mut channels, vec![row("a", 9, 5, &[4, 3, 2, 1]), rollout("a", 10, 6)]);
        assert_eq!(serves(&channels, "a"), "2 [1]");
        for (arrives, expected) in
            [(3, "2 [3, 1]"), (6, "2 [6, 3, 1]"), (5, "2 [6, 5, 3, 1]"), (4, "2 [6, 5, 4, 3, 1]")]
        {
            add_manifest(&mut channels, arrives);
            assert_eq!(serves(&channels, "a"), expected);
        }
        set_holding(&mut channels, 5, true);
        assert_eq!(serves(&channels, "a"), "5 [6, 4, 3, 2, 1]");
    }

    #[test]
    fn channel_that_missed_a_rollback_to_what_it_serves_inherits_what_was_live_in_between() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 2, &[1]), rollout("a", 2, 3)]);
        for number in [2, 1, 3] {
            add_release(&mut channels, number);
        }
        assert_eq!(serves(&channels, "a"), "2 [3, 1]");
        // 3 and 4 went live, then 2 again, then 5.
        apply_rows(&mut channels, vec![rollout_tombstone("a", 7), row("a", 8, 5, &[2, 4, 3, 1])]);
        assert_eq!(serves(&channels, "a"), "2 [3, 1]");
        for (arrives, expected) in [(4, "2 [4, 3, 1]"), (5, "2 [5, 4, 3, 1]")] {
            add_manifest(&mut channels, arrives);
            assert_eq!(serves(&channels, "a"), expected);
        }
        set_holding(&mut channels, 5, true);
        assert_eq!(serves(&channels, "a"), "5 [2, 4, 3, 1]");
    }

    #[test]
    fn channel_lags_until_the_manifests_it_inherits_have_arrived_or_failed() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 3, &[2, 1])]);
        add_release(&mut channels, 3);
        let lag = ("a".to_owned(), 1, "fetching the manifests of earlier releases".to_owned());
        assert_eq!((serves(&channels, "a"), lagging(&channels)), ("3 []".into(), vec![lag.clone()]));
        add_manifest(&mut channels, 2);
        assert_eq!(lagging(&channels), [lag]);
        channels.record_failure(release(1).manifest(), ManifestFailure::of("not found"));
        assert_eq!((serves(&channels, "a"), lagging(&channels)), ("3 [2]".into(), vec![]));
    }

    #[test]
    fn edge_has_caught_up_once_it_has_read_the_feed_and_every_manifest_has_arrived_or_failed() {
        let has_caught_up = |channels: &Channels| channels.applied_state().has_caught_up;
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 2, &[1]), row("b", 2, 3, &[]), rollout("b", 3, 4)]);
        for number in [2, 1, 3] {
            add_release(&mut channels, number);
            assert!(!has_caught_up(&channels), "{number}");
        }
        channels.record_failure(release(4).manifest(), ManifestFailure::of("not found"));
        channels.advance(NOW);
        assert!(has_caught_up(&channels));
        apply_rows(&mut channels, vec![row("a", 4, 5, &[2])]);
        assert!(has_caught_up(&channels), "it catches up once");

        let mut restored = restart(&channels);
        for number in 1..6 {
            add_release(&mut restored, number);
        }
        assert!(!has_caught_up(&restored), "something may have been released meanwhile");
        apply_rows(&mut restored, vec![]);
        assert!(has_caught_up(&restored));
    }

    #[test]
    fn edge_catches_up_with_what_the_origin_had_at_its_start_while_more_is_released() {
        let has_caught_up = |channels: &Channels| channels.applied_state().has_caught_up;
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[]), row("b", 2, 2, &[])]);
        apply_rows(&mut channels, vec![row("a", 3, 3, &[])]);
        assert!(!has_caught_up(&channels));
        add_manifest(&mut channels, 2);
        assert!(has_caught_up(&channels), "1 is not referenced any more, and 3 was released meanwhile");
    }

    #[test]
    fn channel_without_its_manifest_is_pending() {
        let mut channels = Channels::default();
        assert_eq!((entry(&channels, "a"), channels.applied_state().can_serve()), ("unknown", false));
        apply_rows(&mut channels, vec![]);
        assert_eq!((entry(&channels, "a"), channels.applied_state().can_serve()), ("not found", true));
        channels.apply(Change::Rows(at(1, 2), vec![row("a", 1, 1, &[]), row("b", 2, 2, &[])]));
        assert!(channels.advance(NOW), "the table has new pending entries");
        assert_eq!((entry(&channels, "a"), entry(&channels, "c")), ("pending", "not found"));
        assert!(!channels.applied_state().can_serve());
        add_manifest(&mut channels, 1);
        assert_eq!((entry(&channels, "a"), entry(&channels, "b")), ("served", "pending"));
        assert!(channels.applied_state().can_serve());
        apply_rows(&mut channels, vec![tombstone("b", 3)]);
        assert_eq!(entry(&channels, "b"), "not found");
    }

    #[test]
    fn release_of_an_earlier_history_is_inherited_for_a_day_and_an_unknown_channel_stays() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[]), row("a", 7, 7, &[6]), row("news", 8, 8, &[])]);
        for number in [6, 7, 8] {
            add_release(&mut channels, number);
        }
        let restored =
            Change::Snapshot { at: at(2, 3), rows: vec![row("a", 3, 3, &[2])], missing: MissingKeys::Unknown };
        assert_eq!(channels.apply(restored.clone()), []);
        assert_eq!(serves(&channels, "a"), "7 [6]", "until the other manifest arrives");
        for number in [2, 3] {
            add_release(&mut channels, number);
        }
        let mut channels = restart(&channels);
        for number in [2, 3, 6, 7, 8] {
            add_manifest(&mut channels, number);
        }
        assert_eq!((serves(&channels, "a"), serves(&channels, "news")), ("3 [7, 6, 2]".into(), "8 []".into()));
        assert_eq!(channels.applied_state().orphans, ["channel/news/live"]);
        let pinned = channels.referenced_manifests();
        assert!([2, 3, 6, 7, 8].iter().all(|number| pinned.contains(&release(*number).manifest())));
        // What remains of the day counts from the start of the process.
        channels.prune(SUPERSEDED_INHERITED.mul_f64(0.99));
        assert!(!channels.advance(NOW));
        channels.prune(SUPERSEDED_INHERITED);
        assert!(channels.advance(NOW));
        assert_eq!(serves(&channels, "a"), "3 [2]");
        // The same table again in yet another generation supersedes nothing visible.
        apply_rows_at(&mut channels, at(2, 9), vec![tombstone("news", 9)]);
        assert_eq!((entry(&channels, "news"), channels.applied_state().orphans.len()), ("not found", 0));
    }
}
