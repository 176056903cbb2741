//! The blob cache: memory, then disk, then an origin.

mod budget;
mod memory;
mod recent_failures;
mod shares;
mod single_flight;

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Semaphore;
use verge_daemon::{Tasks, error_chain};
use verge_protocol::{BLOB_MAX, Blob, Digest};

use self::budget::{Budget, Counted, Room};
use self::memory::Memory;
use self::shares::{Share, Shares};
use crate::metrics::CacheResult;
use crate::store::{Object, Store};
use crate::upstream::Upstream;

pub(crate) use self::recent_failures::{RecentFailures, Unavailable};
pub(crate) use self::shares::Claim;
pub(crate) use self::single_flight::{Completer, SingleFlight};

/// Concurrent reads from disk, and at most as many concurrent fetches. There are two limits so that an origin that hangs does not block reads from
/// disk.
const MAX_CONCURRENT: usize = 64;

/// The cache, for the edge itself or for the readers of one address. Clones share it.
#[derive(Clone)]
pub(crate) struct BlobCache {
    tiers: Arc<Tiers>,
    /// `None`: it never waits for others.
    share: Option<Share>,
}

struct Tiers {
    memory: Memory,
    budget: Budget,
    shares: Shares,
    disk: Store,
    upstream: Upstream,
    in_flight: SingleFlight<Digest, Fetched>,
    failures: RecentFailures,
    reads: Semaphore,
    fetches: Semaphore,
}

type Fetched = Result<(Blob, CacheResult), Unavailable>;

impl BlobCache {
    /// The memory tier has up to `memory_bytes`; blobs on their way that are not in it, up to `in_flight_bytes`.
    pub(crate) fn new(
        memory_bytes: u64,
        in_flight_bytes: u64,
        disk: &Store,
        upstream: &Upstream,
        tasks: &Tasks,
    ) -> Self {
        // Half of the room is for reads from disk, which an origin that hangs does not hold up.
        let room = usize::try_from(in_flight_bytes).unwrap_or(usize::MAX) / BLOB_MAX;
        let fetches = (room / 2).clamp(1, MAX_CONCURRENT);
        let tiers = Arc::new(Tiers {
            memory: Memory::new(memory_bytes),
            budget: Budget::new(memory_bytes, in_flight_bytes),
            shares: Shares::default(),
            disk: disk.clone(),
            upstream: upstream.clone(),
            in_flight: SingleFlight::new("blob fetch", tasks.clone()),
            failures: RecentFailures::default(),
            reads: Semaphore::new(MAX_CONCURRENT),
            fetches: Semaphore::new(fetches),
        });
        Self { tiers, share: None }
    }

    /// The same for the readers of an address, which have a fair share of the memory.
    pub(crate) fn for_readers_of(&self, address: IpAddr) -> Self {
        Self { tiers: Arc::clone(&self.tiers), share: Some(self.tiers.shares.of(address)) }
    }

    /// The claim of a response that takes blobs.
    pub(crate) fn claim(&self) -> Claim {
        self.share.as_ref().map_or_else(Claim::unlimited, Share::claim)
    }

    /// Puts a blob into the memory tier.
    #[cfg(test)]
    pub(crate) fn insert(&self, blob: Blob) {
        self.tiers.memory.insert(blob);
    }

