//! The task that puts what was followed on disk.

use tokio::sync::watch;

use crate::status::Applied;
use crate::store::{Disk, Saved};

/// A state to be saved, and how far it is.
#[derive(Debug, Clone)]
pub(super) struct Save {
    pub(super) saved: Saved,
    pub(super) applied: Applied,
}

/// Saves each state, or the latest where they come faster than the disk takes them; tells `durable` after each. What is told is
/// what a crash would not lose, unless the disk is at fault: then it is told all the same, since it is served.
pub(super) async fn run(disk: Disk, mut queue: watch::Receiver<Option<Save>>, durable: watch::Sender<Applied>) {
    while queue.changed().await.is_ok() {
        let Some(save) = queue.borrow_and_update().clone() else { continue };
        let Save { saved: state, applied } = save;
        if let Some(Err(error)) = disk.run(move |store| store.save(&state)).await {
            tracing::error!(%error, "the state could not be saved: a restart would start behind");
        }
        durable.send_replace(applied);
    }
}
