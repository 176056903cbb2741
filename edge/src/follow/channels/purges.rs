//! Purges: which are to be carried out, one after another for each site.
//!
//! A purge is carried out when every channel of its site serves a row from after it: the origin writes these rows again with each purge,
//! so that they leave out what is not inherited any more.

use std::sync::Arc;

use verge_protocol::purge::Purge;
use verge_protocol::report::{PurgeLag, PurgeProof};
use verge_protocol::{Digest, Generation, Seq, SiteName};

use super::Channels;
use super::known_purges::{DonePurge, DuePurge};
use super::tracked_channel::{AcceptedRow, TrackedChannel};
use crate::table::{InheritedRelease, Priority, Resources};

impl Channels {
    /// A purge that can be carried out now.
    pub(in crate::follow) fn due_purge(&self) -> Option<DuePurge> {
        let is_ready = |(site, generation, purge): &(&SiteName, Generation, &Purge)| {
            self.channel_from_before(site, *generation, purge.seq).is_none()
        };
        let (site, generation, purge) = self.pending_purges().find(is_ready)?;
        let releases = self.releases_of(site);
        let mut erased: Vec<Digest> = self.erasures.blobs(site).collect();
        if !erased.is_empty() {
            let wanted = self.wanted().blobs();
            erased.retain(|blob| wanted.priority(blob) == Priority::Unreferenced);
        }
        Some(DuePurge { site: site.clone(), generation, purge: purge.clone(), releases, erased })
    }

    /// Records that a purge is done, and what it has found.
    pub(in crate::follow) fn record_purge(&mut self, generation: Generation, proof: PurgeProof) {
        self.purges.set_done(proof.site.clone(), DonePurge { generation, seq: proof.seq });
        self.purges.add_proof(proof);
        self.unsaved = true;
    }

    /// The sites with a purge that is not done.
    pub(super) fn purging(&self) -> impl Iterator<Item = PurgeLag> {
        self.pending_purges().map(|(site, generation, purge)| {
            let (running, reason) = match self.channel_from_before(site, generation, purge.seq) {
                Some(channel) => (false, format!("channel {channel} still serves a release from before the purge")),
                None => (true, "checking what is on disk".to_owned()),
            };
            PurgeLag { site: site.clone(), seq: purge.seq, running, reason }
        })
    }

    /// The oldest purge of each site that is not done. One of an earlier history ends with it, as rollouts do: no row of a channel comes
    /// after it.
    fn pending_purges(&self) -> impl Iterator<Item = (&SiteName, Generation, &Purge)> {
        let present = self.rows.position().map(|position| position.generation);
        self.purges.pending().filter(move |(_, generation, _)| Some(*generation) == present)
    }

    /// A channel of the site that serves a row from before the purge, or is about to. One that the present history does not know is no
    /// obstacle.
    fn channel_from_before(&self, site: &SiteName, generation: Generation, seq: Seq) -> Option<&str> {
        let is_present = |row: &AcceptedRow| row.stored.generation == generation;
        let is_from_before = |channel: &TrackedChannel| match (&channel.served, &channel.accepted) {
            (Some(served), _) if is_present(served) => served.stored.row.seq < seq,
            (Some(_), _) => channel.not_served().is_some(),
            (None, accepted) => accepted.as_ref().is_some_and(|row| is_present(row) && row.stored.row.seq < seq),
        };
        let mut channels = self.tracked.iter().filter(|((of, _), _)| of == site);
        channels.find(|(_, channel)| is_from_before(channel)).map(|((_, name), _)| name.as_str())
    }

    /// Every release of which a channel of the site serves files, or is about to.
    fn releases_of(&self, site: &SiteName) -> Vec<InheritedRelease> {
        let whole = |resources: &Arc<Resources>| InheritedRelease::whole(Arc::clone(resources));
        let mut releases = Vec::new();
        for ((_, name), channel) in self.tracked.iter().filter(|((of, _), _)| of == site) {
            if let Some((state, own)) = self.serving(channel) {
                let label = verge_protocol::host::HostLabel { site: site.clone(), channel: name.clone() };
                releases.push(whole(own));
                releases.extend(self.inherited_by(&label, channel, state).into_releases());
            }
        }
        let coming = self.rollouts.iter().filter(|((of, _), _)| of == site);
        releases.extend(coming.filter_map(|(_, rollout)| self.manifests.get(&rollout.state.manifest)).map(whole));
        releases
    }
}

#[cfg(test)]
mod tests {
    use verge_daemon::feed::{Change, MissingKeys};
    use verge_protocol::Json;
    use verge_protocol::purge::PurgeState;
    use verge_protocol::state::{ChannelState, Row};

    use super::super::test_support::{
        NOW, add_manifest, add_release, apply_rows, apply_rows_at, at, lagging, restart, rollout, row, set_holding,
    };
    use super::*;
    use crate::test_support::traffic;

