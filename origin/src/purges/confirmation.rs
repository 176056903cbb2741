//! Which edges have done a purge. Synchronous: facts and the time go in, events come out.
//!
//! Times are since the origin started, by a monotonic clock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use verge_protocol::api::{LaggingEdge, PurgeProgress};
use verge_protocol::purge::PurgeScope;
use verge_protocol::report::{EdgeReport, PurgeLag};
use verge_protocol::{EdgeName, Generation, Position, Seq, SiteName, Timestamp};

use crate::rollout::Timing;

/// A purge that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Purged {
    pub(crate) site: SiteName,
    pub(crate) scope: PurgeScope,
    /// The write that made it.
    pub(crate) position: Position,
}

/// The confirmation of one purge by the edges of the fleet.
pub(crate) struct Confirmation {
    purged: Purged,
    timing: Timing,
    edges: BTreeMap<EdgeName, Edge>,
    /// When it was made.
    since: Duration,
    last_confirmed: Duration,
    is_announced: bool,
    is_over: bool,
}

/// An edge of the fleet, as far as its reports tell.
struct Edge {
    last: Option<LastReport>,
    /// When it last made progress; before any, when the purge was made or when it joined the fleet.
    progressed: Duration,
    /// The purge of the site that it has failed to carry out at least once. Further attempts are no progress, although older edges report
    /// each as running.
    failed: Option<Seq>,
    has_confirmed: bool,
}

/// A report and when it was received: since the origin started, and by the wall clock.
struct LastReport {
    report: Arc<EdgeReport>,
    received: Duration,
    time: Timestamp,
}

impl Confirmation {
    pub(crate) fn new(purged: Purged, timing: Timing, now: Duration) -> Self {
        Self {
            purged,
            timing,
            edges: BTreeMap::new(),
            since: now,
            last_confirmed: now,
            is_announced: false,
            is_over: false,
        }
    }

    /// Takes the edges of the fleet. Returns whether there are new ones, whose reports are to be taken again.
    pub(crate) fn set_members(&mut self, members: &BTreeSet<EdgeName>, now: Duration) -> bool {
        self.edges.retain(|name, _| members.contains(name));
        let before = self.edges.len();
        for name in members {
            let joining = || Edge { last: None, progressed: now, failed: None, has_confirmed: false };
            self.edges.entry(name.clone()).or_insert_with(joining);
        }
        self.edges.len() > before
    }

    /// Takes what counts of the last report of an edge, received at `received` or, by the wall clock, at `time`. Ignored if the edge is
    /// not in the fleet.
    pub(crate) fn report(&mut self, edge: &EdgeName, report: &Arc<EdgeReport>, received: Duration, time: Timestamp) {
        let Some(edge) = self.edges.get_mut(edge) else { return };
        if edge.is_progress(report, &self.purged) {
            edge.progressed = edge.progressed.max(received);
        }
        edge.last = Some(LastReport { report: Arc::clone(report), received, time });
    }

    /// The origin is in this generation now, in which numbers go on where those of the last one ended.
    pub(crate) fn set_generation(&mut self, generation: Generation) {
        self.purged.position.generation = generation;
    }

    /// What has happened up to `now`. Call it after each fact, and at [`Confirmation::deadline`].
    pub(crate) fn poll(&mut self, now: Duration) -> Vec<PurgeProgress> {
        if self.is_over {
            return Vec::new();
        }
        let timing = self.timing;
        let Purged { site, scope, position } = self.purged.clone();
        let waited_for = |edge: &Edge| edge.has_confirmed || !edge.is_away(&timing, now) && !edge.is_draining();
        let mut events = Vec::new();
        if !std::mem::replace(&mut self.is_announced, true) {
            let edges = self.edges.iter().filter(|(_, edge)| waited_for(edge)).map(|(name, _)| name.clone()).collect();
            events.push(PurgeProgress::Purging { seq: position.seq, scope, edges });
        }
        let total = self.edges.values().filter(|edge| waited_for(edge)).count() as u64;
        let mut done = self.edges.values().filter(|edge| edge.has_confirmed).count() as u64;
        for (name, edge) in self.edges.iter_mut().filter(|(_, edge)| waited_for(edge) && !edge.has_confirmed) {
            let Some(last) = edge.last.as_ref().filter(|last| last.report.has_purged(position, &site)) else {
                continue;
            };
            edge.has_confirmed = true;
            self.last_confirmed = now;
            done += 1;
            events.push(PurgeProgress::Confirmed {
                edge: name.clone(),
                done,
                total,
                elapsed_ms: millis(now.saturating_sub(self.since)),
                proof: last.report.purge_proof(position.seq, &site).cloned(),
            });
        }
        let mut missing = self.edges.values().filter(|edge| waited_for(edge) && !edge.has_confirmed);
        if self.since + timing.longest <= now || missing.all(|edge| edge.progressed + timing.stall <= now) {
            self.is_over = true;
            events.push(self.finished(now));
        }
        events
    }

