//! Ingesting rows of the feed.

use std::collections::{BTreeMap, BTreeSet};

use verge_daemon::error_chain;
use verge_daemon::feed::Change;
use verge_protocol::host::HostLabel;
use verge_protocol::state::{Entry, Key, Row, RowError};
use verge_protocol::{ChannelName, Generation, SiteName};

use super::Channels;
use super::tracked_channel::{AcceptedRow, TrackedChannel};

/// Something about an ingested row that an operator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IngestEvent {
    /// The key is of a kind that this version does not know. The row is saved for a version that does.
    UnknownKey(String),
    /// The row of this key is not applied, and why.
    Refused(String, String),
}

impl Channels {
    /// Ingests a change of the feed. Returns what an operator should know.
    pub(crate) fn apply(&mut self, change: Change) -> Vec<IngestEvent> {
        let (position, rows) = match change {
            Change::Rows(position, rows) => (position, rows),
            Change::Snapshot(position, rows) => {
                let named: BTreeSet<&str> = rows.iter().map(|row| row.key.as_str()).collect();
                self.unknown.retain(|key, _| named.contains(key.as_str()));
                self.unused.retain(|key, _| named.contains(key.as_str()));
                self.changed |= self.domains.retain_keys(&named);
                let before = self.tracked.len();
                self.tracked.retain(|(site, channel), _| named.contains(&*format!("channel/{site}/{channel}")));
                self.changed |= self.tracked.len() != before;
                (position, rows)
            }
        };
        // The first position makes the table complete: unknown hosts turn from 503 to 404.
        self.changed |= self.position.replace(position).is_none();
        rows.into_iter().filter_map(|row| self.ingest_row(position.generation, row)).collect()
    }

    /// Ingests one row. Returns what an operator should know.
    pub(super) fn ingest_row(&mut self, generation: Generation, row: Row) -> Option<IngestEvent> {
        match row.entry() {
            Ok(Entry::Channel(HostLabel { site, channel }, None)) => {
                self.changed |= self.tracked.remove(&(site, channel)).is_some();
                None
            }
            Ok(Entry::Channel(HostLabel { site, channel }, Some(state))) => {
                let tracked = self.track(site, channel);
                tracked.refused = None;
                let known = [&tracked.accepted, &tracked.served].into_iter().flatten();
                let newest = known.filter(|row| row.generation == generation).map(|row| row.state.epoch).max();
                if let Some(newest) = newest.filter(|newest| state.epoch < *newest) {
                    let reason = format!("epoch {} is older than the known epoch {newest}", state.epoch);
                    let key = row.key.clone();
                    tracked.refused = Some((row, reason.clone()));
                    return Some(IngestEvent::Refused(key, reason));
                }
                tracked.accepted = Some(AcceptedRow { generation, row, state });
                None
            }
            Ok(Entry::Domain(domain, state)) => {
                self.unknown.remove(&row.key);
                self.changed |= self.domains.apply(domain, row, state);
                None
            }
            Ok(Entry::Edge(..) | Entry::Site(..)) => {
                store_row(&mut self.unused, row);
                None
            }
            Err(RowError::UnknownKey(_)) => {
                let key = row.key.clone();
                let is_new = store_row(&mut self.unknown, row);
                is_new.then_some(IngestEvent::UnknownKey(key))
            }
            Err(error @ RowError::Value { .. }) => {
                let reason = error_chain(&error);
                let key = row.key.clone();
                match key.parse() {
                    Ok(Key::Channel(site, channel)) => {
                        self.track(site, channel).refused = Some((row, reason.clone()));
                    }
                    Ok(Key::Domain(_)) | Err(_) => {
                        store_row(&mut self.unknown, row);
                    }
                    Ok(Key::Edge(_) | Key::Site(_)) => {
                        store_row(&mut self.unused, row);
                        return None;
                    }
                }
                Some(IngestEvent::Refused(key, reason))
            }
        }
    }

    /// The channel, tracked from now on. A new one changes the table: it is pending.
    fn track(&mut self, site: SiteName, channel: ChannelName) -> &mut TrackedChannel {
        self.tracked.entry((site, channel)).or_insert_with(|| {
            self.changed = true;
            TrackedChannel::default()
        })
    }
}

