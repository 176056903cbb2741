//! Purges: which are to be carried out, one after another for each site.
//!
//! A purge is carried out when every channel of its site serves a row from after it: the origin writes these rows again with each purge,
//! so that they leave out what is not inherited any more.
//!
//! Of several sites, those that have erased contents come first, then those with the newest purges, which a command waits for.

use std::sync::Arc;
use std::time::Duration;

use verge_daemon::error_chain;
use verge_protocol::host::HostLabel;
use verge_protocol::purge::Purge;
use verge_protocol::report::{PurgeLag, PurgeProof};
use verge_protocol::state::Key;
use verge_protocol::{Digest, Generation, Seq, SiteName};

use super::Channels;
use super::known_purges::{DuePurge, PendingPurge, PurgePoint};
use super::tracked_channel::{AcceptedRow, TrackedChannel, of_site};
use crate::table::{InheritedRelease, Priority, Resources};

/// How long to wait after a purge that failed before it is tried again.
pub(in crate::follow) const PURGE_RETRY_PAUSE: Duration = Duration::from_secs(2);

impl Channels {
    /// Begins a purge that can be carried out now, if none is in progress.
    pub(in crate::follow) fn start_purge(&mut self, now: Duration) -> Option<DuePurge> {
        let due = self.due_purge(now)?;
        self.purges.begin(due.site.clone());
        Some(due)
    }

    fn due_purge(&self, now: Duration) -> Option<DuePurge> {
        if self.purges.running().is_some() {
            return None;
        }
        let is_ready = |pending: &PendingPurge| {
            let is_paused = self.purges.failure(pending.site).is_some_and(|(_, retry)| now < retry);
            !is_paused && self.channel_from_before(pending).is_none()
        };
        let rank = |pending: &PendingPurge| {
            let has_erased = self.erasures.blobs(pending.site).next().is_some();
            (has_erased, self.purges.newest(pending.site, pending.generation))
        };
        let PendingPurge { site, generation, purge, .. } = self.pending_purges().filter(is_ready).max_by_key(rank)?;
        let releases = self.releases_of(site);
        let mut erased: Vec<Digest> = self.erasures.blobs(site).collect();
        if !erased.is_empty() {
            let wanted = self.wanted().blobs();
            erased.retain(|blob| wanted.priority(blob) == Priority::Unreferenced);
        }
        Some(DuePurge { site: site.clone(), generation, purge: purge.clone(), releases, erased })
    }

    /// Records that the purge in progress is done, and what it has found.
    pub(in crate::follow) fn record_purge(&mut self, generation: Generation, proof: PurgeProof) {
        self.purges.end(None);
        self.purges.set_done(proof.site.clone(), PurgePoint { generation, seq: proof.seq });
        self.purges.add_proof(proof);
        self.unsaved = true;
    }

    /// Records that the purge in progress has failed: it is due again after [`PURGE_RETRY_PAUSE`].
    pub(in crate::follow) fn record_purge_failure(&mut self, reason: String, now: Duration) {
        self.purges.end(Some((reason, now + PURGE_RETRY_PAUSE)));
    }

    /// Whether a purge has failed and is to be tried again.
    pub(in crate::follow) fn has_failed_purge(&self) -> bool {
        self.pending_purges().any(|pending| self.purges.failure(pending.site).is_some())
    }

    /// The sites with a purge that is not done.
    pub(in crate::follow) fn purging(&self) -> impl Iterator<Item = PurgeLag> {
        let pending = self.pending_purges().map(|pending| {
            let site = pending.site;
            let failure = self.purges.failure(site);
            let running = self.purges.running() == Some(site) && failure.is_none();
            let reason = match (self.channel_from_before(&pending), failure) {
                (Some(channel), _) => format!("channel {channel} still serves a release from before the purge"),
                (None, Some((reason, _))) => reason.to_owned(),
                (None, None) if running => "checking what is on disk".to_owned(),
                (None, None) => "waiting for the purge of another site".to_owned(),
            };
            PurgeLag { site: site.clone(), seq: pending.undone_since, running, reason }
        });
        self.unreadable_purges().chain(pending)
    }

