//! The rows of the change feed as a subscriber stores them, in memory and across restarts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use verge_protocol::state::{Key, ParsedRow, Row};
use verge_protocol::{Checkpoint, Generation, Position};

use super::{Change, MissingKeys};
use crate::error_chain;

/// A row and the generation in which it was received: epochs of different generations do not compare.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRow {
    /// The generation.
    pub generation: Generation,
    /// The row.
    pub row: Row,
}

/// What a daemon makes of rows. The store decides which rows it gets to see, and what becomes of those it refuses.
pub trait RowHandler {
    /// Whether the daemon uses rows of this key. Others are stored unparsed.
    fn handles(&self, _key: &Key) -> bool {
        true
    }

    /// Applies a row. On an error, which says why the row is refused, the previous row of the key stays in force.
    fn apply(&mut self, parsed: ParsedRow, row: &Arc<StoredRow>) -> Result<Keep, String>;

    /// A row of `key` was refused, by [`Self::apply`] or because its value is invalid.
    fn refused(&mut self, _key: Key, _row: &StoredRow, _reason: &str) {}

    /// The keys of rows that the daemon persists itself, see [`Keep::Nothing`].
    fn own_keys(&self) -> Vec<String> {
        Vec::new()
    }

    /// Only these keys exist.
    fn retain(&mut self, keys: &BTreeSet<&str>);
}

/// Whether the store keeps a row that was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// It does.
    Row,
    /// It does not: the daemon persists as much of it as it needs.
    Nothing,
}

/// Something that an operator should see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowEvent {
    /// A key unknown to this version. The row is stored, for a version that knows it.
    UnknownKey(String),
    /// A row that was refused: the previous row of its key stays in force.
    Refused {
        /// The key.
        key: String,
        /// The reason.
        reason: String,
    },
}

impl RowEvent {
    /// Logs it.
    pub fn log(&self) {
        match self {
            Self::UnknownKey(key) => tracing::warn!(key, "unknown key in the change feed: row skipped"),
            Self::Refused { key, reason } => {
                tracing::error!(key, reason, "row refused: the previous row of the key stays in force");
            }
        }
    }
}

/// The effect of a change.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct RowChanges {
    /// Whether the stored rows differ from before, apart from the position.
    pub changed: bool,
    /// In the order of the rows.
    pub events: Vec<RowEvent>,
}

/// Rows by key. Copies share the rows.
type Rows = BTreeMap<Arc<str>, Arc<StoredRow>>;

/// The latest rows of all keys. Clones share everything; a change copies only the map it is in.
#[derive(Debug, Clone, Default)]
pub struct RowStore {
    checkpoint: Option<Checkpoint>,
    /// The last row of each key that was applied, or that the daemon does not handle.
    accepted: Arc<Rows>,
    /// A later row of the key, which was refused.
    refused: Arc<Rows>,
    /// Rows of keys unknown to this version.
    unknown: Arc<Rows>,
    /// Orphans among the keys whose rows the daemon persists itself.
    own_orphans: Arc<BTreeSet<Arc<str>>>,
}

/// A record of the rows on disk. Written from borrowed rows, read into owned ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowRecord<R = StoredRow> {
    /// Every row up to here is included.
    Checkpoint(Checkpoint),
    /// The last row of a key that was applied, is not handled, or is unknown.
    Row(R),
    /// A later row of a key, which was refused.
    Refused(R),
    /// An orphan whose row the daemon persists itself.
    Orphan(String),
}

impl RowStore {
    /// Restores saved rows through `handler`, as if they were received again: a version that was upgraded may accept rows that were
    /// refused or unknown before. Unless the records are complete, there is no checkpoint, so that everything is requested again.
    pub fn restore(
        records: impl IntoIterator<Item = RowRecord>,
        is_complete: bool,
        handler: &mut impl RowHandler,
    ) -> (Self, RowChanges) {
        let (mut store, mut changes, mut refused) = (Self::default(), RowChanges::default(), Vec::new());
        for record in records {
            match record {
                RowRecord::Checkpoint(checkpoint) => store.checkpoint = Some(checkpoint).filter(|_| is_complete),
                RowRecord::Row(row) => store.apply_row(row, handler, &mut changes),
                RowRecord::Refused(row) => refused.push(row),
                RowRecord::Orphan(key) => drop(Arc::make_mut(&mut store.own_orphans).insert(key.into())),
            }
        }
        for row in refused {
            store.apply_row(row, handler, &mut changes);
        }
        (store, changes)
    }

