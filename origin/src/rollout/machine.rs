//! The state machine of one rollout: prepare, switch, confirm. Synchronous: facts and the time go in, actions come out.
//!
//! ```text
//! Preparing ──enough edges are prepared──► Switching ──the channel has moved──► Confirming ──► Ended
//!     │  └──and a canary is planned──► Canary ──good──┘ (to Switching)
//!     │                                  └──bad──► Ended (abandoned)
//!     └──────fewer than half are──────────► Ended (abandoned)
//! ```
//!
//! Times are since the origin started, by a monotonic clock: a change of the wall clock neither shortens nor extends a wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use verge_protocol::api::{LaggingEdge, Progress};
use verge_protocol::host::HostLabel;
use verge_protocol::report::EdgeReport;
use verge_protocol::{EdgeName, Generation, Position, Timestamp};

use super::canary::{Canary, Outcome};
use super::edge::{Edge, LastReport, Presence};
use super::target::Target;
use super::timing::{Timing, millis};

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Tell clients.
    Tell(Progress),
    /// Let these edges serve the release before the channel moves.
    StartCanary(BTreeSet<EdgeName>),
    /// Move the channel, then call [`Rollout::switched`].
    Switch,
    /// Leave the channel as it is, and delete the rollout. The last action.
    Abandon {
        /// Why, for a person to read.
        reason: String,
    },
    /// Nothing more is to come: the last action.
    End,
}

/// The rollout of one release to one channel.
#[derive(Debug, Clone)]
pub struct Rollout {
    target: Target,
    /// The write that announced it to edges.
    begun: Position,
    timing: Timing,
    phase: Phase,
    edges: BTreeMap<EdgeName, Edge>,
    /// When it began to prepare, or to confirm.
    since: Duration,
    /// When the last edge confirmed.
    last_confirmed: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Phase {
    /// Edges fetch what they lack. The flag tells whether clients know which edges are waited for.
    Preparing {
        announced: bool,
    },
    /// A few edges serve the release.
    Canary(Canary),
    /// The channel is being moved.
    Switching,
    /// The channel was moved by the write at this position.
    Confirming(Position),
    Ended,
}

impl Rollout {
    /// Begins at `now` with preparing, which the write at `begun` announces to edges.
    pub fn new(target: Target, begun: Position, timing: Timing, now: Duration) -> Self {
        let phase = Phase::Preparing { announced: false };
        Self { target, begun, timing, phase, edges: BTreeMap::new(), since: now, last_confirmed: now }
    }

    /// Begins at `now` with confirming a move that was made at `position`.
    pub fn of_move(target: Target, position: Position, timing: Timing, now: Duration) -> Self {
        Self { phase: Phase::Confirming(position), ..Self::new(target, position, timing, now) }
    }

    /// What is rolled out.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Takes the edges of the fleet.
    pub fn set_members(&mut self, members: &BTreeSet<EdgeName>, now: Duration) {
        self.edges.retain(|name, _| members.contains(name));
        for name in members {
            self.edges.entry(name.clone()).or_insert_with(|| Edge::new(now));
        }
    }

    /// Takes the last report of an edge, received at `received` or, by the wall clock, at `time`. Ignored if it is not in the fleet.
    pub fn report(&mut self, edge: &EdgeName, report: &Arc<EdgeReport>, received: Duration, time: Timestamp) {
        let moved = match self.phase {
            Phase::Confirming(position) => Some(position),
            _ => None,
        };
        if let Some(edge) = self.edges.get_mut(edge) {
            let last = LastReport { received, time, report: Arc::clone(report) };
            edge.take(&self.target, self.begun, moved, last);
        }
    }

    /// The channel was moved at `position`.
    pub fn switched(&mut self, position: Position, now: Duration) {
        self.phase = Phase::Confirming(position);
        (self.since, self.last_confirmed) = (now, now);
        for edge in self.edges.values_mut() {
            edge.progressed = now;
        }
    }

    /// The origin is in this generation now, in which numbers go on where those of the last one ended.
    pub fn set_generation(&mut self, generation: Generation) {
        self.begun.generation = generation;
        if let Phase::Confirming(position) = &mut self.phase {
            position.generation = generation;
        }
    }