    fn purge_row(site: &str, seq: u64, purges: &[(u64, &str)]) -> Row {
        let purges = purges.iter().map(|(seq, scope)| Purge { seq: Seq(*seq), scope: scope.parse().unwrap() });
        let state = PurgeState { purges: purges.collect() };
        Row { key: format!("purge/{site}"), seq: Seq(seq), value: Some(Json::of(&state).unwrap()) }
    }

    /// [`row`] as it is written again by a purge of `without`; the epoch stays.
    fn rewritten(site: &str, seq: u64, epoch: u64, number: u64, inherits: &[u64], without: &str) -> Row {
        let row = row(site, epoch, number, inherits);
        let mut state: ChannelState = row.value.as_ref().unwrap().read().unwrap();
        state.inherits.iter_mut().for_each(|inherited| inherited.without.push(without.parse().unwrap()));
        Row { seq: Seq(seq), value: Some(Json::of(&state).unwrap()), ..row }
    }

    /// Which purge of which site is due, and how many files it is for.
    fn due(channels: &Channels) -> Option<(String, u64, usize)> {
        let due = channels.due_purge()?;
        let files = due.releases.iter().flat_map(|release| release.within(&due.purge.scope)).count();
        Some((due.site.to_string(), due.purge.seq.0, files))
    }

    fn finish(channels: &mut Channels) {
        let due = channels.due_purge().unwrap();
        let (site, seq) = (due.site, due.purge.seq);
        let proof = PurgeProof { site, seq, files: 1, bytes: 5, bad: 0, replaced: 0, serves: None };
        channels.record_purge(due.generation, proof);
    }

    fn purging(channels: &Channels) -> Vec<(u64, String)> {
        channels.applied_state().purging.into_iter().map(|lag| (lag.seq.0, lag.reason)).collect()
    }

    fn serves(channels: &Channels, path: &str) -> bool {
        let table = channels.build_table(|_| traffic());
        table.label("a").served().unwrap().file(path).is_some()
    }

