//! When the authorities are asked for the time, so that the origin's own clock, if it is wrong, does not put off a renewal, and for their
//! names.

use std::time::Duration;

use tokio::time::Instant;
use verge_daemon::error_chain;
use verge_protocol::Timestamp;

use super::authority::Authority;

/// The interval between questions.
const INTERVAL: Duration = Duration::from_hours(6);
/// The interval after a question that an authority has not answered.
const RETRY_INTERVAL: Duration = Duration::from_mins(10);

/// The last question.
#[derive(Default)]
pub(super) struct AuthorityTime {
    last: Option<Asked>,
}

struct Asked {
    at: Instant,
    /// What the origin's clock showed.
    clock: Timestamp,
    /// Whether all authorities have answered with their directory.
    is_answered: bool,
}

impl AuthorityTime {
    /// Asks if it is time to; `clock` is what the origin's clock shows.
    pub(super) async fn ask_if_due(&mut self, authorities: &[Authority], clock: Timestamp) {
        if self.last.as_ref().is_none_or(|last| last.is_past(clock)) {
            let is_answered = ask(authorities).await;
            self.last = Some(Asked { at: Instant::now(), clock, is_answered });
        }
    }
}

impl Asked {
    /// Whether the interval has passed by a monotonic clock, or the origin's clock was set by as much, ahead or back; after a question that
    /// was not answered, the shorter interval by the monotonic clock.
    fn is_past(&self, clock: Timestamp) -> bool {
        let elapsed = self.at.elapsed();
        let is_retried = !self.is_answered && elapsed >= RETRY_INTERVAL;
        is_retried || elapsed.max(self.clock.age(clock)).max(clock.age(self.clock)) >= INTERVAL
    }
}

/// Returns whether all have answered with their directory.
async fn ask(authorities: &[Authority]) -> bool {
    let mut are_answered = true;
    for authority in authorities {
        let answer = authority.contact().await;
        are_answered &= matches!(answer, Ok(true));
        if let Err(error) = answer {
            let authority = authority.directory();
            tracing::warn!(authority, error = error_chain(&error), "the authority does not answer");
        }
    }
    are_answered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn authorities_are_asked_again_after_the_interval_by_either_clock_or_once_the_clock_is_set() {
        let now = Timestamp(1_800_000_000_000);
        let asked = Asked { at: Instant::now(), clock: now, is_answered: true };
        assert!(
            !asked.is_past(now) && !asked.is_past(now.after(INTERVAL / 2)) && !asked.is_past(now.before(INTERVAL / 2))
        );
        assert!(asked.is_past(now.after(INTERVAL)), "the machine slept, or its clock was set");
        assert!(asked.is_past(now.before(Duration::from_hours(25))));
        tokio::time::advance(INTERVAL).await;
        assert!(asked.is_past(now), "the clock stands still");

        let asked = Asked { at: Instant::now(), clock: now, is_answered: false };
        assert!(!asked.is_past(now.after(RETRY_INTERVAL)));
        tokio::time::advance(RETRY_INTERVAL).await;
        assert!(asked.is_past(now));
    }
}
