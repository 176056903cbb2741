//! Exponential back-off with jitter.

use std::time::Duration;

const MIN_DELAY: Duration = Duration::from_millis(100);
const MAX_DELAY: Duration = Duration::from_secs(10);

/// The delay before the next retry, by the number of consecutive failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backoff(u32);

impl Backoff {
    /// Records a success.
    pub fn reset(&mut self) {
        self.0 = 0;
    }

    /// Records a failure and returns the delay before the next attempt. Doubles up to ten seconds; `jitter`, from 0 to 1, reduces it
    /// by up to half, so that a fleet that lost its origin does not reconnect all at once.
    pub fn failed(&mut self, jitter: f64) -> Duration {
        let delay = MIN_DELAY.saturating_mul(1 << self.0.min(10)).min(MAX_DELAY);
        self.0 = self.0.saturating_add(1);
        delay.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
    }

    /// Records a failure and waits for the delay.
    pub async fn wait(&mut self) {
        let delay = self.failed(rand::random());
        tokio::time::sleep(delay).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_doubles_to_limit_and_resets() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..9).map(|_| backoff.failed(0.0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        backoff.reset();
        assert_eq!(backoff.failed(1.0), Duration::from_millis(50));
        for _ in 0..100 {
            backoff.failed(0.5);
        }
        assert_eq!(backoff.failed(0.0), MAX_DELAY);
    }
}
