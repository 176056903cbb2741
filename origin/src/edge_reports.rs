//! The last report of each edge: soft state, in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use verge_protocol::report::{EdgeReport, LIVE_SECONDS};
use verge_protocol::{EdgeName, Position, Timestamp};

/// The last report of each edge. Clones share them.
#[derive(Clone)]
pub(crate) struct EdgeReports {
    last: Arc<Mutex<BTreeMap<EdgeName, LastReport>>>,
    changed: watch::Sender<()>,
}

/// A report and when it was received.
#[derive(Debug, Clone)]
pub(crate) struct LastReport {
    pub(crate) report: EdgeReport,
    pub(crate) received: Timestamp,
}

impl LastReport {
    /// Whether the edge reported within the last [`LIVE_SECONDS`] and is not draining.
    pub(crate) fn is_live(&self, now: Timestamp) -> bool {
        !self.report.draining && self.received.age(now) <= Duration::from_secs(LIVE_SECONDS)
    }

    /// Whether the edge is live, has applied the write at `position`, and lags with no channel.
    fn is_caught_up(&self, position: Position, now: Timestamp) -> bool {
        self.is_live(now) && self.report.applied.includes(position) && self.report.lagging.is_empty()
    }
}

impl Default for EdgeReports {
    fn default() -> Self {
        Self { last: Arc::default(), changed: watch::Sender::new(()) }
    }
}

impl EdgeReports {
    /// Records a report in place of the edge's earlier one.
    pub(crate) fn record(&self, edge: EdgeName, report: EdgeReport, now: Timestamp) {
        self.lock().insert(edge, LastReport { report, received: now });
        self.changed.send_replace(());
    }

    /// Forgets an edge until it reports again.
    pub(crate) fn forget(&self, edge: &EdgeName) {
        self.lock().remove(edge);
        self.changed.send_replace(());
    }

    /// The last report of each edge.
    pub(crate) fn all(&self) -> BTreeMap<EdgeName, LastReport> {
        self.lock().clone()
    }

    /// Whether every one of these edges is live, has applied the write at `position`, and lags with no channel.
    pub(crate) fn are_caught_up(&self, edges: &[EdgeName], position: Position, now: Timestamp) -> bool {
        let last = self.lock();
        edges.iter().all(|edge| last.get(edge).is_some_and(|report| report.is_caught_up(position, now)))
    }

    /// Notifies of every report, and of every edge that is forgotten.
    pub(crate) fn subscribe(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<EdgeName, LastReport>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::Seq;
    use verge_protocol::report::Lag;

    use super::*;

    #[test]
    fn edges_are_caught_up_once_each_is_live_at_the_position_and_lags_with_nothing() {
        let reports = EdgeReports::default();
        let edges: [EdgeName; 2] = ["a".parse().unwrap(), "b".parse().unwrap()];
        let now = Timestamp(100_000);
        let record = |edge: &EdgeName, applied: &str, change: fn(&mut EdgeReport)| {
            let applied = applied.parse().unwrap();
            let mut report =
                EdgeReport { edge: None, url: None, applied, lagging: vec![], draining: false, version: "0".into() };
            change(&mut report);
            reports.record(edge.clone(), report, now);
        };
        let caught_up = |now| reports.are_caught_up(&edges, "1-7".parse().unwrap(), now);
        record(&edges[0], "1-7", |_| {});
        assert!(!caught_up(now), "b has not reported");
        record(&edges[1], "1-6", |_| {});
        assert!(!caught_up(now), "b is behind");
        record(&edges[1], "1-7", |report| report.draining = true);
        assert!(!caught_up(now), "b is draining");
        record(&edges[1], "1-7", |report| {
            let (site, channel) = ("demo".parse().unwrap(), "live".parse().unwrap());
            report.lagging.push(Lag { site, channel, seq: Seq(7), reason: "manifest not fetched".into() });
        });
        assert!(!caught_up(now), "b lags with a channel");
        record(&edges[1], "1-8", |_| {});
        assert!(caught_up(now));
        assert!(!caught_up(now.after(Duration::from_mins(1))), "neither is live any more");
        reports.forget(&edges[0]);
        assert!(!caught_up(now), "a was removed");
        assert!(reports.are_caught_up(&[], "1-9".parse().unwrap(), now), "no edge to wait for");
    }
}
