//! What was told, row by row.

use std::collections::{BTreeMap, BTreeSet};

use verge_daemon::error_chain;
use verge_daemon::feed::Change;
use verge_protocol::host::HostLabel;
use verge_protocol::state::{ChannelState, Entry, Key, Row, RowError};
use verge_protocol::{ChannelName, Generation, SiteName};

use super::Channels;

/// Something that an operator should see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::follow) enum Notice {
    /// A key of a kind that this version does not know. The row is kept, for a version that does.
    Unknown(String),
    /// A row that is not followed, and why.
    Refused(String, String),
}

/// A channel's row, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) generation: Generation,
    pub(super) row: Row,
    pub(super) state: ChannelState,
}

/// A channel.
#[derive(Default)]
pub(super) struct Followed {
    /// The last row that can be followed.
    pub(super) told: Option<Told>,
    pub(super) served: Option<Told>,
    /// A later row, which cannot be followed, and why.
    pub(super) refused: Option<(Row, String)>,
}

impl Channels {
    /// Takes a change over.
    pub(in crate::follow) fn apply(&mut self, change: Change) -> Vec<Notice> {
        let (position, rows) = match change {
            Change::Rows(position, rows) => (position, rows),
            Change::Snapshot(position, rows) => {
                let named: BTreeSet<&str> = rows.iter().map(|row| row.key.as_str()).collect();
                self.unknown.retain(|key, _| named.contains(key.as_str()));
                self.others.retain(|key, _| named.contains(key.as_str()));
                self.changed |= self.domains.retain(&named);
                let before = self.followed.len();
                self.followed.retain(|(site, channel), _| named.contains(&*format!("channel/{site}/{channel}")));
                self.changed |= self.followed.len() != before;
                (position, rows)
            }
        };
        // Until the first position nobody knows which labels are nobody's.
        self.changed |= self.position.replace(position).is_none();
        rows.into_iter().filter_map(|row| self.tell(position.generation, row)).collect()
    }

    /// Takes one row over; what an operator should see of it.
    pub(super) fn tell(&mut self, generation: Generation, row: Row) -> Option<Notice> {
        match row.entry() {
            Ok(Entry::Channel(HostLabel { site, channel }, None)) => {
                self.changed |= self.followed.remove(&(site, channel)).is_some();
                None
            }
            Ok(Entry::Channel(HostLabel { site, channel }, Some(state))) => {
                let followed = self.follow(site, channel);
                followed.refused = None;
                let known = [&followed.told, &followed.served].into_iter().flatten();
                let newest = known.filter(|told| told.generation == generation).map(|told| told.state.epoch).max();
                if let Some(newest) = newest.filter(|newest| state.epoch < *newest) {
                    let reason = format!("the origin says epoch {} after {newest}", state.epoch);
                    let key = row.key.clone();
                    followed.refused = Some((row, reason.clone()));
                    return Some(Notice::Refused(key, reason));
                }
                followed.told = Some(Told { generation, row, state });
                None
            }
            Ok(Entry::Domain(domain, state)) => {
                self.unknown.remove(&row.key);
                self.changed |= self.domains.tell(domain, row, state);
                None
            }
            Ok(Entry::Edge(..) | Entry::Site(..)) => {
                keep(&mut self.others, row);
                None
            }
            Err(RowError::UnknownKey(_)) => {
                let key = row.key.clone();
                let news = keep(&mut self.unknown, row);
                news.then_some(Notice::Unknown(key))
            }
            Err(error @ RowError::Value { .. }) => {
                let reason = error_chain(&error);
                let key = row.key.clone();
                match key.parse() {
                    Ok(Key::Channel(site, channel)) => {
                        self.follow(site, channel).refused = Some((row, reason.clone()));
                    }
                    Ok(Key::Domain(_)) | Err(_) => {
                        keep(&mut self.unknown, row);
                    }
                    Ok(Key::Edge(_) | Key::Site(_)) => {
                        keep(&mut self.others, row);
                        return None;
                    }
                }
                Some(Notice::Refused(key, reason))
            }
        }
    }

    /// The channel, which is now followed if it was not. One more changes the table: it is coming.
    fn follow(&mut self, site: SiteName, channel: ChannelName) -> &mut Followed {
        self.followed.entry((site, channel)).or_insert_with(|| {
            self.changed = true;
            Followed::default()
        })
    }
}

