//! What was told, what is held, and so what is served.
//!
//! A channel follows its last row as soon as the manifest of that row is held; until then it lags and serves what it did.
//! No channel waits for another. The end is the same whatever the order in which manifests come.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use verge_protocol::host::HostLabel;
use verge_protocol::report::Lag;
use verge_protocol::state::{ChannelState, Entry, Key, Row, RowError};
use verge_protocol::{ChannelName, Digest, Generation, Position, SiteName, Timestamp};

use super::cursor::Change;
use crate::metrics::Traffic;
use crate::status::Applied;
use crate::store::{Saved, Serving};
use crate::table::{Channel, Resources, Table};

/// Something that an operator should see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Notice {
    /// A key of a kind that this version does not know: kept, for a version that does.
    Unknown(String),
    /// A row that is not followed, and why.
    Refused(String, String),
}

/// A channel's row, read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Told {
    generation: Generation,
    row: Row,
    state: ChannelState,
}

#[derive(Default)]
struct Followed {
    /// The last row that can be followed.
    told: Option<Told>,
    served: Option<Told>,
    /// A later row, which cannot be followed, and why.
    refused: Option<(Row, String)>,
}

/// Every channel that was told of.
#[derive(Default)]
pub(super) struct Channels {
    position: Option<Position>,
    followed: BTreeMap<(SiteName, ChannelName), Followed>,
    unknown: BTreeMap<String, Row>,
    manifests: HashMap<Digest, Arc<Resources>>,
    failures: HashMap<Digest, String>,
    /// Whether a table made now would differ from the one made last.
    changed: bool,
}

impl Channels {
    /// Goes on where another process ended. Manifests are still to be [held](Self::hold).
    pub(super) fn restore(saved: Saved) -> Self {
        let mut channels = Self::default();
        let Some(position) = saved.position else { return channels };
        for Serving { generation, row } in saved.serving {
            if let Ok(Entry::Channel(HostLabel { site, channel }, Some(state))) = row.entry() {
                channels.followed.entry((site, channel)).or_default().served = Some(Told { generation, row, state });
            }
        }
        channels.apply(Change::Rows(position, saved.rows));
        // A file that was tampered with, or a bug: what no row tells of is not served.
        channels.followed.retain(|_, followed| followed.told.is_some() || followed.refused.is_some());
        channels
    }

    /// What another process needs to go on.
    pub(super) fn saved(&self) -> Saved {
        let told = self.followed.values().filter_map(|followed| Some(followed.told.as_ref()?.row.clone()));
        // After what is followed: told again in this order, they are refused again.
        let refused = self.followed.values().filter_map(|followed| Some(followed.refused.as_ref()?.0.clone()));
        let serving = self.followed.values().filter(|followed| followed.served != followed.told);
        let serving = serving.filter_map(|followed| followed.served.clone());
        Saved {
            position: self.position,
            rows: told.chain(refused).chain(self.unknown.values().cloned()).collect(),
            serving: serving.map(|told| Serving { generation: told.generation, row: told.row }).collect(),
        }
    }

    /// Takes a change over.
    pub(super) fn apply(&mut self, change: Change) -> Vec<Notice> {
        let (position, rows) = match change {
            Change::Rows(position, rows) => (position, rows),
            Change::Snapshot(position, rows) => {
                let named: BTreeSet<&str> = rows.iter().map(|row| row.key.as_str()).collect();
                self.unknown.retain(|key, _| named.contains(key.as_str()));
                let before = self.followed.len();
                self.followed.retain(|(site, channel), _| named.contains(&*format!("channel/{site}/{channel}")));
                self.changed |= self.followed.len() != before;
                (position, rows)
            }
        };
        self.position = Some(position);
        rows.into_iter().filter_map(|row| self.tell(position.generation, row)).collect()
    }