/// Stores the row by its key; a tombstone removes it. Returns whether the key is new.
fn store_row(rows: &mut BTreeMap<String, Row>, row: Row) -> bool {
    if row.value.is_some() {
        rows.insert(row.key.clone(), row).is_none()
    } else {
        rows.remove(&row.key);
        false
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use verge_protocol::{Json, Seq};

    use super::super::test_support::{add_manifest, apply_rows, lagging, position, row, served, serves, tombstone};
    use super::*;

    #[test]
    fn row_with_a_lower_epoch_is_refused_within_its_generation() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 5, 2, &[])]);
        add_manifest(&mut channels, 1);
        add_manifest(&mut channels, 2);
        let mut older = row("a", 4, 1, &[]);
        older.seq = Seq(6);
        assert!(matches!(&apply_rows(&mut channels, vec![older.clone()])[..], [IngestEvent::Refused(..)]));
        assert_eq!(serves(&channels, "a"), "2 []");
        assert_eq!(lagging(&channels), [("a".into(), 6, "epoch 4 is older than the known epoch 5".into())]);
        let restored = Channels::restore(channels.to_saved_state());
        assert_eq!(lagging(&restored)[0].1, 6);
        channels.apply(Change::Snapshot(position(2, 6), vec![older]));
        channels.advance();
        assert_eq!((serves(&channels, "a"), lagging(&channels).len()), ("1 []".into(), 0));
    }

    #[test]
    fn snapshot_removes_keys_that_it_does_not_contain() {
        let mut channels = Channels::default();
        let future = Row { key: "future/key".into(), seq: Seq(3), value: Some(json!(1).into()) };
        let events = apply_rows(&mut channels, vec![row("a", 1, 1, &[]), row("b", 2, 1, &[]), future.clone()]);
        assert_eq!(events, [IngestEvent::UnknownKey("future/key".into())]);
        assert_eq!(apply_rows(&mut channels, vec![future]), []);
        add_manifest(&mut channels, 1);
        assert_eq!(channels.applied_state().unknown, 1);
        channels.apply(Change::Snapshot(position(2, 1), vec![row("b", 2, 1, &[])]));
        assert!(channels.advance());
        assert_eq!(served(&channels).into_keys().collect::<Vec<_>>(), ["b"]);
        assert_eq!(channels.applied_state().unknown, 0);
        apply_rows(&mut channels, vec![tombstone("b", 3)]);
        assert!(served(&channels).is_empty());
    }

    #[test]
    fn rows_of_edges_and_sites_are_kept_without_an_event() {
        let mut channels = Channels::default();
        let other =
            |key: &str, seq, value: Option<Value>| Row { key: key.into(), seq: Seq(seq), value: value.map(Json::from) };
        let kept_rows = vec![
            other("edge/fra-1", 1, Some(json!({ "port": 80 }))),
            other("edge/fra-2", 2, Some("from the future".into())),
            other("site/a", 3, Some(json!({}))),
            other("site/b", 4, Some(1.into())),
        ];
        assert_eq!(apply_rows(&mut channels, kept_rows.clone()), []);
        let applied = channels.applied_state();
        assert_eq!((applied.position, applied.unknown, applied.lagging), (Some(position(1, 4)), 0, vec![]));
        let mut restored = Channels::restore(channels.to_saved_state());
        let kept = |channels: &Channels| {
            channels.to_saved_state().rows.entries.into_iter().map(|saved| saved.row).collect::<Vec<_>>()
        };
        assert_eq!(kept(&restored), kept_rows);
        assert_eq!(apply_rows(&mut restored, vec![other("edge/fra-2", 5, None), other("site/b", 6, None)]), []);
        assert_eq!(kept(&restored), [kept_rows[0].clone(), kept_rows[2].clone()]);
        restored.apply(Change::Snapshot(position(2, 1), vec![]));
        assert_eq!((kept(&restored), restored.applied_state().position), (vec![], Some(position(2, 1))));
    }

    #[test]
    fn channel_with_an_invalid_row_keeps_serving_and_lags() {
        let mut channels = Channels::default();
        apply_rows(&mut channels, vec![row("a", 1, 1, &[])]);
        add_manifest(&mut channels, 1);
        let odd = Row { key: "channel/a/live".into(), seq: Seq(2), value: Some(json!("odd").into()) };
        assert!(matches!(&apply_rows(&mut channels, vec![odd])[..], [IngestEvent::Refused(..)]));
        assert_eq!((serves(&channels, "a"), lagging(&channels)[0].1), ("1 []".into(), 2));
        let mut restored = Channels::restore(channels.to_saved_state());
        add_manifest(&mut restored, 1);
        assert_eq!((serves(&restored, "a"), lagging(&restored)[0].1), ("1 []".into(), 2));
    }
}
