//! Wall-clock time, passed as an argument.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use verge_protocol::Timestamp;

/// A source of wall-clock time. For durations use `tokio::time`, which a test can pause.
#[derive(Clone)]
pub struct Clock(Source);

#[derive(Clone)]
enum Source {
    System,
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The system clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until [`Clock::advance`] or [`Clock::set`] moves it.
    pub fn manual(start: Timestamp) -> Self {
        Self(Source::Manual(Arc::new(AtomicU64::new(start.0))))
    }

    /// The current time.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => {
                #[expect(clippy::disallowed_methods, reason = "the only place that reads the system clock")]
                let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                Timestamp::default().after(since)
            }
            Source::Manual(now) => Timestamp(now.load(Ordering::SeqCst)),
        }
    }

    /// Moves a manual clock and all its clones; no effect on the system clock.
    pub fn advance(&self, by: Duration) {
        self.set(self.now().after(by));
    }

    /// Sets a manual clock and all its clones, forward or back; no effect on the system clock.
    pub fn set(&self, time: Timestamp) {
        if let Source::Manual(now) = &self.0 {
            now.store(time.0, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manual_clock_moves_only_when_it_is_moved() {
        let clock = Clock::manual(Timestamp(1_000));
        let clone = clock.clone();
        clock.advance(Duration::from_secs(2));
        assert_eq!(clone.now(), Timestamp(3_000));
        clone.set(Timestamp(500));
        assert_eq!(clock.now(), Timestamp(500));
    }
}