    /// The sites of which a row of purges or of an erased content cannot be read, as one that a newer origin has written. None of their
    /// purges is done from then on: which there are is not known.
    fn unreadable_purges(&self) -> impl Iterator<Item = PurgeLag> {
        let present = self.rows.position().map(|position| position.generation);
        self.rows.refused().filter(move |(_, row)| Some(row.generation) == present).filter_map(|(key, row)| {
            let (site, seq) = match key.parse() {
                Ok(Key::Erased(site, _)) => (site, row.row.seq),
                Ok(Key::Purge(site)) => {
                    // The row may contain several since.
                    let known = self.purges.newest(&site, row.generation);
                    (site, known.map_or(Seq(0), |known| Seq(known.0 + 1)))
                }
                _ => return None,
            };
            let reason = row.row.parse().err().map(|error| error_chain(&error)).unwrap_or_default();
            Some(PurgeLag { site, seq, running: false, reason: format!("the row {key} was refused: {reason}") })
        })
    }

    /// The oldest purge of each site that is not done. One of an earlier history ends with it, as rollouts do: no row of a channel comes
    /// after it.
    fn pending_purges(&self) -> impl Iterator<Item = PendingPurge<'_>> {
        let present = self.rows.position().map(|position| position.generation);
        self.purges.pending().filter(move |pending| Some(pending.generation) == present)
    }

    /// A channel of the site that serves a row from before the purge, or is about to. One that the present history does not know is no
    /// obstacle.
    fn channel_from_before(&self, pending: &PendingPurge) -> Option<&str> {
        let PendingPurge { site, generation, purge: Purge { seq, .. }, .. } = *pending;
        let is_present = |row: &AcceptedRow| row.stored.generation == generation;
        let is_from_before = |channel: &TrackedChannel| match (&channel.served, &channel.accepted) {
            (Some(served), _) if is_present(served) => served.stored.row.seq < *seq,
            (Some(_), accepted) => accepted.as_ref().is_some_and(is_present),
            (None, accepted) => accepted.as_ref().is_some_and(|row| is_present(row) && row.stored.row.seq < *seq),
        };
        let mut channels = of_site(&self.tracked, site);
        channels.find(|(_, channel)| is_from_before(channel)).map(|(name, _)| name.as_str())
    }

    /// Every release of which a channel of the site serves files, or is about to.
    fn releases_of(&self, site: &SiteName) -> Vec<InheritedRelease> {
        let whole = |resources: &Arc<Resources>| InheritedRelease::whole(Arc::clone(resources));
        let mut releases = Vec::new();
        for (name, channel) in of_site(&self.tracked, site) {
            if let Some((state, own)) = self.serving(channel) {
                let label = HostLabel { site: site.clone(), channel: name.clone() };
                releases.push(whole(own));
                releases.extend(self.inherited_by(&label, channel, state).into_releases());
            }
        }
        let coming = of_site(&self.rollouts, site);
        releases.extend(coming.filter_map(|(_, rollout)| self.manifests.get(&rollout.state.manifest)).map(whole));
        releases
    }
}

#[cfg(test)]
mod tests {
    use verge_daemon::feed::{Change, MissingKeys};
    use verge_protocol::purge::PurgeState;
    use verge_protocol::state::{ChannelState, ErasedState, Row};
    use verge_protocol::{Json, Position, Timestamp};

