//! When the authorities are asked for the time, so that the origin's own clock, if it is wrong, does not put off a renewal.

use std::time::Duration;

use tokio::time::Instant;
use verge_daemon::error_chain;
use verge_protocol::Timestamp;

use super::authority::Authority;

/// The interval between questions.
const INTERVAL: Duration = Duration::from_hours(6);

/// The last question.
#[derive(Default)]
pub(super) struct AuthorityTime {
    last: Option<Asked>,
}

struct Asked {
    at: Instant,
    /// What the origin's clock showed.
    clock: Timestamp,
}

impl AuthorityTime {
    /// Asks if it is time to; `clock` is what the origin's clock shows.
    pub(super) async fn ask_if_due(&mut self, authorities: &[Authority], clock: Timestamp) {
        if self.last.as_ref().is_none_or(|last| last.is_past(clock)) {
            ask(authorities).await;
            self.last = Some(Asked { at: Instant::now(), clock });
        }
    }
}

impl Asked {
    /// Whether the interval has passed by a monotonic clock, or the origin's clock was set by as much, ahead or back.
    fn is_past(&self, clock: Timestamp) -> bool {
        self.at.elapsed().max(self.clock.age(clock)).max(clock.age(self.clock)) >= INTERVAL
    }
}

/// What an authority has told that is away now does not count if another one answers: the origin's clock may have been set since.
async fn ask(authorities: &[Authority]) {
    let mut silent = Vec::new();
    for authority in authorities {
        if let Err(error) = authority.contact().await {
            let directory = authority.directory();
            tracing::warn!(authority = directory, error = error_chain(&error), "the authority does not answer");
            silent.push(authority);
        }
    }
    if silent.len() < authorities.len() {
        silent.into_iter().for_each(Authority::forget_clock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn authorities_are_asked_again_after_the_interval_by_either_clock_or_once_the_clock_is_set() {
        let now = Timestamp(1_800_000_000_000);
        let asked = Asked { at: Instant::now(), clock: now };
        assert!(
            !asked.is_past(now) && !asked.is_past(now.after(INTERVAL / 2)) && !asked.is_past(now.before(INTERVAL / 2))
        );
        assert!(asked.is_past(now.after(INTERVAL)), "the machine slept, or its clock was set");
        assert!(asked.is_past(now.before(Duration::from_hours(25))));
        tokio::time::advance(INTERVAL).await;
        assert!(asked.is_past(now), "the clock stands still");
    }
}
