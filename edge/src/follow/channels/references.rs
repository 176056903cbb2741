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
    /// From those behind one whose manifest has not arrived, only immutable files are inherited: the others may have been replaced by it, and
    /// bytes that a publisher has replaced do more harm than a chunk that is missing until the manifest is there.
    pub(super) fn inherited_by(
        &self,
        label: &HostLabel,
        tracked: &TrackedChannel,
        state: &ChannelState,
    ) -> InheritedReleases {
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
        // What it inherits already stays, whatever a release may have replaced that it does not serve yet.
        let is_known_older =
            |release: &InheritedRelease| older.iter().any(|(id, _)| *id == release.resources.manifest());
        let accepted = self.arrived(accepted).filter(|release| !(release.only_immutable && is_known_older(release)));
        let mut seen = BTreeSet::from([state.manifest]);
        let mut is_first = |release: &InheritedRelease| seen.insert(release.resources.manifest());
        let newer = self.arrived(coming.into_iter()).chain(accepted).filter(&mut is_first).collect();
        let older = self.arrived(older.iter().cloned()).filter(&mut is_first).collect();
        InheritedReleases { newer, older }
    }

    /// Those of the releases, the most recent first, whose manifests have arrived.
    fn arrived(
        &self,
        releases: impl Iterator<Item = (Digest, Vec<PurgeScope>)>,
    ) -> impl Iterator<Item = InheritedRelease> {
        let mut only_immutable = false;
        releases.filter_map(move |(id, without)| {
            let resources = self.manifests.get(&id);
            only_immutable |= resources.is_none();
            Some(InheritedRelease { resources: Arc::clone(resources?), without, only_immutable })
        })
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

#[cfg(test)]
mod tests {
    use verge_protocol::state::{Inherited, Row};
    use verge_protocol::{Json, Lifetime, ReleaseNumber, Seq, Timestamp};

    use super::super::test_support::{NOW, apply_rows};
    use super::*;
    use crate::test_support::{file, manifest, resources, text_of, traffic};

    /// A release with a page of its own and these fingerprinted files: the path, what its content begins with, and its lifetime.
    fn release(number: u64, files: &[(&str, &str, Lifetime)]) -> Arc<Resources> {
        let mut manifest = manifest(&[&format!("v{number}.html")], "", Lifetime::Revalidate);
        for (path, prefix, lifetime) in files {
            let mut file = file(path, prefix, *lifetime);
            file.fingerprinted = true;
            manifest.files.insert(path.parse().unwrap(), file);
        }
        resources(manifest)
    }

    /// A row that points the live channel of `a` at the first of the releases; it inherits from the others.
    fn row(seq: u64, releases: &[&Arc<Resources>]) -> Row {
        let inherits = releases[1..].iter().map(|release| Inherited::new(release.manifest(), Timestamp(1)));
        let state = ChannelState {
            epoch: Seq(seq),
            release: ReleaseNumber(seq),
            manifest: releases[0].manifest(),
            inherits: inherits.collect(),
        };
        Row { key: "channel/a/live".to_owned(), seq: Seq(seq), value: Some(Json::of(&state).unwrap()) }
    }

    /// What the channel inherits at the path.
    fn inherited(channels: &Channels, path: &str) -> Option<String> {
        let table = channels.build_table(|_| traffic());
        table.label("a").served().unwrap().inherited(path).map(|resource| text_of(resource))
    }

    #[test]
    fn path_that_a_missed_release_may_have_replaced_is_inherited_only_if_it_is_immutable() {
        let first = release(1, &[("first-1.js", "1:", Lifetime::Revalidate)]);
        let second = release(2, &[]);
        let third =
            release(3, &[("app-1.js", "3:", Lifetime::Revalidate), ("app-5d41402a.js", "3:", Lifetime::Immutable)]);
        let fourth = release(4, &[("app-1.js", "4:", Lifetime::Revalidate)]);
        let fifth = release(5, &[]);
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row(2, &[&second, &first])]);
        for arrives in [&first, &second] {
            channels.add_manifest(Arc::clone(arrives));
        }
        channels.advance(NOW);
        apply_rows(&mut channels, vec![row(5, &[&fifth, &fourth, &third, &second, &first])]);
        let text = |text: &str| Some(text.to_owned());
        let chunk = text("3:app-5d41402a.js");
        for (arrives, app) in [(&third, None), (&fifth, None), (&fourth, text("4:app-1.js"))] {
            channels.add_manifest(Arc::clone(arrives));
            channels.advance(NOW);
            assert_eq!(
                (inherited(&channels, "app-1.js"), inherited(&channels, "app-5d41402a.js")),
                (app, chunk.clone())
            );
            assert_eq!(inherited(&channels, "first-1.js"), text("1:first-1.js"), "the served release inherits it");
        }
    }

    #[test]
    fn path_that_an_earlier_release_may_have_replaced_is_inherited_only_if_it_is_immutable() {
        let first =
            release(1, &[("app-1.js", "1:", Lifetime::Revalidate), ("app-5d41402a.js", "1:", Lifetime::Immutable)]);
        let (second, third) = (release(2, &[]), release(3, &[]));
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row(3, &[&third, &second, &first])]);
        for (arrives, app) in [(&third, None), (&first, None), (&second, Some("1:app-1.js".to_owned()))] {
            channels.add_manifest(Arc::clone(arrives));
            channels.advance(NOW);
            assert_eq!(inherited(&channels, "app-1.js"), app);
            let chunk = inherited(&channels, "app-5d41402a.js");
            assert_eq!(chunk.is_some(), !Arc::ptr_eq(arrives, &third));
        }
    }

    #[test]
    fn release_that_is_inherited_from_stays_so_while_the_manifest_of_a_coming_one_is_missing() {
        let first = release(1, &[("first-1.js", "1:", Lifetime::Revalidate)]);
        let (second, third) = (release(2, &[]), release(3, &[]));
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row(2, &[&second, &first])]);
        for arrives in [&first, &second] {
            channels.add_manifest(Arc::clone(arrives));
        }
        channels.advance(NOW);
        // The first was live again in between.
        apply_rows(&mut channels, vec![row(5, &[&third, &first, &second])]);
        assert_eq!(inherited(&channels, "first-1.js").as_deref(), Some("1:first-1.js"));
    }
}
