//! What is known of every address, put together.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use verge_protocol::health::EdgeHealth;
use verge_protocol::{EdgeName, Position, Timestamp};

use super::failure::Failure;
use super::lag::{self, Lag};
use super::pace::Pace;
use super::table::{AddressHealth, HealthTable};
use crate::fleet::Condition;
use crate::follow::{Remembered, RememberedAddress, Told};

/// Every address that is probed, and what was heard of it. Times are since the start of the daemon.
pub(super) struct Board {
    pace: Pace,
    lag: Lag,
    edges: BTreeMap<EdgeName, BTreeMap<IpAddr, Entry>>,
}

struct Entry {
    shown: AddressHealth,
    /// What it last said; `None` until it is heard.
    said: Option<Said>,
    /// When a probe last succeeded.
    heard: Option<Duration>,
}

/// How far an edge says it is, and what that was worth when it said so.
#[derive(Clone, Copy)]
struct Said {
    position: Option<Position>,
    bar: Option<Position>,
}

/// A probe has ended.
#[derive(Debug)]
pub(super) struct Outcome {
    /// What it found.
    pub(super) answer: Result<EdgeHealth, Failure>,
    /// How long it took.
    pub(super) took: Duration,
    /// Whether the address is now up.
    pub(super) up: bool,
    /// Whether it may soon not be.
    pub(super) shaky: bool,
}

impl Board {
    /// A board of the addresses in `told`, each as it is remembered, or up.
    pub(super) fn new(pace: Pace, lag_after: Duration, remembered: &Remembered, told: &Told, at: Timestamp) -> Self {
        let lag = Lag::new(lag_after, remembered.bar);
        let mut board = Self { pace, lag, edges: BTreeMap::new() };
        board.follow(told, at);
        for RememberedAddress { edge, address, up, lagging, draining } in &remembered.addresses {
            if let Some(entry) = board.entry(edge, *address) {
                entry.shown.condition = Condition { up: *up, shaky: false, lagging: *lagging, draining: *draining };
            }
        }
        board
    }

    /// Takes over which addresses there are. One that was not there is up until it is known better.
    pub(super) fn follow(&mut self, told: &Told, at: Timestamp) {
        self.edges.retain(|edge, _| told.edges.contains_key(edge));
        for (edge, state) in told.edges.iter() {
            let addresses = self.edges.entry(edge.clone()).or_default();
            addresses.retain(|address, _| state.addresses.contains(address));
            for address in &state.addresses {
                addresses.entry(*address).or_insert_with(|| Entry::new(at));
            }
        }
        self.judge();
    }

    fn entry(&mut self, edge: &EdgeName, address: IpAddr) -> Option<&mut Entry> {
        self.edges.get_mut(edge)?.get_mut(&address)
    }

    /// Whether an address is up, as far as is known.
    pub(super) fn is_up(&self, edge: &EdgeName, address: IpAddr) -> bool {
        let entry = self.edges.get(edge).and_then(|addresses| addresses.get(&address));
        entry.is_none_or(|entry| entry.shown.condition.up)
    }

    /// Takes the outcome of a probe that ended at `now`, which is `at` by the clock on the wall.
    pub(super) fn hear(&mut self, edge: &EdgeName, address: IpAddr, outcome: Outcome, now: Duration, at: Timestamp) {
        let Outcome { answer, took, up, shaky } = outcome;
        let bar = self.lag.bar(now);
        let Some(Entry { shown, said, heard }) = self.entry(edge, address) else { return };
        if shown.condition.up != up {
            shown.since = at;
        }
        (shown.condition.up, shown.condition.shaky, shown.probed) = (up, shaky, true);
        match answer {
            Err(failure) => shown.failure = Some(failure),
            Ok(health) => {
                // What an edge decides for itself needs no second opinion.
                shown.condition.draining = health.draining;
                (shown.failure, shown.took, *heard) = (None, Some(took), Some(now));
                shown.position = health.position();
                shown.pending = health.pending;
                *said = Some(Said { position: shown.position, bar });
            }
        }
        self.lag.note(self.best(), now);
        self.judge();
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.edges.values().flat_map(BTreeMap::values)
    }