    /// The records to save.
    pub fn records(&self) -> impl Iterator<Item = RowRecord<&StoredRow>> {
        let rows = self.accepted.values().chain(self.unknown.values());
        let rows = rows.map(|row| RowRecord::Row(row.as_ref()));
        let refused = self.refused.values().map(|row| RowRecord::Refused(row.as_ref()));
        let orphans = self.own_orphans.iter().map(|key| RowRecord::Orphan(key.to_string()));
        self.checkpoint.map(RowRecord::Checkpoint).into_iter().chain(rows).chain(refused).chain(orphans)
    }

    /// The checkpoint up to which rows were received; `None` before the first snapshot.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        self.checkpoint
    }

    /// The position of the [checkpoint](Self::checkpoint).
    pub fn position(&self) -> Option<Position> {
        self.checkpoint.map(|checkpoint| checkpoint.position)
    }

    /// The keys that are in force although the origin has neither a row nor a tombstone of theirs in its present history: rows of an
    /// earlier one, from before the origin was restored or replaced.
    pub fn orphans(&self) -> impl Iterator<Item = &str> {
        let generation = self.position().map(|position| position.generation);
        let rows = self.accepted.iter().chain(self.unknown.iter());
        let is_earlier = move |row: &StoredRow| generation.is_some_and(|current| row.generation != current);
        // A row of the present history that was refused shows that the origin has the key.
        let is_known = move |key: &str| self.refused.get(key).is_some_and(|row| !is_earlier(row));
        let earlier = rows.filter(move |(key, row)| is_earlier(row) && !is_known(key));
        earlier.map(|(key, _)| &**key).chain(self.own_orphans.iter().map(|key| &**key))
    }

    /// The number of keys unknown to this version.
    pub fn unknown_keys(&self) -> usize {
        self.unknown.len()
    }

    /// The latest rows that were refused, by key.
    pub fn refused(&self) -> impl Iterator<Item = (&str, &StoredRow)> {
        self.refused.iter().map(|(key, row)| (&**key, &**row))
    }

    /// Applies a change through `handler`. A snapshot replaces everything, except that a row of it that is refused leaves the
    /// previous row of its key in force, and that missing keys of which nothing is known stay.
    pub fn apply(&mut self, change: Change, handler: &mut impl RowHandler) -> RowChanges {
        let mut changes = RowChanges::default();
        let (at, rows) = match change {
            Change::Rows(at, rows) => (at, rows),
            Change::Snapshot { at, rows, missing } => {
                if missing == MissingKeys::Deleted {
                    changes.changed = self.retain(at, &rows, handler);
                } else if self.position().is_some_and(|position| position.generation != at.position.generation) {
                    changes.changed = self.orphan_own_keys(&rows, handler);
                }
                (at, rows)
            }
        };
        self.checkpoint = Some(at);
        for row in rows {
            self.apply_row(StoredRow { generation: at.position.generation, row }, handler, &mut changes);
        }
        changes
    }

    /// Records which of the keys whose rows the daemon persists itself a snapshot of another history does not list.
    fn orphan_own_keys(&mut self, rows: &[Row], handler: &impl RowHandler) -> bool {
        let listed: BTreeSet<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        let missing = handler.own_keys().into_iter().filter(|key| !listed.contains(key.as_str()));
        let missing: Vec<Arc<str>> = missing.map(Into::into).filter(|key| !self.own_orphans.contains(key)).collect();
        let changed = !missing.is_empty();
        if changed {
            Arc::make_mut(&mut self.own_orphans).extend(missing);
        }
        changed
    }

    /// Removes the keys that a snapshot does not list. [Orphans](Self::orphans) stay: the snapshot says nothing of an earlier history.
    fn retain(&mut self, at: Checkpoint, rows: &[Row], handler: &mut impl RowHandler) -> bool {
        let generations = [Some(at), self.checkpoint].map(|at| at.map(|at| at.position.generation));
        let is_orphan = |row: &StoredRow| !generations.contains(&Some(row.generation));
        let stored = [&self.accepted, &self.refused, &self.unknown].map(Arc::clone);
        let orphans = stored.iter().flat_map(|rows| rows.iter()).filter(|(_, row)| is_orphan(row));
        let mut keys: BTreeSet<&str> = orphans.map(|(key, _)| &**key).collect();
        let own_orphans = Arc::clone(&self.own_orphans);
        keys.extend(own_orphans.iter().map(|key| &**key));
        keys.extend(rows.iter().map(|row| row.key.as_str()));
        let mut changed = false;
        for map in [&mut self.accepted, &mut self.refused, &mut self.unknown] {
            changed |= retain(map, &keys);
        }
        handler.retain(&keys);
        changed
    }

    fn apply_row(&mut self, row: StoredRow, handler: &mut impl RowHandler, changes: &mut RowChanges) {
        let name: Arc<str> = row.row.key.as_str().into();
        let is_tombstone = row.row.value.is_none();
        if self.own_orphans.contains(&name) {
            Arc::make_mut(&mut self.own_orphans).remove(&name);
            changes.changed = true;
        }
        let row = Arc::new(row);
        let stored = Some(Arc::clone(&row)).filter(|_| !is_tombstone);
        let Ok(key) = name.parse::<Key>() else {
            if !is_tombstone && !self.unknown.contains_key(&name) {
                changes.events.push(RowEvent::UnknownKey(name.to_string()));
            }
            changes.changed |= put(&mut self.unknown, name, stored);
            return;
        };
        let outcome = if handler.handles(&key) {
            row.row.parse().map_err(|error| error_chain(&error)).and_then(|parsed| handler.apply(parsed, &row))
        } else {
            Ok(Keep::Row)
        };
        match outcome {
            Ok(keep) => {
                changes.changed |= put(&mut self.refused, Arc::clone(&name), None);
                changes.changed |= put(&mut self.accepted, name, stored.filter(|_| keep == Keep::Row));
            }
            Err(reason) => {
                handler.refused(key, &row, &reason);
                changes.events.push(RowEvent::Refused { key: name.to_string(), reason });
                changes.changed |= put(&mut self.refused, name, stored);
            }
        }
    }
}

