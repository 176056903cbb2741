//! Saving and restoring the rows across restarts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use verge_daemon::feed::{RowEvent, RowStore, StoredRow};
use verge_daemon::saved_state::Loaded;
use verge_protocol::host::HostLabel;
use verge_protocol::state::ParsedRow;
use verge_protocol::{ChannelName, SiteName};

use super::Channels;
use super::known_purges::PurgePoint;
use super::tracked_channel::{AcceptedRow, SupersededRow};
use crate::store::StateRecord;
use crate::table::Resources;

/// What the next process needs to continue. Clones share the rows.
#[derive(Debug, Clone)]
pub(crate) struct ToSave {
    rows: RowStore,
    serving: Vec<Arc<StoredRow>>,
    unheld: Vec<Arc<StoredRow>>,
    /// Rows, and how long their files are still inherited.
    superseded: Vec<(Arc<StoredRow>, Duration)>,
    purged: Vec<(SiteName, PurgePoint)>,
    earlier_purges: Vec<(SiteName, PurgePoint)>,
}

impl ToSave {
    /// The records of the state file.
    pub(crate) fn records(&self) -> impl Iterator<Item = StateRecord<&StoredRow>> {
        let serving = self.serving.iter().map(|row| StateRecord::Serving(row.as_ref()));
        let unheld = self.unheld.iter().map(|row| StateRecord::Unheld(row.as_ref()));
        let superseded = self.superseded.iter().map(|(row, remaining)| StateRecord::Superseded {
            row: row.as_ref(),
            remaining_seconds: remaining.as_secs(),
        });
        let purged = self.purged.iter().map(|(site, done)| StateRecord::Purged {
            site: site.clone(),
            generation: done.generation,
            seq: done.seq,
        });
        let earlier = self.earlier_purges.iter().map(|(site, purge)| StateRecord::EarlierPurge {
            site: site.clone(),
            generation: purge.generation,
            seq: purge.seq,
        });
        let rows = self.rows.records().map(StateRecord::Feed);
        rows.chain(serving).chain(unheld).chain(superseded).chain(purged).chain(earlier)
    }
}

impl Channels {
    /// Restores what an earlier process saved, and returns what an operator should know of it. Manifests are still to be
    /// [added](Self::add_manifest).
    pub(crate) fn restore(saved: Loaded<StateRecord>) -> (Self, Vec<RowEvent>) {
        let mut channels = Self::default();
        let (mut rows, mut unheld) = (Vec::new(), BTreeSet::new());
        for record in saved.records {
            match record {
                StateRecord::Feed(record) => rows.push(record),
                StateRecord::Serving(stored) => {
                    if let Some((key, row)) = channel_row(stored) {
                        channels.tracked.entry(key).or_default().served = Some(row);
                    }
                }
                StateRecord::Unheld(stored) => unheld.extend(channel_row(stored).map(|(key, _)| key)),
                StateRecord::Purged { site, generation, seq } => {
                    channels.purges.restore_done(site, PurgePoint { generation, seq });
                }
                StateRecord::EarlierPurge { site, generation, seq } => {
                    channels.purges.set_earlier(site, PurgePoint { generation, seq });
                }
                StateRecord::Superseded { row, remaining_seconds } => {
                    let until = Duration::from_secs(remaining_seconds);
                    if let Some((key, row)) = channel_row(row) {
                        channels.tracked.entry(key).or_default().superseded = Some(SupersededRow { row, until });
                    }
                }
            }
        }
        let (rows, changes) = RowStore::restore(rows, saved.is_complete, &mut channels.ingest().1);
        channels.rows = rows;
        channels.end_earlier_rollouts();
        for (key, channel) in &mut channels.tracked {
            // A damaged file may have lost the record that says otherwise.
            if saved.is_complete && channel.served.is_none() && channel.accepted.is_some() && !unheld.contains(key) {
                channel.served.clone_from(&channel.accepted);
                channel.is_held = true;
            }
        }
        // A served row whose own row was lost from a damaged file is served until the feed says what is right.
        channels
            .tracked
            .retain(|_, channel| channel.served.is_some() || channel.accepted.is_some() || channel.refused.is_some());
        (channels, changes.events)
    }