    /// What is to be done at `now`. Call it after each fact, and at [`Rollout::deadline`].
    pub fn poll(&mut self, now: Duration) -> Vec<Action> {
        match &self.phase {
            Phase::Preparing { announced } => self.prepare(*announced, now),
            Phase::Canary(_) => self.poll_canary(now),
            Phase::Confirming(position) => self.confirm(*position, now),
            Phase::Switching | Phase::Ended => Vec::new(),
        }
    }

    /// When to poll again if nothing happens.
    pub fn deadline(&self) -> Option<Duration> {
        match &self.phase {
            Phase::Preparing { .. } => self.preparing_deadline(),
            Phase::Canary(canary) => Some(canary.deadline(&self.edges, &self.timing)),
            Phase::Confirming(_) => self.confirming_deadline(),
            Phase::Switching | Phase::Ended => None,
        }
    }

    fn prepare(&mut self, announced: bool, now: Duration) -> Vec<Action> {
        let timing = self.timing;
        let waited_for = |edge: &Edge| edge.presence(&timing, now) >= Presence::Expected && !edge.is_draining();
        let mut actions = Vec::new();
        if !announced {
            self.phase = Phase::Preparing { announced: true };
            let edges = self.edges.iter().filter(|(_, edge)| waited_for(edge)).map(|(name, _)| name.clone()).collect();
            actions.push(Action::Tell(Progress::Preparing { release: self.target.release, edges }));
        }
        let total = self.edges.values().filter(|edge| waited_for(edge)).count() as u64;
        let is_counted = |edge: &&Edge| waited_for(edge) && edge.is_announced_prepared();
        let mut done = self.edges.values().filter(is_counted).count() as u64;
        for (name, edge) in self.edges.iter_mut().filter(|(_, edge)| waited_for(edge)) {
            if edge.tell(now, timing.tell) {
                done += u64::from(edge.preparation.prepared);
                actions.push(Action::Tell(if edge.preparation.prepared {
                    Progress::Prepared { edge: name.clone(), done, total }
                } else {
                    edge.preparation.fetching(name.clone())
                }));
            }
        }
        let mut missing = self.edges.values().filter(|edge| waited_for(edge) && !edge.preparation.prepared);
        if self.since + timing.longest <= now || missing.all(|edge| edge.reports_stall(&timing, now)) {
            actions.push(self.decide(now));
        }
        actions
    }

    /// When the last edge that is not prepared is given up, unless it reports before: one that reports is given up when it does.
    fn preparing_deadline(&self) -> Option<Duration> {
        let Timing { live, stall, longest, .. } = self.timing;
        let missing = self.edges.values().filter(|edge| !edge.preparation.prepared);
        let given_up = missing.map(|edge| match edge.last_report {
            None => edge.silent_after(live).min(edge.progressed + stall),
            Some(_) => edge.silent_after(live),
        });
        Some(given_up.max()?.min(self.since + longest))
    }

    /// Switches or begins a canary, or abandons the rollout if fewer than half of the live edges are prepared. Those that join count
    /// only if all do. Without a live edge it switches.
    fn decide(&mut self, now: Duration) -> Action {
        let is_live = |edge: &Edge| edge.is_live(&self.timing, now);
        let all_join = self.edges.values().filter(|edge| is_live(edge)).all(|edge| edge.is_joining(&self.timing));
        let counts = |edge: &&Edge| is_live(edge) && (all_join || !edge.is_joining(&self.timing));
        let live = self.edges.values().filter(counts).count();
        let prepared = self.edges.values().filter(counts).filter(|edge| edge.preparation.prepared).count();
        if prepared * 2 >= live {
            return self.switch_or_start_canary(live, now);
        }
        let missing = self.edges.iter().filter(|(_, edge)| counts(edge) && !edge.preparation.prepared);
        let reasons: Vec<String> =
            missing.map(|(name, edge)| format!("{name}: {}", edge.preparation.describe(&self.timing))).collect();
        self.abandon(format!("{} of {live} live edges are not prepared: {}", live - prepared, reasons.join("; ")))
    }

    /// Begins a canary if one is planned and possible, of `live` edges; else switches.
    fn switch_or_start_canary(&mut self, live: usize, now: Duration) -> Action {
        let Some(plan) = self.target.canary else { return self.switch() };
        match Canary::begin(plan, self.target.manifest, &self.edges, live, &self.timing, now) {
            Some(canary) => {
                let edges = canary.edges().clone();
                self.phase = Phase::Canary(canary);
                Action::StartCanary(edges)
            }
            None if self.target.has_canary_edges => {
                let reason = "the origin was restarted during its canary, and too few edges are left to go on with it";
                self.abandon(reason.to_owned())
            }
            None => self.switch(),
        }
    }