    /// When to poll again if nothing happens; `None`: it is over.
    pub(crate) fn deadline(&self) -> Option<Duration> {
        if self.is_over {
            return None;
        }
        let missing = self.edges.values().filter(|edge| !edge.has_confirmed);
        let given_up = missing.map(|edge| {
            let away = edge.last_seen() + self.timing.away + Duration::from_millis(1);
            away.min(edge.progressed + self.timing.stall)
        });
        Some(given_up.max().unwrap_or_default().min(self.since + self.timing.longest))
    }

    /// The final event, which names every edge of the fleet that has not confirmed and is not draining.
    fn finished(&self, now: Duration) -> PurgeProgress {
        let missing = self.edges.iter().filter(|(_, edge)| !edge.has_confirmed && !edge.is_draining());
        let lagging = missing.map(|(name, edge)| LaggingEdge {
            edge: name.clone(),
            reason: self.reason(edge, now),
            away: edge.is_away(&self.timing, now),
            last_seen: edge.last.as_ref().map(|last| last.time),
        });
        let confirmed = self.edges.iter().filter(|(_, edge)| edge.has_confirmed).map(|(name, _)| name.clone());
        PurgeProgress::Finished {
            confirmed: confirmed.collect(),
            lagging: lagging.collect(),
            elapsed_ms: millis(self.last_confirmed.saturating_sub(self.since)),
        }
    }

    /// Why an edge has not confirmed.
    fn reason(&self, edge: &Edge, now: Duration) -> String {
        let Purged { site, position, .. } = &self.purged;
        let Some(last) = &edge.last else { return "not seen since the origin started".to_owned() };
        let age = now.saturating_sub(last.received);
        match last.report.purging.iter().find(|lag| lag.site == *site) {
            _ if age > self.timing.live => format!("last seen {} s ago", age.as_secs()),
            _ if last.report.purged.is_none() => format!("its version, {}, does not know purges", last.report.version),
            Some(lag) => lag.reason.clone(),
            None if let Some(reason) = &last.report.not_saving => format!("it does not save what it serves: {reason}"),
            None if last.report.applied == Position::default() => {
                "it has read another history of the origin".to_owned()
            }
            None if last.report.purging_omitted > 0 => "it has many purges to do".to_owned(),
            None => format!("it has applied {} of {position}", last.report.applied),
        }
    }
}

impl Edge {
    /// Whether a report tells of progress since the last one.
    fn is_progress(&mut self, report: &EdgeReport, Purged { site, position, .. }: &Purged) -> bool {
        let lag_of = |report: &EdgeReport| report.purging.iter().find(|lag| lag.site == *site).cloned();
        let lag = lag_of(report);
        let before = self.last.as_ref().map(|last| Arc::clone(&last.report));
        if let (Some(before), Some(lag)) = (before.as_deref().and_then(lag_of), &lag)
            && (before.running, before.seq, lag.running) == (true, lag.seq, false)
        {
            self.failed = Some(lag.seq);
        }
        let has_failed = |lag: &PurgeLag| self.failed == Some(lag.seq);
        if lag.as_ref().is_some_and(|lag| lag.running && !has_failed(lag)) {
            return true;
        }
        let state = |report: &EdgeReport| {
            // Writes that come after the purge bring it no further.
            let applied = (!report.applied.includes(*position)).then_some(report.applied);
            let attempt = |lag: PurgeLag| (lag.seq, (!has_failed(&lag)).then_some((lag.running, lag.reason)));
            (applied, lag_of(report).map(attempt), report.draining)
        };
        before.is_none_or(|before| state(&before) != state(report))
    }

