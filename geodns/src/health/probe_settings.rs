//! The settings of probes: interval, timeout, how many results change the status of an address, and the bounds that follow.

use std::num::NonZeroU32;
use std::time::Duration;

/// How long a recovery counts towards the next one.
pub(super) const RECOVERY_MEMORY: Duration = Duration::from_mins(10);
/// How often the required successes can double.
pub(super) const DOUBLINGS: usize = 4;

/// The settings of probes. All delays run from the end of one probe to the start of the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProbeSettings {
    /// The delay while the state is stable: up and succeeding, or down and failing.
    pub interval: Duration,
    /// The limit for one probe, from connecting to the last byte.
    pub timeout: Duration,
    /// The delay after a result that contradicts the state, until the state changes or is confirmed.
    pub retry: Duration,
    /// Consecutive failures that take an address down.
    pub fall: NonZeroU32,
    /// Consecutive successes that bring it up again; doubled for each recovery in the last ten minutes, at most to sixteen times
    /// as many.
    pub rise: NonZeroU32,
}

impl Default for ProbeSettings {
    fn default() -> Self {
        let three = NonZeroU32::MIN.saturating_add(2);
        Self {
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            retry: Duration::from_secs(1),
            fall: three,
            rise: three,
        }
    }
}

impl ProbeSettings {
    /// The consecutive successes that bring up an address with this number of recoveries in the last ten minutes.
    pub(super) fn required_successes(&self, recoveries: usize) -> u32 {
        self.rise.get().saturating_mul(1 << recoveries.min(DOUBLINGS))
    }

    /// The longest time from the failure of an edge until its address is down.
    ///
    /// The worst case is a failure right after an answer that took the whole timeout to arrive. The interval follows, then the
    /// failed probes, each as long as the timeout, with the retry delay between them:
    /// `timeout + interval + fall × timeout + (fall − 1) × retry`, 15 s by default. An edge that refuses connections is down
    /// sooner by `fall × timeout`.
    pub fn detection_bound(&self) -> Duration {
        let failures = self.fall.get();
        let probes = self.timeout.saturating_mul(failures.saturating_add(1));
        probes.saturating_add(self.interval).saturating_add(self.retry.saturating_mul(failures - 1))
    }

    /// The most often that an address can go down or come up in any window of that length, whatever the probes return: by
    /// default 25 times in ten minutes, which an address that fails as soon as it is up comes close to.
    ///
    /// Between two recoveries lie `fall` failures and the [required successes](Self::required_successes), of which the first of
    /// each kind waits for the interval and the others for the retry delay. The n-th recovery within ten minutes counts the
    /// n − 1 before it, which bounds the recoveries in ten minutes; a longer window is several of these. Between two recoveries
    /// lies one fall, and one more may lie at an end.
    pub(crate) fn max_transitions(&self, window: Duration) -> u64 {
        let (mut recoveries, mut elapsed) = (1_u64, self.min_recovery_interval(1));
        while elapsed < window.min(RECOVERY_MEMORY) {
            recoveries += 1;
            elapsed = elapsed.saturating_add(self.min_recovery_interval(recoveries));
        }
        let windows = window.as_nanos().div_ceil(RECOVERY_MEMORY.as_nanos());
        recoveries.saturating_mul(u64::try_from(windows).unwrap_or(u64::MAX)).saturating_mul(2).saturating_add(1)
    }

    /// The shortest time from one recovery to the next with this number of recoveries in the last ten minutes.
    fn min_recovery_interval(&self, recoveries: u64) -> Duration {
        let required = self.required_successes(usize::try_from(recoveries).unwrap_or(usize::MAX));
        // Without delays this would be zero, and the number of recoveries infinite.
        let delays = self.interval.saturating_mul(2).max(Duration::from_millis(1));
        delays.saturating_add(self.retry.saturating_mul((self.fall.get() - 1).saturating_add(required - 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_settings_have_documented_bounds() {
        let settings = ProbeSettings::default();
        assert_eq!(settings.detection_bound(), Duration::from_secs(15));
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 900].map(|recoveries| settings.required_successes(recoveries)),
            [3, 6, 12, 24, 48, 48, 48]
        );
        assert_eq!(settings.max_transitions(Duration::from_mins(10)), 25);
        assert_eq!(settings.max_transitions(Duration::from_hours(1)), 145);
        assert_eq!(settings.max_transitions(Duration::from_secs(10)), 3);
    }

    #[test]
    fn detection_with_a_fall_of_one_needs_no_retry() {
        let settings = ProbeSettings { fall: NonZeroU32::MIN, ..ProbeSettings::default() };
        assert_eq!(settings.detection_bound(), Duration::from_secs(9));
    }
}