    /// The best position that an address which is up has.
    fn best(&self) -> Option<Position> {
        self.entries().filter(|entry| entry.shown.condition.up).filter_map(|entry| entry.said?.position).max()
    }

    /// Decides anew who is behind. One that was not heard yet is what it was before; one that is down is just that.
    fn judge(&mut self) {
        let best = self.best();
        let behind = |entry: &Entry| {
            let Some(Said { position, bar }) = entry.said else { return entry.shown.condition.lagging };
            lag::is_behind(position, bar, best)
        };
        let lagging: Vec<bool> = self.entries().map(|entry| entry.shown.condition.up && behind(entry)).collect();
        let entries = self.edges.values_mut().flat_map(BTreeMap::values_mut);
        for (entry, lagging) in entries.zip(lagging) {
            entry.shown.condition.lagging = lagging;
        }
    }

    /// Whether it must be this machine that has no network: of two or more addresses that were probed every one's last probe
    /// failed, and none succeeded for as long as a healthy one can be silent.
    fn is_isolated(&self, now: Duration) -> bool {
        let silence = self.pace.interval + self.pace.timeout;
        let silent = |entry: &Entry| {
            let recent = entry.heard.is_some_and(|heard| now.saturating_sub(heard) <= silence);
            entry.shown.failure.is_some() && !recent
        };
        let probed: Vec<&Entry> = self.entries().filter(|entry| entry.shown.probed).collect();
        probed.len() > 1 && probed.into_iter().all(silent)
    }

    /// What is to be shown at `now`.
    pub(super) fn table(&self, now: Duration) -> HealthTable {
        let shown = |addresses: &BTreeMap<IpAddr, Entry>| {
            addresses.iter().map(|(address, entry)| (*address, entry.shown.clone())).collect()
        };
        let edges = self.edges.iter().map(|(edge, addresses)| (edge.clone(), shown(addresses))).collect();
        HealthTable { edges, isolated: self.is_isolated(now) }
    }

    /// What the next process should know.
    pub(super) fn remembered(&mut self, now: Duration) -> Remembered {
        let bar = self.lag.bar(now);
        let addresses = self.edges.iter().flat_map(|(edge, addresses)| {
            addresses.iter().map(move |(address, entry)| (edge, *address, entry.shown.condition))
        });
        let notable = addresses.filter(|(.., condition)| !condition.up || condition.lagging || condition.draining);
        let addresses = notable.map(|(edge, address, condition)| {
            let Condition { up, lagging, draining, .. } = condition;
            RememberedAddress { edge: edge.clone(), address, up, lagging, draining }
        });
        Remembered { bar, addresses: addresses.collect() }
    }
}

