//! How long to wait before trying again.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// Failures in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Backoff(u32);

impl Backoff {
    /// It went well.
    pub fn reset(&mut self) {
        self.0 = 0;
    }

    /// It failed once more: how long to wait. Doubles up to ten seconds; `chance`, from 0 to 1, takes off up to half of it, so
    /// that a fleet that lost its origin together does not come back together.
    pub fn failed(&mut self, chance: f64) -> Duration {
        let most = FIRST.saturating_mul(1 << self.0.min(10)).min(LONGEST);
        self.0 = self.0.saturating_add(1);
        most.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
    }

    /// Waits as long as [`Self::failed`] says.
    pub async fn wait(&mut self) {
        let delay = self.failed(rand::random());
        tokio::time::sleep(delay).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_bound_and_start_over() {
        let mut backoff = Backoff::default();
        let waits: Vec<u128> = (0..9).map(|_| backoff.failed(0.0).as_millis()).collect();
        assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
        backoff.reset();
        assert_eq!(backoff.failed(1.0), Duration::from_millis(50));
        for _ in 0..100 {
            backoff.failed(0.5);
        }
        assert_eq!(backoff.failed(0.0), LONGEST);
    }
}
