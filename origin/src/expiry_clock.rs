//! The time by which inherited releases and channels end.
//!
//! A clock that jumps ahead would end all of them at once, for every reader. The clocks of edges are independent of the origin's, and
//! they report what these show.

use std::time::Duration;

use verge_daemon::Clock;
use verge_protocol::Timestamp;

use crate::edge_reports::EdgeReports;

/// By how much two clocks may differ that count as equal.
pub(crate) const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);

/// The origin's clock, held back by those of its edges. Clones share both.
#[derive(Clone)]
pub(crate) struct ExpiryClock {
    pub(crate) clock: Clock,
    pub(crate) edge_reports: EdgeReports,
    /// How long after the start of the origin a live edge may not have reported yet.
    pub(crate) settling: Duration,
}

impl ExpiryClock {
    /// The origin's time, unless it is ahead of the median of its own and the live edges' clocks by more than [`CLOCK_TOLERANCE`]: then
    /// the median.
    /// `None` right after a start, when live edges may not have reported yet.
    pub(crate) fn now(&self) -> Option<Timestamp> {
        let has_settled = self.edge_reports.uptime() >= self.settling;
        has_settled.then(|| held_back(self.clock.now(), self.edge_reports.clocks()))
    }

    /// By how much the origin's clock is ahead of the median; `None`: by no more than [`CLOCK_TOLERANCE`].
    pub(crate) fn ahead(&self) -> Option<Duration> {
        let now = self.clock.now();
        let ahead = held_back(now, self.edge_reports.clocks()).age(now);
        (!ahead.is_zero()).then_some(ahead)
    }
}

/// `now`, unless it is too far ahead of the median of it and the `others`: then the median. Of the two in the middle the earlier one
/// counts: if it is wrong, something ends late; if the later one is, something would end too early.
fn held_back(now: Timestamp, mut others: Vec<Timestamp>) -> Timestamp {
    others.push(now);
    others.sort_unstable();
    let median = others[(others.len() - 1) / 2];
    if median.after(CLOCK_TOLERANCE) < now { median } else { now }
}

#[cfg(test)]
mod tests {
    use verge_protocol::report::EdgeReport;

    use super::*;

    #[test]
    fn clock_is_held_back_by_the_median_of_the_others_and_never_put_ahead() {
        let at = |seconds: u64| Timestamp(seconds * 1000);
        let shown = |others: &[u64]| held_back(at(1000), others.iter().copied().map(at).collect()).0 / 1000;
        assert_eq!([shown(&[]), shown(&[940]), shown(&[5000]), shown(&[10, 1000, 1001])], [1000; 4]);
        assert_eq!((shown(&[939]), shown(&[5000, 20, 10]), shown(&[20, 10])), (939, 20, 20));
        assert_eq!((shown(&[10, 1000]), shown(&[10, 5000])), (1000, 1000), "one wrong edge of two decides nothing");
    }

    #[tokio::test(start_paused = true)]
    async fn time_is_unknown_until_edges_could_report_and_does_not_follow_a_jump_after_their_reports() {
        let clock = Clock::manual(Timestamp(100_000));
        let edge_reports = EdgeReports::default();
        let expiry =
            ExpiryClock { clock: clock.clone(), edge_reports: edge_reports.clone(), settling: Duration::from_secs(15) };
        assert_eq!(expiry.now(), None);
        tokio::time::advance(Duration::from_secs(15)).await;
        assert_eq!((expiry.now(), expiry.ahead()), (Some(Timestamp(100_000)), None));

        let report = EdgeReport { time: Some(Timestamp(100_000)), ..EdgeReport::new("1-1".parse().unwrap(), "0") };
        edge_reports.record("a".parse().unwrap(), report, None, clock.now());
        clock.advance(Duration::from_hours(25));
        tokio::time::advance(Duration::from_secs(10)).await;
        let ahead = Duration::from_hours(25) - Duration::from_secs(10);
        assert_eq!((expiry.now(), expiry.ahead()), (Some(Timestamp(110_000)), Some(ahead)));
    }
}
