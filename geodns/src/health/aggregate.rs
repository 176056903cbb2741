//! The health of all addresses, combined from the outcomes of their probes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use verge_protocol::explanation::ProbeFailure;
use verge_protocol::health::EdgeHealth;
use verge_protocol::{EdgeName, Position, Timestamp};

use super::contact::{self, FleetContact};
use super::lag::{self, LagThreshold};
use super::probe_settings::ProbeSettings;
use super::saved::{SavedAddress, SavedHealth};
use super::table::{AddressHealth, HealthTable};
use crate::fleet::Condition;
use crate::fleet_state::FleetState;

/// Every probed address with its health. Times are since the start of the daemon.
pub(super) struct HealthAggregate {
    settings: ProbeSettings,
    position: LagThreshold,
    obtainable: LagThreshold,
    contact: FleetContact,
    edges: BTreeMap<EdgeName, BTreeMap<IpAddr, Entry>>,
}

struct Entry {
    health: AddressHealth,
    /// Whether the edge is cut off from its origins while others are not.
    is_cut_off: bool,
    /// What the edge last reported; `None` until a probe succeeds.
    reported: Option<Reported>,
    /// When a probe last succeeded.
    last_success: Option<Duration>,
}

/// What an edge reported, and the thresholds at that time.
#[derive(Clone, Copy)]
struct Reported {
    position: Option<Position>,
    position_threshold: Option<Position>,
    /// The position without regard to what it cannot get.
    obtainable: Option<Position>,
    obtainable_threshold: Option<Position>,
}

/// The outcome of a probe.
#[derive(Debug)]
pub(super) struct ProbeOutcome {
    /// The answer of the edge.
    pub(super) answer: Result<EdgeHealth, ProbeFailure>,
    /// From connecting to the last byte.
    pub(super) latency: Duration,
    /// Whether the address is now up.
    pub(super) up: bool,
    /// Whether it may soon go down.
    pub(super) suspect: bool,
}

impl HealthAggregate {
    /// Starts with the addresses in `state`, each in its saved condition, or else up.
    pub(super) fn new(
        settings: ProbeSettings,
        lag_after: Duration,
        saved: &SavedHealth,
        state: &FleetState,
        at: Timestamp,
    ) -> Self {
        let mut aggregate = Self {
            settings,
            position: LagThreshold::new(lag_after, saved.lag_threshold),
            obtainable: LagThreshold::new(lag_after, saved.obtainable_threshold),
            contact: FleetContact::new(lag_after),
            edges: BTreeMap::new(),
        };
        aggregate.set_edges(state, at);
        for SavedAddress { edge, address, up, lagging, cut_off, draining } in &saved.addresses {
            if let Some(entry) = aggregate.entry(edge, *address) {
                entry.health.condition = Condition { up: *up, suspect: false, lagging: *lagging, draining: *draining };
                entry.is_cut_off = *cut_off;
            }
        }
        aggregate
    }

    /// Adds and removes addresses to match `state`. A new address is up until a probe shows otherwise.
    pub(super) fn set_edges(&mut self, state: &FleetState, at: Timestamp) {
        self.edges.retain(|edge, _| state.edges.contains_key(edge));
        for (edge, state) in state.edges.iter() {
            let addresses = self.edges.entry(edge.clone()).or_default();
            addresses.retain(|address, _| state.addresses.contains(address));
            for address in &state.addresses {
                addresses.entry(*address).or_insert_with(|| Entry::new(at));
            }
        }
        self.update_lagging();
    }

    fn entry(&mut self, edge: &EdgeName, address: IpAddr) -> Option<&mut Entry> {
        self.edges.get_mut(edge)?.get_mut(&address)
    }

    /// Whether an address is up. An unknown address counts as up.
    pub(super) fn is_up(&self, edge: &EdgeName, address: IpAddr) -> bool {
        let entry = self.edges.get(edge).and_then(|addresses| addresses.get(&address));
        entry.is_none_or(|entry| entry.health.condition.up)
    }

