//! The state machine of following: which rows were accepted, which manifests have arrived, and so what is served.
//!
//! A channel moves to its last row as soon as the manifest of that row has arrived; until then it lags and serves what it did before.
//! No channel waits for another, and the order in which manifests arrive does not matter in the end.
//!
//! [`ingest`] adds rows, [`saved_state`] saves and restores them.

mod domains;
mod ingest;
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
use verge_protocol::report::Lag;
use verge_protocol::state::ChannelState;
use verge_protocol::{ChannelName, Checkpoint, Digest, SiteName, Timestamp};

use self::domains::VerifiedDomains;
use self::tracked_channel::{AcceptedRow, SupersededRow, TrackedChannel};
use crate::metrics::Traffic;
use crate::release_hosts::Releases;
use crate::status::AppliedState;
use crate::table::{Channel, DomainRedirect, Resources, Table};

/// How long the files of a release of an earlier history are inherited: as long as the origin lets a channel inherit.
const SUPERSEDED_INHERITED: Duration = Duration::from_hours(24);

/// Every channel and every domain in the feed.
#[derive(Default)]
pub(super) struct Channels {
    rows: RowStore,
    tracked: BTreeMap<(SiteName, ChannelName), TrackedChannel>,
    domains: VerifiedDomains,
    /// Shared with what serves them.
    releases: Releases,
    manifests: HashMap<Digest, Arc<Resources>>,
    /// Why the last attempt to get a manifest failed.
    failures: HashMap<Digest, String>,
    /// Whether the table has changed since the last [`Channels::advance`].
    changed: bool,
}

impl Channels {
    /// The releases that exist, now and from now on.
    pub(super) fn releases(&self) -> Releases {
        self.releases.clone()
    }

    /// Adds a manifest that has arrived.
    pub(super) fn add_manifest(&mut self, resources: Arc<Resources>) {
        let id = resources.manifest();
        self.failures.remove(&id);
        self.manifests.insert(id, resources);
        let mut served = self.tracked.values().filter_map(|channel| channel.served.as_ref());
        self.changed |= served.any(|row| row.state.manifests().any(|manifest| manifest == id));
    }

    /// Records that an attempt to get a manifest has failed.
    pub(super) fn record_failure(&mut self, id: Digest, reason: String) {
        self.failures.insert(id, reason);
    }

    /// Referenced manifests that have not arrived, the most urgent first: current releases, then inherited ones.
    pub(super) fn missing_manifests(&self, now: Timestamp) -> Vec<Digest> {
        let mut seen = BTreeSet::new();
        self.references(now).filter(|id| !self.manifests.contains_key(id) && seen.insert(*id)).collect()
    }

    /// Every manifest that an accepted or served row references at `now`, whether it has arrived or not.
    pub(super) fn referenced_manifests(&self, now: Timestamp) -> HashSet<Digest> {
        self.references(now).collect()
    }

    fn references(&self, now: Timestamp) -> impl Iterator<Item = Digest> {
        let own = self.states().map(|state| state.manifest);
        let superseded = self.tracked.values().filter_map(|channel| channel.superseded.as_ref());
        let superseded = superseded.flat_map(SupersededRow::manifests);
        let inherited = self.states().flat_map(|state| state.inherits.iter().copied()).chain(superseded);
        let inherited = inherited.filter(move |inherited| now < inherited.until);
        own.chain(inherited.map(|inherited| inherited.manifest))
    }

    fn states(&self) -> impl Iterator<Item = &ChannelState> {
        self.tracked.values().flat_map(|channel| [&channel.accepted, &channel.served]).flatten().map(|row| &row.state)
    }

    /// Moves every channel whose manifest has arrived to its accepted row. Returns whether the table has changed.
    pub(super) fn advance(&mut self, now: Timestamp) -> bool {
        for channel in self.tracked.values_mut() {
            let is_ready =
                channel.accepted.as_ref().is_some_and(|row| self.manifests.contains_key(&row.state.manifest));
            if is_ready && channel.served != channel.accepted {
                let before = std::mem::replace(&mut channel.served, channel.accepted.clone());
                let is_superseded = |row: &AcceptedRow| {
                    channel.served.as_ref().is_some_and(|served| {
                        served.stored.generation != row.stored.generation && served.state.manifest != row.state.manifest
                    })
                };
                if let Some(row) = before.filter(is_superseded) {
                    channel.superseded = Some(SupersededRow { row, until: now.after(SUPERSEDED_INHERITED) });
                }
                self.changed = true;
            }
        }
        std::mem::take(&mut self.changed)
    }