/// Sets or removes the row of a key. Returns whether another row is stored now; if nothing differs, nothing is copied.
fn put(rows: &mut Arc<Rows>, key: Arc<str>, row: Option<Arc<StoredRow>>) -> bool {
    let before = rows.get(&key);
    if before == row.as_ref() {
        return false;
    }
    // The same row in another generation is stored, but need not be saved for its own sake.
    let changed = before.map(|before| &before.row) != row.as_ref().map(|row| &row.row);
    let rows = Arc::make_mut(rows);
    match row {
        Some(row) => rows.insert(key, row),
        None => rows.remove(&key),
    };
    changed
}

/// Removes the rows of all other keys. Returns whether there were any.
fn retain(rows: &mut Arc<Rows>, keys: &BTreeSet<&str>) -> bool {
    let removed = rows.keys().any(|key| !keys.contains(&**key));
    if removed {
        Arc::make_mut(rows).retain(|key, _| keys.contains(&**key));
    }
    removed
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use verge_protocol::{EdgeName, History, Seq, SiteName};

    use super::MissingKeys::{Deleted, Unknown};
    use super::*;

    /// Handles edges, whose rows are stored, and sites, whose rows are not; does not handle domains; refuses port 1.
    #[derive(Debug, Clone, PartialEq, Default)]
    struct Fleet {
        edges: BTreeMap<EdgeName, u16>,
        sites: BTreeSet<SiteName>,
    }

    impl RowHandler for Fleet {
        fn handles(&self, key: &Key) -> bool {
            !matches!(key, Key::Domain(_))
        }

        fn apply(&mut self, parsed: ParsedRow, _row: &Arc<StoredRow>) -> Result<Keep, String> {
            match parsed {
                ParsedRow::Edge(_, Some(state)) if state.port == 1 => return Err("port 1".to_owned()),
                ParsedRow::Edge(edge, Some(state)) => drop(self.edges.insert(edge, state.port)),
                ParsedRow::Edge(edge, None) => drop(self.edges.remove(&edge)),
                ParsedRow::Site(site, state) => {
                    if state.is_some() {
                        self.sites.insert(site)
                    } else {
                        self.sites.remove(&site)
                    };
                    return Ok(Keep::Nothing);
                }
                ParsedRow::Channel(..)
                | ParsedRow::Rollout(..)
                | ParsedRow::Release(..)
                | ParsedRow::Domain(..)
                | ParsedRow::Purge(..)
                | ParsedRow::Erased(..)
                | ParsedRow::Certificate(..)
                | ParsedRow::Challenge(..)
                | ParsedRow::TicketSecret(..)
                | ParsedRow::Caa(..) => {}
            }
            Ok(Keep::Row)
        }

        fn own_keys(&self) -> Vec<String> {
            self.sites.iter().map(|site| format!("site/{site}")).collect()
        }

        fn retain(&mut self, keys: &BTreeSet<&str>) {
            self.edges.retain(|edge, _| keys.contains(&*format!("edge/{edge}")));
            self.sites.retain(|site| keys.contains(&*format!("site/{site}")));
        }
    }

    fn at(position: &str) -> Checkpoint {
        Checkpoint { position: position.parse().unwrap(), history: History::EMPTY.then(Seq(1), position, None) }
    }

    fn snapshot(position: &str, rows: Vec<Row>, missing: MissingKeys) -> Change {
        Change::Snapshot { at: at(position), rows, missing }
    }

    fn row(key: &str, seq: u64, value: impl Into<Option<Value>>) -> Row {
        Row { key: key.to_owned(), seq: Seq(seq), value: value.into().map(Into::into) }
    }

    fn read_back(store: &RowStore) -> Vec<RowRecord> {
        let records: Vec<_> = store.records().collect();
        serde_json::from_slice(&serde_json::to_vec(&records).unwrap()).unwrap()
    }

    /// The numbers of rows and of refused rows.
    fn on_disk(store: &RowStore) -> (usize, usize) {
        let records = read_back(store);
        let count = |filter: fn(&&RowRecord) -> bool| records.iter().filter(filter).count();
        (count(|record| matches!(record, RowRecord::Row(_))), count(|record| matches!(record, RowRecord::Refused(_))))
    }

    fn started() -> (RowStore, Fleet) {
        let (mut store, mut fleet) = (RowStore::default(), Fleet::default());
        let rows = vec![
            row("edge/a", 1, json!({ "port": 80 })),
            row("site/a", 2, json!({})),
            row("domain/a.example", 3, json!("any value")),
            row("moon/full", 4, json!(1)),
        ];
        let changes = store.apply(snapshot("1-4", rows, Deleted), &mut fleet);
        assert_eq!(changes, RowChanges { changed: true, events: vec![RowEvent::UnknownKey("moon/full".into())] });
        (store, fleet)
    }

    #[test]
    fn unknown_and_unhandled_rows_are_stored_and_rows_persisted_elsewhere_are_not() {
        let (store, fleet) = started();
        assert_eq!((fleet.edges.len(), fleet.sites.len()), (1, 1));
        assert_eq!((store.checkpoint(), store.unknown_keys(), on_disk(&store)), (Some(at("1-4")), 1, (3, 0)));
    }

    #[test]
    fn refused_row_leaves_previous_row_in_force_also_after_restart_and_snapshot() {
        let (mut store, mut fleet) = started();
        for (seq, value, reason) in
            [(5, json!({ "port": 1 }), "port 1"), (6, json!("odd"), "invalid value of `edge/a`")]
        {
            let changes =
                store.apply(Change::Rows(at(&format!("1-{seq}")), vec![row("edge/a", seq, value)]), &mut fleet);
            let RowEvent::Refused { key, reason: actual } = &changes.events[0] else { panic!("{changes:?}") };
            assert!(key == "edge/a" && actual.starts_with(reason), "{changes:?}");
        }
        assert_eq!((fleet.edges.values().copied().collect::<Vec<_>>(), on_disk(&store)), (vec![80], (3, 1)));
        let mut restored = Fleet::default();
        let (mut again, changes) = RowStore::restore(read_back(&store), true, &mut restored);
        assert_eq!((changes.events.len(), on_disk(&again)), (2, (3, 1)), "one unknown, one refused");
        assert_eq!(restored.edges, fleet.edges);
        let rows = vec![row("edge/a", 6, json!("odd"))];
        assert_eq!(again.apply(snapshot("2-6", rows, Deleted), &mut restored).events.len(), 1);
        assert_eq!((restored.edges, on_disk(&again)), (fleet.edges, (1, 1)));
    }

    #[test]
    fn snapshot_removes_keys_that_it_does_not_have() {
        let (mut store, mut fleet) = started();
        assert!(store.apply(snapshot("2-1", vec![row("site/b", 1, json!({}))], Deleted), &mut fleet).changed);
        assert_eq!((fleet.edges.len(), fleet.sites.len(), on_disk(&store)), (0, 1, (0, 0)));
    }

    #[test]
    fn incomplete_records_leave_no_checkpoint() {
        let (store, _) = started();
        let records = read_back(&store)
            .into_iter()
            .filter(|record| !matches!(record, RowRecord::Row(row) if row.row.key == "edge/a"));
        let (restored, _) = RowStore::restore(records, false, &mut Fleet::default());
        assert_eq!((restored.checkpoint(), on_disk(&restored)), (None, (2, 0)));
    }

    #[test]
    fn snapshot_of_another_history_keeps_missing_keys_until_a_row_of_theirs_arrives() {
        let (mut store, mut fleet) = started();
        assert_eq!(store.orphans().count(), 0);
        let rows = vec![row("edge/a", 1, json!({ "port": 81 }))];
        store.apply(snapshot("2-1", rows.clone(), Unknown), &mut fleet);
        assert_eq!(fleet.edges.values().collect::<Vec<_>>(), [&81]);
        let orphans = ["domain/a.example", "moon/full", "site/a"];
        assert_eq!((store.orphans().collect::<Vec<_>>(), fleet.sites.len()), (orphans.to_vec(), 1));
        // Neither a restart nor a later snapshot of the new history changes that.
        let (mut store, _) = RowStore::restore(read_back(&store), true, &mut fleet);
        store.apply(snapshot("2-2", rows.clone(), Deleted), &mut fleet);
        store.apply(snapshot("3-2", rows.clone(), Unknown), &mut fleet);
        assert_eq!((store.orphans().collect::<Vec<_>>(), fleet.sites.len()), (orphans.to_vec(), 1));
        // A row that is refused leaves the one before it in force, but the origin has it.
        store.apply(Change::Rows(at("3-3"), vec![row("edge/a", 3, json!("odd"))]), &mut fleet);
        store.apply(snapshot("4-3", vec![row("edge/a", 3, json!("odd"))], Unknown), &mut fleet);
        assert_eq!(store.orphans().collect::<Vec<_>>(), orphans);
        let later = [
            row("edge/a", 4, json!({ "port": 81 })),
            row("domain/a.example", 5, json!(2)),
            row("moon/full", 6, None),
            row("site/a", 7, None),
        ];
        store.apply(Change::Rows(at("4-7"), later.to_vec()), &mut fleet);
        assert_eq!((store.orphans().count(), on_disk(&store)), (0, (2, 0)));
        store.apply(snapshot("4-8", rows, Deleted), &mut fleet);
        assert_eq!(on_disk(&store), (1, 0));
    }

    #[test]
    fn same_row_is_no_change_and_copies_nothing() {
        let (mut store, mut fleet) = started();
        let before = store.clone();
        let again = vec![row("edge/a", 1, json!({ "port": 80 })), row("moon/full", 4, json!(1))];
        assert_eq!(store.apply(Change::Rows(at("1-9"), again), &mut fleet), RowChanges::default());
        assert!(Arc::ptr_eq(&store.accepted, &before.accepted) && Arc::ptr_eq(&store.unknown, &before.unknown));
    }

    proptest! {
        /// Whatever rows are received, a restart changes nothing, and a snapshot of the accepted rows gives the same state.
        #[test]
        fn restart_and_snapshot_give_same_state(steps in prop::collection::vec((0..4_usize, 0..4_u16), 0..40)) {
            let (mut store, mut fleet) = (RowStore::default(), Fleet::default());
            let mut valid = BTreeMap::new();
            store.apply(snapshot("1-0", Vec::new(), Deleted), &mut fleet);
            for (seq, (key, kind)) in (1..).zip(steps) {
                let key = ["edge/a", "site/a", "domain/a.example", "moon/full"][key];
                let next = match kind {
                    0 => row(key, seq, None),
                    1 => row(key, seq, json!("odd")),
                    port => row(key, seq, json!({ "port": port })),
                };
                match kind {
                    0 => drop(valid.remove(key)),
                    1 if key.starts_with("edge") || key.starts_with("site") => {}
                    _ => drop(valid.insert(key, next.clone())),
                }
                store.apply(Change::Rows(at(&format!("1-{seq}")), vec![next]), &mut fleet);
                let mut restored = Fleet { sites: fleet.sites.clone(), ..Fleet::default() };
                let (mut again, _) = RowStore::restore(read_back(&store), true, &mut restored);
                prop_assert_eq!(read_back(&again), read_back(&store));
                prop_assert_eq!(&restored, &fleet);
                let snapshot = snapshot("2-0", valid.values().cloned().collect(), Deleted);
                let changes = again.apply(snapshot, &mut restored);
                prop_assert_eq!(changes.changed, on_disk(&store).1 > 0);
                prop_assert_eq!(&restored, &fleet);
            }
        }
    }
}
