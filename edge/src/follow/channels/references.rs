//! Which releases are needed, and for what.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use verge_protocol::host::HostLabel;
use verge_protocol::purge::PurgeScope;
use verge_protocol::state::ChannelState;
use verge_protocol::{Digest, SiteName};

use super::Channels;
use super::tracked_channel::{AcceptedRow, TrackedChannel};
use crate::follow::wanted::Wanted;
use crate::table::{InheritedRelease, InheritedReleases, Priority, Resources};

/// The manifests of the releases that a row inherits from, the most recent first, and the paths that are not inherited from each: those that
/// the row says, and `purged`.
fn inherited_without(state: &ChannelState, purged: &[PurgeScope]) -> Vec<(Digest, Vec<PurgeScope>)> {
    state.inherits.iter().map(|inherited| (inherited.manifest, [&inherited.without, purged].concat())).collect()
}

impl Channels {
    /// Referenced manifests that have not arrived, the most urgent first: releases that a rollout waits for, current ones, inherited ones.
    pub(in crate::follow) fn missing_manifests(&self) -> Vec<Digest> {
        let mut seen = BTreeSet::new();
        self.references().filter(|id| !self.manifests.contains_key(id) && seen.insert(*id)).collect()
    }

    /// Every manifest that a row references, whether it has arrived or not.
    pub(in crate::follow) fn referenced_manifests(&self) -> HashSet<Digest> {
        self.references().collect()
    }

    /// The manifests of the releases that a rollout waits for, whether they have arrived or not.
    pub(in crate::follow) fn preparing_manifests(&self) -> impl Iterator<Item = Digest> {
        self.rollouts.values().map(|rollout| rollout.state.manifest)
    }

    pub(super) fn references(&self) -> impl Iterator<Item = Digest> {
        let own = self.states().map(|state| state.manifest);
        let coming = self.preparing_manifests();
        let superseded = self.tracked.values().filter_map(|channel| channel.superseded.as_ref());
        let superseded = superseded.flat_map(|superseded| superseded.row.state.manifests());
        let inherited = self.states().flat_map(|state| state.inherits.iter().map(|inherited| inherited.manifest));
        coming.chain(own).chain(superseded).chain(inherited)
    }

    fn states(&self) -> impl Iterator<Item = &ChannelState> {
        self.tracked.values().flat_map(|channel| [&channel.accepted, &channel.served]).flatten().map(|row| &row.state)
    }

    /// The releases that a channel inherits from, the most recent first: those that it is about to serve, so that it has the files of
    /// pages that readers got from edges that serve them already, and earlier ones, for pages that are still open.
    ///
    /// Earlier ones end before the first whose manifest has not arrived: an older file may be one that it replaces.
    pub(super) fn inherited_by(
        &self,
        label: &HostLabel,
        tracked: &TrackedChannel,
        state: &ChannelState,
    ) -> InheritedReleases {
        let get = |(id, without): (Digest, Vec<PurgeScope>)| {
            Some(InheritedRelease { resources: Arc::clone(self.manifests.get(&id)?), without })
        };
        let coming = self.rollouts.get(&(label.site.clone(), label.channel.clone()));
        let coming = coming.map(|rollout| (rollout.state.manifest, Vec::new()));
        let accepted = tracked.not_served().into_iter().flat_map(|row| {
            let inherited = inherited_without(&row.state, &self.purged_since(&label.site, row));
            std::iter::once((row.state.manifest, Vec::new())).chain(inherited)
        });
        let superseded = tracked.superseded.as_ref().map(|superseded| {
            let (state, purged) = (&superseded.row.state, self.purged_since(&label.site, &superseded.row));
            let inherited = inherited_without(state, &purged);
            (std::iter::once((state.manifest, purged.clone())).chain(inherited).collect::<Vec<_>>(), purged)
        });
        let (superseded, purged) = superseded.unwrap_or_default();
        let purged_since_served = tracked.served.as_ref().map(|row| self.purged_since(&label.site, row));
        let own = inherited_without(state, &purged_since_served.unwrap_or_default());
        // What was purged since is no newer than what the present history says.
        let older = if purged.is_empty() { [superseded, own] } else { [own, superseded] }.concat();
        // The accepted row has the served release before others that were live since, if a rollback made it live once more.
        let mut is_before_served = true;
        let accepted = accepted.filter(|(id, _)| {
            is_before_served &= *id != state.manifest;
            is_before_served || older.iter().all(|(known, _)| known != id)
        });
        let mut seen = BTreeSet::from([state.manifest]);
        let mut is_first = |release: &InheritedRelease| seen.insert(release.resources.manifest());
        let newer = coming.into_iter().chain(accepted).filter_map(get).filter(&mut is_first).collect();
        InheritedReleases { newer, older: older.into_iter().map_while(get).filter(&mut is_first).collect() }
    }

