//! The rows of the feed, and the fleet state that they describe.

use std::collections::BTreeSet;
use std::sync::Arc;

use verge_daemon::feed::{Change, Keep, RowEvent, RowHandler, RowStore, StoredRow};
use verge_daemon::saved_state::Loaded;
use verge_protocol::Checkpoint;
use verge_protocol::state::ParsedRow;

use super::state_file::StateRecord;
use crate::fleet_state::{Channel, FleetState};
use crate::health::SavedHealth;

/// The fleet state, and the rows to save. Clones share everything.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    /// Includes all that is kept of channels.
    state: FleetState,
    /// All other rows.
    store: RowStore,
}

/// The effects of a change.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Applied {
    /// Whether the fleet state changed in more than the position. A channel that moves changes nothing: only whether it exists
    /// is part of the state.
    pub(super) changed: bool,
    /// Whether what must be saved changed in more than the position.
    pub(super) must_save: bool,
    /// What an operator should know.
    pub(super) events: Vec<RowEvent>,
}

/// Applies rows to a fleet state, and notes what changes.
struct StateUpdate<'a> {
    state: &'a mut FleetState,
    changed: bool,
    channels_changed: bool,
}

impl RowHandler for StateUpdate<'_> {
    fn apply(&mut self, parsed: ParsedRow, _row: &Arc<StoredRow>) -> Result<Keep, String> {
        // There may be very many, and no name depends on them.
        if matches!(parsed, ParsedRow::Release(..)) {
            return Ok(Keep::Nothing);
        }
        let is_channel = matches!(parsed, ParsedRow::Channel(..));
        let changed = self.state.apply(parsed);
        self.changed |= changed;
        self.channels_changed |= changed && is_channel;
        Ok(if is_channel { Keep::Nothing } else { Keep::Row })
    }

    fn own_keys(&self) -> Vec<String> {
        self.state.channels.iter().map(|channel| format!("channel/{channel}")).collect()
    }

    fn retain(&mut self, keys: &BTreeSet<&str>) {
        let channels = Arc::clone(&self.state.channels);
        self.changed |= self.state.retain(keys);
        self.channels_changed |= !Arc::ptr_eq(&channels, &self.state.channels);
    }
}

impl Rows {
    /// The fleet state.
    pub(super) fn state(&self) -> &FleetState {
        &self.state
    }

    /// The number of keys of kinds that this version does not know.
    pub(super) fn unknown(&self) -> usize {
        self.store.unknown_keys()
    }

    /// Applies a change. A snapshot replaces everything, except that an invalid row leaves the previous value of its key in effect.
    pub(super) fn apply(&mut self, change: Change) -> Applied {
        // The first snapshot is a change even if it is empty.
        let is_first = self.state.position.is_none();
        let mut update = StateUpdate { state: &mut self.state, changed: is_first, channels_changed: false };
        let changes = self.store.apply(change, &mut update);
        let StateUpdate { changed, channels_changed, .. } = update;
        self.state.position = self.store.position();
        Applied { changed, must_save: changes.changed || channels_changed, events: changes.events }
    }

    /// Restores what an earlier process saved. Also returns the health, and what an operator should know.
    pub(super) fn restore(saved: Loaded<StateRecord>) -> (Self, SavedHealth, Vec<RowEvent>) {
        let (mut rows, mut channels, mut health) = (Vec::new(), BTreeSet::new(), SavedHealth::default());
        for record in saved.records {
            match record {
                StateRecord::Feed(record) => rows.push(record),
                StateRecord::Channel(channel) => drop(channels.insert(channel)),
                StateRecord::Health(saved) => health = saved,
            }
        }
        let mut state = FleetState { channels: Arc::new(channels), ..FleetState::default() };
        let mut update = StateUpdate { state: &mut state, changed: false, channels_changed: false };
        let (store, changes) = RowStore::restore(rows, saved.is_complete, &mut update);
        state.position = store.position();
        (Self { state, store }, health, changes.events)
    }

    /// The checkpoint to resume the feed from.
    pub(super) fn checkpoint(&self) -> Option<Checkpoint> {
        self.store.checkpoint()
    }

