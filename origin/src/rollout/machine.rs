//! The state machine of one rollout: prepare, switch, confirm. Synchronous: facts and the time go in, actions come out.
//!
//! ```text
//! Preparing ──enough edges are prepared──► Switching ──the channel has moved──► Confirming ──► Ended
//!     │  └───and a trial is planned───► OnTrial ──good──┘ (to Switching)
//!     │                                   └───bad──► Ended (abandoned)
//!     └──────fewer than half are──────────► Ended (abandoned)
//! ```
//!
//! Times are since the origin started, by a monotonic clock: a change of the wall clock neither shortens nor extends a wait.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use verge_protocol::api::{LaggingEdge, Progress};
use verge_protocol::canary::{CanaryPlan, ResponseCounts};
use verge_protocol::host::HostLabel;
use verge_protocol::report::EdgeReport;
use verge_protocol::{Digest, EdgeName, Generation, Position, ReleaseNumber, Timestamp};

use super::timing::Timing;

/// What is rolled out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The channel.
    pub label: HostLabel,
    /// The release.
    pub release: ReleaseNumber,
    /// Its manifest.
    pub manifest: Digest,
    /// How it is tried on a few edges first.
    pub canary: Option<CanaryPlan>,
    /// Whether a few edges may serve it already, since the origin was restarted during the trial.
    pub was_on_trial: bool,
}

/// What is to be done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Tell clients.
    Tell(Progress),
    /// Let these edges serve the release, on trial.
    Try(BTreeSet<EdgeName>),
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
    /// When the phase began.
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
    OnTrial(Trial),
    /// The channel is being moved.
    Switching,
    /// The channel was moved by the write at this position.
    Confirming(Position),
    Ended,
}

/// A release that a few edges serve already.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Trial {
    plan: CanaryPlan,
    edges: BTreeSet<EdgeName>,
    /// When all of them served it, or the others were given up.
    began: Option<Duration>,
    /// What clients were told last, and when.
    told: Option<((ResponseCounts, ResponseCounts), Duration)>,
    /// Its time is over, but none of its edges serves the release at the moment.
    is_overdue: bool,
}

/// An edge of the fleet, as far as its reports tell.
#[derive(Debug, Clone)]
struct Edge {
    last_report: Option<LastReport>,
    preparation: Preparation,
    /// The preparation that clients were told last, and when.
    told: Option<(Preparation, Duration)>,
    /// When it last made progress; before any, when the phase began or when it joined the fleet.
    progressed: Duration,
    has_confirmed: bool,
    /// The release that it serves during a trial, and what readers got.
    trial: Option<(Digest, ResponseCounts)>,
}