    /// What was purged since a row of the site was written, if its history has ended: no later row of that history says so. While it
    /// lasts, the purge waits for the row that does.
    fn purged_since(&self, site: &SiteName, row: &AcceptedRow) -> Vec<PurgeScope> {
        let present = self.rows.position().map(|position| position.generation);
        let (generation, seq) = (row.stored.generation, row.stored.row.seq);
        if Some(generation) == present { Vec::new() } else { self.purges.since_row(site, (generation, seq)) }
    }

    /// The releases whose blobs should be on disk.
    pub(in crate::follow) fn wanted(&self) -> Wanted {
        let mut wanted = Wanted::default();
        let mut add = |is_live: bool, id: Digest, priority| {
            if let Some(resources) = self.manifests.get(&id) {
                wanted.add(resources, if is_live { priority } else { Priority::Preview });
            }
        };
        for ((_, channel), tracked) in &self.tracked {
            let is_live = channel.is_live();
            for (row, priority) in [(&tracked.served, Priority::Live), (&tracked.accepted, Priority::Coming)] {
                for state in row.iter().map(|row| &row.state) {
                    add(is_live, state.manifest, priority);
                    state.inherits.iter().for_each(|inherited| add(is_live, inherited.manifest, Priority::Inherited));
                }
            }
            if let Some(superseded) = &tracked.superseded {
                superseded.row.state.manifests().for_each(|id| add(is_live, id, Priority::Inherited));
            }
        }
        for ((_, channel), rollout) in &self.rollouts {
            add(channel.is_live(), rollout.state.manifest, Priority::Coming);
        }
        self.awaited().for_each(|(id, _)| wanted.set_awaited(id));
        self.preparing_manifests().for_each(|id| wanted.set_preparing(id));
        wanted
    }

    /// The manifests of the releases that something waits for, and whether it is a channel, which will serve the release.
    pub(super) fn awaited(&self) -> impl Iterator<Item = (Digest, bool)> {
        let accepted = self.tracked.values().filter_map(TrackedChannel::awaited).map(|id| (id, true));
        accepted.chain(self.preparing_manifests().map(|id| (id, false)))
    }

    /// The releases that something waits for and whose manifests have arrived.
    pub(in crate::follow) fn awaited_releases(&self) -> Vec<Arc<Resources>> {
        let mut seen = BTreeSet::new();
        let awaited = self.awaited().filter(|(id, _)| seen.insert(*id));
        awaited.filter_map(|(id, _)| self.manifests.get(&id)).cloned().collect()
    }

    /// Those of them of which is not known how much is on disk. A release that a channel is about to serve may have lost blobs since it
    /// was complete.
    pub(in crate::follow) fn unchecked_releases(&self) -> Vec<Arc<Resources>> {
        let mut seen = BTreeSet::new();
        let is_unchecked = |(id, will_be_served): &(Digest, bool)| match self.holdings.get(id) {
            None => true,
            Some(holding) => *will_be_served && holding.is_complete(),
        };
        let unchecked = self.awaited().filter(is_unchecked).filter(|(id, _)| seen.insert(*id));
        unchecked.filter_map(|(id, _)| self.manifests.get(&id)).cloned().collect()
    }
}
