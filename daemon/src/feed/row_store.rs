//! The rows of the change feed as a subscriber stores them, in memory and across restarts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use verge_protocol::state::{Key, ParsedRow, Row};
use verge_protocol::{Generation, Position};

use super::Change;
use crate::error_chain;
use crate::saved_state::LossyVec;

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

    /// A snapshot has only these keys: all others do not exist any more.
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
    position: Option<Position>,
    /// The last row of each key that was applied, or that the daemon does not handle.
    accepted: Arc<Rows>,
    /// A later row of the key, which was refused.
    refused: Arc<Rows>,
    /// Rows of keys unknown to this version.
    unknown: Arc<Rows>,
}

/// The rows on disk. Written from borrowed rows, read into owned ones.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SavedRows<R = LossyVec<StoredRow>> {
    /// Every row up to this position is included; `None`: some may be missing, so start with a snapshot.
    #[serde(default)]
    pub position: Option<Position>,
    /// The last row of each key that was applied, is not handled, or is unknown.
    #[serde(default)]
    pub rows: R,
    /// Later rows of some keys, which were refused.
    #[serde(default)]
    pub refused: R,
}

impl RowStore {
    /// Restores saved rows through `handler`, as if they were received again: a version that was upgraded may accept rows that were
    /// refused or unknown before. If rows were lost, the position is `None`, so that everything is requested again.
    pub fn restore(saved: SavedRows, handler: &mut impl RowHandler) -> (Self, RowChanges) {
        let lost = saved.rows.lost + saved.refused.lost;
        let mut store = Self { position: saved.position.filter(|_| lost == 0), ..Self::default() };
        let mut changes = RowChanges::default();
        for row in saved.rows.entries.into_iter().chain(saved.refused.entries) {
            store.apply_row(row, handler, &mut changes);
        }
        (store, changes)
    }

    /// The rows to save.
    pub fn saved(&self) -> SavedRows<Vec<&StoredRow>> {
        let rows = self.accepted.values().chain(self.unknown.values());
        SavedRows {
            position: self.position,
            rows: rows.map(Arc::as_ref).collect(),
            refused: self.refused.values().map(Arc::as_ref).collect(),
        }
    }

    /// The position up to which rows were received; `None` before the first snapshot.
    pub fn position(&self) -> Option<Position> {
        self.position
    }

    /// The number of keys unknown to this version.
    pub fn unknown_keys(&self) -> usize {
        self.unknown.len()
    }

    /// The keys whose latest row was refused.
    pub fn refused_keys(&self) -> impl Iterator<Item = &str> {
        self.refused.keys().map(|key| &**key)
    }

    /// Applies a change through `handler`. A snapshot replaces everything, but a row of it that is refused leaves the previous row of
    /// its key in force.
    pub fn apply(&mut self, change: Change, handler: &mut impl RowHandler) -> RowChanges {
        let mut changes = RowChanges::default();
        let (position, rows) = match change {
            Change::Rows(position, rows) => (position, rows),
            Change::Snapshot(position, rows) => {
                let keys: BTreeSet<&str> = rows.iter().map(|row| row.key.as_str()).collect();
                for map in [&mut self.accepted, &mut self.refused, &mut self.unknown] {
                    changes.changed |= retain(map, &keys);
                }
                handler.retain(&keys);
                (position, rows)
            }
        };
        self.position = Some(position);
        for row in rows {
            self.apply_row(StoredRow { generation: position.generation, row }, handler, &mut changes);
        }
        changes
    }