    use super::super::test_support::{
        NOW, add_manifest, add_release, apply_rows, apply_rows_at, at, lagging, restart, rollout, row, set_holding,
    };
    use super::*;
    use crate::follow::report::report_of;
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
        let due = channels.due_purge(NOW)?;
        let files = due.releases.iter().flat_map(|release| release.within(&due.purge.scope)).count();
        Some((due.site.to_string(), due.purge.seq.0, files))
    }

    fn finish(channels: &mut Channels) {
        let due = channels.start_purge(NOW).unwrap();
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
        let waiting = vec![(2, "waiting for the purge of another site".to_owned())];
        assert_eq!(purging(&channels), waiting);
        assert!(channels.start_purge(NOW).is_some());
        assert_eq!(purging(&channels), vec![(2, "checking what is on disk".to_owned())]);
        let mut channels = restart(&channels);
        assert_eq!(purging(&channels), waiting, "a restart repeats it");
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

    #[test]
    fn edge_that_had_nothing_before_its_first_snapshot_has_done_the_purges_of_it() {
        let rows = vec![purge_row("a", 2, &[(2, "v1.js"), (1, "*")]), rewritten("a", 3, 1, 1, &[], "v1.js")];
        let mut restored = Channels::default();
        apply_rows(&mut restored, rows.clone());
        assert_eq!(purging(&restored).len(), 1, "it may have something on disk");

        let mut channels = Channels::default();
        channels.set_new();
        apply_rows(&mut channels, rows);
        assert_eq!((due(&channels), purging(&channels)), (None, vec![]));
        let mut channels = restart(&channels);
        assert_eq!(purging(&channels), vec![]);
        apply_rows(&mut channels, vec![purge_row("a", 4, &[(4, "*"), (2, "v1.js")])]);
        assert_eq!(purging(&channels).len(), 1);
    }

    #[test]
    fn purge_that_was_done_in_an_earlier_history_is_not_repeated_in_one_that_has_it_too() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![purge_row("a", 2, &[(2, "v1.js")]), rewritten("a", 3, 1, 1, &[], "v1.js")]);
        add_release(&mut channels, 1);
        finish(&mut channels);
        apply_rows(&mut channels, vec![purge_row("a", 6, &[(6, "x"), (4, "*"), (2, "v1.js")])]);
        let snapshot = |generation, seq, purges: &[(u64, &str)]| {
            let rows = vec![purge_row("a", seq, purges), row("a", seq + 1, 1, &[])];
            Change::Snapshot { at: at(generation, seq + 1), rows, missing: MissingKeys::Unknown }
        };
        channels.apply(snapshot(2, 5, &[(5, "v2.js"), (4, "*"), (2, "v1.js")]));
        channels.advance(NOW);
        for seq in [4, 5] {
            assert_eq!(due(&channels).map(|due| due.1), Some(seq), "4 was known, and not done");
            finish(&mut channels);
        }
        let mut channels = restart(&channels);
        channels.apply(snapshot(3, 5, &[(5, "v2.js"), (4, "*"), (2, "v1.js")]));
        assert_eq!(purging(&channels), vec![]);
        channels.apply(snapshot(4, 5, &[(5, "*"), (4, "*"), (2, "v1.js")]));
        assert_eq!(purging(&channels)[0].0, 5, "another of the same number");
    }

    #[test]
    fn purge_that_the_earlier_history_had_too_leaves_its_releases_inherited() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![purge_row("a", 3, &[(3, "*")]), row("a", 5, 2, &[1])]);
        for number in [1, 2] {
            add_release(&mut channels, number);
        }
        let rows = vec![purge_row("a", 3, &[(3, "*")]), row("a", 6, 3, &[])];
        channels.apply(Change::Snapshot { at: at(2, 6), rows, missing: MissingKeys::Unknown });
        add_release(&mut channels, 3);
        let serves_each = |channels: &Channels| ["v1.js", "v2.js", "v3.js"].map(|path| serves(channels, path));
        assert_eq!(serves_each(&channels), [true; 3], "pages that readers have open");
        let purges = purge_row("a", 7, &[(7, "v2.js"), (3, "*")]);
        apply_rows_at(&mut channels, at(2, 8), vec![purges.clone(), rewritten("a", 8, 6, 3, &[], "v2.js")]);
        for _restart in 0..2 {
            assert_eq!(serves_each(&channels), [true, false, true]);
            channels = restart(&channels);
            for number in [1, 2, 3] {
                add_release(&mut channels, number);
            }
        }
        let rows = vec![Row { seq: Seq(7), ..purges }, row("a", 9, 4, &[3])];
        channels.apply(Change::Snapshot { at: at(3, 9), rows, missing: MissingKeys::Unknown });
        for number in [3, 4] {
            add_release(&mut channels, number);
        }
        assert_eq!(serves_each(&channels), [false, false, true], "the second history is superseded, not the first");
    }

    #[test]
    fn release_that_was_still_served_from_before_a_purge_when_its_history_ended_is_inherited_without_the_purged_paths()
    {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 2, 2, &[1])]);
        for number in [1, 2] {
            add_release(&mut channels, number);
        }
        let rows = vec![purge_row("a", 5, &[(5, "v2.js")]), rewritten("a", 6, 4, 3, &[2, 1], "v2.js")];
        apply_rows(&mut channels, rows.clone());
        assert!(channels.due_purge(NOW).is_none(), "it lags with a row from before the purge");
        channels.apply(Change::Snapshot { at: at(2, 6), rows, missing: MissingKeys::Unknown });
        add_release(&mut channels, 3);
        for _restart in 0..2 {
            assert_eq!(["v1.js", "v2.js", "v3.js"].map(|path| serves(&channels, path)), [true, false, true]);
            channels = restart(&channels);
            for number in [1, 2, 3] {
                add_release(&mut channels, number);
            }
        }
    }

    #[test]
    fn site_with_an_unreadable_row_of_purges_or_erasures_has_done_no_purge_since() {
        let unreadable =
            |key: String, seq| Row { key, seq: Seq(seq), value: Some(Json::from(serde_json::json!("odd"))) };
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![purge_row("a", 2, &[(2, "*")]), purge_row("b", 3, &[(3, "*")])]);
        finish(&mut channels);
        finish(&mut channels);
        apply_rows(&mut channels, vec![unreadable("purge/a".into(), 9)]);
        let content = Digest::of(b"content");
        apply_rows(&mut channels, vec![unreadable(format!("erased/b/{content}"), 11)]);
        for _restart in 0..2 {
            let lags = channels.applied_state().purging;
            let seqs: Vec<_> = lags.iter().map(|lag| (lag.site.as_str(), lag.seq.0, lag.running)).collect();
            assert_eq!(seqs, [("b", 11, false), ("a", 3, false)], "the row of a may contain more than one purge");
            assert!(lags[1].reason.starts_with("the row purge/a was refused: "), "{}", lags[1].reason);
            channels = restart(&channels);
        }
        apply_rows(&mut channels, vec![purge_row("a", 12, &[(2, "*")])]);
        apply_rows(&mut channels, vec![Row { key: format!("erased/b/{content}"), seq: Seq(13), value: None }]);
        assert_eq!(purging(&channels), vec![]);
    }

    #[test]
    fn purge_that_failed_is_due_again_after_a_pause() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![purge_row("a", 2, &[(2, "*")]), purge_row("b", 3, &[(3, "*")])]);
        let start = |channels: &mut Channels, now| channels.start_purge(now).map(|due| due.site.to_string());
        assert_eq!(start(&mut channels, NOW), Some("b".into()));
        assert_eq!(start(&mut channels, NOW), None, "one at a time");
        channels.record_purge_failure("the disk fails".into(), NOW);
        assert!(channels.has_failed_purge());
        assert_eq!(purging(&channels)[1], (3, "the disk fails".into()));
        assert_eq!(due(&channels), Some(("a".into(), 2, 0)));
        finish(&mut channels);
        assert_eq!(start(&mut channels, NOW), None);
        assert_eq!(start(&mut channels, NOW + PURGE_RETRY_PAUSE), Some("b".into()));
        let proof = PurgeProof {
            site: "b".parse().unwrap(),
            seq: Seq(3),
            files: 0,
            bytes: 0,
            bad: 0,
            replaced: 0,
            serves: None,
        };
        channels.record_purge(Generation(1), proof);
        assert!(purging(&channels).is_empty() && !channels.has_failed_purge());
    }

    #[test]
    fn erasures_come_first_then_the_newest_purges_and_one_purge_is_said_to_run() {
        let erased = |site: &str, seq| {
            let state = ErasedState { when: Timestamp(0), path: "x".parse().unwrap(), blobs: vec![Digest::of(b"x")] };
            let key = format!("erased/{site}/{}", Digest::of(b"x"));
            Row { key, seq: Seq(seq), value: Some(Json::of(&state).unwrap()) }
        };
        let mut channels = Channels::default();
        let purges = [("a", 2), ("b", 4), ("c", 5)].map(|(site, seq)| purge_row(site, seq, &[(seq, "*")]));
        apply_rows(&mut channels, vec![erased("a", 1)]);
        apply_rows(&mut channels, purges.to_vec());
        for expected in ["a", "c", "b"] {
            assert_eq!(due(&channels).unwrap().0, expected);
            let started = channels.start_purge(NOW).unwrap();
            let running = channels.purging().filter(|lag| lag.running).map(|lag| lag.site).collect::<Vec<_>>();
            assert_eq!(running, std::slice::from_ref(&started.site));
            let (site, seq) = (started.site, started.purge.seq);
            let proof = PurgeProof { site, seq, files: 0, bytes: 0, bad: 0, replaced: 0, serves: None };
            channels.record_purge(started.generation, proof);
        }
    }

    #[test]
    fn merged_purge_that_is_not_done_leaves_all_purges_since_the_last_done_one_unconfirmed() {
        let confirmed = |channels: &Channels| {
            let report = report_of("fra-1".parse().unwrap(), &channels.applied_state()).unwrap();
            let site = "a".parse().unwrap();
            let position = |seq| Position { generation: Generation(1), seq: Seq(seq) };
            [1, 2, 3].map(|seq| report.has_purged(position(seq), &site))
        };
        let merged = |last: u64| {
            let mut state = PurgeState::default();
            for seq in 1..=last {
                state.add(Purge { seq: Seq(seq), scope: "v1.js".parse().unwrap() });
            }
            Row { key: "purge/a".into(), seq: Seq(last), value: Some(Json::of(&state).unwrap()) }
        };
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![purge_row("a", 1, &[(1, "v1.js")])]);
        apply_rows(&mut channels, vec![merged(17)]);
        assert_eq!(confirmed(&channels), [false; 3], "2 stands for 1");
        finish(&mut channels);
        assert_eq!(confirmed(&channels), [true, true, false]);
        apply_rows(&mut channels, vec![merged(19)]);
        assert_eq!(confirmed(&channels), [true, true, false], "4 stands for 3");
        finish(&mut channels);
        assert_eq!(confirmed(&channels), [true; 3]);
    }

    #[test]
    fn lagging_channel_that_the_present_history_does_not_know_delays_no_purge_and_serves_nothing_purged() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 5, 1, &[])]);
        add_release(&mut channels, 1);
        apply_rows(&mut channels, vec![row("a", 6, 3, &[2, 1])]);
        for number in [2, 3] {
            add_manifest(&mut channels, number);
            set_holding(&mut channels, number, false);
        }
        channels.apply(Change::Snapshot { at: at(2, 1), rows: vec![], missing: MissingKeys::Unknown });
        apply_rows_at(&mut channels, at(2, 2), vec![purge_row("a", 2, &[(2, "v2.js")])]);
        assert_eq!(["v1.js", "v2.js", "v3.js"].map(|path| serves(&channels, path)), [true, false, true]);
        assert_eq!((lagging(&channels).len(), due(&channels)), (1, Some(("a".into(), 2, 0))));
        finish(&mut channels);
        assert_eq!(purging(&channels), vec![]);
        set_holding(&mut channels, 3, true);
        assert_eq!(["v1.js", "v2.js", "v3.js"].map(|path| serves(&channels, path)), [true, false, true]);
    }

    #[test]
    fn purge_that_failed_does_not_count_as_running_while_it_is_tried_again() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![purge_row("a", 2, &[(2, "*")])]);
        let lags = |channels: &Channels| channels.purging().map(|lag| (lag.running, lag.reason)).collect::<Vec<_>>();
        assert!(channels.start_purge(NOW).is_some());
        assert_eq!(lags(&channels), [(true, "checking what is on disk".into())]);
        for attempt in 0..2 {
            let failed = NOW + PURGE_RETRY_PAUSE * attempt;
            channels.record_purge_failure("the disk fails".into(), failed);
            assert_eq!(lags(&channels), [(false, "the disk fails".into())]);
            assert!(channels.start_purge(failed + PURGE_RETRY_PAUSE).is_some());
            assert_eq!(lags(&channels), [(false, "the disk fails".into())], "an origin would wait for it");
        }
    }

    #[test]
    fn purge_that_ends_after_a_new_history_began_is_done_in_it_as_far_as_both_have_it() {
        let ended_after = |now: &[(u64, &str)]| {
            let mut channels = Channels::default();
            apply_rows(&mut channels, vec![purge_row("a", 4, &[(4, "x"), (2, "*"), (1, "*")])]);
            finish(&mut channels);
            finish(&mut channels);
            let running = channels.start_purge(NOW).unwrap();
            let rows = vec![purge_row("a", 6, now)];
            channels.apply(Change::Snapshot { at: at(2, 6), rows, missing: MissingKeys::Unknown });
            let proof = PurgeProof {
                site: running.site,
                seq: running.purge.seq,
                files: 0,
                bytes: 0,
                bad: 0,
                replaced: 0,
                serves: None,
            };
            channels.record_purge(running.generation, proof);
            due(&channels).map(|due| due.1)
        };
        assert_eq!(ended_after(&[(4, "x"), (2, "*"), (1, "*")]), None);
        assert_eq!(ended_after(&[(6, "y"), (4, "x"), (2, "*"), (1, "*")]), Some(6));
        assert_eq!(ended_after(&[(4, "y"), (2, "*"), (1, "*")]), Some(4), "another of the same number");
        assert_eq!(ended_after(&[(4, "x"), (3, "*")]), Some(3), "no purge in common");
    }
}