    /// Records the outcome of a probe that ended at `now`, which is `at` in wall-clock time.
    pub(super) fn record(
        &mut self,
        edge: &EdgeName,
        address: IpAddr,
        outcome: ProbeOutcome,
        now: Duration,
        at: Timestamp,
    ) {
        let ProbeOutcome { answer, latency, up, suspect } = outcome;
        let position_threshold = self.position.threshold(now);
        let obtainable_threshold = self.obtainable.threshold(now);
        let Some(Entry { health, reported, last_success, .. }) = self.entry(edge, address) else { return };
        if health.condition.up != up {
            health.since = at;
        }
        (health.condition.up, health.condition.suspect, health.probed) = (up, suspect, true);
        match answer {
            Err(failure) => health.failure = Some(failure),
            Ok(answer) => {
                // Draining is the edge's own decision: one answer is enough.
                health.condition.draining = answer.draining;
                (health.failure, health.latency, *last_success) = (None, Some(latency), Some(now));
                health.position = answer.position();
                health.pending = answer.pending;
                health.origin_last_seen = answer.origin_last_seen_seconds.map(Duration::from_secs);
                *reported = Some(Reported {
                    position: health.position,
                    position_threshold,
                    obtainable: answer.obtainable_position(),
                    obtainable_threshold,
                });
                self.update_contact(edge, address, now);
            }
        }
        self.position.record(self.best(|reported| reported.position), now);
        self.obtainable.record(self.best(|reported| reported.obtainable), now);
        self.update_lagging();
    }

    /// Recomputes whether an address is cut off that has just reported. That of the others does not change before they report.
    fn update_contact(&mut self, edge: &EdgeName, address: IpAddr, now: Duration) {
        let is_in_contact = |entry: &Entry| {
            entry.health.condition.up && entry.health.origin_last_seen.is_some_and(contact::is_in_contact)
        };
        let is_any_in_contact = self.entries().any(is_in_contact);
        self.contact.record(is_any_in_contact, now);
        // What was reported before has aged since.
        let silence = |entry: &Entry| {
            let reported = entry.health.condition.up.then_some(entry.health.origin_last_seen?)?;
            Some(reported.saturating_add(now.saturating_sub(entry.last_success?)))
        };
        let shortest = self.entries().filter_map(silence).min().unwrap_or_default();
        let Some(entry) = self.edges.get_mut(edge).and_then(|addresses| addresses.get_mut(&address)) else { return };
        entry.is_cut_off = self.contact.is_cut_off(entry.is_cut_off, entry.health.origin_last_seen, shortest, now);
    }

    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.edges.values().flat_map(BTreeMap::values)
    }

    /// The best of what the addresses that are up have reported.
    fn best<T: Ord>(&self, value: impl Fn(Reported) -> Option<T>) -> Option<T> {
        self.entries().filter(|entry| entry.health.condition.up).filter_map(|entry| value(entry.reported?)).max()
    }

    /// Recomputes which addresses lag. One that has not been probed keeps its state; one that is down does not lag.
    fn update_lagging(&mut self) {
        let best_position = self.best(|reported| reported.position);
        let best_obtainable = self.best(|reported| reported.obtainable);
        let lags = |entry: &Entry| {
            let Some(reported) = entry.reported else { return entry.health.condition.lagging };
            let Reported { position, position_threshold, obtainable, obtainable_threshold } = reported;
            entry.is_cut_off
                || lag::is_behind(position, position_threshold, best_position)
                || lag::is_behind_in_obtainable(obtainable, obtainable_threshold, best_obtainable)
        };
        let lagging: Vec<bool> = self.entries().map(|entry| entry.health.condition.up && lags(entry)).collect();
        let entries = self.edges.values_mut().flat_map(BTreeMap::values_mut);
        for (entry, lagging) in entries.zip(lagging) {
            entry.health.condition.lagging = lagging;
        }
    }

    /// Whether this machine most likely has no network: at least two addresses were probed, the last probe of each failed, and
    /// none succeeded within the longest time between two probes of a healthy address.
    fn is_isolated(&self, now: Duration) -> bool {
        let longest_gap = self.settings.interval + self.settings.timeout;
        let is_silent = |entry: &Entry| {
            let is_recent = entry.last_success.is_some_and(|at| now.saturating_sub(at) <= longest_gap);
            entry.health.failure.is_some() && !is_recent
        };
        let probed: Vec<&Entry> = self.entries().filter(|entry| entry.health.probed).collect();
        probed.len() > 1 && probed.into_iter().all(is_silent)
    }

    /// The health at `now`.
    pub(super) fn table(&self, now: Duration) -> HealthTable {
        let health = |addresses: &BTreeMap<IpAddr, Entry>| {
            addresses.iter().map(|(address, entry)| (*address, entry.health.clone())).collect()
        };
        let edges = self.edges.iter().map(|(edge, addresses)| (edge.clone(), health(addresses))).collect();
        HealthTable { edges, isolated: self.is_isolated(now) }
    }

    /// The health to save for the next process.
    pub(super) fn saved(&mut self, now: Duration) -> SavedHealth {
        let (lag_threshold, obtainable_threshold) = (self.position.threshold(now), self.obtainable.threshold(now));
        let addresses = self.edges.iter().flat_map(|(edge, addresses)| {
            addresses.iter().map(move |(address, entry)| {
                let Condition { up, lagging, draining, .. } = entry.health.condition;
                SavedAddress { edge: edge.clone(), address: *address, up, lagging, cut_off: entry.is_cut_off, draining }
            })
        });
        SavedHealth {
            lag_threshold,
            obtainable_threshold,
            addresses: addresses.filter(SavedAddress::is_notable).collect(),
        }
    }
}

