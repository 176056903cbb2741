//! The last report of each edge: soft state, in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use verge_protocol::report::{AWAY_SECONDS, EdgeReport, LIVE_SECONDS};
use verge_protocol::{EdgeName, Position, Seq, SiteName, Timestamp};

use crate::store::Relation;

/// The last report of each edge. Clones share them.
#[derive(Clone)]
pub(crate) struct EdgeReports {
    last: Arc<Mutex<BTreeMap<EdgeName, LastReport>>>,
    /// How many reports were received, and edges forgotten.
    changed: watch::Sender<u64>,
    /// Held while a report is checked and recorded, and while an edge is forgotten.
    checking: Arc<tokio::sync::Mutex<()>>,
    started: Instant,
}

/// A report and when it was received.
#[derive(Debug, Clone)]
pub(crate) struct LastReport {
    pub(crate) report: Arc<EdgeReport>,
    /// What of it counts: see [`claims`].
    pub(crate) claims: Arc<EdgeReport>,
    /// By the wall clock.
    pub(crate) time: Timestamp,
    /// Since the start of the origin, by a monotonic clock.
    pub(crate) received: Duration,
    /// How many changes came before it.
    number: u64,
}

impl LastReport {
    /// Whether the edge reported within the last [`LIVE_SECONDS`] and is not draining.
    fn is_live(&self, now: Duration) -> bool {
        !self.report.draining && now.saturating_sub(self.received) <= Duration::from_secs(LIVE_SECONDS)
    }

    /// Whether the edge is live, has applied the write at `position`, lags with no channel, and has done all purges.
    fn is_caught_up(&self, position: Position, now: Duration) -> bool {
        let EdgeReport { applied, lagging, purging, .. } = &*self.claims;
        self.is_live(now) && applied.includes(position) && lagging.is_empty() && purging.is_empty()
    }

    /// By how many seconds the clock of the edge was ahead of the origin's, if it reports its time; negative: behind.
    pub(crate) fn clock_ahead_seconds(&self) -> Option<i64> {
        let millis = i128::from(self.report.time?.0) - i128::from(self.time.0);
        i64::try_from(millis / 1000).ok()
    }
}

/// What counts of a report by an edge that is in such a `relation` to this origin. The position and the preparations of one that has
/// read another history are about other writes, although they may have the numbers of writes of this one: none of them counts.
pub(crate) fn claims(report: &Arc<EdgeReport>, relation: Option<Relation>) -> Arc<EdgeReport> {
    if relation.is_none_or(Relation::is_within) {
        return Arc::clone(report);
    }
    let preparations = report.preparations.as_ref().map(|_| Vec::new());
    Arc::new(EdgeReport { applied: Position::default(), preparations, ..EdgeReport::clone(report) })
}

impl Default for EdgeReports {
    fn default() -> Self {
        Self { last: Arc::default(), changed: watch::Sender::new(0), checking: Arc::default(), started: Instant::now() }
    }
}

impl EdgeReports {
    /// The time since the start of the origin, by a monotonic clock.
    pub(crate) fn uptime(&self) -> Duration {
        self.started.elapsed()
    }

    /// The moment at this uptime.
    pub(crate) fn at(&self, uptime: Duration) -> Instant {
        self.started + uptime
    }

    /// Records a report in place of the edge's earlier one. `relation` is where it says the edge is, if it says so; `time` is that of
    /// the wall clock.
    pub(crate) fn record(&self, edge: EdgeName, report: EdgeReport, relation: Option<Relation>, time: Timestamp) {
        let report = Arc::new(report);
        let claims = claims(&report, relation);
        let mut last = self.lock();
        let number = *self.changed.borrow();
        last.insert(edge, LastReport { report, claims, time, received: self.uptime(), number });
        self.changed.send_modify(|changes| *changes += 1);
    }

    /// Records a report if `check` succeeds, which must find out whether the edge may report (still). No other report that is checked is recorded,
    /// and no edge forgotten, between the check and the record.
    pub(crate) async fn record_checked<E>(
        &self,
        edge: EdgeName,
        report: EdgeReport,
        relation: Option<Relation>,
        time: Timestamp,
        check: impl Future<Output = Result<(), E>>,
    ) -> Result<(), E> {
        let _checking = self.checking.lock().await;
        check.await?;
        self.record(edge, report, relation, time);
        Ok(())
    }

    /// Forgets an edge until it reports again. Call it once checks of its reports fail: what succeeded before is forgotten too.
    pub(crate) async fn forget(&self, edge: &EdgeName) {
        let _checking = self.checking.lock().await;
        self.lock().remove(edge);
        self.changed.send_modify(|changes| *changes += 1);
    }

    /// The last report of each edge.
    pub(crate) fn all(&self) -> BTreeMap<EdgeName, LastReport> {
        self.lock().clone()
    }

    /// The last reports that were received after the first `changes` changes, and how many changes there were.
    pub(crate) fn since(&self, changes: u64) -> (Vec<(EdgeName, LastReport)>, u64) {
        let last = self.lock();
        let newer = last.iter().filter(|(_, last)| last.number >= changes);
        (newer.map(|(edge, last)| (edge.clone(), last.clone())).collect(), *self.changed.borrow())
    }

    /// The last reports of the edges that are live.
    pub(crate) fn live(&self) -> Vec<(EdgeName, LastReport)> {
        let now = self.uptime();
        let last = self.lock();
        last.iter().filter(|(_, last)| last.is_live(now)).map(|(edge, last)| (edge.clone(), last.clone())).collect()
    }

