//! A limit on the bytes per second of prefetching.

use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Delays transfers so that together they stay within a number of bytes per second. Clones share the limit.
#[derive(Debug, Clone)]
pub(super) struct BandwidthLimit {
    bytes_per_second: NonZeroU64,
    /// When the bytes that have passed are paid for.
    paid_at: Arc<Mutex<Instant>>,
}

impl BandwidthLimit {
    pub(super) fn new(bytes_per_second: NonZeroU64) -> Self {
        Self { bytes_per_second, paid_at: Arc::new(Mutex::new(Instant::now())) }
    }

    /// Accounts for bytes that have been received, and waits until the next may be.
    pub(super) async fn pass(&self, bytes: u64) {
        let nanoseconds = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second.get());
        let cost = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        let paid_at = {
            let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
            *paid_at = (*paid_at).max(Instant::now()) + cost;
            *paid_at
        };
        tokio::time::sleep_until(paid_at).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn concurrent_transfers_share_the_limit() {
        let limit = BandwidthLimit::new(NonZeroU64::new(1000).unwrap());
        let start = Instant::now();
        let transfer = async || {
            for _ in 0..5 {
                limit.pass(100).await;
            }
        };
        tokio::join!(transfer(), transfer());
        assert_eq!(start.elapsed(), Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(10)).await;
        limit.pass(500).await;
        assert_eq!(start.elapsed(), Duration::from_millis(11_500), "an idle time is not saved up");
    }
}
