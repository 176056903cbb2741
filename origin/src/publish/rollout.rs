//! The rollout of a move: which edges have confirmed that they serve it.

use std::collections::{BTreeMap, BTreeSet};

use verge_protocol::api::{LaggingEdge, Progress};
use verge_protocol::host::HostLabel;
use verge_protocol::{EdgeName, Generation, Position, Timestamp};

use crate::edge_reports::LastReport;

/// Waits for every edge that was live at the move to confirm it. Pure: reports in, progress out.
pub(super) struct Rollout {
    label: HostLabel,
    position: Position,
    expected: BTreeSet<EdgeName>,
    confirmed: BTreeSet<EdgeName>,
}

impl Rollout {
    /// Starts at a move of the channel `label`, committed at `position`.
    pub(super) fn new(
        label: HostLabel,
        position: Position,
        reports: &BTreeMap<EdgeName, LastReport>,
        now: Timestamp,
    ) -> Self {
        let expected = reports.iter().filter(|(_, last)| last.is_live(now)).map(|(name, _)| name.clone()).collect();
        Self { label, position, expected, confirmed: BTreeSet::new() }
    }

    /// Takes the edges' last reports and the origin's present generation, in which numbers go on where those of the last one ended;
    /// returns the confirmations since the last call.
    pub(super) fn update(&mut self, reports: &BTreeMap<EdgeName, LastReport>, generation: Generation) -> Vec<Progress> {
        self.position.generation = generation;
        let mut confirmations = Vec::new();
        // A draining edge is not waited for: readers are sent elsewhere, and it catches up when it is back. Nor is a removed one.
        let is_leaving = |name: &EdgeName| reports.get(name).is_none_or(|last| last.report.draining);
        self.expected.retain(|name| self.confirmed.contains(name) || !is_leaving(name));
        for name in self.expected.clone() {
            let confirms = reports
                .get(&name)
                .is_some_and(|last| last.report.confirms(self.position, &self.label.site, &self.label.channel));
            if confirms && self.confirmed.insert(name.clone()) {
                let (done, total) = (self.confirmed.len() as u64, self.expected.len() as u64);
                confirmations.push(Progress::Confirmed { edge: name, done, total, elapsed_ms: 0 });
            }
        }
        confirmations
    }

    /// Whether every expected edge has confirmed.
    pub(super) fn is_complete(&self) -> bool {
        self.confirmed == self.expected
    }

    /// The final event, which names every edge that has not confirmed.
    pub(super) fn finish(self, reports: &BTreeMap<EdgeName, LastReport>, now: Timestamp) -> Progress {
        // If no edge was live, every edge that ever reported is named: a release that no edge serves is no success.
        let unconfirmed: Vec<&EdgeName> = if self.expected.is_empty() {
            reports.keys().collect()
        } else {
            self.expected.difference(&self.confirmed).collect()
        };
        let lagging = unconfirmed
            .into_iter()
            .map(|edge| LaggingEdge {
                edge: edge.clone(),
                reason: self.reason(reports.get(edge), now),
                away: false,
                last_seen: None,
            })
            .collect();
        Progress::Finished { confirmed: self.confirmed.into_iter().collect(), lagging, elapsed_ms: 0 }
    }

