//! What the readers of one address may take of the memory for blobs while it is short.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;

/// So many responses of an address never wait; the others do while memory is short.
const PLACES: usize = 16;

/// So many responses of an address never wait for a blob that is in memory.
const FEW: usize = 64;

/// A piece of a blob up to this size, in bytes, is not worth what it takes to count it.
pub(super) const COUNTED_MIN: usize = 1024;

/// The shares of all addresses that have connections.
#[derive(Default)]
pub(super) struct Shares(Arc<Mutex<HashMap<IpAddr, Weak<Address>>>>);

/// The share of the readers of one address. Clones share it.
#[derive(Clone)]
pub(super) struct Share(Arc<Address>);

struct Address {
    ip: IpAddr,
    /// How many places are taken.
    taken: AtomicUsize,
    /// How many responses there are.
    responses: AtomicUsize,
    shares: Arc<Mutex<HashMap<IpAddr, Weak<Self>>>>,
}

/// What a response may take, until it and all that was sent for it are dropped. Clones share it.
#[derive(Clone)]
pub(crate) struct Claim(Option<Arc<Response>>);

struct Response {
    share: Share,
    has_place: AtomicBool,
}

impl Shares {
    /// The share of an address: one for all of its connections.
    pub(super) fn of(&self, address: IpAddr) -> Share {
        let mut shares = lock(&self.0);
        if let Some(share) = shares.get(&address).and_then(Weak::upgrade) {
            return Share(share);
        }
        let share = Arc::new(Address {
            ip: address,
            taken: AtomicUsize::new(0),
            responses: AtomicUsize::new(0),
            shares: Arc::clone(&self.0),
        });
        shares.insert(address, Arc::downgrade(&share));
        Share(share)
    }
}

impl Share {
    /// The claim of a new response.
    pub(super) fn claim(&self) -> Claim {
        self.0.responses.fetch_add(1, Relaxed);
        let response = Response { share: self.clone(), has_place: AtomicBool::new(false) };
        response.has_place();
        Claim(Some(Arc::new(response)))
    }
}

impl Claim {
    /// That of a response that never waits.
    pub(super) fn unlimited() -> Self {
        Self(None)
    }

    /// Whether the response never has to wait. It takes a place if there is one.
    pub(super) fn has_place(&self) -> bool {
        self.0.as_ref().is_none_or(|response| response.has_place())
    }

    /// Whether the address has few responses.
    pub(super) fn is_one_of_few(&self) -> bool {
        self.0.as_ref().is_none_or(|response| response.share.0.responses.load(Relaxed) <= FEW)
    }

    /// The same bytes, which count as a part of the response until they are dropped, unless they are few.
    pub(crate) fn carry(&self, bytes: Bytes) -> Bytes {
        match &self.0 {
            Some(response) if bytes.len() > COUNTED_MIN => {
                Bytes::from_owner(Carried { bytes, _response: Arc::clone(response) })
            }
            _ => bytes,
        }
    }
}

impl Response {
    fn has_place(&self) -> bool {
        if self.has_place.load(Relaxed) {
            return true;
        }
        let taken = &self.share.0.taken;
        let has_place = taken.fetch_update(Relaxed, Relaxed, |taken| (taken < PLACES).then_some(taken + 1)).is_ok();
        if has_place && self.has_place.swap(true, Relaxed) {
            // Another has taken one for it meanwhile.
            taken.fetch_sub(1, Relaxed);
        }
        has_place
    }
}

impl Drop for Response {
    fn drop(&mut self) {
        let address = &self.share.0;
        if *self.has_place.get_mut() {
            address.taken.fetch_sub(1, Relaxed);
        }
        address.responses.fetch_sub(1, Relaxed);
    }
}

/// Bytes of a response.
struct Carried {
    bytes: Bytes,
    _response: Arc<Response>,
}

impl AsRef<[u8]> for Carried {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
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

    use super::*;

    #[test]
    fn place_is_that_of_a_response_until_all_of_its_bytes_are_dropped() {
        let shares = Shares::default();
        let (greedy, modest) = (Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::new(192, 0, 2, 2).into());
        let mut claims: Vec<_> = (0..PLACES).map(|_| shares.of(greedy).claim()).collect();
        let late = shares.of(greedy).claim();
        assert!(claims.iter().all(Claim::has_place) && !late.has_place());
        assert!(shares.of(modest).claim().has_place() && Claim::unlimited().has_place());
        let few = claims[0].carry(Bytes::from(vec![7; COUNTED_MIN]));
        let bytes = claims[0].carry(Bytes::from(vec![7; COUNTED_MIN + 1]));
        claims.remove(0);
        assert!(!late.has_place());
        let part = bytes.slice(5..6);
        drop(bytes);
        assert!(!late.has_place());
        drop(part);
        assert!(late.has_place());
        let later = shares.of(greedy).claim();
        assert!(!later.has_place());
        drop((late, few));
        assert!(later.has_place());
    }

    #[test]
    fn response_is_one_of_few_while_its_address_has_no_more_than_that() {
        let shares = Shares::default();
        let (greedy, modest) = (Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::new(192, 0, 2, 2).into());
        let mut claims: Vec<_> = (0..FEW).map(|_| shares.of(greedy).claim()).collect();
        assert!(claims[0].is_one_of_few());
        let late = shares.of(greedy).claim();
        assert!(!claims[0].is_one_of_few() && !late.is_one_of_few());
        assert!(shares.of(modest).claim().is_one_of_few() && Claim::unlimited().is_one_of_few());
        claims.pop();
        assert!(late.is_one_of_few());
    }

    #[test]
    fn address_without_readers_is_forgotten() {
        let shares = Shares::default();
        let address = Ipv4Addr::LOCALHOST.into();
        let (first, second) = (shares.of(address), shares.of(address));
        assert!(Arc::ptr_eq(&first.0, &second.0));
        let response = first.claim();
        drop((first, second));
        assert_eq!(lock(&shares.0).len(), 1);
        drop(response);
        assert!(lock(&shares.0).is_empty());
    }
}
