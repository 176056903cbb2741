//! The end of inheritance: a channel inherits an earlier release for a day, by the [`ExpiryClock`].
//!
//! The origin writes the channel's row again without what has expired; edges follow the row, whatever their clocks say.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use verge_daemon::error_chain;

use crate::expiry_clock::ExpiryClock;
use crate::feed::Feed;
use crate::publish;
use crate::store::{Database, StoreError};

/// Ends inheritance when its time has come, checked every `interval`, until `draining` is cancelled.
pub(crate) async fn run(
    database: Database,
    feed: Feed,
    clock: ExpiryClock,
    interval: Duration,
    draining: CancellationToken,
) {
    loop {
        if let Err(error) = expire(&database, &feed, &clock).await {
            tracing::error!(
                error = error_chain(&error),
                "failed to end the inheritance of releases: trying again later"
            );
        }
        tokio::select! {
            () = tokio::time::sleep(interval) => {}
            () = draining.cancelled() => return,
        }
    }
}

async fn expire(database: &Database, feed: &Feed, clock: &ExpiryClock) -> Result<(), StoreError> {
    let Some(now) = clock.now() else { return Ok(()) };
    for (label, state) in database.channel_states().await? {
        let expired = state.inherits.len() - publish::still_inherited(&state.inherits, now).len();
        if expired == 0 {
            continue;
        }
        tracing::info!(channel = %label, expired, "inherited releases expired");
        let database = database.clone();
        // A purge may have changed the row meanwhile.
        let expire = move |inherits: &[_]| publish::still_inherited(inherits, now);
        feed.write(async move { database.change_inherits(&label, expire).await }).await?;
    }
    Ok(())
}