    fn reason(&self, last: Option<&LastReport>, now: Timestamp) -> String {
        let Some(last) = last else { return "never seen".to_owned() };
        let HostLabel { site, channel } = &self.label;
        match last.report.lagging.iter().find(|lag| lag.site == *site && lag.channel == *channel) {
            Some(lag) => lag.reason.clone(),
            None if last.report.draining => "it is draining".to_owned(),
            None if !last.is_live(now) => format!("last seen {} s ago", last.received.age(now).as_secs()),
            None => format!("it has applied {} of {}", last.report.applied, self.position),
        }
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::report::{EdgeReport, Lag};

    use super::*;

    fn report(seq: u64, lag: Option<&str>, at: u64) -> LastReport {
        let lagging = lag
            .map(|reason| Lag {
                site: "demo".parse().unwrap(),
                channel: "live".parse().unwrap(),
                seq: verge_protocol::Seq(seq),
                reason: reason.to_owned(),
            })
            .into_iter()
            .collect();
        let applied = format!("1-{seq}").parse().unwrap();
        LastReport { report: EdgeReport { lagging, ..EdgeReport::new(applied, "0") }, received: Timestamp(at * 1000) }
    }

    fn reports(edges: &[(&str, LastReport)]) -> BTreeMap<EdgeName, LastReport> {
        edges.iter().map(|(name, last)| (name.parse().unwrap(), last.clone())).collect()
    }

    fn start(reports: &BTreeMap<EdgeName, LastReport>, now: u64) -> Rollout {
        Rollout::new("demo".parse().unwrap(), "1-7".parse().unwrap(), reports, Timestamp(now * 1000))
    }

    #[test]
    fn an_edge_confirms_once_it_has_applied_the_move() {
        let before = reports(&[("a", report(6, None, 0)), ("b", report(6, None, 0)), ("gone", report(6, None, 0))]);
        let before: BTreeMap<_, _> = before
            .into_iter()
            .map(|(name, last)| {
                let received = Timestamp(if name.as_str() == "gone" { 0 } else { 100_000 });
                (name, LastReport { received, ..last })
            })
            .collect();
        let mut rollout = start(&before, 100);
        assert!(rollout.update(&before, Generation(1)).is_empty());
        let after = reports(&[("a", report(7, None, 100)), ("b", report(9, Some("manifest not fetched"), 100))]);
        let confirmations = rollout.update(&after, Generation(1));
        assert_eq!(
            confirmations,
            [Progress::Confirmed { edge: "a".parse().unwrap(), done: 1, total: 2, elapsed_ms: 0 }]
        );
        assert!(rollout.update(&after, Generation(1)).is_empty() && !rollout.is_complete());
        assert_eq!(
            rollout.finish(&after, Timestamp(100_000)),
            Progress::Finished {
                confirmed: vec!["a".parse().unwrap()],
                lagging: vec![LaggingEdge {
                    edge: "b".parse().unwrap(),
                    reason: "manifest not fetched".into(),
                    away: false,
                    last_seen: None
                }],
                elapsed_ms: 0,
            }
        );
    }

    #[test]
    fn a_rollout_without_a_live_edge_is_complete_and_names_the_edges_seen() {
        let before = reports(&[("gone", report(6, None, 0))]);
        let rollout = start(&before, 100);
        assert!(rollout.is_complete());
        let Progress::Finished { lagging, .. } = rollout.finish(&before, Timestamp(100_000)) else { panic!() };
        assert_eq!(lagging[0].reason, "last seen 100 s ago");
    }

    #[test]
    fn a_silent_edge_is_named_with_when_it_was_last_seen() {
        let before = reports(&[("a", report(6, None, 100))]);
        let last = start(&before, 100).finish(&before, Timestamp(130_000));
        let Progress::Finished { lagging, .. } = last else { panic!("{last:?}") };
        assert_eq!(lagging[0].reason, "last seen 30 s ago");
    }

    #[test]
    fn a_draining_edge_is_not_waited_for() {
        let before = reports(&[("a", report(6, None, 100)), ("b", report(6, None, 100))]);
        let mut rollout = start(&before, 100);
        let mut draining = report(6, None, 101);
        draining.report.draining = true;
        let after = reports(&[("a", draining), ("b", report(7, None, 101))]);
        let confirmations = rollout.update(&after, Generation(1));
        assert_eq!(
            confirmations,
            [Progress::Confirmed { edge: "b".parse().unwrap(), done: 1, total: 1, elapsed_ms: 0 }]
        );
        assert!(rollout.is_complete());
    }

    #[test]
    fn a_removed_edge_is_not_waited_for() {
        let before = reports(&[("a", report(6, None, 100)), ("b", report(6, None, 100))]);
        let mut rollout = start(&before, 100);
        let after = reports(&[("b", report(7, None, 101))]);
        assert_eq!(rollout.update(&after, Generation(1)).len(), 1);
        assert!(rollout.is_complete());
    }

    #[test]
    fn an_edge_confirms_in_the_generation_that_the_origin_took_meanwhile() {
        let before = reports(&[("a", report(6, None, 100))]);
        let mut rollout = start(&before, 100);
        let mut later = report(7, None, 100);
        later.report.applied.generation = Generation(2);
        let after = reports(&[("a", later)]);
        assert!(rollout.update(&after, Generation(1)).is_empty());
        assert_eq!(rollout.update(&after, Generation(2)).len(), 1);
    }
}
