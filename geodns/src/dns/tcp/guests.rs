//! Who is let in: so many in all, and so many of one network.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::idle::Idlers;

/// What strangers may take of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpLimits {
    /// Connections at once, at all addresses together.
    pub connections: usize,
    /// Connections at once from one IPv4 address, or one /56 of IPv6.
    pub per_address: usize,
    /// A connection on which no whole question comes for this long is closed.
    pub idle: Duration,
}

impl Default for TcpLimits {
    fn default() -> Self {
        Self { connections: 1000, per_address: 100, idle: Duration::from_secs(10) }
    }
}

/// The connections of all listeners. Clones share them.
#[derive(Clone)]
pub(crate) struct Guests {
    pub(super) limits: TcpLimits,
    pub(super) idlers: Idlers,
    free: Arc<Semaphore>,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Guests {
    /// Nobody yet.
    pub(crate) fn new(limits: TcpLimits) -> Self {
        let free = Arc::new(Semaphore::new(limits.connections));
        Self { limits, idlers: Idlers::default(), free, counts: Arc::default() }
    }

    /// One more, unless its network has too many already.
    pub(super) fn enter(&self, address: IpAddr) -> Option<Guest> {
        let network = network(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(network).or_default();
        if *count >= self.limits.per_address {
            return None;
        }
        *count += 1;
        Some(Guest { guests: self.clone(), network })
    }

    /// One of the places for all. When all are taken, who has been idle for longest is told to leave its own (RFC 7766 §6.2.3);
    /// as long as nobody is idle, this waits.
    pub(super) async fn place(&self) -> OwnedSemaphorePermit {
        if let Ok(place) = Arc::clone(&self.free).try_acquire_owned() {
            return place;
        }
        let left = async || Arc::clone(&self.free).acquire_owned().await.expect("nobody closes it");
        let mut left = std::pin::pin!(left());
        tokio::select! {
            biased;
            place = &mut left => return place,
            // One for each who waits: it is gone in a moment.
            () = self.idlers.dismiss() => {}
        }
        left.await
    }
}

/// What one customer of a provider has: an address, or a /56.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !0 << 72).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// A connection that counts, for as long as it lives.
pub(super) struct Guest {
    guests: Guests,
    network: IpAddr,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut counts = self.guests.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_site_is_one_guest() {
        let limits = TcpLimits { per_address: 1, ..TcpLimits::default() };
        let guests = Guests::new(limits);
        let first = guests.enter("2001:db8:0:1::1".parse().unwrap()).unwrap();
        assert!(guests.enter("2001:db8:0:2::1".parse().unwrap()).is_none());
        assert!(guests.enter("2001:db8:0:100::1".parse().unwrap()).is_some());
        let _other = guests.enter("192.0.2.1".parse().unwrap()).unwrap();
        assert!(guests.enter("::ffff:192.0.2.1".parse().unwrap()).is_none());
        drop(first);
        assert!(guests.enter("2001:db8:0:2::1".parse().unwrap()).is_some());
    }
}