    fn tell(&mut self, generation: Generation, row: Row) -> Option<Notice> {
        match row.entry() {
            Ok(Entry::Channel(HostLabel { site, channel }, None)) => {
                self.changed |= self.followed.remove(&(site, channel)).is_some();
                None
            }
            Ok(Entry::Channel(HostLabel { site, channel }, Some(state))) => {
                let followed = self.followed.entry((site, channel)).or_default();
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
            Err(RowError::UnknownKey(_)) => {
                let key = row.key.clone();
                let known = if row.value.is_some() {
                    self.unknown.insert(key.clone(), row).is_some()
                } else {
                    self.unknown.remove(&key);
                    true
                };
                (!known).then_some(Notice::Unknown(key))
            }
            Err(error @ RowError::Value { .. }) => {
                let reason = crate::upstream::chain(&error);
                let key = row.key.clone();
                if let Ok(Key::Channel(site, channel)) = key.parse() {
                    self.followed.entry((site, channel)).or_default().refused = Some((row, reason.clone()));
                }
                Some(Notice::Refused(key, reason))
            }
        }
    }

    /// A manifest is here.
    pub(super) fn hold(&mut self, resources: Arc<Resources>) {
        let id = resources.manifest();
        self.failures.remove(&id);
        self.manifests.insert(id, resources);
        let mut served = self.followed.values().filter_map(|followed| followed.served.as_ref());
        self.changed |= served.any(|told| told.state.manifests().any(|manifest| manifest == id));
    }

    /// A manifest could not be had this time.
    pub(super) fn fail(&mut self, id: Digest, reason: String) {
        self.failures.insert(id, reason);
    }

    /// Manifests that are needed and not held, the more urgent first: what channels point at, then what they inherit.
    pub(super) fn wanted(&self, now: Timestamp) -> Vec<Digest> {
        let mut seen = BTreeSet::new();
        let own = self.states().map(|state| state.manifest);
        let inherited = self.states().flat_map(|state| &state.inherits).filter(|inherited| now < inherited.until);
        own.chain(inherited.map(|inherited| inherited.manifest))
            .filter(|id| !self.manifests.contains_key(id) && seen.insert(*id))
            .collect()
    }

    fn states(&self) -> impl Iterator<Item = &ChannelState> {
        self.followed.values().flat_map(|followed| [&followed.told, &followed.served]).flatten().map(|told| &told.state)
    }

    /// Moves every channel on whose manifest is held. Returns whether a table made now would differ from the last.
    pub(super) fn settle(&mut self) -> bool {
        for followed in self.followed.values_mut() {
            let ready = followed.told.as_ref().is_some_and(|told| self.manifests.contains_key(&told.state.manifest));
            if ready && followed.served != followed.told {
                followed.served.clone_from(&followed.told);
                self.changed = true;
            }
        }
        std::mem::take(&mut self.changed)
    }

    /// Every manifest that something told or served names at `now`, held or not.
    pub(super) fn needed(&self, now: Timestamp) -> HashSet<Digest> {
        let inherited = self.states().flat_map(|state| &state.inherits).filter(|inherited| now < inherited.until);
        self.states().map(|state| state.manifest).chain(inherited.map(|inherited| inherited.manifest)).collect()
    }

    /// Forgets manifests that are no longer needed.
    pub(super) fn prune(&mut self, now: Timestamp) {
        let needed = self.needed(now);
        let before = self.manifests.len();
        self.manifests.retain(|id, _| needed.contains(id));
        self.failures.retain(|id, _| needed.contains(id));
        self.changed |= self.manifests.len() != before;
    }

    /// What is served. `traffic` tells where a site's requests are counted.
    pub(super) fn table(&self, traffic: impl Fn(&SiteName) -> Arc<Traffic>) -> Table {
        let channel = |((site, channel), followed): (&(SiteName, ChannelName), &Followed)| {
            let state = &followed.served.as_ref()?.state;
            let own = Arc::clone(self.manifests.get(&state.manifest)?);
            let inherited = state
                .inherits
                .iter()
                .filter_map(|inherited| Some((inherited.until, Arc::clone(self.manifests.get(&inherited.manifest)?))));
            let label = HostLabel { site: site.clone(), channel: channel.clone() };
            Some(Channel::new(label, state.release, own, inherited.collect(), traffic(site)))
        };
        self.followed.iter().filter_map(channel).collect()
    }

    /// How far that is.
    pub(super) fn applied(&self) -> Applied {
        let lag = |((site, channel), followed): (&(SiteName, ChannelName), &Followed)| {
            let (seq, reason) = match (&followed.refused, &followed.told) {
                (Some((row, reason)), _) => (row.seq, reason.clone()),
                (None, told) if followed.served == *told => return None,
                (None, told) => {
                    let told = told.as_ref()?;
                    let failure = self.failures.get(&told.state.manifest).cloned();
                    (told.row.seq, failure.unwrap_or_else(|| "its manifest is being fetched".to_owned()))
                }
            };
            Some(Lag { site: site.clone(), channel: channel.clone(), seq, reason })
        };
        let lagging = self.followed.iter().filter_map(lag).collect();
        Applied { position: self.position, lagging, unknown: self.unknown.len() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use verge_protocol::state::Inherited;
    use verge_protocol::{Lifetime, ReleaseNumber, Seq};

    use super::*;
    use crate::testing::{manifest, resources, traffic};

    const NOW: Timestamp = Timestamp(1_000);
    const LATER: Timestamp = Timestamp(2_000);

    /// The manifest of a release: one file that is named after it.
    fn release(number: u64) -> Arc<Resources> {
        resources(manifest(&[&format!("v{number}.js")], "", Lifetime::Immutable))
    }

    fn row(site: &str, seq: u64, number: u64, inherits: &[u64]) -> Row {
        let inherited = |number: &u64| Inherited { manifest: release(*number).manifest(), until: LATER };
        let state = ChannelState {
            epoch: Seq(seq),
            release: ReleaseNumber(number),
            manifest: release(number).manifest(),
            inherits: inherits.iter().map(inherited).collect(),
        };
        let value = serde_json::to_value(state).unwrap();
        Row { key: format!("channel/{site}/live"), seq: Seq(seq), value: Some(value) }
    }

    fn gone(site: &str, seq: u64) -> Row {
        Row { key: format!("channel/{site}/live"), seq: Seq(seq), value: None }
    }

    fn at(generation: u64, seq: u64) -> Position {
        Position { generation: Generation(generation), seq: Seq(seq) }
    }

    fn rows(channels: &mut Channels, rows: Vec<Row>) -> Vec<Notice> {
        let seq = rows.iter().map(|row| row.seq.0).max().unwrap_or_default();
        let notices = channels.apply(Change::Rows(at(1, seq), rows));
        channels.settle();
        notices
    }

    fn hold(channels: &mut Channels, number: u64) -> bool {
        channels.hold(release(number));
        channels.settle()
    }

    /// What each site serves: its release, and what it inherits, by the files found.
    fn served(channels: &Channels) -> BTreeMap<String, String> {
        let table = channels.table(|_| traffic());
        let show = |channel: &Arc<Channel>| {
            let found = |resources: &Arc<Resources>| {
                (1..10).find(|number| resources.get(&format!("v{number}.js")).is_some()).unwrap_or_default()
            };
            let inherited: Vec<u64> = channel.inherited(NOW).map(found).collect();
            (channel.label().to_string(), format!("{} {inherited:?}", found(channel.own())))
        };
        table.channels().map(show).collect()
    }

    fn serves(channels: &Channels, site: &str) -> String {
        served(channels).remove(site).unwrap_or_default()
    }

    fn lagging(channels: &Channels) -> Vec<(String, u64, String)> {
        let lags = channels.applied().lagging.into_iter();
        lags.map(|lag| (lag.site.to_string(), lag.seq.0, lag.reason)).collect()
    }

    #[test]
    fn a_channel_moves_when_its_manifest_is_here_and_waits_for_no_other() {
        let mut channels = Channels::default();
        rows(&mut channels, vec![row("a", 1, 1, &[]), row("b", 2, 2, &[])]);
        assert!(hold(&mut channels, 1));
        assert_eq!((serves(&channels, "a"), serves(&channels, "b")), ("1 []".into(), String::new()));
        let reason = "its manifest is being fetched".to_owned();
        assert_eq!(lagging(&channels), [("b".into(), 2, reason)]);
        channels.fail(release(2).manifest(), "no way".into());
        assert_eq!(lagging(&channels), [("b".into(), 2, "no way".into())]);
        assert!(hold(&mut channels, 2));
        assert_eq!(lagging(&channels), []);
        rows(&mut channels, vec![row("b", 3, 3, &[2])]);
        assert_eq!(serves(&channels, "b"), "2 []");
        assert!(hold(&mut channels, 3));
        assert_eq!(serves(&channels, "b"), "3 [2]");
    }

    #[test]
    fn what_is_inherited_is_added_when_it_is_here_and_forgotten_when_it_expires() {
        let mut channels = Channels::default();
        rows(&mut channels, vec![row("a", 1, 2, &[1])]);
        assert_eq!(channels.wanted(NOW), [release(2).manifest(), release(1).manifest()]);
        assert_eq!(channels.wanted(LATER), [release(2).manifest()]);
        assert!(hold(&mut channels, 2));
        assert_eq!((serves(&channels, "a"), lagging(&channels).len()), ("2 []".into(), 0));
        assert!(hold(&mut channels, 1));
        assert_eq!(serves(&channels, "a"), "2 [1]");
        channels.prune(NOW);
        assert!(!channels.settle());
        channels.prune(LATER);
        assert!(channels.settle());
        assert_eq!(serves(&channels, "a"), "2 []");
        assert!(!hold(&mut channels, 9));
    }

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
        let moon = Row { key: "moon/full".into(), seq: Seq(3), value: Some(1.into()) };
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
    fn a_value_that_cannot_be_read_leaves_the_channel_where_it_is() {
        let mut channels = Channels::default();
        rows(&mut channels, vec![row("a", 1, 1, &[])]);
        hold(&mut channels, 1);
        let odd = Row { key: "channel/a/live".into(), seq: Seq(2), value: Some("odd".into()) };
        assert!(matches!(&rows(&mut channels, vec![odd])[..], [Notice::Refused(..)]));
        assert_eq!((serves(&channels, "a"), lagging(&channels)[0].1), ("1 []".into(), 2));
        let mut restored = Channels::restore(channels.saved());
        hold(&mut restored, 1);
        assert_eq!((serves(&restored, "a"), lagging(&restored)[0].1), ("1 []".into(), 2));
    }

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

    #[derive(Debug, Clone)]
    enum Happening {
        Write { site: usize, number: u64, inherits: Vec<u64> },
        Remove(usize),
        Hold(u64),
        Fail(u64),
        Restart,
        Prune,
    }

    fn happening() -> impl Strategy<Value = Happening> {
        prop_oneof![
            4 => (0_usize..3, 1_u64..6, prop::collection::vec(1_u64..6, 0..3))
                .prop_map(|(site, number, inherits)| Happening::Write { site, number, inherits }),
            1 => (0_usize..3).prop_map(Happening::Remove),
            4 => (1_u64..6).prop_map(Happening::Hold),
            1 => (1_u64..6).prop_map(Happening::Fail),
            1 => Just(Happening::Restart),
            1 => Just(Happening::Prune),
        ]
    }

    proptest! {
        /// Whatever came in between, once everything wanted is here the table is that of the last rows; and before that, no
        /// channel ever serves a release that was never told for it, nor goes back.
        #[test]
        fn every_order_ends_in_the_same_table(happenings in prop::collection::vec(happening(), 0..40)) {
            let sites = ["a", "b", "c"];
            let mut channels = Channels::default();
            let mut straight = Channels::default();
            let mut seq = 0;
            for happening in happenings {
                let written = match happening {
                    Happening::Write { site, number, inherits } => {
                        seq += 1;
                        vec![row(sites[site], seq, number, &inherits)]
                    }
                    Happening::Remove(site) => {
                        seq += 1;
                        vec![gone(sites[site], seq)]
                    }
                    Happening::Hold(number) => {
                        hold(&mut channels, number);
                        vec![]
                    }
                    Happening::Fail(number) => {
                        channels.fail(release(number).manifest(), "no".into());
                        vec![]
                    }
                    Happening::Restart => {
                        channels = Channels::restore(channels.saved());
                        vec![]
                    }
                    Happening::Prune => {
                        channels.prune(NOW);
                        vec![]
                    }
                };
                if !written.is_empty() {
                    rows(&mut channels, written.clone());
                    rows(&mut straight, written);
                }
            }
            let all: BTreeMap<Digest, u64> = (1..6).map(|number| (release(number).manifest(), number)).collect();
            for wanted in channels.wanted(NOW) {
                hold(&mut channels, all[&wanted]);
            }
            for wanted in straight.wanted(NOW) {
                hold(&mut straight, all[&wanted]);
            }
            prop_assert_eq!(served(&channels), served(&straight));
            prop_assert_eq!(channels.applied(), straight.applied());
            prop_assert_eq!(channels.applied().lagging, vec![]);
            prop_assert_eq!(channels.wanted(NOW.after(Duration::from_millis(1))), vec![]);
        }
    }
}