    fn apply_row(&mut self, row: StoredRow, handler: &mut impl RowHandler, changes: &mut RowChanges) {
        let name: Arc<str> = row.row.key.as_str().into();
        let is_tombstone = row.row.value.is_none();
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
    use verge_protocol::{EdgeName, Seq, SiteName};

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
                ParsedRow::Channel(..) | ParsedRow::Domain(..) => {}
            }
            Ok(Keep::Row)
        }

        fn retain(&mut self, keys: &BTreeSet<&str>) {
            self.edges.retain(|edge, _| keys.contains(&*format!("edge/{edge}")));
            self.sites.retain(|site| keys.contains(&*format!("site/{site}")));
        }
    }

    fn at(text: &str) -> Position {
        text.parse().unwrap()
    }

    fn row(key: &str, seq: u64, value: impl Into<Option<Value>>) -> Row {
        Row { key: key.to_owned(), seq: Seq(seq), value: value.into().map(Into::into) }
    }

    fn read_back(store: &RowStore) -> SavedRows {
        serde_json::from_slice(&serde_json::to_vec(&store.saved()).unwrap()).unwrap()
    }

    fn on_disk(store: &RowStore) -> (usize, usize) {
        let saved = read_back(store);
        (saved.rows.entries.len(), saved.refused.entries.len())
    }

    fn started() -> (RowStore, Fleet) {
        let (mut store, mut fleet) = (RowStore::default(), Fleet::default());
        let rows = vec![
            row("edge/a", 1, json!({ "port": 80 })),
            row("site/a", 2, json!({})),
            row("domain/a.example", 3, json!("any value")),
            row("moon/full", 4, json!(1)),
        ];
        let changes = store.apply(Change::Snapshot(at("1-4"), rows), &mut fleet);
        assert_eq!(changes, RowChanges { changed: true, events: vec![RowEvent::UnknownKey("moon/full".into())] });
        (store, fleet)
    }

    #[test]
    fn unknown_and_unhandled_rows_are_stored_and_rows_persisted_elsewhere_are_not() {
        let (store, fleet) = started();
        assert_eq!((fleet.edges.len(), fleet.sites.len()), (1, 1));
        assert_eq!((store.position(), store.unknown_keys(), on_disk(&store)), (Some(at("1-4")), 1, (3, 0)));
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
        let (mut again, changes) = RowStore::restore(read_back(&store), &mut restored);
        assert_eq!((changes.events.len(), on_disk(&again)), (2, (3, 1)), "one unknown, one refused");
        assert_eq!(restored.edges, fleet.edges);
        let snapshot = vec![row("edge/a", 6, json!("odd"))];
        assert_eq!(again.apply(Change::Snapshot(at("2-6"), snapshot), &mut restored).events.len(), 1);
        assert_eq!((restored.edges, on_disk(&again)), (fleet.edges, (1, 1)));
    }

    #[test]
    fn snapshot_removes_keys_that_it_does_not_have() {
        let (mut store, mut fleet) = started();
        assert!(store.apply(Change::Snapshot(at("2-1"), vec![row("site/b", 1, json!({}))]), &mut fleet).changed);
        assert_eq!((fleet.edges.len(), fleet.sites.len(), on_disk(&store)), (0, 1, (0, 0)));
    }

    #[test]
    fn lost_row_clears_position() {
        let (store, _) = started();
        let mut json = serde_json::to_value(store.saved()).unwrap();
        json["rows"][0]["row"]["seq"] = json!("a later version counts in words");
        let (restored, _) = RowStore::restore(serde_json::from_value(json).unwrap(), &mut Fleet::default());
        assert_eq!((restored.position(), on_disk(&restored)), (None, (2, 0)));
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
            store.apply(Change::Snapshot(at("1-0"), Vec::new()), &mut fleet);
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
                let (mut again, _) = RowStore::restore(read_back(&store), &mut restored);
                prop_assert_eq!(read_back(&again), read_back(&store));
                prop_assert_eq!(&restored, &fleet);
                let snapshot = Change::Snapshot(at("2-0"), valid.values().cloned().collect());
                let changes = again.apply(snapshot, &mut restored);
                prop_assert_eq!(changes.changed, on_disk(&store).1 > 0);
                prop_assert_eq!(&restored, &fleet);
            }
        }
    }
}
