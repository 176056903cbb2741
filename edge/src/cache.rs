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
use self::shares::{COUNTED_MIN, Share, Shares};
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
    tasks: Tasks,
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
            tasks: tasks.clone(),
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

    /// A copy of a part of a blob, if it is small or there is memory for it now that the response may take.
    pub(crate) fn copy(&self, claim: &Claim, part: &[u8]) -> Option<Bytes> {
        if part.len() <= COUNTED_MIN {
            return Some(Bytes::copy_from_slice(part));
        }
        let budget = &self.tiers.budget;
        if claim.has_place() || !budget.is_short() { budget.copy(part) } else { None }
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

    /// Whether a response has to wait for its turn: memory is short, the readers of its address take their share, and the blob is neither in
    /// memory nor about to be. That it is counts only while the address has few responses: they may keep it after it has left the memory tier.
    fn has_to_wait(&self, claim: &Claim, digest: &Digest) -> bool {
        let Tiers { memory, in_flight, budget, .. } = &*self.tiers;
        let is_there = || claim.is_one_of_few() && (memory.has(digest) || in_flight.has(digest));
        !claim.has_place() && budget.is_short() && !is_there()
    }

    /// Waits for the [turn](Self::has_to_wait) of a response.
    pub(crate) async fn turn(&self, claim: &Claim, digest: &Digest) {
        let has_to_wait = || self.has_to_wait(claim, digest);
        if has_to_wait() {
            self.tiers.budget.wait_while(has_to_wait, || self.tiers.memory.evict()).await;
        }
    }

    /// The blob, if the memory tier has it and the response need not wait for its turn. Never waits.
    pub(crate) fn get_at_once(&self, claim: &Claim, digest: &Digest) -> Option<Blob> {
        if self.has_to_wait(claim, digest) { None } else { self.get_from_memory(digest) }
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
                self.tasks.spawn("end of a pack", pack.end());
                if let Some(Err(error)) = self.disk.run_blocking(move |store| store.put_blob(&blob)).await {
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use prometheus_client::registry::Registry;

    use super::*;
    use crate::metrics::Metrics;
    use crate::test_support::sources;

    #[tokio::test]
    async fn responses_beyond_the_share_of_their_address_take_no_memory_while_it_is_short() {
        let (directory, tasks) = (tempfile::tempdir().unwrap(), Tasks::default());
        let metrics = Metrics::new(&mut Registry::default());
        let (store, upstream) = sources(directory.path(), &metrics, &tasks);
        let blob = Blob::of(vec![1; 1000].into()).unwrap();
        let cache = BlobCache::new(100_000, 4 * BLOB_MAX as u64, &store, &upstream, &tasks);
        cache.insert(blob.clone());
        let readers = cache.for_readers_of(Ipv4Addr::new(192, 0, 2, 1).into());
        let places: Vec<Claim> = (0..16).map(|_| readers.claim()).collect();
        let late = readers.claim();
        let takes = |claim: &Claim| {
            assert!(readers.copy(claim, &[7; COUNTED_MIN]).is_some(), "what is small keeps no blob in memory");
            let is_copied = readers.copy(claim, &[7; COUNTED_MIN + 1]).is_some();
            (is_copied, readers.get_at_once(claim, &blob.digest()).is_some())
        };
        assert_eq!((takes(&places[0]), takes(&late)), ((true, true), (true, true)));
        let _taken = cache.copy(&Claim::unlimited(), &vec![0; 3 * BLOB_MAX]).unwrap();
        assert_eq!((takes(&places[0]), takes(&late)), ((true, true), (false, true)));
        let more: Vec<Claim> = (0..48).map(|_| readers.claim()).collect();
        assert_eq!((takes(&places[0]), takes(&late)), ((true, true), (false, false)));
        drop(more);
        assert_eq!(takes(&late), (false, true));
        drop(places);
        assert_eq!(takes(&late), (true, true));
    }
}