    fn is_draining(&self) -> bool {
        self.last.as_ref().is_some_and(|last| last.report.draining)
    }

    /// One not seen yet counts as seen when the origin started.
    fn last_seen(&self) -> Duration {
        self.last.as_ref().map_or(Duration::ZERO, |last| last.received)
    }

    /// Whether it has not been heard from for so long that readers are not sent to it.
    fn is_away(&self, timing: &Timing, now: Duration) -> bool {
        now.saturating_sub(self.last_seen()) > timing.away
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use verge_protocol::report::PurgeProof;

    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn demo() -> SiteName {
        "demo".parse().unwrap()
    }

    /// A report at position 1-`seq`; `purging` is the oldest purge of `demo` that is not done.
    fn report(seq: u64, purging: Option<u64>) -> EdgeReport {
        let purging =
            purging.map(|seq| PurgeLag { site: demo(), seq: Seq(seq), running: false, reason: "checking".to_owned() });
        EdgeReport {
            purging: purging.into_iter().collect(),
            ..EdgeReport::new(format!("1-{seq}").parse().unwrap(), "0")
        }
    }

    /// A purge at 1-7, made 100 s after the start, for a fleet of these edges.
    struct Scene(Confirmation);

    impl Scene {
        fn new(edges: &[&str]) -> Self {
            let purged = Purged { site: demo(), scope: PurgeScope::All, position: "1-7".parse().unwrap() };
            let mut confirmation = Confirmation::new(purged, Timing::default(), seconds(100));
            let members = edges.iter().map(|edge| edge.parse().unwrap()).collect();
            assert_eq!(confirmation.set_members(&members, seconds(100)), !edges.is_empty());
            Self(confirmation)
        }

        fn report(&mut self, edge: &str, report: EdgeReport, at: u64) {
            self.0.report(&edge.parse().unwrap(), &Arc::new(report), seconds(at), Timestamp(at));
        }

        /// The events, each as one word or a list.
        fn poll(&mut self, at: u64) -> Vec<String> {
            let show = |event: PurgeProgress| match event {
                PurgeProgress::Purging { edges, .. } => format!("purging {edges:?}"),
                PurgeProgress::Confirmed { edge, done, total, elapsed_ms, proof } => {
                    format!("{edge} {done}/{total} {elapsed_ms} {}", proof.map_or(0, |proof| proof.files))
                }
                PurgeProgress::Finished { confirmed, lagging, elapsed_ms } => {
                    let away = |away| if away { "*" } else { "" };
                    let lagging = lagging.iter().map(|lag| format!("{}{}: {}", lag.edge, away(lag.away), lag.reason));
                    format!("finished {confirmed:?} {elapsed_ms} {:?}", lagging.collect::<Vec<_>>())
                }
                PurgeProgress::Failed(_) | PurgeProgress::Unknown => unreachable!("not told"),
            };
            self.0.poll(seconds(at)).into_iter().map(show).collect()
        }
    }

    #[test]
    fn edges_confirm_once_they_have_applied_the_purge_and_done_it() {
        let mut scene = Scene::new(&["a", "b"]);
        scene.report("a", report(6, None), 99);
        scene.report("b", report(9, Some(7)), 100);
        assert_eq!(scene.poll(100), ["purging [a, b]"]);
        let proof = PurgeProof { site: demo(), seq: Seq(7), files: 3, bytes: 9, bad: 0, replaced: 0, serves: None };
        scene.report("a", EdgeReport { purged: Some(vec![proof]), ..report(8, None) }, 101);
        assert_eq!(scene.poll(101), ["a 1/2 1000 3"]);
        // A later purge that is not done does not matter.
        scene.report("b", report(9, Some(9)), 102);
        assert_eq!(scene.poll(102), ["b 2/2 2000 0", "finished [a, b] 2000 []"]);
        assert_eq!((scene.poll(103), scene.0.deadline()), (vec![], None));
    }

    #[test]
    fn edges_without_progress_are_given_up_with_a_reason() {
        let mut scene = Scene::new(&["away", "draining", "old", "silent", "slow", "stuck"]);
        scene.0.since = seconds(1000);
        scene.0.edges.values_mut().for_each(|edge| edge.progressed = seconds(1000));
        scene.report("away", report(6, None), 300);
        scene.report("draining", EdgeReport { draining: true, ..report(6, None) }, 999);
        scene.report("old", EdgeReport { purged: None, ..report(7, None) }, 999);
        scene.report("silent", report(6, None), 950);
        scene.report("slow", report(7, Some(5)), 999);
        scene.report("stuck", report(6, None), 999);
        assert_eq!(scene.poll(1000), ["purging [old, silent, slow, stuck]"]);
        assert_eq!(scene.0.deadline(), Some(seconds(1010)));
        scene.report("slow", report(7, Some(7)), 1008);
        scene.report("stuck", report(6, None), 1008);
        scene.report("old", EdgeReport { purged: None, ..report(7, None) }, 1008);
        assert_eq!(scene.poll(1010), Vec::<String>::new());
        assert_eq!(scene.0.deadline(), Some(seconds(1018)));
        assert_eq!(
            scene.poll(1018),
            [
                r#"finished [] 0 ["away*: last seen 718 s ago", "old: its version, 0, does not know purges", "silent: last seen 68 s ago", "slow: checking", "stuck: it has applied 1-6 of 1-7"]"#
            ]
        );
    }

    #[test]
    fn edge_that_carries_a_purge_out_is_waited_for_while_it_reports() {
        let mut scene = Scene::new(&["a"]);
        let mut running = report(7, Some(7));
        running.purging[0].running = true;
        for at in [100, 108, 116, 124] {
            scene.report("a", running.clone(), at);
            assert!(!scene.poll(at).iter().any(|event| event.starts_with("finished")), "at {at}");
        }
        assert_eq!(scene.0.deadline(), Some(seconds(134)));
        assert_eq!(scene.poll(134), [r#"finished [] 0 ["a: checking"]"#]);
    }

    #[test]
    fn edge_whose_purge_is_blocked_is_given_up_although_it_applies_later_writes() {
        let mut scene = Scene::new(&["a"]);
        scene.report("a", report(5, None), 100);
        scene.report("a", report(6, None), 104);
        scene.report("a", report(7, Some(7)), 108);
        scene.report("a", report(8, Some(7)), 112);
        scene.report("a", report(9, Some(7)), 116);
        assert_eq!(scene.poll(117), ["purging [a]"]);
        assert_eq!(scene.poll(118), [r#"finished [] 0 ["a: checking"]"#]);
    }

    #[test]
    fn attempts_after_one_that_failed_are_no_progress_until_the_purge_is_done() {
        let mut scene = Scene::new(&["a"]);
        let attempt = |seq: u64, running: bool| {
            let mut report = report(8, Some(seq));
            report.purging[0].running = running;
            report
        };
        // A purge from before this one fails once, and is done.
        for (at, seq, running) in [(100, 6, true), (102, 6, false), (104, 6, true), (110, 7, true)] {
            scene.report("a", attempt(seq, running), at);
        }
        for at in (112..=118).step_by(2) {
            scene.report("a", attempt(7, at % 4 != 0), at);
        }
        assert_eq!(scene.poll(119), ["purging [a]"]);
        assert_eq!(scene.0.deadline(), Some(seconds(120)));
        assert_eq!(scene.poll(120), [r#"finished [] 0 ["a: checking"]"#]);
    }

    #[test]
    fn purge_without_edges_is_over_at_once() {
        let mut scene = Scene::new(&[]);
        assert_eq!(scene.poll(100), ["purging []", "finished [] 0 []"]);
    }

    #[test]
    fn edge_that_joins_is_waited_for_and_one_that_leaves_is_not() {
        let mut scene = Scene::new(&["a"]);
        scene.poll(100);
        assert!(scene.0.set_members(&["b".parse().unwrap()].into(), seconds(101)));
        scene.report("b", report(7, None), 102);
        assert_eq!(scene.poll(102), ["b 1/1 2000 0", "finished [b] 2000 []"]);
    }
}
