//! The task that fetches the blobs of the wanted releases before readers ask for them: what channels are about to serve, so that they
//! switch only to what is on disk, and all the rest, so that a later outage of the origin does not matter.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use verge_daemon::{Backoff, error_chain};
use verge_protocol::{BLOB_MAX, Digest};

use super::batch_fetcher::{BatchError, BatchFetcher};
use super::holding::unwritable;
use super::prefetch_batches::{PrefetchPlan, PrefetchQueue, prefetch_plan};
use super::prefetch_status::PrefetchStatus;
use super::prefetches::Prefetches;
use super::wanted::Wanted;
use crate::status::MissingBlobs;
use crate::store::{BlockingStore, Object, Room, Store};
use crate::table::{Priority, ReferencedBlobs};

/// How often to look whether the disk has room or can be written again, and whether blobs were lost. Reads no disk, but for a disk
/// that failed.
const POLL_INTERVAL: Duration = Duration::from_secs(2);

pub(super) struct PrefetchTask {
    pub(super) fetcher: BatchFetcher,
    pub(super) wanted: watch::Receiver<Arc<Wanted>>,
    /// Sent whenever something other than a blob has changed.
    pub(super) status: watch::Sender<PrefetchStatus>,
    /// How many blobs of live releases are not on disk.
    pub(super) missing_blobs: MissingBlobs,
}

/// The result of fetching what is missing.
#[derive(Debug, Clone, Copy)]
enum RoundResult {
    /// Nothing is missing.
    Complete,
    /// All that fits is on disk. With so much room, another blob would fit.
    NoRoom { left_out: usize, sufficient: Room },
    /// Some blobs did not arrive, or no longer fit: worth another round soon.
    Incomplete,
    /// A file of so many bytes cannot be written. To continue would download whole sites in vain.
    DiskFailed(u64),
}

/// What a look at the index finds.
struct Inventory {
    referenced: Arc<ReferencedBlobs>,
    missing_live: u64,
    plan: Result<PrefetchPlan, DiskFailure>,
}

/// A file of `size` bytes cannot be written.
struct DiskFailure {
    size: u64,
}

impl PrefetchTask {
    /// Whenever other releases are wanted, tells the store which blobs they reference, and fetches those that are missing.
    pub(super) async fn run(mut self) {
        let mut prefetches = Prefetches::default();
        let mut backoff = Backoff::default();
        let mut last = RoundResult::Complete;
        let mut is_short_of_room = false;
        loop {
            let wanted = Arc::clone(&self.wanted.borrow_and_update());
            let lost_before = self.fetcher.store.lost_blobs();
            match self.round(&wanted, &mut prefetches, last).await {
                Some(result) => last = result,
                None if self.wanted.has_changed().is_err() => return,
                None => continue,
            }
            match last {
                RoundResult::Complete if is_short_of_room => {
                    tracing::info!("all blobs of the wanted releases fit on disk again");
                    is_short_of_room = false;
                }
                RoundResult::NoRoom { left_out, .. } if !is_short_of_room => {
                    tracing::warn!(
                        blobs = left_out,
                        "no room on disk for all blobs of the wanted releases: fetching them when asked"
                    );
                    is_short_of_room = true;
                }
                _ => {}
            }
            let store = &self.fetcher.store;
            let retry = async {
                match last {
                    RoundResult::Incomplete => backoff.wait().await,
                    RoundResult::DiskFailed(_) => tokio::time::sleep(POLL_INTERVAL).await,
                    RoundResult::Complete => {
                        backoff.reset();
                        poll(store, move |store| store.lost_blobs() != lost_before).await;
                    }
                    RoundResult::NoRoom { sufficient, .. } => {
                        backoff.reset();
                        poll(store, move |store| store.room_for_blobs() >= sufficient).await;
                    }
                }
            };
            tokio::select! {
                changed = self.wanted.changed() => if changed.is_err() { return },
                () = retry => {}
            }
        }
    }