/// Keeps the row of a key, or forgets that with a tombstone. Returns whether it is the first of its key.
fn keep(rows: &mut BTreeMap<String, Row>, row: Row) -> bool {
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

    use super::super::test_support::{at, gone, hold, lagging, row, rows, served, serves};
    use super::*;

    #[test]
    fn a_lower_epoch_is_refused_in_its_own_generation() {
        let mut channels = Channels::default();
        rows(&mut channels, vec![row("a", 5, 2, &[])]);
        hold(&mut channels, 1);
        hold(&mut channels, 2);
        let mut older = row("a", 4, 1, &[]);
        older.seq = Seq(6);
        assert!(matches!(&rows(&mut channels, vec![older.clone()])[..], [Notice::Refused(..)]));
        assert_eq!(serves(&channels, "a"), "2 []");
        assert_eq!(lagging(&channels), [("a".into(), 6, "the origin says epoch 4 after 5".into())]);
        let restored = Channels::restore(channels.saved());
        assert_eq!(lagging(&restored)[0].1, 6);
        channels.apply(Change::Snapshot(at(2, 6), vec![older]));
        channels.settle();
        assert_eq!((serves(&channels, "a"), lagging(&channels).len()), ("1 []".into(), 0));
    }

    #[test]
    fn a_snapshot_takes_away_what_it_does_not_name() {
        let mut channels = Channels::default();
        let moon = Row { key: "moon/full".into(), seq: Seq(3), value: Some(json!(1).into()) };
        let notices = rows(&mut channels, vec![row("a", 1, 1, &[]), row("b", 2, 1, &[]), moon.clone()]);
        assert_eq!(notices, [Notice::Unknown("moon/full".into())]);
        assert_eq!(rows(&mut channels, vec![moon]), []);
        hold(&mut channels, 1);
        assert_eq!(channels.applied().unknown, 1);
        channels.apply(Change::Snapshot(at(2, 1), vec![row("b", 2, 1, &[])]));
        assert!(channels.settle());
        assert_eq!(served(&channels).into_keys().collect::<Vec<_>>(), ["b"]);
        assert_eq!(channels.applied().unknown, 0);
        rows(&mut channels, vec![gone("b", 3)]);
        assert!(served(&channels).is_empty());
    }

    #[test]
    fn rows_that_are_no_edges_concern_pass_without_a_word() {
        let mut channels = Channels::default();
        let other =
            |key: &str, seq, value: Option<Value>| Row { key: key.into(), seq: Seq(seq), value: value.map(Json::from) };
        let told = vec![
            other("edge/fra-1", 1, Some(json!({ "port": 80 }))),
            other("edge/fra-2", 2, Some("from the future".into())),
            other("site/a", 3, Some(json!({}))),
            other("site/b", 4, Some(1.into())),
        ];
        assert_eq!(rows(&mut channels, told.clone()), []);
        let applied = channels.applied();
        assert_eq!((applied.position, applied.unknown, applied.lagging), (Some(at(1, 4)), 0, vec![]));
        let mut restored = Channels::restore(channels.saved());
        let kept =
            |channels: &Channels| channels.saved().rows.entries.into_iter().map(|saved| saved.row).collect::<Vec<_>>();
        assert_eq!(kept(&restored), told);
        assert_eq!(rows(&mut restored, vec![other("edge/fra-2", 5, None), other("site/b", 6, None)]), []);
        assert_eq!(kept(&restored), [told[0].clone(), told[2].clone()]);
        restored.apply(Change::Snapshot(at(2, 1), vec![]));
        assert_eq!((kept(&restored), restored.applied().position), (vec![], Some(at(2, 1))));
    }

    #[test]
    fn a_value_that_cannot_be_read_leaves_the_channel_where_it_is() {
        let mut channels = Channels::default();
        rows(&mut channels, vec![row("a", 1, 1, &[])]);
        hold(&mut channels, 1);
        let odd = Row { key: "channel/a/live".into(), seq: Seq(2), value: Some(json!("odd").into()) };
        assert!(matches!(&rows(&mut channels, vec![odd])[..], [Notice::Refused(..)]));
        assert_eq!((serves(&channels, "a"), lagging(&channels)[0].1), ("1 []".into(), 2));
        let mut restored = Channels::restore(channels.saved());
        hold(&mut restored, 1);
        assert_eq!((serves(&restored, "a"), lagging(&restored)[0].1), ("1 []".into(), 2));
    }
}
