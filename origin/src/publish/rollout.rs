//! After a switch: which edges serve it.

use std::collections::{BTreeMap, BTreeSet};

use verge_protocol::api::{LaggingEdge, Progress};
use verge_protocol::host::HostLabel;
use verge_protocol::{EdgeName, Position, Timestamp};

use crate::edge_reports::LastReport;

/// Follows the fleet until every edge that was live at the switch serves what it says. Pure: reports in, progress out.
pub(super) struct Rollout {
    label: HostLabel,
    position: Position,
    expected: BTreeSet<EdgeName>,
    confirmed: BTreeSet<EdgeName>,
}

impl Rollout {
    /// Starts at a switch of the channel `label`, which became the write `position`.
    pub(super) fn new(label: HostLabel, position: Position, heard: &BTreeMap<EdgeName, LastReport>, now: Timestamp) -> Self {
        let expected = heard.iter().filter(|(_, heard)| heard.live(now)).map(|(name, _)| name.clone()).collect();
        Self { label, position, expected, confirmed: BTreeSet::new() }
    }

    /// Takes what the edges said last; answers who confirmed since.
    pub(super) fn update(&mut self, heard: &BTreeMap<EdgeName, LastReport>) -> Vec<Progress> {
        let mut news = Vec::new();
        // Who is about to end is not waited for: it serves nobody, and catches up when it is back. Nor is who was removed.
        let ending = |name: &EdgeName| heard.get(name).is_none_or(|heard| heard.report.draining);
        self.expected.retain(|name| self.confirmed.contains(name) || !ending(name));
        for name in self.expected.clone() {
            let serves = heard
                .get(&name)
                .is_some_and(|heard| heard.report.confirms(self.position, &self.label.site, &self.label.channel));
            if serves && self.confirmed.insert(name.clone()) {
                let (done, total) = (self.confirmed.len() as u64, self.expected.len() as u64);
                news.push(Progress::Confirmed { edge: name, done, total });
            }
        }
        news
    }

    /// Whether nothing is left to wait for.
    pub(super) fn is_complete(&self) -> bool {
        self.confirmed == self.expected
    }

    /// How it stands, as the last word.
    pub(super) fn finish(self, heard: &BTreeMap<EdgeName, LastReport>, now: Timestamp) -> Progress {
        // Where nobody was there to confirm, whoever was heard once is named: a release that no edge serves is no success.
        let missing: Vec<&EdgeName> = if self.expected.is_empty() {
            heard.keys().collect()
        } else {
            self.expected.difference(&self.confirmed).collect()
        };
        let lagging = missing
            .into_iter()
            .map(|edge| LaggingEdge { edge: edge.clone(), reason: self.reason(heard.get(edge), now) })
            .collect();
        Progress::Finished { confirmed: self.confirmed.into_iter().collect(), lagging }
    }

    fn reason(&self, heard: Option<&LastReport>, now: Timestamp) -> String {
        let Some(heard) = heard else { return "never heard".to_owned() };
        let lag =
            heard.report.lagging.iter().find(|lag| lag.site == self.label.site && lag.channel == self.label.channel);
        match lag {
            Some(lag) => lag.reason.clone(),
            None if heard.report.draining => "it was shut down".to_owned(),
            None if !heard.live(now) => format!("not heard for {} s", heard.at.age(now).as_secs()),
            None => format!("has followed to {} of {}", heard.report.applied, self.position),
        }
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::report::{EdgeReport, Lag};

    use super::*;

    fn heard(seq: u64, lag: Option<&str>, at: u64) -> LastReport {
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
        LastReport {
            report: EdgeReport { url: None, applied, lagging, draining: false, version: "0".into() },
            at: Timestamp(at * 1000),
        }
    }

    fn fleet(edges: &[(&str, LastReport)]) -> BTreeMap<EdgeName, LastReport> {
        edges.iter().map(|(name, heard)| (name.parse().unwrap(), heard.clone())).collect()
    }

    fn start(heard: &BTreeMap<EdgeName, LastReport>, now: u64) -> Rollout {
        Rollout::new("demo".parse().unwrap(), "1-7".parse().unwrap(), heard, Timestamp(now * 1000))
    }

    #[test]
    fn an_edge_confirms_once_it_has_applied_the_write() {
        let before = fleet(&[("a", heard(6, None, 0)), ("b", heard(6, None, 0)), ("gone", heard(6, None, 0))]);
        let before: BTreeMap<_, _> = before
            .into_iter()
            .map(|(name, heard)| {
                let at = Timestamp(if name.as_str() == "gone" { 0 } else { 100_000 });
                (name, LastReport { at, ..heard })
            })
            .collect();
        let mut rollout = start(&before, 100);
        assert!(rollout.update(&before).is_empty());
        let after = fleet(&[("a", heard(7, None, 100)), ("b", heard(9, Some("its manifest is not to be had"), 100))]);
        let news = rollout.update(&after);
        assert_eq!(news, [Progress::Confirmed { edge: "a".parse().unwrap(), done: 1, total: 2 }]);
        assert!(rollout.update(&after).is_empty() && !rollout.is_complete());
        assert_eq!(
            rollout.finish(&after, Timestamp(100_000)),
            Progress::Finished {
                confirmed: vec!["a".parse().unwrap()],
                lagging: vec![LaggingEdge {
                    edge: "b".parse().unwrap(),
                    reason: "its manifest is not to be had".into()
                }],
            }
        );
    }

    #[test]
    fn no_live_edge_leaves_nothing_to_wait_for() {
        let before = fleet(&[("gone", heard(6, None, 0))]);
        let rollout = start(&before, 100);
        assert!(rollout.is_complete());
        let Progress::Finished { lagging, .. } = rollout.finish(&before, Timestamp(100_000)) else { panic!() };
        assert_eq!(lagging[0].reason, "not heard for 100 s");
    }

    #[test]
    fn a_silent_edge_is_named_with_its_silence() {
        let before = fleet(&[("a", heard(6, None, 100))]);
        let last = start(&before, 100).finish(&before, Timestamp(130_000));
        let Progress::Finished { lagging, .. } = last else { panic!("{last:?}") };
        assert_eq!(lagging[0].reason, "not heard for 30 s");
    }

    #[test]
    fn who_is_about_to_end_is_not_waited_for() {
        let before = fleet(&[("a", heard(6, None, 100)), ("b", heard(6, None, 100))]);
        let mut rollout = start(&before, 100);
        let mut ending = heard(6, None, 101);
        ending.report.draining = true;
        let after = fleet(&[("a", ending), ("b", heard(7, None, 101))]);
        let news = rollout.update(&after);
        assert_eq!(news, [Progress::Confirmed { edge: "b".parse().unwrap(), done: 1, total: 1 }]);
        assert!(rollout.is_complete());
    }

    #[test]
    fn who_is_removed_is_not_waited_for() {
        let before = fleet(&[("a", heard(6, None, 100)), ("b", heard(6, None, 100))]);
        let mut rollout = start(&before, 100);
        let after = fleet(&[("b", heard(7, None, 101))]);
        assert_eq!(rollout.update(&after).len(), 1);
        assert!(rollout.is_complete());
    }
}
