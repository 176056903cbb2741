//! Negative caching: fetches that failed a moment ago.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use verge_protocol::Digest;

/// Why a blob is unavailable for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unavailable {
    /// No origin could be reached: 503, worth a retry.
    #[error("no origin can be reached")]
    Unreachable,
    /// Origins answered, but not with the blob: 502.
    #[error("no origin sent the blob")]
    Refused,
}

/// How long a failure is remembered: it spares the origin a burst of requests for one blob, and is short enough that a
/// recovered origin is used at once.
const FAILURE_TTL: Duration = Duration::from_secs(1);
/// Maximum number of failures remembered. Blobs beyond it are simply fetched again.
const MAX_FAILURES: usize = 4096;

/// Fetches that failed within the last [`FAILURE_TTL`], by blob.
#[derive(Default)]
pub(crate) struct RecentFailures(Mutex<HashMap<Digest, (Instant, Unavailable)>>);

impl RecentFailures {
    /// Why the blob's last fetch failed, if that was within [`FAILURE_TTL`].
    pub(crate) fn get(&self, digest: &Digest) -> Option<Unavailable> {
        let (since, reason) = *self.lock().get(digest)?;
        (since.elapsed() < FAILURE_TTL).then_some(reason)
    }

    /// Records that fetching the blob has failed just now.
    pub(crate) fn record(&self, digest: Digest, reason: Unavailable) {
        let mut failures = self.lock();
        if failures.len() >= MAX_FAILURES {
            failures.retain(|_, (since, _)| since.elapsed() < FAILURE_TTL);
        }
        if failures.len() < MAX_FAILURES {
            failures.insert(digest, (Instant::now(), reason));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, (Instant, Unavailable)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(number: usize) -> Digest {
        Digest::of(&number.to_be_bytes())
    }

    #[tokio::test(start_paused = true)]
    async fn failure_after_its_ttl_is_forgotten() {
        let failures = RecentFailures::default();
        failures.record(digest(1), Unavailable::Refused);
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(failures.get(&digest(1)), Some(Unavailable::Refused));
        assert_eq!(failures.get(&digest(2)), None);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(failures.get(&digest(1)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn failures_beyond_the_maximum_are_not_recorded() {
        let failures = RecentFailures::default();
        (0..MAX_FAILURES + 10).for_each(|number| failures.record(digest(number), Unavailable::Unreachable));
        assert_eq!(failures.lock().len(), MAX_FAILURES);
        tokio::time::advance(FAILURE_TTL).await;
        failures.record(digest(0), Unavailable::Unreachable);
        assert_eq!(failures.lock().len(), 1);
    }
}
