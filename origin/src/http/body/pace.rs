//! Whether a client sends its body fast enough.

use std::time::Duration;

/// How long a client may send nothing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// The time over which the rate is averaged.
const WINDOW: Duration = Duration::from_mins(1);

/// The least rate, in bytes per second.
const RATE_MIN: u64 = 256;

/// The progress of one body, in the time that its client was waited for. It has no clock.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Since the last byte.
    idle: Duration,
    /// Since the window began.
    waited: Duration,
    /// In the window.
    bytes: u64,
}

/// Why a body is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum TooSlow {
    #[error("no data was received for {} seconds", IDLE_TIMEOUT.as_secs())]
    Idle,
    #[error("fewer than {RATE_MIN} bytes a second were received for {} seconds", WINDOW.as_secs())]
    Rate,
}

impl Pace {
    /// How long to wait for the next bytes before [`Self::waited`] is to be told.
    pub(super) fn patience(&self) -> Duration {
        IDLE_TIMEOUT.saturating_sub(self.idle).min(WINDOW.saturating_sub(self.waited))
    }

    /// Notes that the client was waited for, and what it sent.
    pub(super) fn waited(&mut self, time: Duration, bytes: usize) -> Result<(), TooSlow> {
        self.idle = if bytes == 0 { self.idle + time } else { Duration::ZERO };
        if self.idle >= IDLE_TIMEOUT {
            return Err(TooSlow::Idle);
        }
        self.waited += time;
        self.bytes += bytes as u64;
        if self.waited < WINDOW {
            return Ok(());
        }
        if self.bytes < RATE_MIN * self.waited.as_secs() {
            return Err(TooSlow::Rate);
        }
        (self.waited, self.bytes) = (Duration::ZERO, 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// After how many seconds a client is given up that sends `bytes` each second; `None`: not within ten minutes.
    fn given_up(mut bytes: impl FnMut(usize) -> usize) -> Option<(usize, TooSlow)> {
        let mut pace = Pace::default();
        (1..=600).find_map(|second| {
            assert!(pace.patience() > Duration::ZERO);
            pace.waited(SECOND, bytes(second)).err().map(|slow| (second, slow))
        })
    }

    #[test]
    fn client_is_given_up_below_the_rate_or_when_it_is_silent() {
        assert_eq!(given_up(|_| 1), Some((60, TooSlow::Rate)));
        assert_eq!(given_up(|_| 255), Some((60, TooSlow::Rate)));
        assert_eq!(given_up(|_| 256), None);
        assert_eq!(given_up(|_| 0), Some((30, TooSlow::Idle)));
        // What was sent fast before does not count.
        assert_eq!(given_up(|second| if second < 60 { 1_000_000 } else { 1 }), Some((120, TooSlow::Rate)));
        // A burst every 29 seconds is progress.
        assert_eq!(given_up(|second| if second % 29 == 0 { 10_000 } else { 0 }), None);
    }

    #[test]
    fn time_that_was_not_waited_does_not_count() {
        let mut pace = Pace::default();
        for _ in 0..100_000 {
            pace.waited(Duration::ZERO, 1).unwrap();
        }
        assert_eq!(pace.patience(), IDLE_TIMEOUT);
    }
}
