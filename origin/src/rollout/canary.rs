//! The canary of a release: a few edges serve it before its channel points at it, and what their readers get is compared with what other
//! readers get from the release before it.

mod analysis;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use verge_protocol::api::Progress;
use verge_protocol::canary::{CanaryPlan, ResponseCounts};
use verge_protocol::{Digest, EdgeName};

use super::edge::{Edge, Presence};
use super::timing::{Timing, millis};

/// A canary in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Canary {
    plan: CanaryPlan,
    release: Digest,
    /// The edges that serve the release.
    edges: BTreeSet<EdgeName>,
    /// When they were chosen.
    chosen: Duration,
    /// When all of them served it, or the others were given up.
    began: Option<Duration>,
    /// What was last sent to clients, and when.
    announced: Option<((ResponseCounts, ResponseCounts), Duration)>,
    /// Since when it has had a symptom.
    bad_since: Option<Duration>,
    /// Its time is over, but none of its edges serves the release at the moment.
    is_overdue: bool,
}

/// How a canary has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Good,
    /// Why, for a person to read.
    Bad(String),
}

impl Canary {
    /// Begins at `now` on some of the prepared edges, of `live` edges in all: others for each release, always the same for one. `None`
    /// if no edge is prepared, or none would be left that serves the release before.
    pub(super) fn begin(
        plan: CanaryPlan,
        release: Digest,
        edges: &BTreeMap<EdgeName, Edge>,
        live: usize,
        timing: &Timing,
        now: Duration,
    ) -> Option<Self> {
        let is_able = |edge: &Edge| edge.prepares() && edge.preparation.prepared && edge.is_live(timing, now);
        let able = edges.iter().filter(|(_, edge)| is_able(edge)).map(|(name, _)| name);
        let count = plan.edges.of(live);
        let edges = first_by_rank(release, able, count);
        (count < live && !edges.is_empty()).then_some(Self {
            plan,
            release,
            edges,
            chosen: now,
            began: None,
            announced: None,
            bad_since: None,
            is_overdue: false,
        })
    }

    /// The edges that serve the release.
    pub(super) fn edges(&self) -> &BTreeSet<EdgeName> {
        &self.edges
    }

    /// What is to be sent to clients at `now`, and how the canary has ended, if it has. `edges` are those of the fleet.
    pub(super) fn poll(
        &mut self,
        edges: &BTreeMap<EdgeName, Edge>,
        timing: &Timing,
        now: Duration,
    ) -> (Option<Progress>, Option<Outcome>) {
        let bad = |reason: &str| (None, Some(Outcome::Bad(reason.to_owned())));
        // One that drains may be back in a moment.
        if self.chosen(edges).all(|edge| edge.presence(timing, now) < Presence::Expected) {
            return bad("no canary edge reports any more");
        }
        let live: Vec<&Edge> = self.chosen(edges).filter(|edge| edge.is_live(timing, now)).collect();
        let is_served = |edge: &&&Edge| edge.served.is_some_and(|(served, _)| served == self.release);
        let serving = live.iter().filter(is_served).count();
        let Some(began) = self.began.or_else(|| {
            let all_serve = serving == live.len() && serving > 0;
            (all_serve || self.chosen + timing.stall <= now).then_some(now)
        }) else {
            return (None, None);
        };
        if self.began.is_none() && serving == 0 {
            return bad("no canary edge began to serve it");
        }
        self.began = Some(began);
        let (elapsed, duration) = (now.saturating_sub(began), self.duration());
        // What no edge serves any more is not known to be good.
        self.is_overdue = elapsed >= duration && serving == 0;
        if self.is_overdue && elapsed >= duration + timing.longest {
            return bad("no canary edge serves it any more");
        }
        let (canary, baseline) = self.counts(edges);
        let outcome = if let Some(seen) = analysis::symptom(&canary, &baseline) {
            // Edges report at different times: what hits all alike is first seen at one of them.
            let bad_since = *self.bad_since.get_or_insert(now);
            (bad_since + timing.symptom <= now).then(|| Outcome::Bad(format!("on its canary edges, {seen}")))
        } else {
            self.bad_since = None;
            (elapsed >= duration && serving > 0).then_some(Outcome::Good)
        };
        let is_news =
            self.announced.is_none_or(|(announced, at)| announced != (canary, baseline) && at + timing.tell <= now);
        let news = (is_news || outcome.is_some()).then(|| Progress::Canary {
            edges: self.edges.iter().cloned().collect(),
            elapsed_ms: millis(elapsed.min(duration)),
            duration_ms: millis(duration),
            canary,
            baseline,
        });
        if news.is_some() {
            self.announced = Some(((canary, baseline), now));
        }
        (news, outcome)
    }

    /// When to poll again if nothing happens: when its time is over, when a symptom has lasted for long enough, or when the last of its
    /// edges has been silent for too long.
    pub(super) fn deadline(&self, edges: &BTreeMap<EdgeName, Edge>, timing: &Timing) -> Duration {
        let end = match self.began {
            None => self.chosen + timing.stall,
            Some(began) if self.is_overdue => began + self.duration() + timing.longest,
            Some(began) => self.bad_since.map_or(began + self.duration(), |bad_since| bad_since + timing.symptom),
        };
        let silence = self.chosen(edges).map(|edge| edge.silent_after(timing.live)).max();
        silence.map_or(end, |silence| silence.min(end))
    }

