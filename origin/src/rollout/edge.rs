//! An edge of the fleet during a rollout, as far as its reports tell.

use std::sync::Arc;
use std::time::Duration;

use verge_protocol::api::Progress;
use verge_protocol::canary::ResponseCounts;
use verge_protocol::report::EdgeReport;
use verge_protocol::{Digest, EdgeName, Position, Timestamp};

use super::target::Target;
use super::timing::Timing;

/// An edge of the fleet.
#[derive(Debug, Clone)]
pub(super) struct Edge {
    pub(super) last_report: Option<LastReport>,
    pub(super) preparation: Preparation,
    /// The preparation that was last sent to clients, and when.
    announced: Option<(Preparation, Duration)>,
    /// When it last made progress; before any, when the phase began or when it joined the fleet.
    pub(super) progressed: Duration,
    pub(super) has_confirmed: bool,
    /// The release that it serves during a canary, and what readers got.
    pub(super) served: Option<(Digest, ResponseCounts)>,
    /// Whether it is not prepared and lags with another channel too.
    lags_elsewhere: bool,
    /// When bytes last arrived at it from an origin; before any, when its first report came.
    fetched: Duration,
}

/// What an edge reported last.
#[derive(Debug, Clone)]
pub(super) struct LastReport {
    /// When it was received, since the origin started.
    pub(super) received: Duration,
    /// The same by the wall clock.
    pub(super) time: Timestamp,
    pub(super) report: Arc<EdgeReport>,
}

/// How far an edge is with the release.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Preparation {
    done: u64,
    total: u64,
    pub(super) prepared: bool,
    problem: Option<String>,
}

/// How present an edge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Presence {
    /// It has not been heard from for long: readers are not sent to it.
    Away,
    /// It was not heard from lately, or not yet since the origin started.
    Silent,
    /// It may be live: the origin started a moment ago.
    Expected,
    /// It has reported lately.
    Live,
}

impl Edge {
    /// An edge that joins the fleet at `now`, or is in it when the rollout begins.
    pub(super) fn new(now: Duration) -> Self {
        Self {
            last_report: None,
            preparation: Preparation::default(),
            announced: None,
            progressed: now,
            has_confirmed: false,
            served: None,
            lags_elsewhere: false,
            fetched: now,
        }
    }

    /// Takes its last report. `begun` is the write that announced the rollout, `moved` that of the channel's move, once it has moved.
    pub(super) fn take(&mut self, target: &Target, begun: Position, moved: Option<Position>, last: LastReport) {
        let report = &last.report;
        let preparation = Preparation::of(target, begun, report);
        let lags_elsewhere = !preparation.prepared && target.lags_elsewhere(report);
        let before = self.last_report.as_ref().map(|last| &last.report);
        let is_fetching = before.is_none_or(|before| before.received_bytes != report.received_bytes);
        let has_progressed = match (before, moved) {
            (None, _) => true,
            // Other channels do not count: on a busy origin some channel always moves.
            (Some(before), Some(moved)) => {
                let approaches = !before.applied.includes(moved) && before.applied != report.applied;
                approaches || target.lag(before) != target.lag(report)
            }
            (Some(_), None) => {
                // Bytes of a blob that is not complete yet: a slow line takes long for one. Those of one that joins are of any release.
                let counts = preparation.problem.is_none() && !lags_elsewhere;
                preparation.has_grown_since(&self.preparation) || is_fetching && counts
            }
        };
        if has_progressed {
            self.progressed = self.progressed.max(last.received);
        }
        if is_fetching {
            self.fetched = last.received;
        }
        (self.preparation, self.lags_elsewhere) = (preparation, lags_elsewhere);
        let mut counts = report.canaries.iter();
        let counts = counts.find(|counts| counts.site == target.label.site && counts.channel == target.label.channel);
        self.served = counts.map(|counts| (counts.manifest, counts.counts));
        self.last_report = Some(last);
    }

    pub(super) fn is_draining(&self) -> bool {
        self.last_report.as_ref().is_some_and(|last| last.report.draining)
    }

    /// Whether it fetches more than this release, since it has just joined or was away. One that lags with another channel and has
    /// fetched nothing for as long as an edge without progress is waited for is stuck.
    pub(super) fn is_joining(&self, timing: &Timing) -> bool {
        let is_stuck = self.last_report.as_ref().is_some_and(|last| self.fetched + timing.stall <= last.received);
        self.lags_elsewhere && !is_stuck
    }

    /// Whether it knows preparations: an older edge does not.
    pub(super) fn prepares(&self) -> bool {
        self.last_report.as_ref().is_some_and(|last| last.report.preparations.is_some())
    }

    /// Whether readers are sent to it: it has reported lately, and is not draining.
    pub(super) fn is_live(&self, timing: &Timing, now: Duration) -> bool {
        self.presence(timing, now) == Presence::Live && !self.is_draining()
    }