impl Entry {
    fn new(at: Timestamp) -> Self {
        let health = AddressHealth {
            condition: Condition::default(),
            since: at,
            probed: false,
            failure: None,
            position: None,
            origin_last_seen: None,
            pending: 0,
            latency: None,
        };
        Self { health, is_cut_off: false, reported: None, last_success: None }
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

    fn state_with(edges: usize) -> FleetState {
        let state = serde_json::json!({ "addresses": [ADDRESS] });
        let state = |number| (edge(number), serde_json::from_value(state.clone()).unwrap());
        FleetState { edges: Arc::new((0..edges).map(state).collect()), ..FleetState::default() }
    }

    fn aggregate(edges: usize) -> HealthAggregate {
        HealthAggregate::new(
            ProbeSettings::default(),
            Duration::from_secs(30),
            &SavedHealth::default(),
            &state_with(edges),
            AT,
        )
    }

    fn reports(position: &str) -> ProbeOutcome {
        let position: Option<Position> = position.parse().ok();
        let (generation, applied) = (position.map(|at| at.generation), position.map(|at| at.seq));
        let health = EdgeHealth {
            edge: edge(0),
            generation,
            applied,
            served: applied,
            served_of_obtainable: None,
            pending: 0,
            missing_blobs: 0,
            saving: true,
            origin_last_seen_seconds: None,
            catching_up: false,
            draining: false,
        };
        ProbeOutcome { answer: Ok(health), latency: Duration::from_millis(20), up: true, suspect: false }
    }

    /// The edge has followed the feed up to `position`, and serves everything written up to `served`.
    fn reports_unserved(position: &str, served: u64) -> ProbeOutcome {
        let mut outcome = reports(position);
        let health = outcome.answer.as_mut().unwrap();
        (health.served, health.pending) = (Some(Seq(served)), 1);
        outcome
    }

    fn fails(up: bool) -> ProbeOutcome {
        ProbeOutcome {
            answer: Err(ProbeFailure::ConnectionRefused),
            latency: Duration::from_millis(1),
            up,
            suspect: up,
        }
    }

    fn record(aggregate: &mut HealthAggregate, number: usize, outcome: ProbeOutcome, second: u64) {
        aggregate.record(&edge(number), ADDRESS, outcome, Duration::from_secs(second), Timestamp(1_000 * second));
    }

    /// The numbers of the lagging edges.
    fn lagging(aggregate: &HealthAggregate) -> Vec<usize> {
        let table = aggregate.table(Duration::ZERO);
        let lagging = table.addresses().filter(|(.., health)| health.condition.lagging);
        lagging.map(|(edge, ..)| edge.as_str()["edge-".len()..].parse().unwrap()).collect()
    }

    #[test]
    fn edge_lags_once_it_is_30_seconds_behind_until_it_catches_up() {
        let mut aggregate = aggregate(3);
        for second in [0, 5, 10, 15, 20, 25, 29] {
            record(&mut aggregate, 0, reports("1-9"), second);
            record(&mut aggregate, 1, reports("1-8"), second);
            record(&mut aggregate, 2, reports(""), second);
            assert_eq!(lagging(&aggregate), [] as [usize; 0], "{second}");
        }
        record(&mut aggregate, 1, reports("1-8"), 30);
        assert_eq!(lagging(&aggregate), [1]);
        record(&mut aggregate, 2, reports(""), 30);
        assert_eq!(lagging(&aggregate), [1, 2]);
        record(&mut aggregate, 1, reports("1-9"), 31);
        assert_eq!(lagging(&aggregate), [2]);
        // The others are down: no edge is left to lag behind.
        record(&mut aggregate, 0, fails(false), 40);
        assert_eq!(lagging(&aggregate), [2]);
        record(&mut aggregate, 1, fails(false), 40);
        assert_eq!(lagging(&aggregate), [] as [usize; 0]);
    }

    #[test]
    fn edge_of_an_older_generation_lags() {
        let mut aggregate = aggregate(2);
        for second in [0, 29] {
            record(&mut aggregate, 0, reports("1-900"), second);
            record(&mut aggregate, 1, reports("2-1"), second);
            assert_eq!(lagging(&aggregate), [] as [usize; 0]);
        }
        record(&mut aggregate, 0, reports("1-901"), 31);
        record(&mut aggregate, 1, reports("2-1"), 31);
        assert_eq!(lagging(&aggregate), [0]);
    }

    #[test]
    fn edge_that_cannot_fetch_what_others_have_lags() {
        let mut aggregate = aggregate(3);
        for second in [0, 15, 31] {
            record(&mut aggregate, 0, reports("1-9"), second);
            // Has followed the feed as far as the others, and cannot apply one of the rows.
            record(&mut aggregate, 1, reports_unserved("1-9", 4), second);
            record(&mut aggregate, 2, reports("1-9"), second);
        }
        assert_eq!(lagging(&aggregate), [1]);
        record(&mut aggregate, 1, reports("1-9"), 33);
        assert_eq!(lagging(&aggregate), [] as [usize; 0]);
    }

    /// The edge has followed the feed as far as all others, and last heard from an origin `ago` seconds before.
    fn hears(ago: u64) -> ProbeOutcome {
        let mut outcome = reports("1-9");
        outcome.answer.as_mut().unwrap().origin_last_seen_seconds = Some(ago);
        outcome
    }

    #[test]
    fn edge_that_is_cut_off_from_origins_lags_although_nothing_was_written() {
        let mut aggregate = aggregate(3);
        for second in 0..180 {
            // Heartbeats come every five seconds; edge 1 is cut off from second 40 to 100, and from 120 on.
            record(&mut aggregate, 0, hears(second % 5), second);
            let ago = match second {
                40..100 => second - 40,
                120.. => second - 120,
                _ => 0,
            };
            record(&mut aggregate, 1, hears(ago), second);
            record(&mut aggregate, 2, hears(4), second);
            let expected: &[usize] = if (86..100).contains(&second) || second > 165 { &[1] } else { &[] };
            assert_eq!(lagging(&aggregate), expected, "{second}");
        }
    }

    #[test]
    fn edge_that_is_cut_off_lags_however_rarely_it_and_the_others_are_probed() {
        let mut aggregate = aggregate(3);
        for second in (0..600).step_by(30) {
            record(&mut aggregate, 0, hears(4), second);
            record(&mut aggregate, 2, hears(0), second + 2);
            record(&mut aggregate, 1, hears(second + 20), second + 20);
            let expected: &[usize] = if second >= 30 { &[1] } else { &[] };
            assert_eq!(lagging(&aggregate), expected, "{second}");
        }
    }

    #[test]
    fn no_edge_lags_when_the_origin_is_away_nor_when_it_returns() {
        let mut aggregate = aggregate(3);
        for second in 0..300_u64 {
            // Edges hear from it at other times before it goes, and connect one after another when it is back.
            for (number, last, first) in [(0, 60, 200), (1, 56, 215), (2, 40, 225)] {
                let ago = if (last..first).contains(&second) { second - last } else { second % 5 };
                record(&mut aggregate, number, hears(ago), second);
                assert_eq!(lagging(&aggregate), [] as [usize; 0], "{second}");
            }
        }
    }

    #[test]
    fn edge_that_was_cut_off_before_the_origin_went_or_the_probes_failed_lags_until_it_is_in_contact() {
        let mut aggregate = aggregate(3);
        for second in 0..400_u64 {
            for number in [0, 1] {
                // The origin is away for a while, and later the network of this machine.
                let ago = if (100..150).contains(&second) { second - 100 } else { second % 5 };
                let outcome = if (220..260).contains(&second) { fails(false) } else { hears(ago) };
                record(&mut aggregate, number, outcome, second);
            }
            let ago = if (10..330).contains(&second) { second - 10 } else { 0 };
            let outcome = if (220..260).contains(&second) { fails(false) } else { hears(ago) };
            record(&mut aggregate, 2, outcome, second);
            let is_cut_off = (56..220).contains(&second) || (260..330).contains(&second);
            assert_eq!(lagging(&aggregate), if is_cut_off { &[2][..] } else { &[] }, "{second}");
        }
    }

    /// The edge serves everything up to `served`, and up to `obtainable` but for what the origin lacks.
    fn lacks(served: u64, obtainable: u64) -> EdgeHealth {
        let health = reports_unserved("1-900", served).answer.unwrap();
        EdgeHealth { served_of_obtainable: Some(Seq(obtainable)), ..health }
    }

    #[test]
    fn row_that_all_edges_lack_hides_no_other_and_that_one_edge_lacks_makes_it_lag() {
        for (others, one, lags) in [
            // The origin has lost files of the release of row 100: no edge has them, or all but one.
            (lacks(99, 900), lacks(99, 900), false),
            (lacks(900, 900), lacks(99, 900), true),
            // One lags at row 500 besides.
            (lacks(99, 900), lacks(99, 499), true),
        ] {
            let mut aggregate = aggregate(4);
            let older = EdgeHealth { served_of_obtainable: None, ..others.clone() };
            for second in [0, 15, 31] {
                for (number, health) in [(0, &others), (1, &others), (2, &one), (3, &older)] {
                    let outcome = ProbeOutcome { answer: Ok(health.clone()), ..reports("1-900") };
                    record(&mut aggregate, number, outcome, second);
                }
            }
            let expected: &[usize] = if lags { &[2] } else { &[] };
            assert_eq!(lagging(&aggregate), expected);
        }
    }

    #[test]
    fn edge_with_pending_channels_does_not_lag_while_it_keeps_up() {
        let mut aggregate = aggregate(2);
        for second in 0..300_u64 {
            // A release every second; one edge takes five to fetch it.
            record(&mut aggregate, 0, reports(&format!("1-{}", second + 10)), second);
            record(&mut aggregate, 1, reports_unserved(&format!("1-{}", second + 10), second + 5), second);
            assert_eq!(lagging(&aggregate), [] as [usize; 0], "{second}");
        }
    }

    #[test]
    fn draining_follows_the_last_successful_probe() {
        let mut aggregate = aggregate(1);
        let condition =
            |aggregate: &HealthAggregate| aggregate.table(Duration::ZERO).edges[&edge(0)][&ADDRESS].condition;
        let mut draining = reports("1-9");
        draining.answer.as_mut().unwrap().draining = true;
        record(&mut aggregate, 0, draining, 1);
        assert_eq!(condition(&aggregate), Condition { draining: true, ..Condition::default() });
        record(&mut aggregate, 0, fails(true), 2);
        assert_eq!(condition(&aggregate), Condition { draining: true, suspect: true, ..Condition::default() });
        record(&mut aggregate, 0, reports("1-9"), 3);
        assert_eq!(condition(&aggregate), Condition::default());
    }

    #[test]
    fn machine_is_isolated_when_two_or_more_addresses_are_silent() {
        let isolated = |aggregate: &HealthAggregate, second| aggregate.table(Duration::from_secs(second)).isolated;
        let mut alone = aggregate(1);
        record(&mut alone, 0, fails(false), 60);
        assert!(!isolated(&alone, 60));
        let mut aggregate = aggregate(3);
        assert!(!isolated(&aggregate, 60));
        record(&mut aggregate, 0, reports("1-9"), 60);
        record(&mut aggregate, 0, fails(true), 61);
        record(&mut aggregate, 1, fails(false), 61);
        assert!(!isolated(&aggregate, 67) && isolated(&aggregate, 68));
        record(&mut aggregate, 1, reports("1-9"), 70);
        assert!(!isolated(&aggregate, 70));
    }

    #[test]
    fn restart_restores_conditions_and_lag_threshold() {
        let mut before = aggregate(4);
        for second in [0, 40] {
            record(&mut before, 0, reports("1-9"), second);
            record(&mut before, 1, reports("1-8"), second);
        }
        record(&mut before, 2, fails(false), 41);
        let saved = before.saved(Duration::from_secs(41));
        assert_eq!(saved.addresses.len(), 2);
        let mut after =
            HealthAggregate::new(ProbeSettings::default(), Duration::from_secs(30), &saved, &state_with(4), AT);
        let conditions = |aggregate: &HealthAggregate| {
            aggregate.table(Duration::ZERO).addresses().map(|(.., is)| is.condition).collect()
        };
        let same: [Vec<Condition>; 2] = [conditions(&before), conditions(&after)];
        assert_eq!(same[0], same[1]);
        assert!(!after.is_up(&edge(2), ADDRESS) && after.is_up(&edge(3), ADDRESS) && after.is_up(&edge(9), ADDRESS));
        // The saved threshold applies: an edge below it still lags, one that has reached it does not.
        record(&mut after, 0, reports("1-9"), 1);
        record(&mut after, 1, reports("1-8"), 1);
        record(&mut after, 3, reports("1-9"), 1);
        assert_eq!(lagging(&after), [1]);
    }

    #[test]
    fn edge_that_is_cut_off_lags_after_a_restart_until_it_is_in_contact() {
        let mut before = aggregate(2);
        for second in [0, 40, 80] {
            record(&mut before, 0, hears(0), second);
            record(&mut before, 1, hears(second), second);
        }
        assert_eq!(lagging(&before), [1]);
        let saved = before.saved(Duration::from_secs(80));
        let mut after =
            HealthAggregate::new(ProbeSettings::default(), Duration::from_secs(30), &saved, &state_with(2), AT);
        for second in (0..300).step_by(5) {
            for (number, ago) in [(1, if second < 200 { 80 + second } else { 0 }), (0, second % 4)] {
                record(&mut after, number, hears(ago), second);
                let expected: &[usize] = if second < 200 { &[1] } else { &[] };
                assert_eq!(lagging(&after), expected, "{second}");
            }
        }
    }

    #[test]
    fn edge_that_lags_without_what_all_lack_lags_after_a_restart() {
        let of = |obtainable| ProbeOutcome { answer: Ok(lacks(99, obtainable)), ..reports("1-900") };
        let mut before = aggregate(2);
        for second in [0, 15, 31] {
            record(&mut before, 0, of(900), second);
            record(&mut before, 1, of(499), second);
        }
        let saved = before.saved(Duration::from_secs(31));
        let mut after =
            HealthAggregate::new(ProbeSettings::default(), Duration::from_secs(30), &saved, &state_with(2), AT);
        record(&mut after, 1, of(499), 1);
        record(&mut after, 0, of(900), 2);
        assert_eq!(lagging(&after), [1]);
        record(&mut after, 1, of(900), 3);
        assert_eq!(lagging(&after), [] as [usize; 0]);
    }

    #[test]
    fn addresses_follow_the_fleet_state() {
        let mut aggregate = aggregate(2);
        record(&mut aggregate, 1, fails(false), 1);
        aggregate.set_edges(&state_with(1), AT);
        assert_eq!(aggregate.table(Duration::ZERO).addresses().count(), 1);
        record(&mut aggregate, 1, fails(false), 2);
        aggregate.set_edges(&state_with(2), AT);
        assert!(aggregate.is_up(&edge(1), ADDRESS));
    }

    proptest! {
        /// Whatever the probes report, no edge at the best position lags; and once all edges report the same position, none lags,
        /// wherever the fleet was before.
        #[test]
        fn best_position_never_lags(
            steps in prop::collection::vec((0..4_usize, 0..20_u64, 0..6_u32, 0..3_u64, 1..40_u64, 0..40_u64), 1..80),
        ) {
            let mut aggregate = aggregate(4);
            let mut now = 0;
            for (number, passes, kind, generation, seq, served) in steps {
                now += passes;
                let outcome = match kind {
                    0 => fails(false),
                    1 => fails(true),
                    2 => reports(""),
                    _ => reports_unserved(&format!("{generation}-{seq}"), served.min(seq)),
                };
                record(&mut aggregate, number, outcome, now);
                let best = aggregate.best(|reported| reported.position);
                let table = aggregate.table(Duration::ZERO);
                let up = || table.addresses().map(|(.., health)| health).filter(|health| health.condition.up);
                for health in up().filter(|health| health.condition.lagging) {
                    prop_assert!(health.position < best);
                }
            }
            for number in 0..4 {
                record(&mut aggregate, number, reports("2-20"), now + 100);
            }
            prop_assert_eq!(lagging(&aggregate), [] as [usize; 0]);
        }
    }
}