    /// Drops manifests that are no longer referenced.
    pub(super) fn prune(&mut self, now: Timestamp) {
        let referenced = self.referenced_manifests(now);
        for channel in self.tracked.values_mut() {
            self.changed |= channel.superseded.take_if(|superseded| superseded.until <= now).is_some();
        }
        let before = self.manifests.len();
        self.manifests.retain(|id, _| referenced.contains(id));
        self.failures.retain(|id, _| referenced.contains(id));
        self.changed |= self.manifests.len() != before;
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
            let superseded = tracked.superseded.iter().flat_map(SupersededRow::manifests);
            let inherited = superseded
                .chain(state.inherits.iter().copied())
                .filter(|inherited| inherited.manifest != state.manifest)
                .filter_map(|inherited| Some((inherited.until, Arc::clone(self.manifests.get(&inherited.manifest)?))));
            served.push(Channel::new(label, state.release, Arc::clone(own), inherited.collect(), traffic(site)));
        }
        let mut table = Table::new(served.into_iter(), pending.into_iter(), self.rows.position().is_some());
        for (domain, state) in self.domains.iter() {
            match self.domains.redirect_target(state) {
                Some(to) => table.add_redirect(domain, DomainRedirect::new(to.clone(), traffic(&state.site))),
                None => table.add_domain(domain, &state.site),
            }
        }
        table
    }

    /// The manifests of the releases that are served now.
    pub(super) fn served_manifests(&self) -> impl Iterator<Item = Digest> {
        self.tracked.values().filter_map(|channel| self.serving(channel)).map(|(state, _)| state.manifest)
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

    /// How far the feed is applied.
    pub(super) fn applied_state(&self) -> AppliedState {
        let lag = |((site, channel), tracked): (&(SiteName, ChannelName), &TrackedChannel)| {
            let (seq, reason) = match (&tracked.refused, &tracked.accepted) {
                (Some((seq, reason)), _) => (*seq, reason.clone()),
                (None, accepted) if tracked.served == *accepted => return None,
                (None, accepted) => {
                    let accepted = accepted.as_ref()?;
                    let failure = self.failures.get(&accepted.state.manifest).cloned();
                    (accepted.stored.row.seq, failure.unwrap_or_else(|| "fetching the manifest".to_owned()))
                }
            };
            Some(Lag { site: site.clone(), channel: channel.clone(), seq, reason })
        };
        let lagging = self.tracked.iter().filter_map(lag).collect();
        let refused_domains = self.rows.refused_keys().filter(|key| key.starts_with("domain/")).count();
        let served = self.tracked.values().filter(|channel| self.serving(channel).is_some()).count();
        AppliedState {
            position: self.rows.position(),
            lagging,
            channels: self.tracked.len(),
            served,
            unknown: self.rows.unknown_keys() + refused_domains,
            orphans: self.rows.orphans().map(str::to_owned).collect(),
            not_saving: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use verge_daemon::feed::{Change, MissingKeys};

    use super::test_support::{
        LATER, NOW, add_manifest, apply_rows, apply_rows_at, at, entry, lagging, release, restart, row, serves,
        tombstone,
    };
    use super::*;

    #[test]
    fn channel_advances_when_its_manifest_arrives_independently_of_others() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[]), row("b", 2, 2, &[])]);
        assert!(add_manifest(&mut channels, 1));
        assert_eq!((serves(&channels, "a"), serves(&channels, "b")), ("1 []".into(), String::new()));
        let reason = "fetching the manifest".to_owned();
        assert_eq!(lagging(&channels), [("b".into(), 2, reason)]);
        channels.record_failure(release(2).manifest(), "connection refused".into());
        assert_eq!(lagging(&channels), [("b".into(), 2, "connection refused".into())]);
        assert!(add_manifest(&mut channels, 2));
        assert_eq!(lagging(&channels), []);
        apply_rows(&mut channels, vec![row("b", 3, 3, &[2])]);
        assert_eq!(serves(&channels, "b"), "2 []");
        assert!(add_manifest(&mut channels, 3));
        assert_eq!(serves(&channels, "b"), "3 [2]");
    }

    #[test]
    fn inherited_release_is_served_once_its_manifest_arrives_and_until_it_expires() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 2, &[1])]);
        assert_eq!(channels.missing_manifests(NOW), [release(2).manifest(), release(1).manifest()]);
        assert_eq!(channels.missing_manifests(LATER), [release(2).manifest()]);
        assert!(add_manifest(&mut channels, 2));
        assert_eq!((serves(&channels, "a"), lagging(&channels).len()), ("2 []".into(), 0));
        assert!(add_manifest(&mut channels, 1));
        assert_eq!(serves(&channels, "a"), "2 [1]");
        channels.prune(NOW);
        assert!(!channels.advance(NOW));
        channels.prune(LATER);
        assert!(channels.advance(LATER));
        assert_eq!(serves(&channels, "a"), "2 []");
        assert!(!add_manifest(&mut channels, 9));
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
            add_manifest(&mut channels, number);
        }
        let restored =
            Change::Snapshot { at: at(2, 3), rows: vec![row("a", 3, 3, &[2])], missing: MissingKeys::Unknown };
        assert_eq!(channels.apply(restored.clone()), []);
        assert_eq!(serves(&channels, "a"), "7 [6]", "until the other manifest arrives");
        for number in [2, 3] {
            add_manifest(&mut channels, number);
        }
        let mut channels = restart(&channels);
        for number in [2, 3, 6, 7, 8] {
            add_manifest(&mut channels, number);
        }
        assert_eq!((serves(&channels, "a"), serves(&channels, "news")), ("3 [7, 6, 2]".into(), "8 []".into()));
        assert_eq!(channels.applied_state().orphans, ["channel/news/live"]);
        let pinned = channels.referenced_manifests(NOW);
        assert!([2, 3, 6, 7, 8].iter().all(|number| pinned.contains(&release(*number).manifest())));
        let next_day = NOW.after(SUPERSEDED_INHERITED);
        channels.prune(next_day);
        assert!(channels.advance(next_day));
        assert_eq!(serves(&channels, "a"), "3 []", "what it inherits has expired too");
        // The same table again in yet another generation supersedes nothing visible.
        apply_rows_at(&mut channels, at(2, 9), vec![tombstone("news", 9)]);
        assert_eq!((entry(&channels, "news"), channels.applied_state().orphans.len()), ("not found", 0));
    }
}