    /// The last reports of the edges that are neither away nor draining: readers may be sent to them, even if they are not live.
    pub(crate) fn not_away(&self) -> Vec<(EdgeName, LastReport)> {
        let now = self.uptime();
        let is_away = |last: &LastReport| now.saturating_sub(last.received) > Duration::from_secs(AWAY_SECONDS);
        let last = self.lock();
        let not_away = last.iter().filter(|(_, last)| !is_away(last) && !last.report.draining);
        not_away.map(|(edge, last)| (edge.clone(), last.clone())).collect()
    }

    /// The sites with a purge that live edges have not done yet: the write that made the oldest one, and these edges.
    pub(crate) fn pending_purges(&self) -> BTreeMap<SiteName, (Seq, Vec<EdgeName>)> {
        let mut pending: BTreeMap<SiteName, (Seq, Vec<EdgeName>)> = BTreeMap::new();
        for (edge, last) in self.live() {
            for lag in &last.claims.purging {
                let (oldest, edges) = pending.entry(lag.site.clone()).or_insert_with(|| (lag.seq, Vec::new()));
                *oldest = (*oldest).min(lag.seq);
                edges.push(edge.clone());
            }
        }
        pending
    }

    /// What the clocks of the live edges show now, as far as they tell. Their reports are as old as a monotonic clock says: a jump of the
    /// origin's own clock changes nothing.
    pub(crate) fn clocks(&self) -> Vec<Timestamp> {
        let now = self.uptime();
        let last = self.lock();
        let live = last.values().filter(|last| last.is_live(now));
        live.filter_map(|last| Some(last.report.time?.after(now.saturating_sub(last.received)))).collect()
    }

    /// Whether this report is of an edge that is live.
    pub(crate) fn is_live(&self, last: &LastReport) -> bool {
        last.is_live(self.uptime())
    }

    /// Whether every one of these edges is live, has applied the write at `position`, and lags with no channel.
    pub(crate) fn are_caught_up(&self, edges: &[EdgeName], position: Position) -> bool {
        let now = self.uptime();
        let last = self.lock();
        edges.iter().all(|edge| last.get(edge).is_some_and(|report| report.is_caught_up(position, now)))
    }

    /// Notifies of every report, and of every edge that is forgotten.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<EdgeName, LastReport>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use verge_protocol::report::Lag;

    use super::*;

    #[test]
    fn report_about_another_history_claims_nothing() {
        let report = Arc::new(EdgeReport::new("1-7".parse().unwrap(), "0"));
        for relation in [None, Some(Relation::Resumable), Some(Relation::Compacted)] {
            assert_eq!(claims(&report, relation), report);
        }
        for relation in [Relation::Ahead, Relation::Diverged] {
            let claims = claims(&report, Some(relation));
            assert_eq!((claims.applied, claims.preparations.as_deref()), (Position::default(), Some(&[][..])));
        }
    }

    #[tokio::test]
    async fn edge_that_is_forgotten_while_its_report_is_checked_stays_forgotten() {
        let reports = EdgeReports::default();
        let edge: EdgeName = "a".parse().unwrap();
        let forgotten = std::cell::OnceCell::new();
        let check = async {
            let mut forget = Box::pin(reports.forget(&edge));
            assert!((&mut forget).now_or_never().is_none(), "it waits");
            assert!(forgotten.set(forget).is_ok());
            Ok::<_, ()>(())
        };
        let report = EdgeReport::new(Position::default(), "0");
        reports.record_checked(edge.clone(), report, None, Timestamp(1000), check).await.unwrap();
        forgotten.into_inner().unwrap().await;
        assert!(reports.all().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn edges_are_caught_up_once_each_is_live_at_the_position_and_lags_with_nothing() {
        let reports = EdgeReports::default();
        let edges: [EdgeName; 2] = ["a".parse().unwrap(), "b".parse().unwrap()];
        let now = Timestamp(100_000);
        let record = |edge: &EdgeName, applied: &str, change: fn(&mut EdgeReport)| {
            let applied = applied.parse().unwrap();
            let mut report = EdgeReport::new(applied, "0");
            change(&mut report);
            reports.record(edge.clone(), report, None, now);
        };
        let caught_up = || reports.are_caught_up(&edges, "1-7".parse().unwrap());
        record(&edges[0], "1-7", |_| {});
        assert!(!caught_up(), "b has not reported");
        record(&edges[1], "1-6", |_| {});
        assert!(!caught_up(), "b is behind");
        record(&edges[1], "1-7", |report| report.draining = true);
        assert!(!caught_up(), "b is draining");
        record(&edges[1], "1-7", |report| {
            let (site, channel) = ("demo".parse().unwrap(), "live".parse().unwrap());
            report.lagging.push(Lag { site, channel, seq: Seq(7), reason: "manifest not fetched".into() });
        });
        assert!(!caught_up(), "b lags with a channel");
        record(&edges[1], "1-8", |_| {});
        assert!(caught_up());
        tokio::time::advance(Duration::from_mins(1)).await;
        assert!(!caught_up(), "neither is live any more");
        record(&edges[1], "1-8", |_| {});
        reports.forget(&edges[0]).await;
        assert!(!caught_up(), "a was removed");
        assert!(reports.are_caught_up(&[], "1-9".parse().unwrap()), "no edge to wait for");
    }
}
