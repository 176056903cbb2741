//! The task that saves when an origin was last seen.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use verge_daemon::Clock;
use verge_daemon::feed::LastSeen;
use verge_protocol::feed::HEARTBEAT_SECONDS;

use crate::store::Store;

/// Saves it as often as an origin is heard from, and once more when `draining` is cancelled, so that an edge that starts while no origin
/// can be reached says since when. A failure is logged only: the other files are more important, and their failures are reported.
pub(super) async fn save(last_seen: LastSeen, store: Store, clock: Clock, draining: CancellationToken) {
    let mut checked = Instant::now();
    loop {
        let interval = tokio::time::sleep(Duration::from_secs(HEARTBEAT_SECONDS));
        let is_draining = draining.run_until_cancelled(interval).await.is_none();
        // One that was seen before was saved then: its time would only change with the clock.
        if let Some(ago) = last_seen.since_record()
            && ago <= checked.elapsed()
        {
            let at = clock.now().before(ago);
            if let Some(Err(error)) = store.run_blocking(move |store| store.save_origin_contact(at)).await {
                tracing::debug!(%error, "failed to save when the origin was last seen");
            }
        }
        checked = Instant::now();
        if is_draining {
            return;
        }
    }
}
