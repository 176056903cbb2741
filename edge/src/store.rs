//! What an edge keeps on disk: the last state of the feed, manifests, and blobs.
//!
//! ```text
//! data/
//!   lock                   held while the edge runs
//!   state.json             rows, position, and the releases that lagging channels still serve
//!   releases.json          the releases that exist
//!   origin-contact         when an origin was last seen
//!   manifests/<digest>     canonical bytes
//!   blobs/ab/<digest>      bytes
//!   quarantine/            files that did not match their digest, for an operator to inspect
//!   temporary/             files being written
//! ```
//!
//! A file gets its name only when it is complete, and is checked against its digest on every read. So the directory need not be
//! trusted: what is missing or corrupt is fetched again.
//!
//! [`BlockingStore`] reads and writes files; [`Store`] runs that on threads that may block.

mod blocking_store;
mod disk_budget;
mod eviction;
mod evictor;
#[cfg(test)]
mod full_disk_tests;
mod index;
mod layout;
mod origin_contact;
mod state_file;
mod write_status;

use std::ops::Deref;
use std::sync::Arc;

use verge_daemon::Tasks;

pub(crate) use self::blocking_store::{BlobCheck, BlockingStore, Put};
pub(crate) use self::disk_budget::Room;
pub(crate) use self::layout::{Object, OpenError};
pub(crate) use self::state_file::{SUPERSEDED_INHERITED, StateRecord};

/// A handle on the store for asynchronous callers. Clones share it.
#[derive(Clone)]
pub(crate) struct Store {
    store: Arc<BlockingStore>,
    tasks: Tasks,
}

impl Store {
    pub(crate) fn new(store: BlockingStore, tasks: Tasks) -> Self {
        Self { store: Arc::new(store), tasks }
    }

    /// Runs work that reads or writes files outside the async runtime's threads. `None` if it panicked, or was still queued when
    /// the shutdown deadline passed.
    ///
    /// Cancel-safe: work that has begun runs to its end, and shutdown waits for it, so that the next process to open the
    /// directory finds no other at work in it.
    pub(crate) async fn run_blocking<T, F>(&self, work: F) -> Option<T>
    where
        F: FnOnce(&BlockingStore) -> T + Send + 'static,
        T: Send + 'static,
    {
        let store = Arc::clone(&self.store);
        let work = tokio::task::spawn_blocking(move || work(&store));
        match self.tasks.spawn("disk", work).await {
            Ok(Some(Ok(output))) => Some(output),
            Ok(Some(Err(error))) => {
                tracing::error!(%error, "a disk task panicked");
                None
            }
            Ok(None) | Err(_) => None,
        }
    }
}

/// For methods that do not touch files.
impl Deref for Store {
    type Target = BlockingStore;

    fn deref(&self) -> &BlockingStore {
        &self.store
    }
}
