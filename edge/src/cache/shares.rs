//! What the readers of one address may take of the memory for blobs while it is short.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use super::budget::Budget;

/// With more responses under way than these, the readers of an address wait while memory is short.
const FAIR: usize = 16;

/// The shares of all addresses that have connections.
#[derive(Default)]
pub(super) struct Shares(Arc<Mutex<HashMap<IpAddr, Weak<Address>>>>);

/// The share of the readers of one address. Clones share it.
#[derive(Clone)]
pub(super) struct Share(Arc<Address>);

struct Address {
    ip: IpAddr,
    responses: AtomicUsize,
    shares: Arc<Mutex<HashMap<IpAddr, Weak<Self>>>>,
}

/// A response under way, until it is dropped.
pub(crate) struct UnderWay(Share);

impl Shares {
    /// The share of an address: one for all of its connections.
    pub(super) fn of(&self, address: IpAddr) -> Share {
        let mut shares = lock(&self.0);
        if let Some(share) = shares.get(&address).and_then(Weak::upgrade) {
            return Share(share);
        }
        let share = Arc::new(Address { ip: address, responses: AtomicUsize::new(0), shares: Arc::clone(&self.0) });
        shares.insert(address, Arc::downgrade(&share));
        Share(share)
    }
}

impl Share {
    /// Counts a response.
    pub(super) fn begin(&self) -> UnderWay {
        self.0.responses.fetch_add(1, Relaxed);
        UnderWay(self.clone())
    }

    /// Whether the address has to wait: memory is short, and it has more than its share under way.
    pub(super) fn is_exceeded(&self, budget: &Budget) -> bool {
        self.0.responses.load(Relaxed) > FAIR && budget.is_short()
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.responses.fetch_sub(1, Relaxed);
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        let mut shares = lock(&self.shares);
        // Another may have taken its place.
        if shares.get(&self.ip).is_some_and(|share| share.strong_count() == 0) {
            shares.remove(&self.ip);
        }
    }
}

fn lock(shares: &Mutex<HashMap<IpAddr, Weak<Address>>>) -> MutexGuard<'_, HashMap<IpAddr, Weak<Address>>> {
    shares.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use verge_protocol::{BLOB_MAX, Blob};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn address_with_much_under_way_waits_while_memory_is_short_and_others_do_not() {
        let (shares, budget) = (Shares::default(), Budget::new(0, 4 * BLOB_MAX as u64));
        let (greedy, modest) = (Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::new(192, 0, 2, 2).into());
        let mut responses: Vec<_> = (0..=FAIR).map(|_| shares.of(greedy).begin()).collect();
        let _one = shares.of(modest).begin();
        let hold = async |byte| budget.room(|| {}).await.hold(Blob::of(vec![byte; BLOB_MAX].into()).unwrap());
        let _held = [hold(1).await, hold(2).await];
        assert!(!shares.of(greedy).is_exceeded(&budget));
        let last = hold(3).await;
        assert!(!shares.of(modest).is_exceeded(&budget));
        let share = shares.of(greedy);
        let mut waiting = std::pin::pin!(budget.wait_while(|| share.is_exceeded(&budget), || {}));
        tokio::select! {
            () = waiting.as_mut() => panic!("memory is short"),
            () = budget.exhausted() => {}
        }
        drop(last);
        waiting.await;
        let _last = hold(3).await;
        assert!(share.is_exceeded(&budget));
        responses.pop();
        assert!(!share.is_exceeded(&budget));
    }

    /// Many may be asked for at one moment, when the memory is still free.
    #[tokio::test]
    async fn blobs_that_are_on_their_way_count() {
        let budget = Budget::new(0, 4 * BLOB_MAX as u64);
        let _first = budget.want();
        let _second = budget.want();
        assert!(!budget.is_short());
        let third = budget.want();
        assert!(budget.is_short());
        drop(third);
        assert!(!budget.is_short());
    }

    #[test]
    fn address_without_readers_is_forgotten() {
        let shares = Shares::default();
        let address = Ipv4Addr::LOCALHOST.into();
        let (first, second) = (shares.of(address), shares.of(address));
        assert!(Arc::ptr_eq(&first.0, &second.0));
        let response = first.begin();
        drop((first, second));
        assert_eq!(lock(&shares.0).len(), 1);
        drop(response);
        assert!(lock(&shares.0).is_empty());
    }
}
