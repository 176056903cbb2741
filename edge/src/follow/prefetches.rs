//! The batches that are being fetched.

use std::collections::{BTreeMap, HashSet};

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio_util::sync::{CancellationToken, DropGuard};
use verge_protocol::Digest;

use super::batch_fetcher::{BatchError, BatchFetcher};
use crate::table::Urgency;

/// Batches fetched concurrently.
const MAX_CONCURRENT: usize = 3;

type BatchResult = Result<Vec<Digest>, BatchError>;

/// The batches in flight. They make progress while [`Prefetches::next`] is awaited.
#[derive(Default)]
pub(super) struct Prefetches {
    /// By number.
    batches: BTreeMap<u64, Batch>,
    futures: FuturesUnordered<BoxFuture<'static, (u64, Option<BatchResult>)>>,
    last: u64,
}

struct Batch {
    digests: Vec<Digest>,
    urgency: Urgency,
    /// Dropping it cancels the fetch.
    _cancel: DropGuard,
}

impl Prefetches {
    /// Whether a batch of this urgency may be started: a more urgent one shares the link with none.
    pub(super) fn has_capacity(&self, urgency: Urgency) -> bool {
        self.batches.len() < MAX_CONCURRENT && self.batches.values().all(|batch| batch.urgency <= urgency)
    }

    /// Starts to fetch a batch.
    pub(super) fn start(&mut self, fetcher: &BatchFetcher, urgency: Urgency, digests: Vec<Digest>) {
        self.last += 1;
        let (number, cancelled, fetcher) = (self.last, CancellationToken::new(), fetcher.clone());
        let batch = Batch { digests: digests.clone(), urgency, _cancel: cancelled.clone().drop_guard() };
        self.batches.insert(number, batch);
        let fetch = async move {
            let fetch = async { fetcher.fetch(&digests).await };
            (number, cancelled.run_until_cancelled(fetch).await)
        };
        self.futures.push(fetch.boxed());
    }

    /// Keeps the batches that have a blob of at least the urgency `needed`, and cancels the others. `urgency` tells that of a blob that is
    /// wanted and has not arrived.
    pub(super) fn retain(&mut self, needed: Option<Urgency>, urgency: impl Fn(&Digest) -> Option<Urgency>) {
        self.batches.retain(|_, batch| {
            let highest = batch.digests.iter().filter_map(&urgency).max();
            batch.urgency = highest.unwrap_or(batch.urgency);
            highest.is_some() && highest >= needed
        });
    }

    pub(super) fn cancel_all(&mut self) {
        self.batches.clear();
        self.futures.clear();
    }

    /// The blobs of all batches.
    pub(super) fn digests(&self) -> HashSet<Digest> {
        self.batches.values().flat_map(|batch| batch.digests.iter().copied()).collect()
    }

    /// The next batch that ends, and its result; `None` if none is in flight. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<(Vec<Digest>, BatchResult)> {
        while let Some((number, result)) = self.futures.next().await {
            // Batches that were cancelled have no entry.
            if let (Some(batch), Some(result)) = (self.batches.remove(&number), result) {
                return Some((batch.digests, result));
            }
        }
        None
    }
}