    /// What the next process needs.
    pub(super) fn records<'a>(
        &'a self,
        health: &'a SavedHealth,
    ) -> impl Iterator<Item = StateRecord<&'a StoredRow, &'a Channel, &'a SavedHealth>> {
        let channels = self.state.channels.iter().map(StateRecord::Channel);
        self.store.records().map(StateRecord::Feed).chain(channels).chain([StateRecord::Health(health)])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::{Value, json};
    use verge_daemon::feed::{MissingKeys, RowRecord};
    use verge_protocol::state::{ChannelState, Row};
    use verge_protocol::{Digest, History, Json, Position, ReleaseNumber, Seq};

    use super::*;

    fn at(position: &str) -> Checkpoint {
        Checkpoint { position: position.parse().unwrap(), history: History::default() }
    }

    fn snapshot(position: &str, rows: Vec<Row>) -> Change {
        Change::Snapshot { at: at(position), rows, missing: MissingKeys::Deleted }
    }

    fn row(key: &str, seq: u64, value: impl Into<Option<Value>>) -> Row {
        Row { key: key.to_owned(), seq: Seq(seq), value: value.into().map(Json::from) }
    }

    fn channel(key: &str, seq: u64) -> Row {
        let manifest = Digest::of(&seq.to_le_bytes());
        let state = ChannelState { epoch: Seq(seq), release: ReleaseNumber(seq), manifest, inherits: Vec::new() };
        row(key, seq, serde_json::to_value(state).unwrap())
    }

    fn edge(key: &str, seq: u64, address: &str) -> Row {
        row(key, seq, json!({ "addresses": [address] }))
    }

    /// The saved state as the next process reads it.
    fn read_back(of: &Rows) -> Loaded<StateRecord> {
        let health = SavedHealth::default();
        let records: Vec<_> = of.records(&health).collect();
        let records = serde_json::from_slice(&serde_json::to_vec(&records).unwrap()).unwrap();
        Loaded { records, is_complete: true }
    }

    /// The numbers of valid and of refused rows on disk.
    fn on_disk(of: &Rows) -> (usize, usize) {
        let records = read_back(of).records;
        let refused = |record: &&StateRecord| matches!(record, StateRecord::Feed(RowRecord::Refused(_)));
        let valid =
            |record: &&StateRecord| matches!(record, StateRecord::Feed(RowRecord::Row(_)) | StateRecord::Channel(_));
        (records.iter().filter(valid).count(), records.iter().filter(refused).count())
    }

    fn restored(of: &Rows) -> Rows {
        Rows::restore(read_back(of)).0
    }

    /// Whether rows change anything, and the keys of their problems.
    fn rows(rows: &mut Rows, position: &str, changes: Vec<Row>) -> (bool, Vec<String>) {
        keys(rows.apply(Change::Rows(at(position), changes)))
    }

    fn keys(applied: Applied) -> (bool, Vec<String>) {
        let key = |event| match event {
            RowEvent::UnknownKey(key) => format!("unknown {key}"),
            RowEvent::Refused { key, .. } => format!("refused {key}"),
        };
        (applied.changed, applied.events.into_iter().map(key).collect())
    }

    fn without_position(state: &FleetState) -> FleetState {
        FleetState { position: None, ..state.clone() }
    }

    fn table() -> Vec<Row> {
        vec![
            channel("channel/a/live", 1),
            edge("edge/fra-1", 2, "192.0.2.1"),
            row("site/a", 3, json!({ "regions": ["eu"] })),
            row("domain/example.com", 4, json!({ "site": "a" })),
        ]
    }

    fn started() -> Rows {
        let mut rows = Rows::default();
        assert_eq!(keys(rows.apply(snapshot("1-4", table()))), (true, vec![]));
        rows
    }

    #[test]
    fn rows_add_and_remove_entries() {
        let mut of = started();
        let state = of.state();
        assert_eq!((state.edges.len(), state.sites.len(), state.channels.len(), state.domains.len()), (1, 1, 1, 1));
        let gone = ["channel/a/live", "edge/fra-1", "site/a", "domain/example.com"];
        for (key, seq) in gone.iter().zip(5..) {
            assert_eq!(rows(&mut of, &format!("1-{seq}"), vec![row(key, seq, None)]), (true, vec![]), "{key}");
            assert_eq!(rows(&mut of, &format!("1-{seq}"), vec![row(key, seq, None)]), (false, vec![]), "{key}");
        }
        assert_eq!(*of.state(), FleetState { position: Some(at("1-8").position), ..FleetState::default() });
        assert_eq!(on_disk(&of), (0, 0));
    }

    #[test]
    fn release_changes_only_the_position() {
        let mut of = started();
        assert_eq!(rows(&mut of, "1-5", vec![channel("channel/a/live", 5)]), (false, vec![]));
        assert_eq!(of.state().position, Some(at("1-5").position));
        assert_eq!(rows(&mut of, "1-6", vec![channel("channel/a/pr-1", 6)]), (true, vec![]));
        assert!(!rows(&mut of, "1-7", vec![edge("edge/fra-1", 7, "192.0.2.1")]).0);
        assert!(rows(&mut of, "1-8", vec![edge("edge/fra-1", 8, "192.0.2.9")]).0);
    }

    #[test]
    fn unchanged_parts_are_shared_not_copied() {
        let mut of = started();
        let shared = |one: &Rows, other: &Rows| {
            let (state, others) = (one.state(), other.state());
            [
                Arc::ptr_eq(&state.channels, &others.channels),
                Arc::ptr_eq(&state.edges, &others.edges),
                Arc::ptr_eq(&state.sites, &others.sites) && Arc::ptr_eq(&state.domains, &others.domains),
            ]
        };
        for (position, row, same) in [
            ("1-5", channel("channel/a/live", 5), [true, true, true]),
            ("1-6", row("channel/b/live", 6, None), [true, true, true]),
            ("1-7", edge("edge/fra-1", 7, "192.0.2.9"), [true, false, true]),
            ("1-8", channel("channel/b/live", 8), [false, true, true]),
            ("1-9", row("channel/b/live", 9, json!("odd")), [true, true, true]),
        ] {
            let before = of.clone();
            of.apply(Change::Rows(at(position), vec![row]));
            assert_eq!(shared(&of, &before), same, "{position}");
        }
    }

    #[test]
    fn rows_without_effect_on_the_state_are_saved_too() {
        let mut of = started();
        let mut apply = |change| {
            let Applied { changed, must_save, .. } = of.apply(change);
            (changed, must_save)
        };
        for (row, expected) in [
            (channel("channel/a/live", 5), (false, false)),
            (channel("channel/a/pr-1", 6), (true, true)),
            (row("channel/a/pr-1", 7, None), (true, true)),
            (row("channel/a/pr-1", 8, None), (false, false)),
            // Rows that this version refuses or does not know.
            (row("channel/a/live", 9, json!("odd")), (false, true)),
            (channel("channel/a/live", 10), (false, true)),
            (row("moon/full", 11, json!(1)), (false, true)),
            (row("edge/fra-1", 12, json!({ "addresses": ["192.0.2.1"], "tides": true })), (false, true)),
        ] {
            let position = Position { seq: row.seq, ..at("1-0").position };
            assert_eq!(apply(Change::Rows(at(&position.to_string()), vec![row])), expected, "{position}");
        }
        assert_eq!(apply(Change::Rows(at("1-20"), Vec::new())), (false, false));
        assert_eq!(apply(snapshot("2-1", table())), (false, true));
        assert_eq!(apply(snapshot("3-1", table())), (false, false));
    }

    #[test]
    fn invalid_row_leaves_the_previous_value_in_effect() {
        let mut of = started();
        let before = of.state().clone();
        for (key, seq) in ["channel/a/live", "edge/fra-1", "site/a", "domain/example.com"].iter().zip(5..) {
            let problem = format!("refused {key}");
            assert_eq!(rows(&mut of, "1-8", vec![row(key, seq, json!("odd"))]), (false, vec![problem]));
        }
        assert_eq!(without_position(of.state()), without_position(&before));
        // A restart restores both, and so does one followed by a complete snapshot.
        let (mut again, _, events) = Rows::restore(read_back(&of));
        assert_eq!(events.len(), 4);
        assert_eq!(without_position(again.state()), without_position(&before));
        let refused = |record: StateRecord| match record {
            StateRecord::Feed(RowRecord::Refused(stored)) => Some(stored.row),
            _ => None,
        };
        let refused = read_back(&again).records.into_iter().filter_map(refused).collect();
        let applied = again.apply(snapshot("2-8", refused));
        assert_eq!((applied.changed, applied.events.len()), (false, 4));
        assert_eq!(without_position(again.state()), without_position(&before));
        // A valid row replaces both.
        assert_eq!(rows(&mut again, "2-9", vec![edge("edge/fra-1", 9, "192.0.2.9")]), (true, vec![]));
        assert_eq!(on_disk(&again), (4, 3));
    }

    #[test]
    fn unknown_keys_are_kept_and_reported_once() {
        let mut of = started();
        let moon = row("moon/full", 5, json!(1));
        assert_eq!(rows(&mut of, "1-5", vec![moon.clone()]), (false, vec!["unknown moon/full".into()]));
        assert_eq!(rows(&mut of, "1-6", vec![moon.clone()]), (false, vec![]));
        assert_eq!(of.unknown(), 1);
        let all: Vec<Row> = table().into_iter().chain([moon]).collect();
        assert_eq!(keys(of.apply(snapshot("2-6", all))), (false, vec![]));
        assert_eq!(on_disk(&of), (5, 0));
        rows(&mut of, "2-7", vec![row("moon/full", 7, None)]);
        assert_eq!(of.unknown(), 0);
    }

    #[test]
    fn snapshot_removes_entries_that_it_lacks() {
        let mut of = started();
        assert_eq!(keys(of.apply(snapshot("2-1", table()[..1].to_vec()))), (true, vec![]));
        assert_eq!((of.state().edges.len(), of.state().channels.len(), on_disk(&of)), (0, 1, (1, 0)));
        let empty = Rows::default().apply(snapshot("1-0", Vec::new()));
        assert!(empty.changed);
    }

    #[test]
    fn lost_records_cause_a_complete_snapshot() {
        let of = started();
        for lost in 1..5 {
            let mut saved = read_back(&of);
            saved.records.remove(lost);
            let (mut again, _, events) = Rows::restore(Loaded { is_complete: false, ..saved });
            assert_eq!(events, []);
            for _restart in 0..2 {
                let state = again.state();
                let left = (
                    state.channels.len() + state.edges.len() + state.sites.len() + state.domains.len(),
                    state.position,
                );
                assert_eq!(left, (3, None), "{lost}");
                again = restored(&again);
            }
            assert_eq!(keys(again.apply(snapshot("1-4", table()))), (true, vec![]));
            assert_eq!(again.state(), of.state());
        }
    }

    #[test]
    fn snapshot_of_another_history_keeps_edges_and_names_that_it_lacks() {
        let mut of = started();
        let rows = vec![edge("edge/ams-1", 1, "192.0.2.2")];
        let other = Change::Snapshot { at: at("2-1"), rows, missing: MissingKeys::Unknown };
        assert!(of.apply(other).changed);
        let count = |of: &Rows| {
            let state = of.state();
            (state.edges.len(), state.sites.len(), state.channels.len(), state.domains.len())
        };
        assert_eq!(count(&of), (2, 1, 1, 1));
        // A later snapshot of that history does not know of them either.
        let mut again = restored(&of);
        again.apply(snapshot("2-1", vec![edge("edge/ams-1", 1, "192.0.2.2")]));
        assert_eq!(count(&again), (2, 1, 1, 1));
        again.apply(Change::Rows(at("2-2"), vec![row("channel/a/live", 2, None)]));
        assert_eq!(count(&again), (2, 1, 0, 1));
    }

    proptest! {
        /// Whatever the rows, a restart changes nothing, and a snapshot of the valid ones leads to the same state.
        #[test]
        fn state_is_the_same_after_a_restart_and_after_a_snapshot(
            steps in prop::collection::vec((0..5_usize, 0..4_u8), 0..40),
        ) {
            let mut of = Rows::default();
            let mut readable = BTreeMap::new();
            of.apply(snapshot("1-0", Vec::new()));
            for (seq, (key, kind)) in (1..).zip(steps) {
                let key = ["channel/a/live", "channel/a/pr-1", "edge/a", "domain/a.example", "moon/full"][key];
                let next = match kind {
                    0 => row(key, seq, None),
                    1 => row(key, seq, json!("odd")),
                    _ if key.starts_with("channel") => channel(key, seq),
                    kind => row(key, seq, json!({ "site": "a", "weight": kind })),
                };
                match kind {
                    0 => drop(readable.remove(key)),
                    1 if !key.starts_with("moon") => {}
                    _ => drop(readable.insert(key, next.clone())),
                }
                of.apply(Change::Rows(at(&format!("1-{seq}")), vec![next]));
                let mut again = restored(&of);
                prop_assert_eq!(read_back(&again), read_back(&of));
                prop_assert_eq!(again.state(), of.state());
                let applied = again.apply(snapshot("2-0", readable.values().cloned().collect()));
                prop_assert_eq!((applied.changed, applied.must_save), (false, on_disk(&of).1 > 0));
                prop_assert_eq!(without_position(again.state()), without_position(of.state()));
            }
        }
    }
}