    /// Fetches what is missing of `wanted`, as long as the disk can be written. `last` is the result of the last round. `None`: something
    /// else is wanted meanwhile. Then what is in flight continues, unless something more urgent is missing.
    async fn round(
        &mut self,
        wanted: &Arc<Wanted>,
        prefetches: &mut Prefetches,
        last: RoundResult,
    ) -> Option<RoundResult> {
        let Some(Inventory { referenced, missing_live, plan }) = self.take_inventory(wanted, last).await else {
            return Some(RoundResult::Incomplete);
        };
        self.missing_blobs.set(missing_live);
        let plan = match plan {
            Ok(plan) => plan,
            Err(DiskFailure { size }) => {
                prefetches.cancel_all();
                self.publish_disk_failure(wanted);
                return Some(RoundResult::DiskFailed(size));
            }
        };
        let PrefetchPlan { mut queue, left_out, sufficient_room } = plan;
        let on_disk = |digest: &Digest| self.fetcher.store.contains(Object::Blob(*digest));
        prefetches.retain(queue.urgency(), |digest| referenced.urgency(digest).filter(|_| !on_disk(digest)));
        // Some have arrived since the look at the index.
        let in_flight = prefetches.digests();
        queue.remove(|digest| in_flight.contains(digest) || on_disk(digest));
        let complete = sufficient_room
            .map_or(RoundResult::Complete, |sufficient| RoundResult::NoRoom { left_out: left_out.len(), sufficient });
        self.publish_plan(wanted, &left_out, &referenced);
        let result = self.fetch_queue(wanted, queue, prefetches).await?;
        self.count_missing(referenced).await;
        let is_complete = matches!(result, RoundResult::Complete);
        Some(if is_complete { complete } else { result })
    }

    async fn take_inventory(&self, wanted: &Arc<Wanted>, last: RoundResult) -> Option<Inventory> {
        let wanted = Arc::clone(wanted);
        let look = move |store: &BlockingStore| {
            let referenced = Arc::new(wanted.blobs());
            store.set_referenced_blobs(Arc::clone(&referenced));
            let failed_size = match last {
                RoundResult::DiskFailed(size) => Some(size),
                _ => store.write_failure().map(|_| BLOB_MAX as u64),
            };
            store.enforce_budget();
            let is_on_disk = |digest: &Digest| store.contains(Object::Blob(*digest));
            let plan = match failed_size.filter(|size| !store.can_write(*size)) {
                Some(size) => Err(DiskFailure { size }),
                None => Ok(prefetch_plan(&referenced, store.room_for_blobs(), is_on_disk)),
            };
            Inventory { missing_live: missing_live(store, &referenced), referenced, plan }
        };
        self.fetcher.store.run_blocking(look).await
    }

    async fn count_missing(&self, referenced: Arc<ReferencedBlobs>) {
        if let Some(missing) = self.fetcher.store.run_blocking(move |store| missing_live(store, &referenced)).await {
            self.missing_blobs.set(missing);
        }
    }

    /// Fetches missing manifests, then the blobs of the queue. `None`: something else is wanted meanwhile.
    async fn fetch_queue(
        &mut self,
        wanted: &Arc<Wanted>,
        mut queue: PrefetchQueue,
        prefetches: &mut Prefetches,
    ) -> Option<RoundResult> {
        let manifests = tokio::select! {
            result = self.fetcher.fetch_missing_manifests(wanted) => result,
            _ = self.wanted.changed() => return None,
        };
        if let Err(error) = &manifests {
            prefetches.cancel_all();
            return Some(self.stop(error, wanted));
        }
        if !queue.is_empty() {
            tracing::info!(blobs = queue.len(), "prefetching blobs");
        }
        let mut absent = 0;
        loop {
            while let Some(urgency) = queue.urgency().filter(|urgency| prefetches.has_capacity(*urgency)) {
                prefetches.start(&self.fetcher, urgency, queue.next_batch());
            }
            let (batch, result) = tokio::select! {
                next = prefetches.next() => match next {
                    Some(ended) => ended,
                    None => break,
                },
                _ = self.wanted.changed() => return None,
            };
            match result {
                Ok(absent_in_batch) => {
                    absent += absent_in_batch.len();
                    self.publish_batch(&batch, absent_in_batch);
                }
                Err(error) => {
                    prefetches.cancel_all();
                    return Some(self.stop(&error, wanted));
                }
            }
        }
        Some(if absent == 0 { RoundResult::Complete } else { RoundResult::Incomplete })
    }

