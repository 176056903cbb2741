//! Saving and restoring the rows across restarts.

use verge_protocol::host::HostLabel;
use verge_protocol::state::Entry;

use super::Channels;
use super::tracked_channel::AcceptedRow;
use crate::store::{SavedRow, SavedState, ServedRow};

impl Channels {
    /// Restores what an earlier process saved. Its manifests are still to be [added](Self::add_manifest).
    pub(crate) fn restore(saved: SavedState) -> Self {
        let mut channels = Self::default();
        let current = saved.position.map(|position| position.generation);
        for ServedRow { generation, row } in saved.serving {
            if let Ok(Entry::Channel(HostLabel { site, channel }, Some(state))) = row.entry() {
                channels.tracked.entry((site, channel)).or_default().served =
                    Some(AcceptedRow { generation, row, state });
            }
        }
        for SavedRow { generation, row } in saved.rows.entries {
            // A row of no known generation: a snapshot will contain it.
            let Some(generation) = generation.or(current) else { continue };
            channels.ingest_row(generation, row);
        }
        // If rows were lost, only a new snapshot can tell what else there is.
        channels.position = saved.position.filter(|_| saved.rows.lost == 0);
        // A served row without a row of its key: a damaged or modified file.
        channels.tracked.retain(|_, channel| channel.accepted.is_some() || channel.refused.is_some());
        channels
    }

    /// What the next process needs to continue.
    pub(crate) fn to_saved_state(&self) -> SavedState {
        let accepted = self.tracked.values().filter_map(|channel| channel.accepted.clone());
        let accepted = accepted.map(|accepted| SavedRow { generation: Some(accepted.generation), row: accepted.row });
        // Refused rows come after accepted ones, so that they are refused again when restored in this order. Their generation is
        // that of the position, because a new generation begins with a snapshot of all rows.
        let refused = self.tracked.values().filter_map(|channel| Some(channel.refused.as_ref()?.0.clone()));
        let kept = [self.unknown.values(), self.unused.values()].into_iter().flatten().cloned();
        let domains = self.domains.rows().cloned();
        let others = domains.chain(refused).chain(kept).map(|row| SavedRow { generation: None, row });
        let lagging = self.tracked.values().filter(|channel| channel.served != channel.accepted);
        let served = lagging.filter_map(|channel| channel.served.clone());
        SavedState {
            position: self.position,
            rows: accepted.chain(others).collect::<Vec<_>>().into(),
            serving: served.map(|served| ServedRow { generation: served.generation, row: served.row }).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use verge_daemon::feed::Change;
    use verge_protocol::Seq;
    use verge_protocol::state::Row;

    use super::super::test_support::{NOW, add_manifest, apply_rows, entry, lagging, position, release, row, serves};
    use super::*;

    #[test]
    fn lagging_channel_after_a_restart_serves_its_old_release() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[])]);
        add_manifest(&mut channels, 1);
        apply_rows(&mut channels, vec![row("a", 2, 2, &[])]);
        let json = serde_json::to_string(&channels.to_saved_state()).unwrap();
        let mut restored = Channels::restore(serde_json::from_str(&json).unwrap());
        assert_eq!(restored.missing_manifests(NOW), [release(2).manifest(), release(1).manifest()]);
        add_manifest(&mut restored, 1);
        assert_eq!((serves(&restored, "a"), lagging(&restored).len()), ("1 []".into(), 1));
        add_manifest(&mut restored, 2);
        assert_eq!((serves(&restored, "a"), lagging(&restored).len()), ("2 []".into(), 0));
        assert_eq!(restored.to_saved_state().serving, []);
    }

    #[test]
    fn lost_row_is_recovered_by_a_snapshot() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[]), row("b", 2, 2, &[])]);
        let mut json = serde_json::to_value(channels.to_saved_state()).unwrap();
        json["rows"][0]["seq"] = json!("not a number");
        let mut restored = Channels::restore(serde_json::from_value(json).unwrap());
        add_manifest(&mut restored, 2);
        for _restart in 0..2 {
            let labels = |channels: &Channels| ["a", "b"].map(|label| entry(channels, label));
            assert_eq!((restored.applied_state().position, labels(&restored)), (None, ["unknown", "served"]));
            assert!(restored.applied_state().can_serve());
            restored = Channels::restore(restored.to_saved_state());
            add_manifest(&mut restored, 2);
        }
        assert_eq!(
            restored.apply(Change::Snapshot(position(1, 2), vec![row("a", 1, 1, &[]), row("b", 2, 2, &[])])),
            []
        );
        assert_eq!(
            (restored.to_saved_state().rows, entry(&restored, "c")),
            (channels.to_saved_state().rows, "not found")
        );
    }

    #[test]
    fn row_after_a_restart_keeps_its_generation() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 50, 1, &[])]);
        let odd = Row { key: "channel/a/live".into(), seq: Seq(2), value: Some(json!("odd").into()) };
        channels.apply(Change::Snapshot(position(2, 2), vec![odd]));
        let json = serde_json::to_string(&channels.to_saved_state()).unwrap();
        let mut restored = Channels::restore(serde_json::from_str(&json).unwrap());
        assert_eq!(restored.to_saved_state(), channels.to_saved_state());
        // The epoch is lower than that of the other generation, which does not matter.
        assert_eq!(restored.apply(Change::Rows(position(2, 3), vec![row("a", 3, 2, &[])])), []);
    }
}
