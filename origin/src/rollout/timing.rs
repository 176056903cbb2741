//! How long a rollout waits for edges.

use std::time::Duration;

use verge_protocol::report::{AWAY_SECONDS, LIVE_SECONDS, REPORT_SECONDS, STALL_SECONDS};

/// The times of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// An edge is live for so long after its last report.
    pub live: Duration,
    /// An edge without progress is waited for so long.
    pub stall: Duration,
    /// An edge without a report for so long is away: no push fails because of it.
    pub away: Duration,
    /// Preparing, and confirming, take no longer than this each, however much progress edges make.
    pub longest: Duration,
    /// A symptom of a canary must last for so long: until all edges have reported what their readers got in the same time.
    pub symptom: Duration,
    /// The least interval of news about the progress of one edge.
    pub tell: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            live: Duration::from_secs(LIVE_SECONDS),
            stall: Duration::from_secs(STALL_SECONDS),
            away: Duration::from_secs(AWAY_SECONDS),
            longest: Duration::from_mins(30),
            symptom: Duration::from_secs(REPORT_SECONDS + 1),
            tell: Duration::from_millis(250),
        }
    }
}

/// A duration in the unit of events.
pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
