//! Blobs, from the nearest place that has them: memory, then disk, then an origin.

mod flight;
mod memory;

use std::sync::Arc;

use tokio::sync::Semaphore;
use verge_daemon::Tasks;
use verge_protocol::{Blob, Digest};

use self::flight::{Flights, Landing};
use self::memory::Memory;
use crate::metrics::CacheResult;
use crate::store::Store;
use crate::upstream::{Upstream, UpstreamError};

/// Blobs on their way at once, so that what is in flight, which no cache weighs, stays below 16 MiB.
const FLIGHTS_MOST: usize = 64;

/// The cache. Clones share it.
#[derive(Clone)]
pub(crate) struct Blobs(Arc<Tiers>);

struct Tiers {
    memory: Memory,
    store: Arc<Store>,
    upstream: Upstream,
    flights: Flights<Digest, Fetched>,
    slots: Semaphore,
}

type Fetched = Result<(Blob, CacheResult), Unavailable>;

/// Why a blob cannot be had now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unavailable {
    /// No origin can be reached. Later one may.
    #[error("no origin can be reached")]
    Unreachable,
    /// Origins answered, but not with the blob.
    #[error("no origin gave the blob")]
    Refused,
}

impl Blobs {
    pub(crate) fn new(memory_bytes: u64, store: Arc<Store>, upstream: Upstream, tasks: Tasks) -> Self {
        Self(Arc::new(Tiers {
            memory: Memory::new(memory_bytes),
            store,
            upstream,
            flights: Flights::new("blob fetch", tasks),
            slots: Semaphore::new(FLIGHTS_MOST),
        }))
    }

    /// Bytes in memory.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.0.memory.bytes()
    }

    /// The blob, if it is in memory. Never waits.
    pub(crate) fn hot(&self, digest: &Digest) -> Option<Blob> {
        self.0.memory.get(digest)
    }

    /// The blob, from wherever it is, and where that was. However many ask, it is read or fetched once; one who no longer
    /// waits does not stop it for the others.
    pub(crate) async fn get(&self, digest: Digest) -> Result<(Blob, CacheResult), Unavailable> {
        if let Some(blob) = self.hot(&digest) {
            return Ok((blob, CacheResult::Memory));
        }
        let tiers = Arc::clone(&self.0);
        let landed = self.0.flights.join(digest, move |landing| async move { tiers.fetch(digest, landing).await });
        // A flight that came down without a word was cut off at the deadline of a shutdown.
        landed.await.unwrap_or(Err(Unavailable::Unreachable))
    }
}

impl Tiers {
    async fn fetch(&self, digest: Digest, landing: Landing<Fetched>) {
        let _slot = self.slots.acquire().await.expect("the semaphore is never closed");
        // Somebody else's flight may have landed between the look into memory and the take-off.
        if let Some(blob) = self.memory.get(&digest) {
            return landing.land(Ok((blob, CacheResult::Memory)));
        }
        let store = Arc::clone(&self.store);
        if let Ok(Some(blob)) = tokio::task::spawn_blocking(move || store.blob(digest)).await {
            self.memory.insert(blob.clone());
            return landing.land(Ok((blob, CacheResult::Disk)));
        }
        match self.upstream.blob(digest).await {
            Ok(blob) => {
                self.memory.insert(blob.clone());
                // Readers go on at once; the flight lasts until the disk has it, so that nobody fetches it in between.
                landing.land(Ok((blob.clone(), CacheResult::Origin)));
                let store = Arc::clone(&self.store);
                let kept = tokio::task::spawn_blocking(move || store.keep_blob(&blob)).await;
                if let Ok(Err(error)) = kept {
                    tracing::error!(%digest, %error, "a blob could not be kept on disk");
                }
            }
            Err(error) => {
                tracing::error!(%digest, error = %crate::upstream::chain(&error), "a blob cannot be had");
                landing.land(Err(Unavailable::from(&error)));
            }
        }
    }
}

impl From<&UpstreamError> for Unavailable {
    fn from(error: &UpstreamError) -> Self {
        if error.is_unreachable() { Self::Unreachable } else { Self::Refused }
    }
}
