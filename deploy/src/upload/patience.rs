//! How long trouble on the way is put up with.

use std::time::Duration;

use crate::client::ClientError;
use crate::output::{Output, human};

/// No pause is longer.
const PAUSE_MAX: Duration = Duration::from_secs(16);

/// How long a cut or silent origin is put up with.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// Rounds in a row that may bring nothing.
    pub rounds: u32,
    /// The pause after the first such round; doubled after each, up to 16 seconds.
    pub pause: Duration,
}

impl Default for Patience {
    /// Half a minute: an origin that is restarted is waited for.
    fn default() -> Self {
        Self { rounds: 7, pause: Duration::from_millis(500) }
    }
}

impl Patience {
    /// Makes a call, and makes it again while it fails as `may_repeat` allows. Returns the last error when patience is at its
    /// end. That it is waiting is said once: an address that is mistyped should not look like a slow origin.
    pub async fn retry<T>(
        self,
        output: &Output,
        may_repeat: impl Fn(&ClientError) -> bool,
        mut call: impl AsyncFnMut() -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let mut failed = 0;
        loop {
            let error = match call().await {
                Err(error) if may_repeat(&error) => error,
                outcome => return outcome,
            };
            failed += 1;
            if failed >= self.rounds {
                return Err(error);
            }
            if failed == 1 {
                output.say(format_args!("  {}: trying again", human::line(&error.to_string(), 300)));
            }
            self.after(failed).await;
        }
    }

    /// The pause after so many rounds in a row that brought nothing, of which there was at least one.
    pub(super) async fn after(self, barren: u32) {
        let pause = self.pause.saturating_mul(2_u32.saturating_pow(barren - 1));
        tokio::time::sleep(pause.min(PAUSE_MAX)).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::output::Manner;

    const PATIENCE: Patience = Patience { rounds: 3, pause: Duration::from_secs(1) };

    /// Fails so often, each time with a cut. Returns the outcome, the number of calls, and the seconds that it took.
    async fn after_cuts(cuts: u32, may_repeat: bool) -> (bool, u32, u64) {
        let output = Output::new(std::io::sink(), std::io::sink(), Manner::default());
        let (start, mut calls) = (Instant::now(), 0);
        let call = async || {
            calls += 1;
            if calls > cuts { Ok(()) } else { Err(ClientError::Cut { reason: "reset".to_owned() }) }
        };
        let outcome = PATIENCE.retry(&output, |_| may_repeat, call).await;
        (outcome.is_ok(), calls, start.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_is_made_until_it_succeeds_or_patience_ends() {
        assert_eq!(after_cuts(0, true).await, (true, 1, 0));
        assert_eq!(after_cuts(2, true).await, (true, 3, 3));
        assert_eq!(after_cuts(3, true).await, (false, 3, 3));
        assert_eq!(after_cuts(1, false).await, (false, 1, 0));
    }
}