    fn poll_canary(&mut self, now: Duration) -> Vec<Action> {
        let Phase::Canary(canary) = &mut self.phase else { return Vec::new() };
        let (news, outcome) = canary.poll(&self.edges, &self.timing, now);
        let decision = outcome.map(|outcome| match outcome {
            Outcome::Good => self.switch(),
            Outcome::Bad(reason) => self.abandon(reason),
        });
        news.map(Action::Tell).into_iter().chain(decision).collect()
    }

    fn switch(&mut self) -> Action {
        self.phase = Phase::Switching;
        Action::Switch
    }

    fn abandon(&mut self, reason: String) -> Action {
        self.phase = Phase::Ended;
        Action::Abandon { reason }
    }

    fn confirm(&mut self, position: Position, now: Duration) -> Vec<Action> {
        let timing = self.timing;
        // A draining edge is not waited for: readers are sent elsewhere, and it catches up when it is back.
        let waited_for =
            |edge: &Edge| edge.has_confirmed || edge.presence(&timing, now) > Presence::Away && !edge.is_draining();
        let total = self.edges.values().filter(|edge| waited_for(edge)).count() as u64;
        let mut done = self.edges.values().filter(|edge| edge.has_confirmed).count() as u64;
        let mut actions = Vec::new();
        for (name, edge) in &mut self.edges {
            let HostLabel { site, channel } = &self.target.label;
            let confirms = |last: &LastReport| last.report.confirms(position, site, channel);
            if !edge.has_confirmed && waited_for(edge) && edge.last_report.as_ref().is_some_and(confirms) {
                edge.has_confirmed = true;
                self.last_confirmed = now;
                done += 1;
                let elapsed_ms = millis(now.saturating_sub(self.since));
                actions.push(Action::Tell(Progress::Confirmed { edge: name.clone(), done, total, elapsed_ms }));
            }
        }
        let mut missing = self.edges.values().filter(|edge| waited_for(edge) && !edge.has_confirmed);
        if self.since + timing.longest <= now || missing.all(|edge| edge.has_stalled(&timing, now)) {
            actions.extend([Action::Tell(self.finished(position, now)), Action::End]);
            self.phase = Phase::Ended;
        }
        actions
    }

    /// When the last edge that has not confirmed is given up.
    fn confirming_deadline(&self) -> Option<Duration> {
        let Timing { away, stall, longest, .. } = self.timing;
        let missing = self.edges.values().filter(|edge| !edge.has_confirmed);
        let given_up = missing.map(|edge| edge.silent_after(away).min(edge.progressed + stall)).max()?;
        Some(given_up.min(self.since + longest))
    }

    /// The final event, which names every edge of the fleet that has not confirmed and is not draining.
    fn finished(&self, position: Position, now: Duration) -> Progress {
        let is_named = |edge: &Edge| !edge.has_confirmed && !edge.is_draining();
        let lagging = self.edges.iter().filter(|(_, edge)| is_named(edge)).map(|(name, edge)| LaggingEdge {
            edge: name.clone(),
            reason: self.lag_reason(edge, position, now),
            away: edge.presence(&self.timing, now) == Presence::Away,
            last_seen: edge.last_report.as_ref().map(|last| last.time),
        });
        let confirmed = self.edges.iter().filter(|(_, edge)| edge.has_confirmed).map(|(name, _)| name.clone());
        Progress::Finished {
            confirmed: confirmed.collect(),
            lagging: lagging.collect(),
            elapsed_ms: millis(self.last_confirmed.saturating_sub(self.since)),
        }
    }