#[derive(Debug, Clone)]
struct LastReport {
    received: Duration,
    time: Timestamp,
    report: Arc<EdgeReport>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Preparation {
    done: u64,
    total: u64,
    prepared: bool,
    problem: Option<String>,
}

/// How present an edge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Presence {
    /// It has not been heard from for long: readers are not sent to it.
    Away,
    /// It was not heard from lately, or not yet since the origin started.
    Silent,
    /// It may be live: the origin started a moment ago.
    Expected,
    /// It is live.
    Live,
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
            self.edges.entry(name.clone()).or_insert_with(|| Edge::joining(now));
        }
    }

    /// Takes the last report of an edge, received at `received` or, by the wall clock, at `time`. Ignored if it is not in the fleet.
    pub fn report(&mut self, edge: &EdgeName, report: &Arc<EdgeReport>, received: Duration, time: Timestamp) {
        let HostLabel { site, channel } = &self.target.label;
        let Some(edge) = self.edges.get_mut(edge) else { return };
        let preparation = match &report.preparations {
            // An older edge prepares nothing.
            None => Preparation { prepared: true, ..Preparation::default() },
            // What it says of the release may be of an earlier rollout, which it has not seen the end of.
            Some(_) if !report.applied.includes(self.begun) => Preparation::default(),
            Some(_) => {
                report.preparation(site, channel, self.target.manifest).map_or_else(Preparation::default, |one| {
                    let problem = one.problem.clone();
                    Preparation { done: one.done, total: one.total, prepared: one.prepared, problem }
                })
            }
        };
        let lag = |report: &EdgeReport| {
            report.lagging.iter().find(|lag| lag.site == *site && lag.channel == *channel).cloned()
        };
        // Other channels do not count: somebody always pushes somewhere.
        let confirming = match self.phase {
            Phase::Confirming(position) => Some(position),
            _ => None,
        };
        let has_progressed = edge.last_report.as_ref().is_none_or(|last| {
            if let Some(position) = confirming {
                let approaches = !last.report.applied.includes(position) && last.report.applied != report.applied;
                return approaches || lag(&last.report) != lag(report);
            }
            let before = &edge.preparation;
            let fetched = (before.done, before.total, before.prepared);
            // Bytes of a blob that is not complete yet: a slow line takes long for one.
            let has_new_bytes = last.report.received_bytes != report.received_bytes && preparation.problem.is_none();
            fetched != (preparation.done, preparation.total, preparation.prepared) || has_new_bytes
        });
        if has_progressed {
            edge.progressed = edge.progressed.max(received);
        }
        edge.preparation = preparation;
        let mut trials = report.trials.iter().filter(|trial| trial.site == *site && trial.channel == *channel);
        edge.trial = trials.next().map(|trial| (trial.manifest, trial.counts));
        edge.last_report = Some(LastReport { received, time, report: Arc::clone(report) });
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
            Phase::OnTrial(trial) => self.judge(trial.clone(), now),
            Phase::Confirming(position) => self.confirm(*position, now),
            Phase::Switching | Phase::Ended => Vec::new(),
        }
    }

    /// When to poll again if nothing happens.
    pub fn deadline(&self) -> Option<Duration> {
        let Timing { live, away, stall, longest, .. } = self.timing;
        let silent = |edge: &Edge, after| edge.last_seen() + after + Duration::from_millis(1);
        let edges = self.edges.values();
        let given_up = match &self.phase {
            Phase::OnTrial(Trial { began: None, .. }) => Some(self.since + stall),
            Phase::OnTrial(trial @ Trial { began: Some(began), .. }) => {
                let end = Some(*began + Duration::from_secs(trial.plan.seconds)).filter(|_| !trial.is_overdue);
                return end.into_iter().chain(self.next_silence(trial)).min();
            }
            // One that reports is given up when it does.
            Phase::Preparing { .. } => {
                let missing = edges.filter(|edge| !edge.preparation.prepared);
                let given_up = |edge: &Edge| match edge.last_report {
                    None => silent(edge, live).min(edge.progressed + stall),
                    Some(_) => silent(edge, live),
                };
                missing.map(given_up).max()
            }
            Phase::Confirming(_) => {
                let missing = edges.filter(|edge| !edge.has_confirmed);
                missing.map(|edge| silent(edge, away).min(edge.progressed + stall)).max()
            }
            Phase::Switching | Phase::Ended => None,
        };
        Some(given_up?.min(self.since + longest))
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
        let was_prepared = |edge: &Edge| edge.told.as_ref().is_some_and(|(told, _)| told.prepared);
        let mut done = self.edges.values().filter(|edge| waited_for(edge) && was_prepared(edge)).count() as u64;
        for (name, edge) in self.edges.iter_mut().filter(|(_, edge)| waited_for(edge)) {
            let event = edge.tell(now, timing.tell).then(|| {
                let Preparation { done: bytes, total: all, prepared, problem } = edge.preparation.clone();
                done += u64::from(prepared);
                if prepared {
                    Progress::Prepared { edge: name.clone(), done, total }
                } else {
                    Progress::Fetching { edge: name.clone(), done: bytes, total: all, problem }
                }
            });
            actions.extend(event.map(Action::Tell));
        }
        let mut missing = self.edges.values().filter(|edge| waited_for(edge) && !edge.preparation.prepared);
        let is_over = self.since + timing.longest <= now || missing.all(|edge| edge.reports_stall(&timing, now));
        if is_over {
            actions.push(self.decide(now));
        }
        actions
    }

    /// Judges a release on trial by what its edges report; switches at the end of the trial.
    fn judge(&mut self, mut trial: Trial, now: Duration) -> Vec<Action> {
        let manifest = self.target.manifest;
        let on_trial = self.edges.iter().filter(|(name, _)| trial.edges.contains(*name)).map(|(_, edge)| edge);
        let on_trial: Vec<&Edge> = on_trial.collect();
        // One that drains may be back in a moment.
        if on_trial.iter().all(|edge| edge.presence(&self.timing, now) < Presence::Expected) {
            return self.abandon("no edge that serves it on trial reports any more".to_owned());
        }
        let is_live = |edge: &Edge| edge.presence(&self.timing, now) == Presence::Live && !edge.is_draining();
        let serves = |edge: &Edge| is_live(edge) && edge.trial.is_some_and(|(served, _)| served == manifest);
        let serving = on_trial.iter().filter(|edge| serves(edge)).count();
        let live = on_trial.iter().filter(|edge| is_live(edge)).count();
        if trial.began.is_none() && (serving == live && live > 0 || self.since + self.timing.stall <= now) {
            if serving == 0 {
                return self.abandon("no edge began to serve it on trial".to_owned());
            }
            trial.began = Some(now);
        }
        let (mut canary, mut baseline) = (ResponseCounts::default(), ResponseCounts::default());
        for (served, counts) in self.edges.values().filter_map(|edge| edge.trial) {
            *if served == manifest { &mut canary } else { &mut baseline } += counts;
        }
        let Some(began) = trial.began else {
            self.phase = Phase::OnTrial(trial);
            return Vec::new();
        };
        let (elapsed, duration) = (now.saturating_sub(began), Duration::from_secs(trial.plan.seconds));
        let verdict = super::canary::verdict(&canary, &baseline);
        // What nobody serves any more is not known to be good.
        trial.is_overdue = elapsed >= duration && serving == 0;
        let is_over = verdict.is_some() || elapsed >= duration && serving > 0;
        let mut actions = Vec::new();
        let is_news = trial.told.is_none_or(|(told, at)| told != (canary, baseline) && at + self.timing.tell <= now);
        if is_news || is_over {
            trial.told = Some(((canary, baseline), now));
            actions.push(Action::Tell(Progress::Canary {
                edges: trial.edges.iter().cloned().collect(),
                elapsed_ms: millis(elapsed.min(duration)),
                duration_ms: millis(duration),
                canary,
                baseline,
            }));
        }
        match verdict {
            Some(seen) => actions.extend(self.abandon(format!("on trial, {seen}"))),
            None if is_over => {
                self.phase = Phase::Switching;
                actions.push(Action::Switch);
            }
            None => self.phase = Phase::OnTrial(trial),
        }
        actions
    }

    /// When the last live edge on trial will have been silent for too long.
    fn next_silence(&self, trial: &Trial) -> Option<Duration> {
        let on_trial = self.edges.iter().filter(|(name, _)| trial.edges.contains(*name));
        on_trial.map(|(_, edge)| edge.last_seen() + self.timing.live + Duration::from_millis(1)).max()
    }

    fn abandon(&mut self, reason: String) -> Vec<Action> {
        self.phase = Phase::Ended;
        vec![Action::Abandon { reason }]
    }

    /// Switches or begins a trial, or abandons the rollout if fewer than half of the live edges are prepared. Without a live edge it
    /// switches.
    fn decide(&mut self, now: Duration) -> Action {
        let HostLabel { site, channel } = &self.target.label;
        // One that lags with other channels too has just joined, or was away: it has more to fetch than this release.
        let is_joining = |edge: &Edge| {
            let mut lagging = edge.last_report.iter().flat_map(|last| &last.report.lagging);
            !edge.preparation.prepared && lagging.any(|lag| lag.site != *site || lag.channel != *channel)
        };
        let is_live = |edge: &&Edge| {
            edge.presence(&self.timing, now) == Presence::Live && !edge.is_draining() && !is_joining(edge)
        };
        let live = self.edges.values().filter(is_live).count();
        let prepared = self.edges.values().filter(is_live).filter(|edge| edge.preparation.prepared).count();
        if prepared * 2 >= live {
            return self.try_or_switch(live, now);
        }
        let missing = self.edges.iter().filter(|(_, edge)| is_live(edge) && !edge.preparation.prepared);
        let reasons: Vec<String> =
            missing.map(|(name, edge)| format!("{name}: {}", edge.preparation.describe(&self.timing))).collect();
        self.phase = Phase::Ended;
        let reason = format!("{} of {live} live edges are not prepared: {}", live - prepared, reasons.join("; "));
        Action::Abandon { reason }
    }

    /// Begins a trial if one is planned and possible, of `live` edges; else switches.
    fn try_or_switch(&mut self, live: usize, now: Duration) -> Action {
        let can_try = |edge: &Edge| {
            let prepares = edge.last_report.as_ref().is_some_and(|last| last.report.preparations.is_some());
            prepares && edge.presence(&self.timing, now) == Presence::Live && !edge.is_draining()
        };
        let able = self.edges.iter().filter(|(_, edge)| can_try(edge) && edge.preparation.prepared);
        let edges = self.target.canary.map(|plan| {
            super::canary::choose(plan.edges, self.target.manifest, able.map(|(name, _)| name.clone()), live)
        });
        match (self.target.canary, edges.unwrap_or_default()) {
            (Some(plan), edges) if !edges.is_empty() => {
                let trial = Trial { plan, edges: edges.clone(), began: None, told: None, is_overdue: false };
                (self.phase, self.since) = (Phase::OnTrial(trial), now);
                Action::Try(edges)
            }
            (Some(_), _) if self.target.was_on_trial => {
                self.phase = Phase::Ended;
                let reason = "the origin was restarted during its trial, and too few edges are left to go on with it";
                Action::Abandon { reason: reason.to_owned() }
            }
            _ => {
                self.phase = Phase::Switching;
                Action::Switch
            }
        }
    }

    fn confirm(&mut self, position: Position, now: Duration) -> Vec<Action> {
        let HostLabel { site, channel } = &self.target.label;
        let timing = self.timing;
        // A draining edge is not waited for: readers are sent elsewhere, and it catches up when it is back.
        let waited_for =
            |edge: &Edge| edge.has_confirmed || edge.presence(&timing, now) > Presence::Away && !edge.is_draining();
        let total = self.edges.values().filter(|edge| waited_for(edge)).count() as u64;
        let mut done = self.edges.values().filter(|edge| edge.has_confirmed).count() as u64;
        let mut actions = Vec::new();
        for (name, edge) in &mut self.edges {
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
        let HostLabel { site, channel } = &self.target.label;
        match last.report.lagging.iter().find(|lag| lag.site == *site && lag.channel == *channel) {
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

impl Edge {
    fn joining(now: Duration) -> Self {
        let preparation = Preparation::default();
        Self { last_report: None, preparation, told: None, progressed: now, has_confirmed: false, trial: None }
    }

    fn is_draining(&self) -> bool {
        self.last_report.as_ref().is_some_and(|last| last.report.draining)
    }

    /// One not seen yet counts as seen when the origin started.
    fn last_seen(&self) -> Duration {
        self.last_report.as_ref().map_or(Duration::ZERO, |last| last.received)
    }

    fn presence(&self, timing: &Timing, now: Duration) -> Presence {
        let age = now.saturating_sub(self.last_seen());
        if age > timing.away {
            Presence::Away
        } else if age > timing.live {
            Presence::Silent
        } else if self.last_report.is_none() {
            Presence::Expected
        } else {
            Presence::Live
        }
    }

    fn has_stalled(&self, timing: &Timing, now: Duration) -> bool {
        self.progressed + timing.stall <= now
    }

    /// Whether its last report says that it has made no progress for too long. Of one that has fallen silent that is not known: readers
    /// are sent to it as long as it is live, and it would have none of the files of the release.
    fn reports_stall(&self, timing: &Timing, now: Duration) -> bool {
        let heard = self.last_report.as_ref().map_or(now, |last| last.received);
        self.progressed + timing.stall <= heard
    }

    /// Whether its preparation is news for clients: at most every `interval`, but for being prepared.
    fn tell(&mut self, now: Duration, interval: Duration) -> bool {
        let is_news = match &self.told {
            None => self.preparation != Preparation::default(),
            Some((told, at)) => {
                *told != self.preparation && (self.preparation.prepared || told.prepared || *at + interval <= now)
            }
        };
        if is_news {
            self.told = Some((self.preparation.clone(), now));
        }
        is_news
    }
}

impl Preparation {
    fn describe(&self, timing: &Timing) -> String {
        let seconds = timing.stall.as_secs();
        match &self.problem {
            Some(problem) => problem.clone(),
            None if self.total == 0 => format!("it has not fetched the manifest, no progress for {seconds} s"),
            None => format!("{} of {} bytes fetched, no progress for {seconds} s", self.done, self.total),
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use verge_protocol::Seq;
    use verge_protocol::report::{Lag, Preparation as Reported, TrialCounts};

    use super::*;

    const MANIFEST: &[u8] = b"manifest";

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn name(name: &str) -> EdgeName {
        name.parse().unwrap()
    }

    /// A report at position 1-`seq`, with a preparation of (done, total, prepared).
    fn report(seq: u64, preparation: Option<(u64, u64, bool)>) -> EdgeReport {
        let preparation = preparation.map(|(done, total, prepared)| Reported {
            site: "demo".parse().unwrap(),
            channel: "live".parse().unwrap(),
            manifest: Digest::of(MANIFEST),
            done,
            total,
            prepared,
            problem: None,
        });
        let preparations = Some(preparation.into_iter().collect());
        EdgeReport { preparations, ..EdgeReport::new(format!("1-{seq}").parse().unwrap(), "0") }
    }

    fn with_lag(mut report: EdgeReport, reason: &str) -> EdgeReport {
        let (site, channel) = ("demo".parse().unwrap(), "live".parse().unwrap());
        report.lagging.push(Lag { site, channel, seq: Seq(7), reason: reason.to_owned() });
        report
    }

    struct Scene {
        rollout: Rollout,
        log: Vec<String>,
    }

    impl Scene {
        /// A rollout that begins `now` seconds after the origin started.
        fn new(members: &[&str], now: u64) -> Self {
            let target = Target {
                label: "demo".parse().unwrap(),
                release: ReleaseNumber(2),
                manifest: Digest::of(MANIFEST),
                canary: None,
                was_on_trial: false,
            };
            let mut rollout = Rollout::new(target, "1-6".parse().unwrap(), Timing::default(), seconds(now));
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
            Action::Try(edges) => format!("try on {edges:?}"),
            Action::Switch => "switch".to_owned(),
            Action::Abandon { reason } => format!("abandon: {reason}"),
            Action::End => "end".to_owned(),
        }
    }

    #[test]
    fn channel_switches_when_every_live_edge_is_prepared_and_ends_when_each_confirms() {
        let mut scene = Scene::new(&["a", "b"], 100);
        scene.report("a", &report(6, None), 99);
        scene.report("b", &report(6, None), 99);
        assert_eq!(scene.poll(100), ["preparing [a, b]"]);
        scene.report("a", &report(6, Some((3, 9, false))), 101);
        scene.report("b", &report(6, Some((9, 9, true))), 101);
        assert_eq!(scene.poll(101), ["a 3 of 9", "b prepared 1/2"]);
        scene.report("a", &report(6, Some((9, 9, true))), 109);
        assert_eq!(scene.poll(109), ["a prepared 2/2", "switch"]);
        scene.report("b", &with_lag(report(7, None), "saving"), 109);
        scene.report("a", &report(7, None), 110);
        assert_eq!(scene.poll(110), ["a confirmed 1/2 after 1000"]);
        scene.report("b", &report(7, None), 112);
        assert_eq!(scene.poll(112), ["b confirmed 2/2 after 3000", "finished [a, b] after 3000, lagging []", "end"]);
        assert!(scene.poll(500).is_empty() && scene.rollout.deadline().is_none());
    }

    #[test]
    fn without_a_live_edge_the_channel_switches_at_once_and_silent_edges_are_named() {
        let mut none = Scene::new(&[], 0);
        assert_eq!(none.poll(0), ["preparing []", "switch", "finished [] after 0, lagging []", "end"]);
        let mut silent = Scene::new(&["away", "silent"], 1000);
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
        let mut scene = Scene::new(&["a", "dead"], 1);
        assert_eq!(scene.poll(1), ["preparing [a, dead]"]);
        scene.report("a", &report(6, None), 2);
        scene.report("a", &report(6, Some((9, 9, true))), 3);
        assert_eq!(scene.poll(3), ["a prepared 1/2"]);
        assert_eq!(scene.rollout.deadline(), Some(seconds(11)));
        assert_eq!(scene.poll(11), ["switch"]);
        scene.report("a", &report(7, None), 12);
        assert_eq!(scene.poll(12), ["a confirmed 1/2 after 1000"]);
        let finished = "finished [a] after 1000, lagging [\"dead: not seen since the origin started\"]";
        assert_eq!(scene.poll(21), [finished, "end"]);
        let mut later = Scene::new(&["dead"], 700);
        let finished = "finished [] after 0, lagging [\"dead (away): not seen since the origin started\"]";
        assert_eq!(later.poll(700), ["preparing []", "switch", finished, "end"]);
    }

    #[test]
    fn stalled_minority_does_not_hold_the_others_and_a_stalled_majority_abandons() {
        for (prepared, outcome) in [(1, "switch"), (0, "abandon")] {
            let mut scene = Scene::new(&["a", "b"], 100);
            scene.report("a", &report(6, Some((9, 9, prepared > 0))), 100);
            scene.report("b", &report(6, Some((1, 9, false))), 100);
            scene.poll(100);
            for at in [105, 109] {
                scene.report("a", &report(6, Some((9, 9, prepared > 0))), at);
                scene.report("b", &report(6, Some((at, 900, false))), at);
                assert!(scene.poll(at).iter().all(|action| action.starts_with("b ")), "{at}");
            }
            scene.report("b", &report(6, Some((109, 900, false))), 118);
            scene.report("a", &report(6, Some((9, 9, prepared > 0))), 118);
            assert_eq!(scene.poll(118), [""; 0], "b made progress 9 s ago");
            assert_eq!(scene.poll(119), [""; 0], "neither has said that it makes no progress");
            for edge in ["a", "b"] {
                let preparation = if edge == "a" { (9, 9, prepared > 0) } else { (109, 900, false) };
                scene.report(edge, &report(6, Some(preparation)), 119);
            }
            let end = scene.poll(119).pop().unwrap();
            assert!(end.starts_with(outcome), "{end}");
            if outcome == "abandon" {
                let reason = "2 of 2 live edges are not prepared: a: 9 of 9 bytes fetched, no progress for 10 s; \
                              b: 109 of 900 bytes fetched, no progress for 10 s";
                assert_eq!(end, format!("abandon: {reason}"));
                assert!(scene.poll(200).is_empty());
            }
        }
    }

    #[test]
    fn live_edge_that_falls_silent_is_waited_for_until_it_is_not_live() {
        let mut scene = Scene::new(&["a", "cut"], 100);
        scene.report("a", &report(6, Some((9, 9, true))), 100);
        scene.report("cut", &report(5, None), 99);
        assert_eq!(scene.poll(100), ["preparing [a, cut]", "a prepared 1/2"]);
        scene.report("a", &report(6, Some((9, 9, true))), 113);
        assert_eq!(scene.poll(114), [""; 0], "readers are still sent to it");
        assert_eq!(scene.rollout.deadline(), Some(Duration::from_millis(114_001)));
        assert_eq!(scene.poll(115), ["switch"]);
    }

    #[test]
    fn preparation_of_an_earlier_rollout_does_not_count() {
        let mut scene = Scene::new(&["a"], 100);
        scene.report("a", &report(5, Some((9, 9, true))), 100);
        assert_eq!(scene.poll(100), ["preparing [a]"]);
        scene.report("a", &report(6, Some((0, 9, false))), 101);
        scene.report("a", &report(6, Some((9, 9, true))), 102);
        assert_eq!(scene.poll(102), ["a prepared 1/1", "switch"]);
    }

    #[test]
    fn draining_removed_and_older_edges_are_not_waited_for() {
        let mut scene = Scene::new(&["a", "drains", "older", "removed"], 100);
        let older = EdgeReport { preparations: None, ..report(6, None) };
        for edge in ["a", "drains", "removed"] {
            scene.report(edge, &report(6, None), 100);
        }
        scene.report("older", &older, 100);
        assert_eq!(scene.poll(100), ["preparing [a, drains, older, removed]", "older prepared 1/4"]);
        scene.report("drains", &EdgeReport { draining: true, ..report(6, None) }, 101);
        scene.rollout.set_members(&["a", "drains", "older"].map(name).into_iter().collect(), seconds(101));
        scene.report("removed", &report(6, None), 101);
        scene.report("a", &report(6, Some((9, 9, true))), 101);
        assert_eq!(scene.poll(101), ["a prepared 2/2", "switch"]);
        scene.report("a", &report(7, None), 102);
        scene.report("older", &EdgeReport { preparations: None, ..report(7, None) }, 102);
        let finished = "finished [a, older] after 1000, lagging []";
        assert_eq!(scene.poll(102), ["a confirmed 1/2 after 1000", "older confirmed 2/2 after 1000", finished, "end"]);
    }

    /// A rollout to edges a, b and c that is on trial on one of them since 100 s; the name of that one.
    fn on_trial() -> (Scene, &'static str) {
        let mut scene = Scene::new(&["a", "b", "c"], 100);
        scene.rollout.target.canary = Some(CanaryPlan { edges: "1".parse().unwrap(), seconds: 60 });
        for edge in ["a", "b", "c"] {
            scene.report(edge, &report(6, Some((9, 9, true))), 100);
        }
        let tried = scene.poll(100).pop().unwrap();
        let edge = ["a", "b", "c"].into_iter().find(|edge| tried == format!("try on {{{edge}}}")).unwrap();
        (scene, edge)
    }

    /// A report of an edge at which `not_found` of `responses` of the release, or of the one before it, were not found.
    fn counted(is_canary: bool, responses: u64, not_found: u64) -> EdgeReport {
        let manifest = Digest::of(if is_canary { MANIFEST } else { b"before" });
        let (site, channel) = ("demo".parse().unwrap(), "live".parse().unwrap());
        let counts = ResponseCounts { responses, not_found, ..ResponseCounts::default() };
        let trials = vec![TrialCounts { site, channel, manifest, counts }];
        EdgeReport { trials, ..report(6, Some((9, 9, true))) }
    }

    #[test]
    fn release_that_is_good_on_trial_goes_live_everywhere_after_it() {
        let (mut scene, canary) = on_trial();
        let tell = |scene: &mut Scene, at: u64, not_found: u64| {
            for edge in ["a", "b", "c"] {
                let report = if edge == canary { counted(true, 100, not_found) } else { counted(false, 200, 2) };
                scene.report(edge, &report, at);
            }
        };
        assert_eq!(scene.poll(101), [""; 0], "it does not serve it yet");
        tell(&mut scene, 102, 1);
        assert_eq!(scene.poll(102), ["after 0: 1 of 100 not found, before 4 of 400"]);
        assert_eq!(scene.rollout.deadline(), Some(Duration::from_millis(102_000 + 15_001)));
        for at in (105..162).step_by(5) {
            tell(&mut scene, at, 1);
            assert_eq!(scene.poll(at), [""; 0]);
        }
        assert_eq!(scene.rollout.deadline(), Some(seconds(162)));
        assert_eq!(scene.poll(162), ["after 60000: 1 of 100 not found, before 4 of 400", "switch"]);
    }

    #[test]
    fn release_that_is_bad_on_trial_or_whose_edge_falls_silent_is_abandoned() {
        let (mut scene, canary) = on_trial();
        scene.report(canary, &counted(true, 100, 30), 105);
        let bad = "abandon: on trial, 30 of 100 responses were not found (404); with the release before it, 0 of 0";
        assert_eq!(scene.poll(105), ["after 0: 30 of 100 not found, before 0 of 0", bad]);
        assert!(scene.poll(200).is_empty() && scene.rollout.deadline().is_none());

        let (mut scene, canary) = on_trial();
        scene.report(canary, &counted(true, 1, 0), 101);
        scene.poll(101);
        assert_eq!(scene.rollout.deadline(), Some(Duration::from_millis(101_000 + 15_001)));
        assert_eq!(scene.poll(117), ["abandon: no edge that serves it on trial reports any more"]);

        let (mut scene, canary) = on_trial();
        scene.report(canary, &report(6, Some((9, 9, true))), 109);
        assert_eq!(scene.rollout.deadline(), Some(seconds(110)));
        assert_eq!(scene.poll(110), ["abandon: no edge began to serve it on trial"]);
    }

    #[test]
    fn trial_needs_an_edge_that_serves_the_release_before() {
        let mut scene = Scene::new(&["a"], 100);
        scene.rollout.target.canary = Some(CanaryPlan { edges: "1".parse().unwrap(), seconds: 60 });
        scene.report("a", &report(6, Some((9, 9, true))), 100);
        assert_eq!(scene.poll(100).pop().unwrap(), "switch");
    }

    #[test]
    fn edge_that_does_not_save_what_it_serves_does_not_confirm() {
        let mut scene = Scene::new(&["a"], 1000);
        scene.report("a", &report(6, Some((9, 9, true))), 1000);
        assert_eq!(scene.poll(1000).last().unwrap(), "switch");
        scene.report("a", &EdgeReport { not_saving: Some("no such device".to_owned()), ..report(7, None) }, 1001);
        assert_eq!(scene.poll(1001), [""; 0]);
        let finished = "finished [] after 0, lagging [\"a: it does not save what it serves: no such device\"]";
        assert_eq!(scene.poll(1011), [finished, "end"]);
    }

    #[test]
    fn confirmation_in_a_new_generation_counts() {
        let mut scene = Scene::new(&["a"], 100);
        let target = scene.rollout.target().clone();
        scene.rollout = Rollout::of_move(target, "1-7".parse().unwrap(), Timing::default(), seconds(100));
        scene.rollout.set_members(&[name("a")].into(), seconds(100));
        let mut later = report(7, None);
        later.applied.generation = Generation(2);
        scene.report("a", &later, 100);
        assert_eq!(scene.poll(100), [""; 0]);
        scene.rollout.set_generation(Generation(2));
        assert_eq!(scene.poll(100).len(), 3);
    }

    #[test]
    fn no_phase_lasts_longer_than_its_bound() {
        let mut scene = Scene::new(&["slow"], 100);
        let mut at = 100;
        while !scene.log.iter().any(|action| action.starts_with("abandon")) {
            scene.report("slow", &report(6, Some((at, u64::MAX, false))), at);
            scene.poll(at);
            at += 5;
        }
        assert_eq!(at - 5, 100 + Timing::default().longest.as_secs());
    }
}
