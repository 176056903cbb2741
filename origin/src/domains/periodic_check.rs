//! Looking again for proofs that were not there yet: whoever makes the record need not say so.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::time::MissedTickBehavior;
use verge_protocol::Timestamp;

use super::{DomainError, check};
use crate::app::App;
use crate::store::{DomainRow, StoreError};

/// How often that is.
pub(crate) const PERIOD: Duration = Duration::from_mins(1);

/// For how long after a domain was last wanted.
const AGE_MAX: Duration = Duration::from_hours(7 * 24);

/// How many at once.
const AT_ONCE: usize = 8;

/// Looks for missing proofs every `period`, until the origin drains.
pub(crate) async fn run(app: Arc<App>, period: Duration) {
    let mut times = tokio::time::interval(period);
    times.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let rounds = async {
        loop {
            times.tick().await;
            if let Err(error) = round(&app).await {
                tracing::error!(%error, "domains could not be looked at");
            }
        }
    };
    app.tasks.draining().run_until_cancelled(rounds).await;
}

async fn round(app: &Arc<App>) -> Result<(), StoreError> {
    let now = app.clock.now();
    let due = app.database.domains().await?.into_values().filter(|row| is_due(row, now));
    futures_util::stream::iter(due)
        .for_each_concurrent(AT_ONCE, |row| async {
            let name = row.name.clone();
            match check(app, row).await {
                // Removed meanwhile.
                Ok(_) | Err(DomainError::Unknown(_)) => {}
                Err(error) => tracing::error!(domain = %name, %error, "a domain could not be looked at"),
            }
        })
        .await;
    Ok(())
}

fn is_due(row: &DomainRow, now: Timestamp) -> bool {
    row.proven.is_none() && row.asked.age(now) < AGE_MAX
}
