//! The rows that were told, and what they come to.

use std::collections::BTreeMap;

use verge_daemon::chain;
use verge_daemon::feed::Change;
use verge_protocol::state::{Row, RowError};

use super::saved::SavedRows;
use super::told::Told;

/// Every row of the feed, by key, and what they tell.
#[derive(Default)]
pub(super) struct Rows {
    told: Told,
    /// The last row of each key that could be read.
    read: BTreeMap<String, Row>,
    /// A later row of the key, which could not.
    refused: BTreeMap<String, Row>,
    /// Rows of kinds that this version does not know: for one that does, when the daemon is upgraded.
    unknown: BTreeMap<String, Row>,
}

/// What came of a change.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Applied {
    /// Whether anything but the position is told differently now. A channel that moves changes nothing: only that it is there
    /// is told.
    pub(super) changed: bool,
    /// What an operator should see.
    pub(super) notices: Vec<Notice>,
}

/// Something that an operator should see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Notice {
    /// A key of a kind that this version does not know.
    Unknown(String),
    /// A row that cannot be read, and why: what the key said before holds on.
    Refused(String, String),
}

impl Rows {
    /// What they tell.
    pub(super) fn told(&self) -> &Told {
        &self.told
    }

    /// How many keys are of kinds that this version does not know.
    pub(super) fn unknown(&self) -> usize {
        self.unknown.len()
    }

    /// Takes a change over. A snapshot replaces everything, but what cannot be read of it leaves what its key said before.
    pub(super) fn apply(&mut self, change: Change) -> Applied {
        match change {
            Change::Rows(position, rows) => {
                self.told.position = Some(position);
                let mut applied = Applied::default();
                for row in rows {
                    applied.changed |= self.tell(row, &mut applied.notices);
                }
                applied
            }
            Change::Snapshot(position, rows) => {
                let before = std::mem::take(self);
                self.told.position = Some(position);
                let mut notices = Vec::new();
                for row in rows {
                    let last = before.read.get(&row.key).cloned();
                    let known = before.unknown.get(&row.key).cloned();
                    // None of them is news.
                    for row in last.into_iter().chain(known) {
                        self.tell(row, &mut Vec::new());
                    }
                    self.tell(row, &mut notices);
                }
                // The first table is news even if there is nothing in it.
                let first = before.told.position.is_none();
                Applied { changed: first || !self.told.answers_like(&before.told), notices }
            }
        }
    }

    /// Takes one row over. Returns whether it tells anything new.
    fn tell(&mut self, row: Row, notices: &mut Vec<Notice>) -> bool {
        let key = row.key.clone();
        let changed = match row.entry() {
            Ok(entry) => self.told.take(entry),
            Err(RowError::UnknownKey(_)) => {
                let gone = row.value.is_none();
                if gone {
                    self.unknown.remove(&key);
                } else if self.unknown.insert(key.clone(), row).is_none() {
                    notices.push(Notice::Unknown(key));
                }
                return false;
            }
            Err(error @ RowError::Value { .. }) => {
                notices.push(Notice::Refused(key.clone(), chain(&error)));
                self.refused.insert(key, row);
                return false;
            }
        };
        self.refused.remove(&key);
        if row.value.is_some() {
            self.read.insert(key, row);
        } else {
            self.read.remove(&key);
        }
        changed
    }

    /// Goes on where another process ended, and says again what it did of rows that cannot be read.
    pub(super) fn restore(&mut self, saved: SavedRows) -> Vec<Notice> {
        // Rows without a position are of no known history.
        let Some(position) = saved.position else { return Vec::new() };
        self.told.position = Some(position);
        let mut notices = Vec::new();
        for row in saved.rows.into_iter().chain(saved.refused) {
            self.tell(row, &mut notices);
        }
        notices
    }

