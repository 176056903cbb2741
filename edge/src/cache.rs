//! Blobs, from the nearest place that has them: memory, then disk, then an origin.

mod memory;
mod recent_failures;
mod single_flight;

use std::sync::Arc;

use tokio::sync::Semaphore;
use verge_daemon::{Tasks, error_chain};
use verge_protocol::{Blob, Digest};

use self::memory::Memory;
use self::recent_failures::Failures;
use self::single_flight::{Flights, Landing};
use crate::metrics::CacheResult;
use crate::store::{Disk, Object};
use crate::upstream::{Upstream, UpstreamError};

/// Blobs being read from disk at once, and likewise being fetched: what is in flight, which no cache weighs, stays below
/// 32 MiB. Two bounds, so that an origin that hangs does not keep anybody from the disk.
const AT_ONCE: usize = 64;

/// The cache. Clones share it.
#[derive(Clone)]
pub(crate) struct Blobs(Arc<Tiers>);

struct Tiers {
    memory: Memory,
    disk: Disk,
    upstream: Upstream,
    flights: Flights<Digest, Fetched>,
    failures: Failures,
    reads: Semaphore,
    fetches: Semaphore,
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
    pub(crate) fn new(memory_bytes: u64, disk: Disk, upstream: Upstream, tasks: Tasks) -> Self {
        Self(Arc::new(Tiers {
            memory: Memory::new(memory_bytes),
            disk,
            upstream,
            flights: Flights::new("blob fetch", tasks),
            failures: Failures::default(),
            reads: Semaphore::new(AT_ONCE),
            fetches: Semaphore::new(AT_ONCE),
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
        // Somebody else's flight may have landed between the look into memory and the take-off.
        if let Some(blob) = self.memory.get(&digest) {
            return landing.land(Ok((blob, CacheResult::Memory)));
        }
        if let Some(blob) = self.read(digest).await {
            self.memory.insert(blob.clone());
            return landing.land(Ok((blob, CacheResult::Disk)));
        }
        if let Some(unavailable) = self.failures.recent(&digest) {
            return landing.land(Err(unavailable));
        }
        let _slot = self.fetches.acquire().await.expect("the semaphore is never closed");
        match self.upstream.blob(digest).await {
            Ok(blob) => {
                self.memory.insert(blob.clone());
                // Readers go on at once; the flight lasts until the disk has it, so that nobody fetches it in between.
                landing.land(Ok((blob.clone(), CacheResult::Origin)));
                if let Some(Err(error)) = self.disk.run(move |store| store.keep_blob(&blob)).await {
                    tracing::error!(%digest, %error, "a blob could not be kept on disk");
                }
            }
            Err(error) => {
                tracing::error!(%digest, error = %error_chain(&error), "a blob cannot be had");
                let unavailable = Unavailable::from(&error);
                self.failures.remember(digest, unavailable);
                landing.land(Err(unavailable));
            }
        }
    }

    async fn read(&self, digest: Digest) -> Option<Blob> {
        if !self.disk.holds(Object::Blob(digest)) {
            return None;
        }
        let _slot = self.reads.acquire().await.expect("the semaphore is never closed");
        self.disk.run(move |store| store.blob(digest)).await?
    }
}

impl From<&UpstreamError> for Unavailable {
    fn from(error: &UpstreamError) -> Self {
        if error.is_unreachable() { Self::Unreachable } else { Self::Refused }
    }
}
