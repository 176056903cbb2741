//! The retry policy of requests that may fail for a while.

use std::cell::Cell;
use std::time::Duration;

use crate::client::ClientError;
use crate::output::{Output, human};

/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_secs(16);

/// How often and how fast a request is retried.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Consecutive attempts without progress before giving up.
    pub max_attempts: u32,
    /// The longest pause after the first such attempt; doubled after each, up to 16 seconds.
    pub initial_pause: Duration,
}

impl Default for RetryPolicy {
    /// At most half a minute: long enough for a restart of the origin.
    fn default() -> Self {
        Self { max_attempts: 7, initial_pause: Duration::from_millis(500) }
    }
}

impl RetryPolicy {
    /// Calls `request` until it succeeds, fails with an error that `may_retry` rejects, or has failed `max_attempts` times. Prints
    /// the first error, so that a mistyped URL does not look like a slow origin.
    pub async fn run<T>(
        self,
        output: &Output,
        may_retry: impl Fn(&ClientError) -> bool,
        mut request: impl AsyncFnMut() -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let mut failed = 0;
        loop {
            let error = match request().await {
                Err(error) if may_retry(&error) => error,
                outcome => return outcome,
            };
            failed += 1;
            if failed >= self.max_attempts {
                return Err(error);
            }
            if failed == 1 {
                output.info(format_args!("  {}; retrying", human::line(&error.to_string(), 300)));
            }
            self.pause(failed).await;
        }
    }

    /// The same for the first request of a command: an origin that cannot be reached at all fails it at once, since most likely its URL is
    /// mistyped.
    pub async fn run_first<T>(
        self,
        output: &Output,
        request: impl AsyncFnMut() -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let is_first = Cell::new(true);
        let may_retry = |error: &ClientError| {
            let is_mistyped = is_first.replace(false) && matches!(error, ClientError::Unreachable { .. });
            error.is_transient() && !is_mistyped
        };
        self.run(output, may_retry, request).await
    }

    /// Waits after `failed` consecutive attempts without progress; `failed` is at least 1.
    pub(crate) async fn pause(self, failed: u32) {
        tokio::time::sleep(self.pause_after(failed, rand::random())).await;
    }

    /// The pause; `jitter`, from 0 to 1, shortens it by up to half, so that clients which lost the same origin do not return all at
    /// once.
    fn pause_after(self, failed: u32, jitter: f64) -> Duration {
        let pause = self.initial_pause.saturating_mul(2_u32.saturating_pow(failed - 1)).min(PAUSE_MAX);
        pause.mul_f64(1.0 - jitter.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::OutputOptions;

    const POLICY: RetryPolicy = RetryPolicy { max_attempts: 3, initial_pause: Duration::from_secs(1) };

    /// A request that fails `failures` times. Returns whether it succeeded, and the number of attempts.
    async fn run(failures: u32, may_retry: bool) -> (bool, u32) {
        let output = Output::new(std::io::sink(), std::io::sink(), OutputOptions::default());
        let mut attempts = 0;
        let request = async || {
            attempts += 1;
            if attempts > failures { Ok(()) } else { Err(ClientError::ConnectionLost { reason: "reset".to_owned() }) }
        };
        let outcome = POLICY.run(&output, |_| may_retry, request).await;
        (outcome.is_ok(), attempts)
    }

    #[tokio::test(start_paused = true)]
    async fn request_is_retried_until_it_succeeds_or_attempts_are_used_up() {
        assert_eq!(run(0, true).await, (true, 1));
        assert_eq!(run(2, true).await, (true, 3));
        assert_eq!(run(3, true).await, (false, 3));
        assert_eq!(run(1, false).await, (false, 1));
    }

    #[test]
    fn pause_doubles_to_its_limit_and_jitter_halves_it_at_most() {
        let milliseconds = |jitter| [1, 2, 3, 5, 9, 40].map(|failed| POLICY.pause_after(failed, jitter).as_millis());
        assert_eq!(milliseconds(0.0), [1000, 2000, 4000, 16_000, 16_000, 16_000]);
        assert_eq!(milliseconds(1.0), [500, 1000, 2000, 8000, 8000, 8000]);
    }

    #[tokio::test(start_paused = true)]
    async fn first_request_fails_at_once_only_if_the_origin_was_never_reached() {
        let output = Output::new(std::io::sink(), std::io::sink(), OutputOptions::default());
        let unreachable = || ClientError::Unreachable { origin: "http://a".to_owned(), reason: "refused".to_owned() };
        let lost = || ClientError::ConnectionLost { reason: "reset".to_owned() };
        for (errors, attempts) in [(vec![unreachable()], 1), (vec![unreachable(), lost()], 3)] {
            let mut errors = errors;
            let mut asked = 0;
            let outcome = POLICY
                .run_first(&output, async || {
                    asked += 1;
                    errors.pop().map_or(Ok(()), Err)
                })
                .await;
            assert_eq!((asked, outcome.is_ok()), (attempts, attempts == 3));
        }
    }
}
