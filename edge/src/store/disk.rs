//! The store, for callers that must not block.

use std::ops::Deref;
use std::sync::Arc;

use verge_daemon::Tasks;

use super::Store;

/// A handle on the store. Clones share it.
#[derive(Clone)]
pub(crate) struct Disk {
    store: Arc<Store>,
    tasks: Tasks,
}

impl Disk {
    pub(crate) fn new(store: Store, tasks: Tasks) -> Self {
        Self { store: Arc::new(store), tasks }
    }

    /// Does work that reads or writes files, away from the runtime's threads. `None` if it crashed, or was cut off at the end
    /// of a shutdown.
    ///
    /// Cancel-safe: once begun it is done to its end, and a shutdown waits for it, so that whoever opens the folder next
    /// finds nobody at work in it.
    pub(crate) async fn run<T, F>(&self, work: F) -> Option<T>
    where
        F: FnOnce(&Store) -> T + Send + 'static,
        T: Send + 'static,
    {
        let store = Arc::clone(&self.store);
        let work = tokio::task::spawn_blocking(move || work(&store));
        match self.tasks.spawn("disk", work).await {
            Ok(Some(Ok(done))) => Some(done),
            Ok(Some(Err(error))) => {
                tracing::error!(%error, "work on the disk crashed");
                None
            }
            Ok(None) | Err(_) => None,
        }
    }
}

/// What needs no file can be asked at once.
impl Deref for Disk {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}
