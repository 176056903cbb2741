//! What was told, from one process to the next.

use verge_protocol::host::HostLabel;
use verge_protocol::state::Entry;

use super::Channels;
use super::ingest::Told;
use crate::store::{Saved, SavedRow, Serving};

impl Channels {
    /// Goes on where another process ended. Manifests are still to be [held](Self::hold).
    pub(in crate::follow) fn restore(saved: Saved) -> Self {
        let mut channels = Self::default();
        let of_position = saved.position.map(|position| position.generation);
        for Serving { generation, row } in saved.serving {
            if let Ok(Entry::Channel(HostLabel { site, channel }, Some(state))) = row.entry() {
                channels.followed.entry((site, channel)).or_default().served = Some(Told { generation, row, state });
            }
        }
        for SavedRow { generation, row } in saved.rows.entries {
            // Of no known history: it is told again.
            let Some(generation) = generation.or(of_position) else { continue };
            channels.tell(generation, row);
        }
        // Where some are lost, nobody knows what else there is until everything was told again.
        channels.position = saved.position.filter(|_| saved.rows.lost == 0);
        // A file that was tampered with, or a bug: what no row tells of is not served.
        channels.followed.retain(|_, followed| followed.told.is_some() || followed.refused.is_some());
        channels
    }

    /// What another process needs to go on.
    pub(in crate::follow) fn saved(&self) -> Saved {
        let told = self.followed.values().filter_map(|followed| followed.told.clone());
        let told = told.map(|told| SavedRow { generation: Some(told.generation), row: told.row });
        // After what is followed: told again in this order, they are refused again. They are of the position's generation, since
        // the snapshot that begins one tells everything anew.
        let refused = self.followed.values().filter_map(|followed| Some(followed.refused.as_ref()?.0.clone()));
        let kept = [self.unknown.values(), self.others.values()].into_iter().flatten().cloned();
        let domains = self.domains.rows().cloned();
        let others = domains.chain(refused).chain(kept).map(|row| SavedRow { generation: None, row });
        let serving = self.followed.values().filter(|followed| followed.served != followed.told);
        let serving = serving.filter_map(|followed| followed.served.clone());
        Saved {
            position: self.position,
            rows: told.chain(others).collect::<Vec<_>>().into(),
            serving: serving.map(|told| Serving { generation: told.generation, row: told.row }).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use verge_daemon::feed::Change;
    use verge_protocol::Seq;
    use verge_protocol::state::Row;

    use super::super::test_support::{NOW, at, hold, lagging, place, release, row, rows, serves};
    use super::*;

    #[test]
    fn a_lagging_channel_serves_what_it_did_after_a_restart() {
        let mut channels = Channels::default();
        rows(&mut channels, vec![row("a", 1, 1, &[])]);
        hold(&mut channels, 1);
        rows(&mut channels, vec![row("a", 2, 2, &[])]);
        let json = serde_json::to_string(&channels.saved()).unwrap();
        let mut restored = Channels::restore(serde_json::from_str(&json).unwrap());
        assert_eq!(restored.wanted(NOW), [release(2).manifest(), release(1).manifest()]);
        hold(&mut restored, 1);
        assert_eq!((serves(&restored, "a"), lagging(&restored).len()), ("1 []".into(), 1));
        hold(&mut restored, 2);
        assert_eq!((serves(&restored, "a"), lagging(&restored).len()), ("2 []".into(), 0));
        assert_eq!(restored.saved().serving, []);
    }

    #[test]
    fn a_row_that_is_lost_is_told_again() {
        let mut channels = Channels::default();
        rows(&mut channels, vec![row("a", 1, 1, &[]), row("b", 2, 2, &[])]);
        let mut json = serde_json::to_value(channels.saved()).unwrap();
        json["rows"][0]["seq"] = json!("a version from the future counts in words");
        let mut restored = Channels::restore(serde_json::from_value(json).unwrap());
        hold(&mut restored, 2);
        for _restart in 0..2 {
            let labels = |channels: &Channels| ["a", "b"].map(|label| place(channels, label));
            assert_eq!((restored.applied().position, labels(&restored)), (None, ["unknown", "served"]));
            assert!(restored.applied().can_serve());
            restored = Channels::restore(restored.saved());
            hold(&mut restored, 2);
        }
        assert_eq!(restored.apply(Change::Snapshot(at(1, 2), vec![row("a", 1, 1, &[]), row("b", 2, 2, &[])])), []);
        assert_eq!((restored.saved().rows, place(&restored, "c")), (channels.saved().rows, "empty"));
    }

    #[test]
    fn a_row_keeps_its_generation_over_a_restart() {
        let mut channels = Channels::default();
        rows(&mut channels, vec![row("a", 50, 1, &[])]);
        let odd = Row { key: "channel/a/live".into(), seq: Seq(2), value: Some(json!("odd").into()) };
        channels.apply(Change::Snapshot(at(2, 2), vec![odd]));
        let json = serde_json::to_string(&channels.saved()).unwrap();
        let mut restored = Channels::restore(serde_json::from_str(&json).unwrap());
        assert_eq!(restored.saved(), channels.saved());
        // Lower than the epoch of the other generation, which is no reason to refuse it.
        assert_eq!(restored.apply(Change::Rows(at(2, 3), vec![row("a", 3, 2, &[])])), []);
    }
}
