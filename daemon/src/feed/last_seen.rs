//! When something was last seen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// When an origin was last seen. Clones share it.
#[derive(Debug, Clone)]
pub struct LastSeen {
    start: Instant,
    /// Milliseconds after `start`, plus one; 0: never.
    last: Arc<AtomicU64>,
    /// Whether no origin could be reached since.
    is_unreachable: Arc<AtomicBool>,
}

impl LastSeen {
    /// No origin was seen yet.
    pub fn never() -> Self {
        Self { start: Instant::now(), last: Arc::default(), is_unreachable: Arc::default() }
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

    /// Time since the last record, or since the start if there is none.
    pub fn silence(&self) -> Duration {
        self.elapsed().unwrap_or_else(|| self.start.elapsed())
    }

    /// Time since the last record; `None` if there is none.
    pub fn elapsed(&self) -> Option<Duration> {
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
}
