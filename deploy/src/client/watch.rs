//! Notices when nothing moves any more. Time-outs are on lack of progress, never on the total.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The slowest link that is waited for. Bytes handed to the operating system may still have to travel, unseen from here.
const SLOWEST_BYTES_PER_SECOND: u64 = 32 * 1024;

/// Follows the bytes of one request.
#[derive(Clone)]
pub(crate) struct Watch {
    silence: Duration,
    state: Arc<Mutex<State>>,
}

struct State {
    moved: Instant,
    sent: u64,
}

/// Nothing moved for this long.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stalled(pub(crate) Duration);

impl Watch {
    /// Starts watching; `silence` is how long nothing may move.
    pub(crate) fn new(silence: Duration) -> Self {
        Self { silence, state: Arc::new(Mutex::new(State { moved: Instant::now(), sent: 0 })) }
    }

    /// Says that `bytes` were handed over for sending.
    pub(crate) fn sent(&self, bytes: usize) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.moved = Instant::now();
        state.sent += bytes as u64;
    }

    /// Waits for `future`, unless nothing moves for too long meanwhile.
    pub(crate) async fn guard<F: Future>(&self, future: F) -> Result<F::Output, Stalled> {
        let mut future = pin!(future);
        loop {
            let deadline = self.deadline();
            tokio::select! {
                output = &mut future => return Ok(output),
                () = tokio::time::sleep_until(deadline) => {}
            }
            if self.deadline() <= deadline {
                return Err(Stalled(self.patience()));
            }
        }
    }

    fn deadline(&self) -> Instant {
        let moved = self.state.lock().unwrap_or_else(PoisonError::into_inner).moved;
        moved + self.patience()
    }

    fn patience(&self) -> Duration {
        let sent = self.state.lock().unwrap_or_else(PoisonError::into_inner).sent;
        self.silence.max(Duration::from_secs(sent / SLOWEST_BYTES_PER_SECOND))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_secs(30);

    #[tokio::test(start_paused = true)]
    async fn silence_ends_the_wait() {
        let start = Instant::now();
        let never = std::future::pending::<()>();
        assert_eq!(Watch::new(SILENCE).guard(never).await, Err(Stalled(SILENCE)));
        assert_eq!(start.elapsed(), SILENCE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_request_that_moves_is_waited_for() {
        let watch = Watch::new(SILENCE);
        let slow = async {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_secs(29)).await;
                watch.sent(1);
            }
        };
        assert_eq!(watch.guard(slow).await, Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_on_their_way_are_waited_for() {
        let watch = Watch::new(SILENCE);
        let start = Instant::now();
        watch.sent(8 << 20);
        let Err(Stalled(waited)) = watch.guard(std::future::pending::<()>()).await else { panic!("no end") };
        assert_eq!(waited, Duration::from_secs(256));
        assert_eq!(start.elapsed(), waited);
    }
}
