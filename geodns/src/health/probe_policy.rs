//! How often to probe, how many outcomes it takes, and what that bounds.

use std::num::NonZeroU32;
use std::time::Duration;

/// How long a return counts against the next one.
pub(super) const RETURN_MEMORY: Duration = Duration::from_mins(10);
/// How often the successes wanted can double.
pub(super) const DOUBLINGS: usize = 4;

/// The rhythm of probes of an address. All waits run from the end of one probe to the beginning of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The wait while an address is settled: up and answering, or down and silent.
    pub interval: Duration,
    /// For one probe, from connecting to the last byte.
    pub timeout: Duration,
    /// The wait while it is not: from the first outcome of the other kind until it has turned, or has not.
    pub retry: Duration,
    /// Failures in a row that take an address down.
    pub down_after: NonZeroU32,
    /// Successes in a row that bring it up again; twice as many for each time it came up in the last ten minutes, at most
    /// sixteen times as many.
    pub up_after: NonZeroU32,
}

impl Default for Pace {
    fn default() -> Self {
        let three = NonZeroU32::MIN.saturating_add(2);
        Self {
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            retry: Duration::from_secs(1),
            down_after: three,
            up_after: three,
        }
    }
}

impl Pace {
    /// The successes in a row that bring an address up which came up `returns` times in the last ten minutes.
    pub(super) fn wanted(&self, returns: usize) -> u32 {
        self.up_after.get().saturating_mul(1 << returns.min(DOUBLINGS))
    }

    /// The longest time from when an edge dies to when its address is down.
    ///
    /// The worst it can do is to die right after it has sent an answer that takes the whole of its timeout to arrive. A wait of
    /// the interval follows, then the failures, each as long as the timeout, with the retry wait between them:
    /// `timeout + interval + down_after × timeout + (down_after − 1) × retry`, 15 s by default. An edge that refuses
    /// connections is down sooner by `down_after × timeout`.
    pub fn detection_bound(&self) -> Duration {
        let failures = self.down_after.get();
        let probes = self.timeout.saturating_mul(failures.saturating_add(1));
        probes.saturating_add(self.interval).saturating_add(self.retry.saturating_mul(failures - 1))
    }

    /// How often an address can at most go down and come up in any window of that length, whatever its probes find: by default
    /// 25 times in ten minutes, which is what one that falls as soon as it is up comes to.
    ///
    /// Between two returns lie `down_after` failures and the successes [wanted](Self::wanted), of which the first of each kind
    /// waits for the interval and the others for the retry. The n-th return of any ten minutes finds the n − 1 before it
    /// remembered, which bounds the returns in ten minutes; a longer window is several of these. Between two returns lies one
    /// fall, and one more may lie at an end.
    pub(crate) fn most_changes(&self, window: Duration) -> u64 {
        let (mut returns, mut took) = (1_u64, self.quickest_return(1));
        while took < window.min(RETURN_MEMORY) {
            returns += 1;
            took = took.saturating_add(self.quickest_return(returns));
        }
        let windows = window.as_nanos().div_ceil(RETURN_MEMORY.as_nanos());
        returns.saturating_mul(u64::try_from(windows).unwrap_or(u64::MAX)).saturating_mul(2).saturating_add(1)
    }

    /// The least time from one return to the next when there were `returns` in the last ten minutes.
    fn quickest_return(&self, returns: u64) -> Duration {
        let wanted = self.wanted(usize::try_from(returns).unwrap_or(usize::MAX));
        // A configuration without waits would make this zero, and the number of returns infinite.
        let waits = self.interval.saturating_mul(2).max(Duration::from_millis(1));
        waits.saturating_add(self.retry.saturating_mul((self.down_after.get() - 1).saturating_add(wanted - 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_defaults_come_to() {
        let pace = Pace::default();
        assert_eq!(pace.detection_bound(), Duration::from_secs(15));
        assert_eq!([0, 1, 2, 3, 4, 5, 900].map(|returns| pace.wanted(returns)), [3, 6, 12, 24, 48, 48, 48]);
        assert_eq!(pace.most_changes(Duration::from_mins(10)), 25);
        assert_eq!(pace.most_changes(Duration::from_hours(1)), 145);
        assert_eq!(pace.most_changes(Duration::from_secs(10)), 3);
    }

    #[test]
    fn one_failure_is_found_without_a_retry() {
        let pace = Pace { down_after: NonZeroU32::MIN, ..Pace::default() };
        assert_eq!(pace.detection_bound(), Duration::from_secs(9));
    }
}