    /// What another process needs to go on.
    pub(super) fn saved(&self) -> SavedRows {
        SavedRows {
            position: self.told.position,
            rows: self.read.values().chain(self.unknown.values()).cloned().collect(),
            refused: self.refused.values().cloned().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use verge_protocol::state::ChannelState;
    use verge_protocol::{Digest, Position, ReleaseNumber, Seq};

    use super::*;

    fn at(text: &str) -> Position {
        text.parse().unwrap()
    }

    fn row(key: &str, seq: u64, value: impl Into<Option<Value>>) -> Row {
        Row { key: key.to_owned(), seq: Seq(seq), value: value.into() }
    }

    fn channel(key: &str, seq: u64) -> Row {
        let manifest = Digest::of(&seq.to_le_bytes());
        let state = ChannelState { epoch: Seq(seq), release: ReleaseNumber(seq), manifest, inherits: Vec::new() };
        row(key, seq, serde_json::to_value(state).unwrap())
    }

    fn edge(key: &str, seq: u64, address: &str) -> Row {
        row(key, seq, json!({ "addresses": [address] }))
    }

    /// Whether rows change anything, and the keys of the notices that they make.
    fn rows(rows: &mut Rows, position: &str, changes: Vec<Row>) -> (bool, Vec<String>) {
        keys(rows.apply(Change::Rows(at(position), changes)))
    }

    fn keys(applied: Applied) -> (bool, Vec<String>) {
        let key = |notice| match notice {
            Notice::Unknown(key) => format!("unknown {key}"),
            Notice::Refused(key, _) => format!("refused {key}"),
        };
        (applied.changed, applied.notices.into_iter().map(key).collect())
    }

    fn table() -> Vec<Row> {
        vec![
            channel("channel/a/live", 1),
            edge("edge/fra-1", 2, "192.0.2.1"),
            row("site/a", 3, json!({ "fence": ["eu"] })),
            row("domain/example.com", 4, json!({ "site": "a" })),
        ]
    }

    fn started() -> Rows {
        let mut rows = Rows::default();
        assert_eq!(keys(rows.apply(Change::Snapshot(at("1-4"), table()))), (true, vec![]));
        rows
    }

    #[test]
    fn rows_tell_what_is_there_and_what_is_gone() {
        let mut of = started();
        let told = of.told();
        assert_eq!((told.edges.len(), told.sites.len(), told.channels.len(), told.domains.len()), (1, 1, 1, 1));
        let gone = ["channel/a/live", "edge/fra-1", "site/a", "domain/example.com"];
        for (key, seq) in gone.iter().zip(5..) {
            assert_eq!(rows(&mut of, &format!("1-{seq}"), vec![row(key, seq, None)]), (true, vec![]), "{key}");
            assert_eq!(rows(&mut of, &format!("1-{seq}"), vec![row(key, seq, None)]), (false, vec![]), "{key}");
        }
        assert_eq!(*of.told(), Told { position: Some(at("1-8")), ..Told::default() });
        assert_eq!(of.saved().rows, []);
    }

    #[test]
    fn a_release_changes_nothing_but_the_position() {
        let mut of = started();
        assert_eq!(rows(&mut of, "1-5", vec![channel("channel/a/live", 5)]), (false, vec![]));
        assert_eq!(of.told().position, Some(at("1-5")));
        assert_eq!(rows(&mut of, "1-6", vec![channel("channel/a/pr-1", 6)]), (true, vec![]));
        assert!(!rows(&mut of, "1-7", vec![edge("edge/fra-1", 7, "192.0.2.1")]).0);
        assert!(rows(&mut of, "1-8", vec![edge("edge/fra-1", 8, "192.0.2.9")]).0);
    }

    #[test]
    fn a_value_that_cannot_be_read_leaves_what_was_there() {
        let mut of = started();
        let before = of.told().clone();
        for (key, seq) in ["channel/a/live", "edge/fra-1", "site/a", "domain/example.com"].iter().zip(5..) {
            let notice = format!("refused {key}");
            assert_eq!(rows(&mut of, "1-8", vec![row(key, seq, json!("odd"))]), (false, vec![notice]));
        }
        assert!(of.told().answers_like(&before));
        // A restart knows both, and so does one that takes the whole table again.
        let mut again = Rows::default();
        assert_eq!(again.restore(of.saved()).len(), 4);
        assert!(again.told().answers_like(&before));
        let refused = again.saved().refused;
        let applied = again.apply(Change::Snapshot(at("2-8"), refused));
        assert_eq!((applied.changed, applied.notices.len()), (false, 4));
        assert!(again.told().answers_like(&before));
        // One that can be read again ends that.
        assert_eq!(rows(&mut again, "2-9", vec![edge("edge/fra-1", 9, "192.0.2.9")]), (true, vec![]));
        assert_eq!(again.saved().refused.len(), 3);
    }

    #[test]
    fn unknown_keys_are_kept_and_told_of_once() {
        let mut of = started();
        let moon = row("moon/full", 5, json!(1));
        assert_eq!(rows(&mut of, "1-5", vec![moon.clone()]), (false, vec!["unknown moon/full".into()]));
        assert_eq!(rows(&mut of, "1-6", vec![moon.clone()]), (false, vec![]));
        assert_eq!(of.unknown(), 1);
        let snapshot: Vec<Row> = table().into_iter().chain([moon]).collect();
        assert_eq!(keys(of.apply(Change::Snapshot(at("2-6"), snapshot))), (false, vec![]));
        assert_eq!(of.saved().rows.len(), 5);
        rows(&mut of, "2-7", vec![row("moon/full", 7, None)]);
        assert_eq!(of.unknown(), 0);
    }

    #[test]
    fn a_snapshot_takes_away_what_it_does_not_name() {
        let mut of = started();
        assert_eq!(keys(of.apply(Change::Snapshot(at("2-1"), table()[..1].to_vec()))), (true, vec![]));
        assert_eq!((of.told().edges.len(), of.told().channels.len(), of.saved().rows.len()), (0, 1, 1));
        let empty = Rows::default().apply(Change::Snapshot(at("1-0"), Vec::new()));
        assert!(empty.changed);
    }

    #[test]
    fn rows_without_a_position_are_not_taken_up() {
        let mut of = Rows::default();
        let saved = SavedRows { position: None, ..started().saved() };
        assert_eq!(of.restore(saved), []);
        assert_eq!(*of.told(), Told::default());
    }

    proptest! {
        /// However rows come, a restart in between changes nothing, and a snapshot of what can be read tells the same.
        #[test]
        fn it_is_the_same_after_a_restart_and_a_snapshot(
            steps in prop::collection::vec((0..5_usize, 0..4_u8), 0..40),
        ) {
            let mut of = Rows::default();
            of.apply(Change::Snapshot(at("1-0"), Vec::new()));
            for (seq, (key, kind)) in (1..).zip(steps) {
                let key = ["channel/a/live", "channel/a/pr-1", "edge/a", "domain/a.example", "moon/full"][key];
                let next = match kind {
                    0 => row(key, seq, None),
                    1 => row(key, seq, json!("odd")),
                    _ if key.starts_with("channel") => channel(key, seq),
                    kind => row(key, seq, json!({ "site": "a", "weight": kind })),
                };
                of.apply(Change::Rows(at(&format!("1-{seq}")), vec![next]));
                let mut again = Rows::default();
                again.restore(of.saved());
                prop_assert_eq!(again.saved(), of.saved());
                prop_assert_eq!(again.told(), of.told());
                let told = of.told().clone();
                let all = of.saved().rows;
                prop_assert!(!again.apply(Change::Snapshot(at("2-0"), all)).changed);
                prop_assert!(again.told().answers_like(&told));
            }
        }
    }
}
