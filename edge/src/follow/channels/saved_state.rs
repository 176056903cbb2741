//! Saving and restoring the rows across restarts.

use std::sync::Arc;

use verge_daemon::feed::{RowEvent, RowStore, StoredRow};
use verge_protocol::host::HostLabel;
use verge_protocol::state::ParsedRow;

use super::Channels;
use super::ingest::Ingest;
use super::tracked_channel::AcceptedRow;
use crate::store::SavedState;

/// What the next process needs to continue. Clones share the rows.
#[derive(Debug, Clone)]
pub(crate) struct ToSave {
    rows: RowStore,
    serving: Vec<Arc<StoredRow>>,
}

impl ToSave {
    /// The content of the state file.
    pub(crate) fn saved(&self) -> SavedState<Vec<&StoredRow>> {
        SavedState { feed: self.rows.saved(), serving: self.serving.iter().map(|row| (**row).clone()).collect() }
    }
}

impl Channels {
    /// Restores what an earlier process saved, and returns what an operator should know of it. Manifests are still to be
    /// [added](Self::add_manifest).
    pub(crate) fn restore(saved: SavedState) -> (Self, Vec<RowEvent>) {
        let mut channels = Self::default();
        for stored in saved.serving {
            if let Ok(ParsedRow::Channel(HostLabel { site, channel }, Some(state))) = stored.row.parse() {
                channels.tracked.entry((site, channel)).or_default().served =
                    Some(AcceptedRow { stored: Arc::new(stored), state });
            }
        }
        let Self { tracked, domains, changed, .. } = &mut channels;
        let (rows, changes) = RowStore::restore(saved.feed, &mut Ingest { tracked, domains, changed });
        channels.rows = rows;
        // A served row without a row of its key: a damaged or modified file.
        channels.tracked.retain(|_, channel| channel.accepted.is_some() || channel.refused.is_some());
        (channels, changes.events)
    }

    /// What the next process needs to continue.
    pub(crate) fn to_save(&self) -> ToSave {
        let lagging = self.tracked.values().filter(|channel| channel.served != channel.accepted);
        let serving = lagging.filter_map(|channel| Some(Arc::clone(&channel.served.as_ref()?.stored)));
        ToSave { rows: self.rows.clone(), serving: serving.collect() }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use verge_daemon::feed::Change;
    use verge_protocol::Seq;
    use verge_protocol::state::Row;

    use super::super::test_support::{
        NOW, add_manifest, apply_rows, entry, lagging, position, release, restart, row, saved_rows, serves,
    };
    use super::*;

    #[test]
    fn lagging_channel_after_a_restart_serves_its_old_release() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[])]);
        add_manifest(&mut channels, 1);
        apply_rows(&mut channels, vec![row("a", 2, 2, &[])]);
        let mut restored = restart(&channels);
        assert_eq!(restored.missing_manifests(NOW), [release(2).manifest(), release(1).manifest()]);
        add_manifest(&mut restored, 1);
        assert_eq!((serves(&restored, "a"), lagging(&restored).len()), ("1 []".into(), 1));
        add_manifest(&mut restored, 2);
        assert_eq!((serves(&restored, "a"), lagging(&restored).len()), ("2 []".into(), 0));
        assert_eq!(restored.to_save().serving, []);
    }

    #[test]
    fn lost_row_is_recovered_by_a_snapshot() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[]), row("b", 2, 2, &[])]);
        let mut json = serde_json::to_value(channels.to_save().saved()).unwrap();
        json["feed"]["rows"][0]["row"]["seq"] = json!("not a number");
        let mut restored = Channels::restore(serde_json::from_value(json).unwrap()).0;
        add_manifest(&mut restored, 2);
        for _restart in 0..2 {
            let labels = |channels: &Channels| ["a", "b"].map(|label| entry(channels, label));
            assert_eq!((restored.applied_state().position, labels(&restored)), (None, ["unknown", "served"]));
            assert!(restored.applied_state().can_serve());
            restored = restart(&restored);
            add_manifest(&mut restored, 2);
        }
        assert_eq!(
            restored.apply(Change::Snapshot(position(1, 2), vec![row("a", 1, 1, &[]), row("b", 2, 2, &[])])),
            []
        );
        assert_eq!((saved_rows(&restored), entry(&restored, "c")), (saved_rows(&channels), "not found"));
    }

    #[test]
    fn row_after_a_restart_keeps_its_generation() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 50, 1, &[])]);
        let odd = Row { key: "channel/a/live".into(), seq: Seq(2), value: Some(json!("odd").into()) };
        channels.apply(Change::Snapshot(position(2, 2), vec![odd]));
        let mut restored = restart(&channels);
        assert_eq!(saved_rows(&restored), saved_rows(&channels));
        // The epoch is lower than that of the other generation, which does not matter.
        assert_eq!(restored.apply(Change::Rows(position(2, 3), vec![row("a", 3, 2, &[])])), []);
    }
}
