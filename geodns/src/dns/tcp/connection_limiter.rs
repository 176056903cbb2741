//! Limits on connections: in total, and for each network.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::idle_connections::IdleConnections;

/// Limits on what clients may use over TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpLimits {
    /// Concurrent connections, of all listeners together.
    pub connections: usize,
    /// Concurrent connections from one IPv4 address or one IPv6 /56.
    pub per_address: usize,
    /// A connection on which no complete query arrives for this long is closed.
    pub idle: Duration,
}

impl Default for TcpLimits {
    fn default() -> Self {
        Self { connections: 1000, per_address: 100, idle: Duration::from_secs(10) }
    }
}

/// Counts the connections of all listeners. Clones share the counts.
#[derive(Clone)]
pub(crate) struct ConnectionLimiter {
    pub(super) limits: TcpLimits,
    pub(super) idle_connections: IdleConnections,
    permits: Arc<Semaphore>,
    by_network: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl ConnectionLimiter {
    pub(crate) fn new(limits: TcpLimits) -> Self {
        let permits = Arc::new(Semaphore::new(limits.connections));
        Self { limits, idle_connections: IdleConnections::default(), permits, by_network: Arc::default() }
    }

    /// Counts one more connection of the network that `address` is in; `None` if that has too many.
    pub(super) fn admit(&self, address: IpAddr) -> Option<NetworkSlot> {
        let network = network(address);
        let mut by_network = self.by_network.lock().unwrap_or_else(PoisonError::into_inner);
        let count = by_network.entry(network).or_default();
        if *count >= self.limits.per_address {
            return None;
        }
        *count += 1;
        Some(NetworkSlot { limiter: self.clone(), network })
    }

    /// One of the permits for all connections. When none is left, the connection that has been idle longest is evicted (RFC 7766
    /// §6.2.3); while none is idle, this waits.
    pub(super) async fn permit(&self) -> OwnedSemaphorePermit {
        if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
            return permit;
        }
        let released = async || Arc::clone(&self.permits).acquire_owned().await.expect("the semaphore is never closed");
        let mut released = std::pin::pin!(released());
        tokio::select! {
            biased;
            permit = &mut released => return permit,
            // One eviction for each listener that waits: the permit follows in a moment.
            () = self.idle_connections.evict_oldest() => {}
        }
        released.await
    }
}

/// The network of one customer of an access provider: an IPv4 address, or an IPv6 /56.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !0 << 72).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// Counts a connection of a network until it is dropped.
pub(super) struct NetworkSlot {
    limiter: ConnectionLimiter,
    network: IpAddr,
}

impl Drop for NetworkSlot {
    fn drop(&mut self) {
        let mut by_network = self.limiter.by_network.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = by_network.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                by_network.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_ipv6_56_share_a_limit() {
        let limits = TcpLimits { per_address: 1, ..TcpLimits::default() };
        let limiter = ConnectionLimiter::new(limits);
        let first = limiter.admit("2001:db8:0:1::1".parse().unwrap()).unwrap();
        assert!(limiter.admit("2001:db8:0:2::1".parse().unwrap()).is_none());
        assert!(limiter.admit("2001:db8:0:100::1".parse().unwrap()).is_some());
        let _other = limiter.admit("192.0.2.1".parse().unwrap()).unwrap();
        assert!(limiter.admit("::ffff:192.0.2.1".parse().unwrap()).is_none());
        drop(first);
        assert!(limiter.admit("2001:db8:0:2::1".parse().unwrap()).is_some());
    }
}
