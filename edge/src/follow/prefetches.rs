//! The batches that are being fetched.

use std::collections::{BTreeMap, HashSet};

use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio_util::sync::{CancellationToken, DropGuard};
use verge_protocol::Digest;

use super::batch_fetcher::{BatchError, BatchFetcher};
use crate::table::Priority;

/// Batches fetched concurrently.
const MAX_CONCURRENT: usize = 3;

type BatchResult = Result<Vec<Digest>, BatchError>;

/// The batches in flight. They make progress while [`Prefetches::next`] is awaited.
#[derive(Default)]
pub(super) struct Prefetches {
    /// By number. Dropping a guard cancels the fetch.
    batches: BTreeMap<u64, (Vec<Digest>, DropGuard)>,
    futures: FuturesUnordered<BoxFuture<'static, (u64, Option<BatchResult>)>>,
    last: u64,
}

impl Prefetches {
    pub(super) fn has_capacity(&self) -> bool {
        self.batches.len() < MAX_CONCURRENT
    }

    /// Starts to fetch a batch.
    pub(super) fn start(&mut self, fetcher: &BatchFetcher, batch: Vec<Digest>) {
        self.last += 1;
        let (number, cancelled, fetcher, digests) =
            (self.last, CancellationToken::new(), fetcher.clone(), batch.clone());
        self.batches.insert(number, (batch, cancelled.clone().drop_guard()));
        let fetch = async move {
            let fetch = async { fetcher.fetch(&digests).await };
            (number, cancelled.run_until_cancelled(fetch).await)
        };
        self.futures.push(fetch.boxed());
    }

    /// Keeps the batches that have a blob of at least the priority `needed`, and cancels the others. `priority` tells that of a blob
    /// that has not arrived.
    pub(super) fn retain(&mut self, needed: Option<Priority>, priority: impl Fn(&Digest) -> Priority) {
        self.batches.retain(|_, (batch, _)| {
            let highest = batch.iter().map(&priority).max();
            highest.is_some_and(|highest| highest > Priority::Unreferenced && Some(highest) >= needed)
        });
    }

    pub(super) fn cancel_all(&mut self) {
        self.batches.clear();
        self.futures.clear();
    }

    /// The blobs of all batches.
    pub(super) fn digests(&self) -> HashSet<Digest> {
        self.batches.values().flat_map(|(batch, _)| batch.iter().copied()).collect()
    }

    /// The next batch that ends, and its result; `None` if none is in flight. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<(Vec<Digest>, BatchResult)> {
        while let Some((number, result)) = self.futures.next().await {
            // Batches that were cancelled have no entry.
            if let (Some((batch, _)), Some(result)) = (self.batches.remove(&number), result) {
                return Some((batch, result));
            }
        }
        None
    }
}
