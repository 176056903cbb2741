//! Which authorities accept no order because of a rate limit, for certificates that they have not refused. The limit may be one of all orders, or
//! of the one that was refused: an order for another certificate finds out, once some minutes have passed.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use verge_daemon::error_chain;
use verge_protocol::Timestamp;

use super::plan::{CLOCK_TOLERANCE, Pause};
use crate::store::{AuthorityLimit, AuthorityLimits, Database, StoreError};

/// How long an authority that refuses an order because of a rate limit gets no other one.
const PAUSE_MAX: Duration = Duration::from_mins(10);

/// The last refusal of each authority: in memory, and in the database for the next start.
pub(crate) struct KnownLimits {
    database: Database,
    last: Mutex<AuthorityLimits>,
}

impl KnownLimits {
    /// Those that an earlier process has met.
    pub(crate) async fn load(database: &Database) -> Result<Self, StoreError> {
        Ok(Self { database: database.clone(), last: Mutex::new(database.authority_limits().await?) })
    }

    /// The pause of an authority, if there is one at `now`, and what it said.
    pub(super) fn pause(&self, directory: &str, now: Timestamp) -> Option<(Pause, String)> {
        let last = self.last();
        let limit = last.get(directory)?;
        Some((pause(limit, now)?, limit.problem.clone()))
    }

    /// Whether any authority is paused.
    pub(super) fn any(&self, now: Timestamp) -> bool {
        self.last().values().any(|limit| pause(limit, now).is_some())
    }

    /// An authority has refused an order, and has asked for no other one before `retry_after`.
    pub(super) async fn refused(&self, directory: &str, now: Timestamp, retry_after: Timestamp, problem: &str) {
        let limit = {
            let mut last = self.last();
            let limit = next(last.get(directory), now, retry_after, problem);
            last.insert(directory.to_owned(), limit.clone());
            limit
        };
        if let Err(error) = self.database.put_authority_limit(directory, &limit).await {
            tracing::warn!(
                authority = directory,
                error = error_chain(&error),
                "failed to record that an authority limits orders"
            );
        }
    }

    /// An authority has issued a certificate. One that had accepted the order before it refused another one goes on refusing.
    pub(super) fn accepted(&self, directory: &str, now: Timestamp) {
        self.last().retain(|limited, limit| limited != directory || pause(limit, now).is_some());
    }

    fn last(&self) -> MutexGuard<'_, BTreeMap<String, AuthorityLimit>> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The limit after a refusal.
fn next(last: Option<&AuthorityLimit>, now: Timestamp, retry_after: Timestamp, problem: &str) -> AuthorityLimit {
    let problem = problem.to_owned();
    let refused = AuthorityLimit { refused: now, since: now, retry_after, problem };
    let Some(last) = last.filter(|last| is_plausible(last, now) && now <= end(last).after(PAUSE_MAX)) else {
        return refused;
    };
    let since = last.since.min(now);
    // The refusal of an order that was in progress ends no longer wait.
    if now < end(last) && retry_after < last.retry_after {
        return AuthorityLimit { refused: now, since, ..last.clone() };
    }
    AuthorityLimit { since, ..refused }
}

fn pause(limit: &AuthorityLimit, now: Timestamp) -> Option<Pause> {
    let until = end(limit);
    let is_running = now < until && is_plausible(limit, now);
    is_running.then_some(Pause { since: limit.since, until, asked_until: limit.retry_after })
}

fn end(limit: &AuthorityLimit) -> Timestamp {
    limit.refused.after(PAUSE_MAX).min(limit.retry_after)
}

/// False if the clock was ahead when the authority refused.
fn is_plausible(limit: &AuthorityLimit, now: Timestamp) -> bool {
    limit.refused <= now.after(CLOCK_TOLERANCE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minute(count: u64) -> Timestamp {
        Timestamp(1_700_000_000_000).after(Duration::from_mins(count))
    }

    #[test]
    fn pauses_that_follow_one_another_are_counted_from_the_first_one() {
        let long = next(None, minute(0), minute(2000), "too many today");
        let of_long = Pause { since: minute(0), until: minute(10), asked_until: minute(2000) };
        assert_eq!(pause(&long, minute(9)), Some(of_long));
        assert_eq!(pause(&long, minute(10)), None);
        // While it lasts, an earlier end does not shorten it.
        let refused = next(Some(&long), minute(5), minute(6), "too many");
        let longer = Pause { until: minute(15), ..of_long };
        assert_eq!((pause(&refused, minute(6)), &*refused.problem), (Some(longer), "too many today"));
        // Afterwards it does not prolong another one.
        let short = next(Some(&long), minute(12), minute(13), "too many");
        let of_short = Pause { since: minute(0), until: minute(13), asked_until: minute(13) };
        assert_eq!((pause(&short, minute(12)), &*short.problem), (Some(of_short), "too many"));
        let later = next(Some(&short), minute(60), minute(61), "too many");
        assert_eq!(later.since, minute(60));
    }

    #[test]
    fn refusal_under_a_clock_that_was_hours_ahead_pauses_nothing() {
        let ahead = next(None, minute(50_000), minute(50_005), "too many");
        assert_eq!(pause(&ahead, minute(0)), None);
        assert_eq!(next(Some(&ahead), minute(0), minute(1), "too many").since, minute(0));
        let little = next(None, minute(2), minute(60), "too many");
        assert!(pause(&little, minute(0)).is_some());
        assert_eq!(next(Some(&little), minute(0), minute(70), "too many").since, minute(0));
    }

    #[tokio::test]
    async fn limit_is_known_after_a_restart_until_an_order_is_accepted() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&directory.path().join("origin.db"), Timestamp(1)).await.unwrap();
        let limits = KnownLimits::load(&database).await.unwrap();
        assert!(!limits.any(minute(0)));
        limits.refused("one", minute(0), minute(60), "too many").await;
        limits.refused("one", minute(1), minute(70), "far too many").await;
        let expected =
            (Pause { since: minute(0), until: minute(11), asked_until: minute(70) }, "far too many".to_owned());
        let restarted = KnownLimits::load(&database).await.unwrap();
        for limits in [&limits, &restarted] {
            assert_eq!(limits.pause("one", minute(2)), Some(expected.clone()));
            assert_eq!(limits.pause("other", minute(2)), None);
            // It had accepted that one before.
            limits.accepted("one", minute(3));
            assert!(limits.any(minute(10)) && !limits.any(minute(11)));
            limits.accepted("one", minute(11));
            limits.refused("one", minute(12), minute(13), "too many").await;
            assert_eq!(limits.pause("one", minute(12)).unwrap().0.since, minute(12), "the first of others");
        }
        database.close().await;
    }
}