impl Entry {
    fn new(at: Timestamp) -> Self {
        let shown = AddressHealth {
            condition: Condition::default(),
            since: at,
            probed: false,
            failure: None,
            position: None,
            pending: 0,
            took: None,
        };
        Self { shown, said: None, heard: None }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;
    use verge_protocol::Seq;

    use super::*;

    const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const AT: Timestamp = Timestamp(1_000);

    fn edge(number: usize) -> EdgeName {
        format!("edge-{number}").parse().unwrap()
    }

    fn told(edges: usize) -> Told {
        let state = serde_json::json!({ "addresses": [ADDRESS] });
        let state = |number| (edge(number), serde_json::from_value(state.clone()).unwrap());
        Told { edges: Arc::new((0..edges).map(state).collect()), ..Told::default() }
    }

    fn board(edges: usize) -> Board {
        Board::new(Pace::default(), Duration::from_secs(30), &Remembered::default(), &told(edges), AT)
    }

    fn says(position: &str) -> Outcome {
        let position: Option<Position> = position.parse().ok();
        let (generation, applied) = (position.map(|at| at.generation), position.map(|at| at.seq));
        let health = EdgeHealth {
            edge: edge(0),
            generation,
            applied,
            served: applied,
            pending: 0,
            origin_last_seen_seconds: None,
            draining: false,
        };
        Outcome { answer: Ok(health), took: Duration::from_millis(20), up: true, shaky: false }
    }

    /// Was told up to `position`, and serves what was written up to `served`.
    fn lacks(position: &str, served: u64) -> Outcome {
        let mut outcome = says(position);
        let health = outcome.answer.as_mut().unwrap();
        (health.served, health.pending) = (Some(Seq(served)), 1);
        outcome
    }

    fn fails(up: bool) -> Outcome {
        Outcome { answer: Err(Failure::Refused), took: Duration::from_millis(1), up, shaky: up }
    }

    fn hear(board: &mut Board, number: usize, outcome: Outcome, second: u64) {
        board.hear(&edge(number), ADDRESS, outcome, Duration::from_secs(second), Timestamp(1_000 * second));
    }

    /// The numbers of the edges that are behind.
    fn behind(board: &Board) -> Vec<usize> {
        let table = board.table(Duration::ZERO);
        let lagging = table.addresses().filter(|(.., health)| health.condition.lagging);
        lagging.map(|(edge, ..)| edge.as_str()["edge-".len()..].parse().unwrap()).collect()
    }

    #[test]
    fn who_does_not_follow_is_behind_after_half_a_minute_and_no_longer_once_it_has_caught_up() {
        let mut board = board(3);
        for second in [0, 5, 10, 15, 20, 25, 29] {
            hear(&mut board, 0, says("1-9"), second);
            hear(&mut board, 1, says("1-8"), second);
            hear(&mut board, 2, says(""), second);
            assert_eq!(behind(&board), [] as [usize; 0], "{second}");
        }
        hear(&mut board, 1, says("1-8"), 30);
        assert_eq!(behind(&board), [1]);
        hear(&mut board, 2, says(""), 30);
        assert_eq!(behind(&board), [1, 2]);
        hear(&mut board, 1, says("1-9"), 31);
        assert_eq!(behind(&board), [2]);
        // The others are gone: nobody is left to be behind of.
        hear(&mut board, 0, fails(false), 40);
        assert_eq!(behind(&board), [2]);
        hear(&mut board, 1, fails(false), 40);
        assert_eq!(behind(&board), [] as [usize; 0]);
    }

    #[test]
    fn an_older_generation_is_behind() {
        let mut board = board(2);
        for second in [0, 29] {
            hear(&mut board, 0, says("1-900"), second);
            hear(&mut board, 1, says("2-1"), second);
            assert_eq!(behind(&board), [] as [usize; 0]);
        }
        hear(&mut board, 0, says("1-901"), 31);
        hear(&mut board, 1, says("2-1"), 31);
        assert_eq!(behind(&board), [0]);
    }

    #[test]
    fn who_cannot_fetch_what_others_could_is_behind() {
        let mut board = board(3);
        for second in [0, 15, 31] {
            hear(&mut board, 0, says("1-9"), second);
            // Was told as much as the others, and is stuck at one row of it.
            hear(&mut board, 1, lacks("1-9", 4), second);
            hear(&mut board, 2, says("1-9"), second);
        }
        assert_eq!(behind(&board), [1]);
        hear(&mut board, 1, says("1-9"), 33);
        assert_eq!(behind(&board), [] as [usize; 0]);
    }

    #[test]
    fn who_always_has_something_pending_is_not_behind_for_that() {
        let mut board = board(2);
        for second in 0..300_u64 {
            // A release every second; one edge takes five to fetch it.
            hear(&mut board, 0, says(&format!("1-{}", second + 10)), second);
            hear(&mut board, 1, lacks(&format!("1-{}", second + 10), second + 5), second);
            assert_eq!(behind(&board), [] as [usize; 0], "{second}");
        }
    }

    #[test]
    fn draining_is_taken_at_its_word() {
        let mut board = board(1);
        let condition = |board: &Board| board.table(Duration::ZERO).edges[&edge(0)][&ADDRESS].condition;
        let mut leaving = says("1-9");
        leaving.answer.as_mut().unwrap().draining = true;
        hear(&mut board, 0, leaving, 1);
        assert_eq!(condition(&board), Condition { draining: true, ..Condition::default() });
        hear(&mut board, 0, fails(true), 2);
        assert_eq!(condition(&board), Condition { draining: true, shaky: true, ..Condition::default() });
        hear(&mut board, 0, says("1-9"), 3);
        assert_eq!(condition(&board), Condition::default());
    }

    #[test]
    fn two_that_are_silent_for_longer_than_healthy_ones_tell_of_our_own_network() {
        let isolated = |board: &Board, second| board.table(Duration::from_secs(second)).isolated;
        let mut alone = board(1);
        hear(&mut alone, 0, fails(false), 60);
        assert!(!isolated(&alone, 60));
        let mut board = board(3);
        assert!(!isolated(&board, 60));
        hear(&mut board, 0, says("1-9"), 60);
        hear(&mut board, 0, fails(true), 61);
        hear(&mut board, 1, fails(false), 61);
        assert!(!isolated(&board, 67) && isolated(&board, 68));
        hear(&mut board, 1, says("1-9"), 70);
        assert!(!isolated(&board, 70));
    }

    #[test]
    fn a_restart_goes_on_where_it_was() {
        let mut before = board(4);
        for second in [0, 40] {
            hear(&mut before, 0, says("1-9"), second);
            hear(&mut before, 1, says("1-8"), second);
        }
        hear(&mut before, 2, fails(false), 41);
        let remembered = before.remembered(Duration::from_secs(41));
        assert_eq!(remembered.addresses.len(), 2);
        let mut after = Board::new(Pace::default(), Duration::from_secs(30), &remembered, &told(4), AT);
        let conditions = |board: &Board| board.table(Duration::ZERO).addresses().map(|(.., is)| is.condition).collect();
        let same: [Vec<Condition>; 2] = [conditions(&before), conditions(&after)];
        assert_eq!(same[0], same[1]);
        assert!(!after.is_up(&edge(2), ADDRESS) && after.is_up(&edge(3), ADDRESS) && after.is_up(&edge(9), ADDRESS));
        // The bar is the one that was: who is below it stays behind, who has reached it does not.
        hear(&mut after, 0, says("1-9"), 1);
        hear(&mut after, 1, says("1-8"), 1);
        hear(&mut after, 3, says("1-9"), 1);
        assert_eq!(behind(&after), [1]);
    }

    #[test]
    fn addresses_come_and_go_with_what_is_told() {
        let mut board = board(2);
        hear(&mut board, 1, fails(false), 1);
        board.follow(&told(1), AT);
        assert_eq!(board.table(Duration::ZERO).addresses().count(), 1);
        hear(&mut board, 1, fails(false), 2);
        board.follow(&told(2), AT);
        assert!(board.is_up(&edge(1), ADDRESS));
    }

    proptest! {
        /// Whatever is heard of whom, who is as far as any that is up is not behind; and once all that are up stand at one position,
        /// wherever the fleet was before, nobody is.
        #[test]
        fn the_best_is_never_behind(
            steps in prop::collection::vec((0..4_usize, 0..20_u64, 0..6_u32, 0..3_u64, 1..40_u64, 0..40_u64), 1..80),
        ) {
            let mut board = board(4);
            let mut now = 0;
            for (number, passes, kind, generation, seq, served) in steps {
                now += passes;
                let outcome = match kind {
                    0 => fails(false),
                    1 => fails(true),
                    2 => says(""),
                    _ => lacks(&format!("{generation}-{seq}"), served.min(seq)),
                };
                hear(&mut board, number, outcome, now);
                let best = board.best();
                let table = board.table(Duration::ZERO);
                let up = || table.addresses().map(|(.., health)| health).filter(|health| health.condition.up);
                for health in up().filter(|health| health.condition.lagging) {
                    prop_assert!(health.position < best);
                }
            }
            for number in 0..4 {
                hear(&mut board, number, says("2-20"), now + 100);
            }
            prop_assert_eq!(behind(&board), [] as [usize; 0]);
        }
    }
}
