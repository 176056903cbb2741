//! When something was last seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// When an origin was last seen. Clones share it.
#[derive(Debug, Clone)]
pub struct LastSeen {
    start: Instant,
    /// How long before `start` an earlier process saw one; `None` if none did, or it is not known.
    before: Option<Duration>,
    /// Milliseconds after `start`, plus one; 0: never.
    last: Arc<AtomicU64>,
    /// Whether no origin could be reached since.
    is_unreachable: Arc<AtomicBool>,
}

impl LastSeen {
    /// No origin was seen yet.
    pub fn never() -> Self {
        Self::before(None)
    }

    /// An earlier process saw an origin `before` from now; `None`: no process did.
    pub fn before(before: Option<Duration>) -> Self {
        Self { start: Instant::now(), before, last: Arc::default(), is_unreachable: Arc::default() }
    }

    /// Records that an origin was seen now.
    pub fn record(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.last.store(millis + 1, Ordering::Relaxed);
        self.is_unreachable.store(false, Ordering::Relaxed);
    }

    /// Records that no origin could be reached.
    pub fn record_failure(&self) {
        self.is_unreachable.store(true, Ordering::Relaxed);
    }

    /// Whether the last attempt to reach an origin failed.
    pub fn is_unreachable(&self) -> bool {
        self.is_unreachable.load(Ordering::Relaxed)
    }

    /// Time since the last record, or since the start of this process if there is none.
    pub fn silence(&self) -> Duration {
        self.since_record().unwrap_or_else(|| self.start.elapsed())
    }

    /// Time since an origin was last seen by this process or an earlier one; `None` if it never was.
    pub fn elapsed(&self) -> Option<Duration> {
        self.since_record().or_else(|| Some(self.before? + self.start.elapsed()))
    }

    /// Time since the last record; `None` if there is none.
    pub fn since_record(&self) -> Option<Duration> {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed).checked_sub(1)?);
        Some(self.start.elapsed().saturating_sub(last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn elapsed_is_time_since_last_record() {
        let last_seen = LastSeen::never();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!((last_seen.elapsed(), last_seen.silence()), (None, Duration::from_secs(1)));
        last_seen.record_failure();
        assert!(last_seen.is_unreachable());
        last_seen.record();
        assert!(!last_seen.is_unreachable());
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!((last_seen.elapsed(), last_seen.silence()), (Some(Duration::from_secs(3)), Duration::from_secs(3)));
    }

    #[tokio::test(start_paused = true)]
    async fn elapsed_before_the_first_record_is_time_since_an_earlier_process() {
        let last_seen = LastSeen::before(Some(Duration::from_hours(1)));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(
            (last_seen.elapsed(), last_seen.silence(), last_seen.since_record()),
            (Some(Duration::from_secs(3602)), Duration::from_secs(2), None)
        );
        last_seen.record();
        assert_eq!(last_seen.elapsed(), Some(Duration::ZERO));
    }
}