    #[test]
    fn purged_path_is_not_inherited_from_earlier_releases_but_from_coming_ones_and_served_itself() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 2, &[1]), rollout("a", 2, 3)]);
        for number in [1, 2, 3] {
            add_release(&mut channels, number);
        }
        assert!(["v1.js", "v2.js", "v3.js"].iter().all(|path| serves(&channels, path)));
        apply_rows(&mut channels, vec![purge_row("a", 3, &[(3, "*")]), rewritten("a", 4, 1, 2, &[1], "*")]);
        assert_eq!(["v1.js", "v2.js", "v3.js"].map(|path| serves(&channels, path)), [false, true, true]);
        assert_eq!(due(&channels), Some(("a".into(), 3, 3)), "2, and 3 as what is inherited and what is coming");
    }

    #[test]
    fn purge_is_due_until_it_is_done_and_not_again_after_a_restart() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[])]);
        add_release(&mut channels, 1);
        assert_eq!((due(&channels), purging(&channels)), (None, vec![]));
        apply_rows(&mut channels, vec![purge_row("a", 2, &[(2, "v1.js")]), rewritten("a", 3, 1, 1, &[], "v1.js")]);
        let checking = vec![(2, "checking what is on disk".to_owned())];
        assert_eq!(purging(&channels), checking);
        let mut channels = restart(&channels);
        assert_eq!(purging(&channels), checking, "a restart repeats it");
        add_release(&mut channels, 1);
        assert_eq!(due(&channels), Some(("a".into(), 2, 1)));
        finish(&mut channels);
        assert!(channels.take_unsaved());
        for _restart in 0..2 {
            assert_eq!((due(&channels), purging(&channels)), (None, vec![]));
            channels = restart(&channels);
            add_release(&mut channels, 1);
        }
    }

    #[test]
    fn missed_purges_are_done_one_after_another_the_oldest_first() {
        let mut channels = Channels::default();
        let purges = purge_row("a", 9, &[(9, "v2.js"), (7, "x/*"), (5, "*")]);
        apply_rows(&mut channels, vec![purges, rewritten("a", 10, 4, 1, &[], "*")]);
        add_release(&mut channels, 1);
        for expected in [(5, 1), (7, 0), (9, 0)] {
            assert_eq!(due(&channels), Some(("a".into(), expected.0, expected.1)));
            finish(&mut channels);
        }
        let seqs = channels.applied_state().purged.into_iter().map(|proof| proof.seq.0).collect::<Vec<_>>();
        assert_eq!((due(&channels), seqs), (None, vec![5, 7, 9]));
    }

    #[test]
    fn purge_waits_for_a_channel_that_lags_since_before_it() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[])]);
        add_release(&mut channels, 1);
        apply_rows(&mut channels, vec![row("a", 2, 2, &[1])]);
        add_manifest(&mut channels, 2);
        set_holding(&mut channels, 2, false);
        apply_rows(&mut channels, vec![purge_row("a", 3, &[(3, "v1.js")])]);
        let waiting = vec![(3, "channel live still serves a release from before the purge".to_owned())];
        assert_eq!((due(&channels), purging(&channels)), (None, waiting.clone()));
        apply_rows(&mut channels, vec![rewritten("a", 4, 2, 2, &[1], "v1.js")]);
        assert_eq!((lagging(&channels).len(), purging(&channels)), (1, waiting));
        assert!(serves(&channels, "v1.js"), "it is the release that the edge serves");
        set_holding(&mut channels, 2, true);
        assert_eq!((serves(&channels, "v1.js"), due(&channels)), (false, Some(("a".into(), 3, 0))));
        // A release that came after the purge delays nothing.
        apply_rows(&mut channels, vec![row("a", 5, 3, &[2])]);
        assert_eq!((lagging(&channels).len(), due(&channels).map(|due| due.1)), (1, Some(3)));
    }

    #[test]
    fn purge_waits_for_the_row_of_a_channel_that_is_not_served_yet() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 2, &[1]), purge_row("a", 2, &[(2, "v1.js")])]);
        assert_eq!((due(&channels), purging(&channels).len()), (None, 1));
        apply_rows(&mut channels, vec![rewritten("a", 3, 1, 2, &[1], "v1.js")]);
        assert_eq!(due(&channels), Some(("a".into(), 2, 0)));
    }

    #[test]
    fn release_that_was_live_after_a_purge_is_inherited_whole_also_if_an_earlier_history_had_it() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 5, 2, &[1])]);
        add_release(&mut channels, 1);
        add_release(&mut channels, 2);
        let rows = vec![row("a", 3, 1, &[])];
        channels.apply(Change::Snapshot { at: at(2, 3), rows, missing: MissingKeys::Unknown });
        set_holding(&mut channels, 1, true);
        apply_rows_at(&mut channels, at(2, 5), vec![purge_row("a", 4, &[(4, "*")]), rewritten("a", 5, 3, 1, &[], "*")]);
        apply_rows_at(&mut channels, at(2, 6), vec![row("a", 6, 3, &[1])]);
        add_release(&mut channels, 3);
        assert_eq!(["v1.js", "v2.js", "v3.js"].map(|path| serves(&channels, path)), [true, false, true]);
    }

    #[test]
    fn channel_that_the_present_history_does_not_know_inherits_nothing_that_was_purged_in_it() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 5, 3, &[2, 1])]);
        for number in [1, 2, 3] {
            add_release(&mut channels, number);
        }
        channels.apply(Change::Snapshot { at: at(2, 1), rows: vec![], missing: MissingKeys::Unknown });
        apply_rows_at(&mut channels, at(2, 2), vec![purge_row("a", 2, &[(2, "v1.js")])]);
        assert_eq!(["v1.js", "v2.js", "v3.js"].map(|path| serves(&channels, path)), [false, true, true]);
        assert_eq!(due(&channels), Some(("a".into(), 2, 0)));
    }

    #[test]
    fn purge_that_is_not_in_the_present_history_is_not_waited_for() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[]), purge_row("a", 2, &[(2, "v1.js")])]);
        add_release(&mut channels, 1);
        assert_eq!(purging(&channels).len(), 1);
        channels.apply(Change::Snapshot { at: at(2, 1), rows: vec![], missing: MissingKeys::Unknown });
        assert_eq!((due(&channels), purging(&channels)), (None, vec![]));
        assert!(serves(&channels, "v1.js"), "an orphan is served as before");
    }

    #[test]
    fn purge_of_a_new_history_takes_out_what_the_earlier_one_served_and_ignores_unknown_channels() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 5, 2, &[1])]);
        let preview = Row { key: "channel/a/pr-1".into(), ..row("a", 6, 4, &[]) };
        apply_rows(&mut channels, vec![preview]);
        for number in [1, 2, 4] {
            add_release(&mut channels, number);
        }
        let rows = vec![row("a", 3, 3, &[])];
        channels.apply(Change::Snapshot { at: at(2, 3), rows, missing: MissingKeys::Unknown });
        add_release(&mut channels, 3);
        assert!(serves(&channels, "v1.js") && serves(&channels, "v2.js"));
        apply_rows_at(
            &mut channels,
            at(2, 5),
            vec![purge_row("a", 4, &[(4, "v2.js")]), rewritten("a", 5, 3, 3, &[], "v2.js")],
        );
        assert!(serves(&channels, "v1.js") && !serves(&channels, "v2.js"));
        assert_eq!(due(&channels), Some(("a".into(), 4, 0)));
        finish(&mut channels);
        assert_eq!(due(&channels), None);
        // The numbers of another history say nothing about what is done.
        channels.apply(Change::Snapshot {
            at: at(3, 4),
            rows: vec![purge_row("a", 3, &[(3, "*")]), row("a", 4, 3, &[])],
            missing: MissingKeys::Unknown,
        });
        channels.advance(NOW);
        assert_eq!(due(&channels).map(|due| due.1), Some(3));
    }
}
