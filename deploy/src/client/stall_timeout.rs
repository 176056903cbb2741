//! Timeouts on lack of progress, never on the total time.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The slowest link that is supported. Bytes in the socket buffers of the operating system may still be under way.
const MIN_BYTES_PER_SECOND: u64 = 32 * 1024;

/// Observes the progress of one request.
#[derive(Clone)]
pub(crate) struct StallTimeout {
    limit: Duration,
    state: Arc<Mutex<State>>,
}

struct State {
    last_progress: Instant,
    sent: u64,
}

/// There was no progress for this long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stalled(pub(crate) Duration);

impl StallTimeout {
    /// Starts now; `limit` is the longest time without progress.
    pub(crate) fn new(limit: Duration) -> Self {
        Self { limit, state: Arc::new(Mutex::new(State { last_progress: Instant::now(), sent: 0 })) }
    }

    /// Records that `bytes` were handed to the operating system.
    pub(crate) fn record_sent(&self, bytes: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.last_progress = Instant::now();
        state.sent += bytes as u64;
    }

    /// Waits for `future` as long as there is progress.
    pub(crate) async fn run<F: Future>(&self, future: F) -> Result<F::Output, Stalled> {
        let mut future = pin!(future);
        loop {
            let deadline = self.deadline();
            tokio::select! {
                output = &mut future => return Ok(output),
                () = tokio::time::sleep_until(deadline) => {}
            }
            if self.deadline() <= deadline {
                return Err(Stalled(self.current_limit()));
            }
        }
    }

    fn deadline(&self) -> Instant {
        let last_progress = self.state.lock().unwrap_or_else(PoisonError::into_inner).last_progress;
        last_progress + self.current_limit()
    }

    fn current_limit(&self) -> Duration {
        let sent = self.state.lock().unwrap_or_else(PoisonError::into_inner).sent;
        self.limit.max(Duration::from_secs(sent / MIN_BYTES_PER_SECOND))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn request_without_progress_times_out() {
        let start = Instant::now();
        let never = std::future::pending::<()>();
        assert_eq!(StallTimeout::new(LIMIT).run(never).await, Err(Stalled(LIMIT)));
        assert_eq!(start.elapsed(), LIMIT);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_request_with_progress_does_not_time_out() {
        let timeout = StallTimeout::new(LIMIT);
        let slow = async {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_secs(29)).await;
                timeout.record_sent(1);
            }
        };
        assert_eq!(timeout.run(slow).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn limit_grows_with_bytes_sent() {
        let timeout = StallTimeout::new(LIMIT);
        let start = Instant::now();
        timeout.record_sent(8 << 20);
        let Err(Stalled(waited)) = timeout.run(std::future::pending::<()>()).await else { panic!("must time out") };
        assert_eq!(waited, Duration::from_secs(256));
        assert_eq!(start.elapsed(), waited);
    }
}
