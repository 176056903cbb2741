//! What could not be had a moment ago.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use verge_protocol::Digest;

use super::Unavailable;

/// For how long a failure stands: readers who come in a rush are told the same, and no one has to wait long for an origin that
/// is back.
const STANDS: Duration = Duration::from_secs(1);
/// Failures remembered at most. Those beyond are asked for again.
const MOST: usize = 4096;

/// The failures of the last moment, by blob.
#[derive(Default)]
pub(super) struct Failures(Mutex<HashMap<Digest, (Instant, Unavailable)>>);

impl Failures {
    /// Why the blob could not be had a moment ago, if it was asked for then.
    pub(super) fn recent(&self, digest: &Digest) -> Option<Unavailable> {
        let (since, why) = *self.lock().get(digest)?;
        (since.elapsed() < STANDS).then_some(why)
    }

    /// It could not be had just now.
    pub(super) fn remember(&self, digest: Digest, why: Unavailable) {
        let mut failures = self.lock();
        if failures.len() >= MOST {
            failures.retain(|_, (since, _)| since.elapsed() < STANDS);
        }
        if failures.len() < MOST {
            failures.insert(digest, (Instant::now(), why));
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
    async fn a_failure_stands_for_a_moment() {
        let failures = Failures::default();
        failures.remember(digest(1), Unavailable::Refused);
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(failures.recent(&digest(1)), Some(Unavailable::Refused));
        assert_eq!(failures.recent(&digest(2)), None);
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!(failures.recent(&digest(1)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_than_so_many_are_remembered() {
        let failures = Failures::default();
        (0..MOST + 10).for_each(|number| failures.remember(digest(number), Unavailable::Unreachable));
        assert_eq!(failures.lock().len(), MOST);
        tokio::time::advance(STANDS).await;
        failures.remember(digest(0), Unavailable::Unreachable);
        assert_eq!(failures.lock().len(), 1);
    }
}