    /// Takes the releases of which `is_on_disk` denies that all is there for lost since the last process ended: their channels lag until
    /// they are complete again.
    pub(crate) fn check_held(&mut self, is_on_disk: impl Fn(&Resources) -> bool) {
        for channel in self.tracked.values_mut() {
            let served = channel.served.as_ref().and_then(|row| self.manifests.get(&row.state.manifest));
            channel.is_held &= served.is_some_and(|release| is_on_disk(release));
        }
    }

    /// What the next process needs to continue.
    pub(crate) fn to_save(&self, now: Duration) -> ToSave {
        let (mut serving, mut unheld) = (Vec::new(), Vec::new());
        for channel in self.tracked.values() {
            match &channel.served {
                Some(served) if channel.served != channel.accepted => serving.push(Arc::clone(&served.stored)),
                Some(_) if channel.is_held => {}
                _ => unheld.extend(channel.accepted.as_ref().map(|accepted| Arc::clone(&accepted.stored))),
            }
        }
        let superseded = self.tracked.values().filter_map(|channel| channel.superseded.as_ref());
        let superseded =
            superseded.map(|superseded| (Arc::clone(&superseded.row.stored), superseded.until.saturating_sub(now)));
        let purged = self.purges.done().map(|(site, done)| (site.clone(), done)).collect();
        let earlier_purges = self.purges.earlier().map(|(site, purge)| (site.clone(), purge)).collect();
        ToSave { rows: self.rows.clone(), serving, unheld, superseded: superseded.collect(), purged, earlier_purges }
    }
}