    fn lag_reason(&self, edge: &Edge, position: Position, now: Duration) -> String {
        let Some(last) = &edge.last_report else { return "not seen since the origin started".to_owned() };
        match self.target.lag(&last.report) {
            _ if edge.presence(&self.timing, now) < Presence::Live => {
                format!("last seen {} s ago", now.saturating_sub(last.received).as_secs())
            }
            Some(lag) => lag.reason.clone(),
            None if let Some(reason) = &last.report.not_saving => format!("it does not save what it serves: {reason}"),
            None if last.report.applied == Position::default() => {
                "it has read another history of the origin".to_owned()
            }
            None if last.report.applied.includes(position) => {
                let channels = last.report.lagging.len() as u64 + last.report.lagging_omitted;
                format!("it lags with {channels} channels")
            }
            None => format!("it has applied {} of {position}", last.report.applied),
        }
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::canary::CanaryPlan;

    use super::super::test_support::{counted, name, report, seconds, target, with_lag};
    use super::*;

    struct TestRollout {
        rollout: Rollout,
        log: Vec<String>,
    }

    impl TestRollout {
        /// A rollout that begins `now` seconds after the origin started.
        fn new(members: &[&str], now: u64) -> Self {
            let mut rollout = Rollout::new(target(), "1-6".parse().unwrap(), Timing::default(), seconds(now));
            rollout.set_members(&members.iter().copied().map(name).collect(), seconds(now));
            Self { rollout, log: Vec::new() }
        }

        fn report(&mut self, edge: &str, report: &EdgeReport, at: u64) {
            self.rollout.report(&name(edge), &Arc::new(report.clone()), seconds(at), Timestamp(at * 1000));
        }

        /// Polls, carries out a switch at once, and returns what happened.
        fn poll(&mut self, now: u64) -> Vec<String> {
            let mut happened = Vec::new();
            loop {
                let actions = self.rollout.poll(seconds(now));
                if actions.is_empty() {
                    self.log.extend(happened.clone());
                    return happened;
                }
                for action in actions {
                    if action == Action::Switch {
                        self.rollout.switched("1-7".parse().unwrap(), seconds(now));
                    }
                    happened.push(describe(&action));
                }
            }
        }
    }

    fn describe(action: &Action) -> String {
        match action {
            Action::Tell(Progress::Preparing { edges, .. }) => format!("preparing {edges:?}"),
            Action::Tell(Progress::Fetching { edge, done, total, .. }) => format!("{edge} {done} of {total}"),
            Action::Tell(Progress::Prepared { edge, done, total }) => format!("{edge} prepared {done}/{total}"),
            Action::Tell(Progress::Confirmed { edge, done, total, elapsed_ms }) => {
                format!("{edge} confirmed {done}/{total} after {elapsed_ms}")
            }
            Action::Tell(Progress::Finished { confirmed, lagging, elapsed_ms }) => {
                let lagging = lagging
                    .iter()
                    .map(|lag| format!("{}{}: {}", lag.edge, if lag.away { " (away)" } else { "" }, lag.reason));
                format!("finished {confirmed:?} after {elapsed_ms}, lagging {:?}", lagging.collect::<Vec<_>>())
            }
            Action::Tell(Progress::Canary { elapsed_ms, canary, baseline, .. }) => format!(
                "after {elapsed_ms}: {} of {} not found, before {} of {}",
                canary.not_found, canary.responses, baseline.not_found, baseline.responses
            ),
            Action::Tell(other) => format!("{other:?}"),
            Action::StartCanary(edges) => format!("start on {edges:?}"),
            Action::Switch => "switch".to_owned(),
            Action::Abandon { reason } => format!("abandon: {reason}"),
            Action::End => "end".to_owned(),
        }
    }

    #[test]
    fn channel_switches_when_every_live_edge_is_prepared_and_ends_when_each_confirms() {
        let mut test = TestRollout::new(&["a", "b"], 100);
        test.report("a", &report(6, None), 99);
        test.report("b", &report(6, None), 99);
        assert_eq!(test.poll(100), ["preparing [a, b]"]);
        test.report("a", &report(6, Some((3, 9, false))), 101);
        test.report("b", &report(6, Some((9, 9, true))), 101);
        assert_eq!(test.poll(101), ["a 3 of 9", "b prepared 1/2"]);
        test.report("a", &report(6, Some((9, 9, true))), 109);
        assert_eq!(test.poll(109), ["a prepared 2/2", "switch"]);
        test.report("b", &with_lag(report(7, None), "demo", "saving"), 109);
        test.report("a", &report(7, None), 110);
        assert_eq!(test.poll(110), ["a confirmed 1/2 after 1000"]);
        test.report("b", &report(7, None), 112);
        assert_eq!(test.poll(112), ["b confirmed 2/2 after 3000", "finished [a, b] after 3000, lagging []", "end"]);
        assert!(test.poll(500).is_empty() && test.rollout.deadline().is_none());
    }

    #[test]
    fn without_a_live_edge_the_channel_switches_at_once_and_silent_edges_are_named() {
        let mut none = TestRollout::new(&[], 0);
        assert_eq!(none.poll(0), ["preparing []", "switch", "finished [] after 0, lagging []", "end"]);
        let mut silent = TestRollout::new(&["away", "silent"], 1000);
        silent.report("away", &report(6, None), 100);
        silent.report("silent", &report(6, None), 950);
        assert_eq!(silent.poll(1000), ["preparing []", "switch"]);
        assert_eq!(silent.rollout.deadline(), Some(seconds(1010)));
        assert_eq!(
            silent.poll(1010),
            [
                "finished [] after 0, lagging [\"away (away): last seen 910 s ago\", \"silent: last seen 60 s ago\"]",
                "end"
            ]
        );
    }

    #[test]
    fn edges_not_seen_yet_are_waited_for_after_a_start_of_the_origin() {
        let mut test = TestRollout::new(&["a", "dead"], 1);
        assert_eq!(test.poll(1), ["preparing [a, dead]"]);
        test.report("a", &report(6, None), 2);
        test.report("a", &report(6, Some((9, 9, true))), 3);
        assert_eq!(test.poll(3), ["a prepared 1/2"]);
        assert_eq!(test.rollout.deadline(), Some(seconds(11)));
        assert_eq!(test.poll(11), ["switch"]);
        test.report("a", &report(7, None), 12);
        assert_eq!(test.poll(12), ["a confirmed 1/2 after 1000"]);
        let finished = "finished [a] after 1000, lagging [\"dead: not seen since the origin started\"]";
        assert_eq!(test.poll(21), [finished, "end"]);
        let mut later = TestRollout::new(&["dead"], 700);
        let finished = "finished [] after 0, lagging [\"dead (away): not seen since the origin started\"]";
        assert_eq!(later.poll(700), ["preparing []", "switch", finished, "end"]);
    }

    #[test]
    fn stalled_minority_does_not_hold_the_others_and_a_stalled_majority_abandons() {
        for (prepared, outcome) in [(1, "switch"), (0, "abandon")] {
            let mut test = TestRollout::new(&["a", "b"], 100);
            test.report("a", &report(6, Some((9, 9, prepared > 0))), 100);
            test.report("b", &report(6, Some((1, 9, false))), 100);
            test.poll(100);
            for at in [105, 109] {
                test.report("a", &report(6, Some((9, 9, prepared > 0))), at);
                test.report("b", &report(6, Some((at, 900, false))), at);
                assert!(test.poll(at).iter().all(|action| action.starts_with("b ")), "{at}");
            }
            test.report("b", &report(6, Some((109, 900, false))), 118);
            test.report("a", &report(6, Some((9, 9, prepared > 0))), 118);
            assert_eq!(test.poll(118), [""; 0], "b made progress 9 s ago");
            assert_eq!(test.poll(119), [""; 0], "neither has said that it makes no progress");
            for edge in ["a", "b"] {
                let preparation = if edge == "a" { (9, 9, prepared > 0) } else { (109, 900, false) };
                test.report(edge, &report(6, Some(preparation)), 119);
            }
            let end = test.poll(119).pop().unwrap();
            assert!(end.starts_with(outcome), "{end}");
            if outcome == "abandon" {
                let reason = "2 of 2 live edges are not prepared: a: 9 of 9 bytes fetched, no progress for 10 s; \
                              b: 109 of 900 bytes fetched, no progress for 10 s";
                assert_eq!(end, format!("abandon: {reason}"));
                assert!(test.poll(200).is_empty());
            }
        }
    }

    #[test]
    fn joining_edge_that_fetches_other_sites_holds_up_no_switch_beyond_the_stall_limit() {
        for (site, outcome) in [(Some("news"), Some("switch")), (None, None)] {
            let mut test = TestRollout::new(&["a", "joining"], 100);
            test.report("a", &report(6, Some((9, 9, true))), 100);
            for at in (100..=115).step_by(5) {
                let fetching = EdgeReport { received_bytes: at << 20, ..report(6, Some((0, 9, false))) };
                let fetching = site.map_or(fetching.clone(), |site| with_lag(fetching, site, "fetching"));
                test.report("a", &report(6, Some((9, 9, true))), at);
                test.report("joining", &fetching, at);
                let last = test.poll(at).pop();
                assert_eq!(last.as_deref().filter(|_| at > 100), outcome.filter(|_| at == 110), "{site:?} at {at}");
            }
        }
    }

    #[test]
    fn unprepared_edges_that_lag_with_other_channels_abandon_a_rollout_if_all_join_or_they_are_stuck() {
        // Bytes arrive, or do not, at edges that lag with another channel for ever; one edge may be prepared.
        for (edges, is_fetching, outcome) in [
            (&["a", "b", "c"][..], false, "abandon: 3 of 3 live edges are not prepared: a: "),
            (&["a", "b", "c"], true, "abandon: 3 of 3 live edges are not prepared: a: "),
            (&["a", "b", "prepared"], false, "abandon: 2 of 3 live edges are not prepared: a: "),
            (&["a", "b", "prepared"], true, "switch"),
        ] {
            let mut test = TestRollout::new(edges, 100);
            for at in (100..=110).step_by(5) {
                for edge in edges {
                    let unprepared = EdgeReport {
                        received_bytes: if is_fetching { at << 20 } else { 7 },
                        ..report(6, Some((0, 9, false)))
                    };
                    let prepared = *edge == "prepared";
                    let lagging = with_lag(unprepared, "news", "1 of 2 blobs");
                    test.report(edge, &if prepared { report(6, Some((9, 9, true))) } else { lagging }, at);
                }
                test.poll(at);
            }
            let end = test.log.iter().find(|action| action.starts_with("abandon") || *action == "switch").unwrap();
            assert!(end.starts_with(outcome), "{edges:?}, fetching {is_fetching}: {end}");
        }
    }

    #[test]
    fn live_edge_that_falls_silent_is_waited_for_until_it_is_not_live() {
        let mut test = TestRollout::new(&["a", "cut"], 100);
        test.report("a", &report(6, Some((9, 9, true))), 100);
        test.report("cut", &report(5, None), 99);
        assert_eq!(test.poll(100), ["preparing [a, cut]", "a prepared 1/2"]);
        test.report("a", &report(6, Some((9, 9, true))), 113);
        assert_eq!(test.poll(114), [""; 0], "readers are still sent to it");
        assert_eq!(test.rollout.deadline(), Some(Duration::from_millis(114_001)));
        assert_eq!(test.poll(115), ["switch"]);
    }

    #[test]
    fn preparation_of_an_earlier_rollout_does_not_count() {
        let mut test = TestRollout::new(&["a"], 100);
        test.report("a", &report(5, Some((9, 9, true))), 100);
        assert_eq!(test.poll(100), ["preparing [a]"]);
        test.report("a", &report(6, Some((0, 9, false))), 101);
        test.report("a", &report(6, Some((9, 9, true))), 102);
        assert_eq!(test.poll(102), ["a prepared 1/1", "switch"]);
    }

    #[test]
    fn draining_removed_and_older_edges_are_not_waited_for() {
        let mut test = TestRollout::new(&["a", "drains", "older", "removed"], 100);
        let older = EdgeReport { preparations: None, ..report(6, None) };
        for edge in ["a", "drains", "removed"] {
            test.report(edge, &report(6, None), 100);
        }
        test.report("older", &older, 100);
        assert_eq!(test.poll(100), ["preparing [a, drains, older, removed]", "older prepared 1/4"]);
        test.report("drains", &EdgeReport { draining: true, ..report(6, None) }, 101);
        test.rollout.set_members(&["a", "drains", "older"].map(name).into_iter().collect(), seconds(101));
        test.report("removed", &report(6, None), 101);
        test.report("a", &report(6, Some((9, 9, true))), 101);
        assert_eq!(test.poll(101), ["a prepared 2/2", "switch"]);
        test.report("a", &report(7, None), 102);
        test.report("older", &EdgeReport { preparations: None, ..report(7, None) }, 102);
        let finished = "finished [a, older] after 1000, lagging []";
        assert_eq!(test.poll(102), ["a confirmed 1/2 after 1000", "older confirmed 2/2 after 1000", finished, "end"]);
    }

    /// A rollout with a canary of 60 s on one edge.
    fn with_canary(members: &[&str], now: u64) -> TestRollout {
        let mut test = TestRollout::new(members, now);
        test.rollout.target.canary = Some(CanaryPlan { edges: "1".parse().unwrap(), seconds: 60 });
        test
    }

    /// The action that begins a canary on one edge, and what that edge is called.
    fn started(action: Option<String>) -> String {
        let action = action.unwrap();
        let edge = action.strip_prefix("start on {").and_then(|rest| rest.strip_suffix('}'));
        edge.unwrap_or_else(|| panic!("{action}")).to_owned()
    }

    #[test]
    fn planned_canary_comes_before_the_switch_and_a_bad_one_abandons() {
        for (not_found, outcome) in [(1, "switch"), (30, "abandon: on its canary edges, 30 of 100 responses")] {
            let mut test = with_canary(&["a", "b"], 100);
            for edge in ["a", "b"] {
                test.report(edge, &report(6, Some((9, 9, true))), 100);
            }
            let canary = started(test.poll(100).pop());
            assert_eq!(test.rollout.deadline(), Some(seconds(110)));
            test.report(&canary, &counted(true, 100, not_found), 101);
            test.poll(101);
            test.report(&canary, &counted(true, 100, not_found), 161);
            test.poll(161);
            let end = test.log.iter().find(|action| action.starts_with(outcome));
            assert!(end.is_some(), "{:?}", test.log);
            assert_eq!(test.log.iter().any(|action| action == "switch"), outcome == "switch");
        }
    }

    #[test]
    fn channel_switches_without_a_canary_if_no_edge_would_serve_the_release_before() {
        let mut test = with_canary(&["a"], 100);
        test.report("a", &report(6, Some((9, 9, true))), 100);
        assert_eq!(test.poll(100).pop().unwrap(), "switch");
    }

    #[test]
    fn canary_of_an_earlier_process_is_abandoned_if_too_few_edges_are_left_and_goes_on_otherwise() {
        for (back, is_left) in [(vec![], false), (vec!["a"], false), (vec!["a", "b"], true)] {
            // The origin started a second ago: edges are waited for until they would not be live any more.
            let mut test = with_canary(&["a", "b", "c"], 1);
            test.rollout.target.has_canary_edges = true;
            assert_eq!(test.poll(1), ["preparing [a, b, c]"]);
            for edge in &back {
                test.report(edge, &report(6, Some((9, 9, true))), 2);
            }
            let decision = test.poll(11).pop();
            if is_left {
                assert!(back.contains(&started(decision).as_str()));
            } else {
                let reason = "the origin was restarted during its canary, and too few edges are left to go on with it";
                assert_eq!(decision.unwrap(), format!("abandon: {reason}"), "{back:?}");
            }
        }
    }

    #[test]
    fn edge_that_does_not_save_what_it_serves_does_not_confirm() {
        let mut test = TestRollout::new(&["a"], 1000);
        test.report("a", &report(6, Some((9, 9, true))), 1000);
        assert_eq!(test.poll(1000).last().unwrap(), "switch");
        test.report("a", &EdgeReport { not_saving: Some("no such device".to_owned()), ..report(7, None) }, 1001);
        assert_eq!(test.poll(1001), [""; 0]);
        let finished = "finished [] after 0, lagging [\"a: it does not save what it serves: no such device\"]";
        assert_eq!(test.poll(1011), [finished, "end"]);
    }

    #[test]
    fn confirmation_in_a_new_generation_counts() {
        let mut test = TestRollout::new(&["a"], 100);
        let target = test.rollout.target().clone();
        test.rollout = Rollout::of_move(target, "1-7".parse().unwrap(), Timing::default(), seconds(100));
        test.rollout.set_members(&[name("a")].into(), seconds(100));
        let mut later = report(7, None);
        later.applied.generation = Generation(2);
        test.report("a", &later, 100);
        assert_eq!(test.poll(100), [""; 0]);
        test.rollout.set_generation(Generation(2));
        assert_eq!(test.poll(100).len(), 3);
    }

    #[test]
    fn no_phase_lasts_longer_than_its_bound() {
        let mut test = TestRollout::new(&["slow"], 100);
        let mut at = 100;
        while !test.log.iter().any(|action| action.starts_with("abandon")) {
            test.report("slow", &report(6, Some((at, u64::MAX, false))), at);
            test.poll(at);
            at += 5;
        }
        assert_eq!(at - 5, 100 + Timing::default().longest.as_secs());
    }
}