    pub(super) fn presence(&self, timing: &Timing, now: Duration) -> Presence {
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

    /// When it will have been silent for longer than `bound`.
    pub(super) fn silent_after(&self, bound: Duration) -> Duration {
        self.last_seen() + bound + Duration::from_millis(1)
    }

    /// One not seen yet counts as seen when the origin started.
    fn last_seen(&self) -> Duration {
        self.last_report.as_ref().map_or(Duration::ZERO, |last| last.received)
    }

    /// Whether it has made no progress for too long.
    pub(super) fn has_stalled(&self, timing: &Timing, now: Duration) -> bool {
        self.progressed + timing.stall <= now
    }

    /// Whether its last report says that it has made no progress for too long. Of one that has fallen silent that is not known: readers
    /// are sent to it as long as it is live, and it would have none of the files of the release.
    pub(super) fn reports_stall(&self, timing: &Timing, now: Duration) -> bool {
        let heard = self.last_report.as_ref().map_or(now, |last| last.received);
        self.progressed + timing.stall <= heard
    }

    /// Whether clients were sent that it is prepared.
    pub(super) fn is_announced_prepared(&self) -> bool {
        self.announced.as_ref().is_some_and(|(announced, _)| announced.prepared)
    }

    /// Whether its preparation is news for clients: at most every `interval`, but for being prepared.
    pub(super) fn tell(&mut self, now: Duration, interval: Duration) -> bool {
        let is_news = match &self.announced {
            None => self.preparation != Preparation::default(),
            Some((announced, at)) => {
                *announced != self.preparation
                    && (self.preparation.prepared || announced.prepared || *at + interval <= now)
            }
        };
        if is_news {
            self.announced = Some((self.preparation.clone(), now));
        }
        is_news
    }
}

impl Preparation {
    /// What `report` says of the release.
    fn of(target: &Target, begun: Position, report: &EdgeReport) -> Self {
        if report.preparations.is_none() {
            // An older edge prepares nothing.
            return Self { prepared: true, ..Self::default() };
        }
        if !report.applied.includes(begun) {
            // It may be of an earlier rollout, which the edge has not seen the end of.
            return Self::default();
        }
        let preparation = report.preparation(&target.label.site, &target.label.channel, target.manifest);
        preparation.map_or_else(Self::default, |one| {
            let problem = one.problem.clone();
            Self { done: one.done, total: one.total, prepared: one.prepared, problem }
        })
    }

    fn has_grown_since(&self, before: &Self) -> bool {
        (before.done, before.total, before.prepared) != (self.done, self.total, self.prepared)
    }

    /// The event that tells clients of an edge that is not prepared.
    pub(super) fn fetching(&self, edge: EdgeName) -> Progress {
        Progress::Fetching { edge, done: self.done, total: self.total, problem: self.problem.clone() }
    }

    /// Why it is not waited for any longer, for a person to read.
    pub(super) fn describe(&self, timing: &Timing) -> String {
        let seconds = timing.stall.as_secs();
        match &self.problem {
            Some(problem) => problem.clone(),
            None if self.total == 0 => format!("it has not fetched the manifest, no progress for {seconds} s"),
            None => format!("{} of {} bytes fetched, no progress for {seconds} s", self.done, self.total),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::{report, seconds, target, with_lag};
    use super::*;

    /// The edge reports at each of these seconds; `report_at` makes the report of one second. Whether it has stalled then.
    fn stalls(report_at: impl Fn(u64) -> EdgeReport, times: &[u64]) -> Vec<bool> {
        let mut edge = Edge::new(seconds(100));
        let stalled = |at: &u64| {
            let last = LastReport { received: seconds(*at), time: Timestamp(*at), report: Arc::new(report_at(*at)) };
            edge.take(&target(), "1-6".parse().unwrap(), None, last);
            edge.reports_stall(&Timing::default(), seconds(*at))
        };
        times.iter().map(stalled).collect()
    }

    #[test]
    fn edge_progresses_while_bytes_arrive_of_a_blob_that_is_not_complete() {
        let arriving = |received_bytes| EdgeReport { received_bytes, ..report(6, Some((3, 9, false))) };
        assert_eq!(stalls(arriving, &[100, 109, 118, 127]), [false; 4]);
        assert_eq!(stalls(|_| arriving(7), &[100, 109, 110]), [false, false, true]);
        assert_eq!(stalls(|at| arriving(at.min(105)), &[100, 105, 114, 115]), [false, false, false, true]);
        let with_problem = |at| {
            let mut report = arriving(at);
            report.preparations.as_mut().unwrap()[0].problem = Some("the disk is full".to_owned());
            report
        };
        assert_eq!(stalls(with_problem, &[100, 109, 110]), [false, false, true], "what it receives is of no use");
    }

    #[test]
    fn edge_that_lags_with_other_channels_progresses_by_bytes_of_the_release_alone() {
        let joining = |received_bytes, done| {
            let report = EdgeReport { received_bytes, ..report(6, Some((done, 900, false))) };
            with_lag(report, "news", "1 of 2 blobs")
        };
        assert_eq!(stalls(|at| joining(at, 3), &[100, 105, 109, 110]), [false, false, false, true]);
        assert_eq!(stalls(|at| joining(at, at), &[100, 109, 118, 127]), [false; 4]);
        let own_channel = |at| {
            let report = EdgeReport { received_bytes: at, ..report(6, Some((3, 900, false))) };
            with_lag(report, "demo", "1 of 2 blobs")
        };
        assert_eq!(stalls(own_channel, &[100, 109, 118]), [false; 3], "it serves an older release of the channel");
    }
}
