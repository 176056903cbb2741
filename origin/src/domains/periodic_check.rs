//! Periodic checks of domains that are not proven yet: the owner creates the record and need not ask again.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use verge_daemon::error_chain;
use verge_protocol::Timestamp;

use super::Domains;
use super::error::DomainError;
use crate::store::{DomainRow, StoreError};

/// How long after its last claim a domain is checked.
const AGE_MAX: Duration = Duration::from_hours(7 * 24);

/// How many domains are checked at once.
const CONCURRENCY: usize = 8;

impl Domains {
    /// Checks every domain that is due, each `interval`, until `draining`.
    pub(crate) async fn check_periodically(self, interval: Duration, draining: CancellationToken) {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let rounds = async {
            loop {
                ticks.tick().await;
                if let Err(error) = self.check_due().await {
                    tracing::error!(error = error_chain(&error), "failed to check domains");
                }
            }
        };
        draining.run_until_cancelled(rounds).await;
    }

    async fn check_due(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let due = self.database.domains().await?.into_values().filter(|row| is_due(row, now));
        futures_util::stream::iter(due)
            .for_each_concurrent(CONCURRENCY, |row| async {
                let name = row.name.clone();
                match self.check(row).await {
                    // Removed meanwhile.
                    Ok(_) | Err(DomainError::Unknown(_)) => {}
                    Err(error) => {
                        tracing::error!(domain = %name, error = error_chain(&error), "failed to check a domain");
                    }
                }
            })
            .await;
        Ok(())
    }
}

fn is_due(row: &DomainRow, now: Timestamp) -> bool {
    row.proven.is_none() && row.claimed.age(now) < AGE_MAX
}