    /// Bytes in the memory tier.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.tiers.memory.bytes()
    }

    /// A copy of a part of a blob, if there is memory for it now.
    pub(crate) fn copy(&self, part: &[u8]) -> Option<Bytes> {
        self.tiers.budget.copy(part)
    }

    /// Waits until a blob has waited for memory for a second, which readers hold that take nothing.
    pub(crate) async fn memory_exhausted(&self) {
        self.tiers.budget.exhausted().await;
    }

    /// The blob, if the memory tier has it. Never waits.
    pub(crate) fn get_from_memory(&self, digest: &Digest) -> Option<Blob> {
        self.tiers.memory.get(digest)
    }

    /// Drops blobs from the memory tier: their next readers get them from disk, verified again.
    pub(crate) fn drop_from_memory<'a>(&self, digests: impl Iterator<Item = &'a Digest>) {
        digests.for_each(|digest| self.tiers.memory.remove(digest));
    }

    /// Waits while memory is short and the readers of the address take their share, unless the blob is in memory or about to be.
    pub(crate) async fn turn(&self, claim: &Claim, digest: &Digest) {
        let tiers = &self.tiers;
        let is_there = || tiers.memory.has(digest) || tiers.in_flight.has(digest);
        let has_to_wait = || !claim.has_place() && tiers.budget.is_short() && !is_there();
        if has_to_wait() {
            tiers.budget.wait_while(has_to_wait, || tiers.memory.evict()).await;
        }
    }

    /// The blob, and the tier it came from. Readers wait for their [turn](Self::turn) before. Concurrent calls for one blob share one read or fetch.
    ///
    /// Cancel-safe: dropping the future does not cancel the fetch for the other callers.
    pub(crate) async fn get(&self, digest: Digest) -> Result<(Blob, CacheResult), Unavailable> {
        if let Some(blob) = self.get_from_memory(&digest) {
            return Ok((blob, CacheResult::Memory));
        }
        let tiers = Arc::clone(&self.tiers);
        let start = move |completer| {
            // It counts from now on: others that look at the same moment are to see it.
            let wanted = tiers.budget.want();
            async move { tiers.fetch(digest, wanted, completer).await }
        };
        // `None`: the fetch was aborted at the shutdown deadline.
        self.tiers.in_flight.join(digest, start).await.unwrap_or(Err(Unavailable::Unreachable))
    }
}

impl Tiers {
    /// `wanted` ends once there is room.
    async fn fetch(&self, digest: Digest, wanted: Counted, completer: Completer<Fetched>) {
        let mut wanted = Some(wanted);
        // An earlier fetch may have completed after the caller looked in memory and before this fetch started.
        if let Some(blob) = self.memory.get(&digest) {
            return completer.complete(Ok((blob, CacheResult::Memory)));
        }
        if let Some(blob) = self.read(digest, &mut wanted).await {
            self.insert_into_memory(blob.clone());
            return completer.complete(Ok((blob, CacheResult::Disk)));
        }
        if let Some(unavailable) = self.failures.get(&digest) {
            return completer.complete(Err(unavailable));
        }
        // While it waits for its turn it needs no memory.
        drop(wanted.take());
        let _permit = self.fetches.acquire().await.expect("the semaphore is never closed");
        let mut wanted = Some(self.budget.want());
        let room = self.room(&mut wanted).await;
        match self.upstream.blob(digest).await {
            Ok((blob, pack)) => {
                let blob = room.hold(blob);
                self.insert_into_memory(blob.clone());
                // Readers are answered now; the fetch stays in flight until the blob is on disk, so that it is not fetched again
                // in between.
                completer.complete(Ok((blob.clone(), CacheResult::Origin)));
                let write = self.disk.run_blocking(move |store| store.put_blob(&blob));
                if let (Some(Err(error)), ()) = tokio::join!(write, pack.end()) {
                    // Logged as an error by the store, once until a write succeeds.
                    tracing::debug!(%digest, %error, "failed to write a blob to disk");
                }
            }
            Err(error) => {
                tracing::error!(%digest, error = %error_chain(&error), "failed to fetch a blob");
                let unavailable = if error.is_unreachable() { Unavailable::Unreachable } else { Unavailable::Refused };
                self.failures.record(digest, unavailable);
                completer.complete(Err(unavailable));
            }
        }
    }

    /// A blob that was erased since it was asked for does not stay, even if it was dropped from memory before it was there.
    fn insert_into_memory(&self, blob: Blob) {
        let digest = blob.digest();
        self.memory.insert(blob);
        if self.disk.is_erased(&digest) {
            self.memory.remove(&digest);
        }
    }

    async fn read(&self, digest: Digest, wanted: &mut Option<Counted>) -> Option<Blob> {
        if !self.disk.contains(Object::Blob(digest)) {
            return None;
        }
        let _permit = self.reads.acquire().await.expect("the semaphore is never closed");
        let room = self.room(wanted).await;
        self.disk.run_blocking(move |store| store.blob(digest)).await?.map(|blob| room.hold(blob))
    }

    async fn room(&self, wanted: &mut Option<Counted>) -> Room {
        // What was evicted lately may still be there.
        let room = self.budget.room(|| self.memory.evict()).await;
        *wanted = None;
        room
    }
}
