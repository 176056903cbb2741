//! The rows that were told, and what they come to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use verge_daemon::error_chain;
use verge_daemon::feed::Change;
use verge_protocol::state::{Entry, Key, Row, RowError};

use super::channel::Channel;
use super::saved::{Remembered, Saved};
use super::told::{Told, put};

/// Rows that are kept for another process, or for a version of this one that knows more of them, by key. To copy them copies no
/// text.
type KeptRows = BTreeMap<Arc<str>, Arc<Row>>;

/// What the rows of the feed tell, and what of them must outlive the process. Clones share everything, as those of [`Told`] do.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    /// Of channels, all that is kept.
    told: Told,
    /// The last row of each other key that could be read.
    read: Arc<KeptRows>,
    /// A later row of the key, which could not.
    refused: Arc<KeptRows>,
    /// Rows of kinds that this version does not know: for one that does, when the daemon is upgraded.
    unknown: Arc<KeptRows>,
}

/// What came of a change.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Applied {
    /// Whether anything but the position is told differently now. A channel that moves changes nothing: only that it is there
    /// is told.
    pub(super) changed: bool,
    /// Whether anything but the position is to be saved differently now.
    pub(super) to_save: bool,
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
                    self.tell(Arc::new(row), &mut applied);
                }
                applied
            }
            Change::Snapshot(position, rows) => {
                let before = std::mem::take(self);
                self.told.position = Some(position);
                let mut applied = Applied::default();
                for row in rows {
                    self.recall(&before, &row.key);
                    self.tell(Arc::new(row), &mut applied);
                }
                // The first table is news even if there is nothing in it.
                let first = before.told.position.is_none();
                applied.changed = first || !self.told.answers_like(&before.told);
                applied.to_save = !self.keeps_like(&before);
                applied
            }
        }
    }

    /// Takes one row over, and notes what comes of it.
    fn tell(&mut self, row: Arc<Row>, applied: &mut Applied) {
        let key: Arc<str> = row.key.as_str().into();
        let entry = row.entry();
        let kept = Some(row).filter(|row| row.value.is_some());
        match entry {
            Ok(entry) => {
                let is_channel = matches!(entry, Entry::Channel(..));
                let changed = self.told.take(entry);
                applied.changed |= changed;
                applied.to_save |= if is_channel { changed } else { put(&mut self.read, Arc::clone(&key), kept) };
                applied.to_save |= put(&mut self.refused, key, None);
            }
            Err(RowError::UnknownKey(_)) => {
                if kept.is_some() && !self.unknown.contains_key(&key) {
                    applied.notices.push(Notice::Unknown(key.to_string()));
                }
                applied.to_save |= put(&mut self.unknown, key, kept);
            }
            Err(error @ RowError::Value { .. }) => {
                applied.notices.push(Notice::Refused(key.to_string(), error_chain(&error)));
                applied.to_save |= put(&mut self.refused, key, kept);
            }
        }
    }

    /// Says again what was known of a key before. None of it is news.
    fn recall(&mut self, before: &Self, key: &str) {
        if let Ok(Key::Channel(site, channel)) = key.parse() {
            let channel = Channel::new(&site, &channel);
            if before.told.channels.contains(&channel) {
                Arc::make_mut(&mut self.told.channels).insert(channel);
            }
        }
        for row in [before.read.get(key), before.unknown.get(key)].into_iter().flatten() {
            self.tell(Arc::clone(row), &mut Applied::default());
        }
    }

    /// Whether what is to be saved of either is alike, but for the position.
    fn keeps_like(&self, other: &Self) -> bool {
        let Self { told, read, refused, unknown } = self;
        told.channels == other.told.channels
            && (read, refused, unknown) == (&other.read, &other.refused, &other.unknown)
    }

    /// Goes on where another process ended, and says again what it did of rows that cannot be read.
    pub(super) fn restore(&mut self, saved: Saved) -> Vec<Notice> {
        // Where some are lost, nobody knows what else there is until everything was told again.
        let lost = saved.channels.lost + saved.rows.lost + saved.refused.lost;
        self.told.position = saved.position.filter(|_| lost == 0);
        self.told.channels = Arc::new(saved.channels.entries.into_iter().collect());
        let mut applied = Applied::default();
        for row in saved.rows.entries.into_iter().chain(saved.refused.entries) {
            self.tell(Arc::new(row), &mut applied);
        }
        applied.notices
    }

    /// What another process needs to go on.
    pub(super) fn saved<'a>(
        &'a self,
        health: &'a Remembered,
    ) -> Saved<&'a BTreeSet<Channel>, Vec<&'a Row>, &'a Remembered> {
        Saved {
            position: self.told.position,
            channels: &self.told.channels,
            rows: self.read.values().chain(self.unknown.values()).map(Arc::as_ref).collect(),
            refused: self.refused.values().map(Arc::as_ref).collect(),
            health,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};
    use verge_protocol::state::ChannelState;
    use verge_protocol::{Digest, Json, Position, ReleaseNumber, Seq};

    use super::*;

    fn at(text: &str) -> Position {
        text.parse().unwrap()
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

    /// What another process reads.
    fn read_back(of: &Rows) -> Saved {
        serde_json::from_slice(&serde_json::to_vec(&of.saved(&Remembered::default())).unwrap()).unwrap()
    }

    /// How many rows there are on disk, and how many refused ones.
    fn on_disk(of: &Rows) -> (usize, usize) {
        let saved = read_back(of);
        (saved.channels.entries.len() + saved.rows.entries.len(), saved.refused.entries.len())
    }

    fn restored(of: &Rows) -> Rows {
        let mut again = Rows::default();
        again.restore(read_back(of));
        again
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
            row("site/a", 3, json!({ "regions": ["eu"] })),
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
        assert_eq!(on_disk(&of), (0, 0));
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
    fn what_has_not_changed_is_not_copied() {
        let mut of = started();
        let shared = |one: &Rows, other: &Rows| {
            let (told, others) = (one.told(), other.told());
            [
                Arc::ptr_eq(&told.channels, &others.channels),
                Arc::ptr_eq(&told.edges, &others.edges) && Arc::ptr_eq(&one.read, &other.read),
                Arc::ptr_eq(&told.sites, &others.sites) && Arc::ptr_eq(&told.domains, &others.domains),
                Arc::ptr_eq(&one.refused, &other.refused) && Arc::ptr_eq(&one.unknown, &other.unknown),
            ]
        };
        for (position, row, same) in [
            ("1-5", channel("channel/a/live", 5), [true, true, true, true]),
            ("1-6", row("channel/b/live", 6, None), [true, true, true, true]),
            ("1-7", edge("edge/fra-1", 7, "192.0.2.9"), [true, false, true, true]),
            ("1-8", channel("channel/b/live", 8), [false, true, true, true]),
            ("1-9", row("channel/b/live", 9, json!("odd")), [true, true, true, false]),
        ] {
            let before = of.clone();
            of.apply(Change::Rows(at(position), vec![row]));
            assert_eq!(shared(&of, &before), same, "{position}");
        }
    }

    #[test]
    fn what_is_to_be_saved_is_more_than_what_is_told() {
        let mut of = started();
        let mut apply = |change| {
            let Applied { changed, to_save, .. } = of.apply(change);
            (changed, to_save)
        };
        for (row, expected) in [
            (channel("channel/a/live", 5), (false, false)),
            (channel("channel/a/pr-1", 6), (true, true)),
            (row("channel/a/pr-1", 7, None), (true, true)),
            (row("channel/a/pr-1", 8, None), (false, false)),
            // Something that this version cannot read, at once or ever.
            (row("channel/a/live", 9, json!("odd")), (false, true)),
            (channel("channel/a/live", 10), (false, true)),
            (row("moon/full", 11, json!(1)), (false, true)),
            (row("edge/fra-1", 12, json!({ "addresses": ["192.0.2.1"], "tides": true })), (false, true)),
        ] {
            let position = Position { seq: row.seq, ..at("1-0") };
            assert_eq!(apply(Change::Rows(position, vec![row])), expected, "{position}");
        }
        assert_eq!(apply(Change::Rows(at("1-20"), Vec::new())), (false, false));
        assert_eq!(apply(Change::Snapshot(at("2-1"), table())), (false, true));
        assert_eq!(apply(Change::Snapshot(at("3-1"), table())), (false, false));
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
        assert_eq!(again.restore(read_back(&of)).len(), 4);
        assert!(again.told().answers_like(&before));
        let refused = read_back(&again).refused.entries;
        let applied = again.apply(Change::Snapshot(at("2-8"), refused));
        assert_eq!((applied.changed, applied.notices.len()), (false, 4));
        assert!(again.told().answers_like(&before));
        // One that can be read again ends that.
        assert_eq!(rows(&mut again, "2-9", vec![edge("edge/fra-1", 9, "192.0.2.9")]), (true, vec![]));
        assert_eq!(on_disk(&again), (4, 3));
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
        assert_eq!(on_disk(&of), (5, 0));
        rows(&mut of, "2-7", vec![row("moon/full", 7, None)]);
        assert_eq!(of.unknown(), 0);
    }

    #[test]
    fn a_snapshot_takes_away_what_it_does_not_name() {
        let mut of = started();
        assert_eq!(keys(of.apply(Change::Snapshot(at("2-1"), table()[..1].to_vec()))), (true, vec![]));
        assert_eq!((of.told().edges.len(), of.told().channels.len(), on_disk(&of)), (0, 1, (1, 0)));
        let empty = Rows::default().apply(Change::Snapshot(at("1-0"), Vec::new()));
        assert!(empty.changed);
    }

    #[test]
    fn what_is_lost_is_told_again() {
        let of = started();
        for list in ["channels", "rows"] {
            let mut json = serde_json::to_value(of.saved(&Remembered::default())).unwrap();
            json[list][0] = json!({ "a shape": "from the future" });
            let mut again = Rows::default();
            assert_eq!(again.restore(serde_json::from_value(json).unwrap()), []);
            for _restart in 0..2 {
                let told = again.told();
                let left =
                    (told.channels.len() + told.edges.len() + told.sites.len() + told.domains.len(), told.position);
                assert_eq!(left, (3, None), "{list}");
                again = restored(&again);
            }
            assert_eq!(keys(again.apply(Change::Snapshot(at("1-4"), table()))), (true, vec![]));
            assert_eq!(again.told(), of.told());
        }
    }

    proptest! {
        /// However rows come, a restart in between changes nothing, and a snapshot of what can be read tells the same.
        #[test]
        fn it_is_the_same_after_a_restart_and_a_snapshot(
            steps in prop::collection::vec((0..5_usize, 0..4_u8), 0..40),
        ) {
            let mut of = Rows::default();
            let mut readable = BTreeMap::new();
            of.apply(Change::Snapshot(at("1-0"), Vec::new()));
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
                prop_assert_eq!(again.told(), of.told());
                let applied = again.apply(Change::Snapshot(at("2-0"), readable.values().cloned().collect()));
                prop_assert_eq!((applied.changed, applied.to_save), (false, on_disk(&of).1 > 0));
                prop_assert!(again.told().answers_like(of.told()));
            }
        }
    }
}