    fn chosen<'fleet>(&self, edges: &'fleet BTreeMap<EdgeName, Edge>) -> impl Iterator<Item = &'fleet Edge> {
        self.edges.iter().filter_map(|name| edges.get(name))
    }

    fn duration(&self) -> Duration {
        Duration::from_secs(self.plan.seconds)
    }

    /// What readers got from the release, and from the one before it.
    fn counts(&self, edges: &BTreeMap<EdgeName, Edge>) -> (ResponseCounts, ResponseCounts) {
        let (mut canary, mut baseline) = (ResponseCounts::default(), ResponseCounts::default());
        for (served, counts) in edges.values().filter_map(|edge| edge.served) {
            *if served == self.release { &mut canary } else { &mut baseline } += counts;
        }
        (canary, baseline)
    }
}

/// The first `count` of these edges, in an order that differs between releases.
fn first_by_rank<'edge>(
    release: Digest,
    edges: impl Iterator<Item = &'edge EdgeName>,
    count: usize,
) -> BTreeSet<EdgeName> {
    let rank = |edge: &EdgeName| Digest::of(format!("{release} {edge}").as_bytes());
    let mut ranked: Vec<(Digest, &EdgeName)> = edges.map(|edge| (rank(edge), edge)).collect();
    ranked.sort_unstable();
    ranked.into_iter().take(count).map(|(_, edge)| edge.clone()).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use verge_protocol::Timestamp;
    use verge_protocol::report::EdgeReport;

    use super::super::edge::LastReport;
    use super::super::test_support::{counted, name, report, seconds, target};
    use super::*;

    /// A canary of 60 s on one of the edges a, b and c, chosen 100 s after the origin started.
    struct TestCanary {
        fleet: BTreeMap<EdgeName, Edge>,
        canary: Canary,
        /// The edge that serves the release.
        edge: EdgeName,
    }

    impl TestCanary {
        fn new() -> Self {
            let mut fleet: BTreeMap<EdgeName, Edge> =
                ["a", "b", "c"].into_iter().map(|edge| (name(edge), Edge::new(seconds(100)))).collect();
            for edge in fleet.values_mut() {
                take(edge, &report(6, Some((9, 9, true))), 100);
            }
            let plan = CanaryPlan { edges: "1".parse().unwrap(), seconds: 60 };
            let canary = Canary::begin(plan, target().manifest, &fleet, 3, &Timing::default(), seconds(100)).unwrap();
            let edge = canary.edges().first().unwrap().clone();
            Self { fleet, canary, edge }
        }

        /// The canary edge reports.
        fn report(&mut self, report: &EdgeReport, at: u64) {
            take(self.fleet.get_mut(&self.edge).unwrap(), report, at);
        }

        /// The other edges report.
        fn report_others(&mut self, report: &EdgeReport, at: u64) {
            for (_, edge) in self.fleet.iter_mut().filter(|(name, _)| **name != self.edge) {
                take(edge, report, at);
            }
        }

        fn poll(&mut self, now: u64) -> Vec<String> {
            let (news, outcome) = self.canary.poll(&self.fleet, &Timing::default(), seconds(now));
            let news = news.map(|progress| match progress {
                Progress::Canary { elapsed_ms, canary, baseline, .. } => format!(
                    "after {elapsed_ms}: {} of {} not found, before {} of {}",
                    canary.not_found, canary.responses, baseline.not_found, baseline.responses
                ),
                other => panic!("{other:?}"),
            });
            let outcome = outcome.map(|outcome| match outcome {
                Outcome::Good => "good".to_owned(),
                Outcome::Bad(reason) => reason,
            });
            news.into_iter().chain(outcome).collect()
        }

        fn deadline(&self) -> Duration {
            self.canary.deadline(&self.fleet, &Timing::default())
        }
    }

    fn take(edge: &mut Edge, report: &EdgeReport, at: u64) {
        let last = LastReport { received: seconds(at), time: Timestamp(at * 1000), report: Arc::new(report.clone()) };
        edge.take(&target(), "1-6".parse().unwrap(), None, last);
    }

    #[test]
    fn canary_without_symptoms_is_good_when_its_time_is_over() {
        let mut test = TestCanary::new();
        assert_eq!(test.poll(101), [""; 0], "the edge does not serve it yet");
        let report = |test: &mut TestCanary, at| {
            test.report(&counted(true, 100, 1), at);
            test.report_others(&counted(false, 200, 2), at);
        };
        report(&mut test, 102);
        assert_eq!(test.poll(102), ["after 0: 1 of 100 not found, before 4 of 400"]);
        assert_eq!(test.deadline(), Duration::from_millis(102_000 + 15_001));
        for at in (105..162).step_by(5) {
            report(&mut test, at);
            assert_eq!(test.poll(at), [""; 0]);
        }
        assert_eq!(test.deadline(), seconds(162));
        assert_eq!(test.poll(162), ["after 60000: 1 of 100 not found, before 4 of 400", "good"]);
    }

    #[test]
    fn canary_with_a_symptom_is_bad_once_all_edges_have_reported_anew() {
        let mut test = TestCanary::new();
        test.report(&counted(true, 100, 30), 105);
        assert_eq!(test.poll(105), ["after 0: 30 of 100 not found, before 0 of 0"]);
        assert_eq!(test.deadline(), seconds(111));
        test.report_others(&counted(false, 100, 1), 109);
        assert_eq!(test.poll(109), ["after 4000: 30 of 100 not found, before 2 of 200"]);
        let reason =
            "on its canary edges, 30 of 100 responses were not found (404); with the release before it, 2 of 200";
        assert_eq!(test.poll(111), ["after 6000: 30 of 100 not found, before 2 of 200", reason]);
    }

    #[test]
    fn symptom_that_the_release_before_has_too_is_none() {
        let mut test = TestCanary::new();
        test.report(&counted(true, 100, 30), 105);
        test.poll(105);
        test.report_others(&counted(false, 100, 30), 109);
        assert_eq!(test.poll(109), ["after 4000: 30 of 100 not found, before 60 of 200"]);
        assert_eq!(test.deadline(), Duration::from_millis(105_000 + 15_001));
        assert_eq!(test.poll(111), [""; 0]);
    }

    #[test]
    fn canary_whose_edges_fall_silent_is_bad() {
        let mut test = TestCanary::new();
        test.report(&counted(true, 1, 0), 101);
        test.poll(101);
        assert_eq!(test.deadline(), Duration::from_millis(101_000 + 15_001));
        assert_eq!(test.poll(116), [""; 0]);
        assert_eq!(test.poll(117), ["no canary edge reports any more"]);
    }

    #[test]
    fn canary_whose_edges_do_not_begin_within_the_stall_limit_is_bad() {
        let mut test = TestCanary::new();
        test.report(&report(6, Some((9, 9, true))), 109);
        assert_eq!(test.poll(109), [""; 0]);
        assert_eq!(test.deadline(), seconds(110));
        assert_eq!(test.poll(110), ["no canary edge began to serve it"]);
    }

    #[test]
    fn canary_whose_time_is_over_while_its_edge_drains_is_good_once_the_edge_is_back() {
        let mut test = TestCanary::new();
        for at in (101..161).step_by(5) {
            test.report(&counted(true, 100, 0), at);
            test.poll(at);
        }
        test.report(&EdgeReport { draining: true, ..counted(true, 100, 0) }, 160);
        assert_eq!(test.poll(161), [""; 0], "what no edge serves is not known to be good");
        assert_eq!(test.deadline(), Duration::from_millis(160_000 + 15_001), "its end is not waited for any more");
        test.report(&report(6, Some((0, 9, false))), 170);
        assert_eq!(test.poll(170), ["after 60000: 0 of 0 not found, before 0 of 0"], "it does not serve it yet");
        test.report(&counted(true, 3, 0), 172);
        assert_eq!(test.poll(172), ["after 60000: 0 of 3 not found, before 0 of 0", "good"]);
    }

    #[test]
    fn canary_that_no_edge_serves_any_more_is_bad_after_the_longest_wait() {
        let mut test = TestCanary::new();
        test.report(&counted(true, 100, 0), 101);
        test.poll(101);
        let end = 161 + Timing::default().longest.as_secs();
        for at in (106..end).step_by(5) {
            test.report(&report(6, Some((0, 9, false))), at);
            assert!(test.poll(at).iter().all(|news| news.starts_with("after")), "{at}");
        }
        assert_eq!(test.deadline(), seconds(end));
        assert_eq!(test.poll(end), ["no canary edge serves it any more"]);
    }

    #[test]
    fn edges_of_a_canary_differ_between_releases_and_leave_at_least_one() {
        let fleet = |count: usize| -> BTreeMap<EdgeName, Edge> {
            let mut edge = Edge::new(seconds(100));
            take(&mut edge, &report(6, Some((9, 9, true))), 100);
            (0..count).map(|number| (name(&format!("edge-{number}")), edge.clone())).collect()
        };
        let chosen = |release: &[u8], share: &str, count| {
            let plan = CanaryPlan { edges: share.parse().unwrap(), seconds: 60 };
            let (fleet, release) = (fleet(count), Digest::of(release));
            let canary = Canary::begin(plan, release, &fleet, count, &Timing::default(), seconds(100));
            canary.map(|canary| canary.edges)
        };
        assert_eq!(chosen(b"a", "5%", 40).unwrap().len(), 2);
        assert_eq!(chosen(b"a", "1", 40), chosen(b"a", "1", 40));
        let firsts: BTreeSet<_> = (0..20_u8).map(|release| chosen(&[release], "1", 10)).collect();
        assert!(firsts.len() > 5, "{firsts:?}");
        assert!(chosen(b"a", "1", 1).is_none() && chosen(b"a", "3", 3).is_none());
    }
}