    /// Logs why a round ends early, unless the store does, and returns its result.
    fn stop(&self, error: &BatchError, wanted: &Arc<Wanted>) -> RoundResult {
        match error {
            BatchError::Upstream(error) => {
                let cause = error_chain(error);
                tracing::warn!(error = cause, "prefetching failed: retrying");
                self.status.send_modify(|status| status.failure = Some(cause));
                RoundResult::Incomplete
            }
            BatchError::NoRoom => {
                tracing::debug!(%error, "prefetching stopped");
                RoundResult::Incomplete
            }
            BatchError::Disk { size, .. } => {
                tracing::debug!(error = %error_chain(error), "prefetching stopped");
                self.publish_disk_failure(wanted);
                RoundResult::DiskFailed(*size)
            }
        }
    }

    fn publish_plan(&self, wanted: &Arc<Wanted>, left_out: &HashSet<Digest>, referenced: &ReferencedBlobs) {
        let awaited = wanted.awaited().flat_map(|release| release.blobs().iter().map(|blob| blob.digest));
        let left_out: HashSet<Digest> = if left_out.is_empty() {
            HashSet::new()
        } else {
            awaited.filter(|digest| left_out.contains(digest)).collect()
        };
        let is_missing = |digest: &Digest| {
            referenced.priority(digest) != Priority::Unreferenced && !self.fetcher.store.contains(Object::Blob(*digest))
        };
        self.status.send_modify(|status| {
            status.planned = Arc::clone(wanted);
            status.left_out = Arc::new(left_out);
            if !status.absent.is_empty() {
                Arc::make_mut(&mut status.absent).retain(is_missing);
            }
        });
    }

    /// A disk that is full has no room for what is missing. One that cannot be written for another reason does not count as held.
    fn publish_disk_failure(&self, wanted: &Arc<Wanted>) {
        let store = &self.fetcher.store;
        let failure = store.write_failure();
        let is_full = failure.is_none() || store.is_full();
        let missing = wanted.awaited().flat_map(|release| store.missing(release.blobs().as_slice()));
        let left_out: HashSet<Digest> =
            if is_full { missing.map(|blob| blob.digest).collect() } else { HashSet::new() };
        self.status.send_modify(|status| {
            status.planned = Arc::clone(wanted);
            status.left_out = Arc::new(left_out);
            status.failure = Some(unwritable(failure.as_deref().unwrap_or("too little free space")));
        });
    }

    fn publish_batch(&self, batch: &[Digest], absent: Vec<Digest>) {
        self.status.send_modify(|status| {
            status.failure = None;
            if !(status.absent.is_empty() && absent.is_empty()) {
                let known: &mut BTreeSet<Digest> = Arc::make_mut(&mut status.absent);
                known.retain(|digest| !batch.contains(digest));
                known.extend(absent);
            }
        });
    }
}

/// Waits until `condition` holds, checked every [`POLL_INTERVAL`].
async fn poll(store: &Store, condition: impl Fn(&BlockingStore) -> bool + Clone + Send + 'static) {
    loop {
        tokio::time::sleep(POLL_INTERVAL).await;
        if store.run_blocking(condition.clone()).await != Some(false) {
            return;
        }
    }
}

fn missing_live(store: &BlockingStore, referenced: &ReferencedBlobs) -> u64 {
    let live = referenced.iter().filter(|(_, blob)| blob.priority == Priority::Live);
    live.filter(|(digest, _)| !store.contains(Object::Blob(*digest))).count() as u64
}