/// The channel and the value of a row, if it is one of a channel.
fn channel_row(stored: StoredRow) -> Option<((SiteName, ChannelName), AcceptedRow)> {
    match stored.row.parse() {
        Ok(ParsedRow::Channel(HostLabel { site, channel }, Some(state))) => {
            Some(((site, channel), AcceptedRow { stored: Arc::new(stored), state }))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use verge_daemon::feed::{Change, RowRecord};
    use verge_protocol::Seq;
    use verge_protocol::state::Row;

    use super::super::test_support::{
        NOW, add_manifest, add_release, apply_rows, at, entry, lagging, release, restart, row, saved, saved_rows,
        served, serves, set_holding, snapshot,
    };
    use super::*;
    use crate::store::BlockingStore;

    #[test]
    fn lagging_channel_after_a_restart_serves_its_old_release() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[])]);
        add_release(&mut channels, 1);
        apply_rows(&mut channels, vec![row("a", 2, 2, &[])]);
        let mut restored = restart(&channels);
        assert_eq!(restored.missing_manifests(), [release(2).manifest(), release(1).manifest()]);
        add_manifest(&mut restored, 1);
        assert_eq!((serves(&restored, "a"), lagging(&restored).len()), ("1 []".into(), 1));
        add_release(&mut restored, 2);
        assert_eq!((serves(&restored, "a"), lagging(&restored).len()), ("2 []".into(), 0));
        assert_eq!((restored.to_save(NOW).serving, restored.to_save(NOW).unheld), (vec![], vec![]));
    }

    #[test]
    fn channel_whose_blobs_were_lost_before_a_restart_lags_until_they_are_back() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[]), row("b", 2, 2, &[])]);
        for number in [1, 2] {
            add_release(&mut channels, number);
        }
        let mut restored = restart(&channels);
        for number in [1, 2] {
            add_manifest(&mut restored, number);
        }
        assert_eq!(lagging(&restored), []);
        restored.check_held(|resources| resources.manifest() == release(1).manifest());
        let lag = ("b".to_owned(), 2, "fetching the files".to_owned());
        assert_eq!((serves(&restored, "b"), lagging(&restored)), ("2 []".into(), vec![lag]));
        set_holding(&mut restored, 2, true);
        assert_eq!(lagging(&restored), []);
    }

    #[test]
    fn lost_row_is_recovered_by_a_snapshot() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[]), row("b", 2, 2, &[])]);
        let mut damaged = saved(&channels);
        damaged
            .records
            .retain(|record| !matches!(record, StateRecord::Feed(RowRecord::Row(row)) if row.row.seq == Seq(1)));
        let mut restored = Channels::restore(Loaded { is_complete: false, ..damaged }).0;
        add_manifest(&mut restored, 2);
        for _restart in 0..2 {
            let labels = |channels: &Channels| ["a", "b"].map(|label| entry(channels, label));
            assert_eq!((restored.applied_state().position, labels(&restored)), (None, ["unknown", "served"]));
            assert!(restored.applied_state().can_serve());
            restored = restart(&restored);
            add_manifest(&mut restored, 2);
        }
        assert_eq!(restored.apply(snapshot(at(1, 2), vec![row("a", 1, 1, &[]), row("b", 2, 2, &[])])), []);
        assert_eq!((saved_rows(&restored), entry(&restored, "c")), (saved_rows(&channels), "not found"));
    }

    #[test]
    fn row_after_a_restart_keeps_its_generation() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 50, 1, &[])]);
        let odd = Row { key: "channel/a/live".into(), seq: Seq(2), value: Some(json!("odd").into()) };
        channels.apply(snapshot(at(2, 2), vec![odd]));
        let mut restored = restart(&channels);
        assert_eq!(saved_rows(&restored), saved_rows(&channels));
        // The epoch is lower than that of the other generation, which does not matter.
        assert_eq!(restored.apply(Change::Rows(at(2, 3), vec![row("a", 3, 2, &[])])), []);
    }

    #[test]
    fn every_flipped_bit_of_the_state_file_is_noticed_and_healed() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlockingStore::open_for_test(directory.path(), 1 << 20);
        let mut channels = Channels::default();
        let rows = [row("b", 1, 1, &[]), row("c", 2, 2, &[1]), row("a", 3, 1, &[]), row("a", 4, 3, &[])];
        apply_rows(&mut channels, rows[..3].to_vec());
        let add_manifests = |channels: &mut Channels| {
            for number in [1, 2] {
                add_release(channels, number);
            }
        };
        add_manifests(&mut channels);
        // `a` lags: what it serves is a record of its own.
        apply_rows(&mut channels, rows[3..].to_vec());
        let sound = channels.to_save(NOW);
        store.save_state(sound.records()).unwrap();
        let file = directory.path().join("state.json");
        let bytes = std::fs::read(&file).unwrap();
        let served_before = served(&channels);
        let is_sound =
            |channels: &Channels| served(channels).iter().all(|entry| served_before.iter().any(|sound| sound == entry));
        for bit in 0..bytes.len() * 8 {
            let mut damaged = bytes.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&file, damaged).unwrap();
            let (mut restored, _) = Channels::restore(store.load_state());
            add_manifests(&mut restored);
            assert_eq!(restored.checkpoint(), None, "bit {bit}: everything is requested again");
            assert!(is_sound(&restored) && !served(&restored).is_empty(), "bit {bit}: {:?}", served(&restored));
            let last = vec![rows[0].clone(), rows[1].clone(), rows[3].clone()];
            restored.apply(snapshot(at(1, 4), last));
            add_release(&mut restored, 3);
            add_manifests(&mut restored);
            let (served, lagging) = (served(&restored), lagging(&restored));
            assert_eq!((served.len(), lagging.len()), (3, 0), "bit {bit}");
            assert_eq!(["a", "b", "c"].map(|site| served[site].as_str()), ["3 []", "1 []", "2 [1]"], "bit {bit}");
        }
    }
}
