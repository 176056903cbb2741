//! The ports of a cluster.

use std::net::{Ipv4Addr, SocketAddr};

/// The ports of a cluster. With base 7400, the origin's API has port 7400, the edges 7401, 7402 and so on, and the name server 7453;
/// private listeners are 100 above, and those of edges for TLS 200. At their own loopback addresses, edges have port 7480. With base 0, all
/// ports are free ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    base: u16,
}

/// The offset of the name server.
const DNS: u16 = 53;

/// The offset of the edges at their own loopback addresses.
const LOOPBACK_EDGES: u16 = 80;

/// The offset of private listeners.
const PRIVATE: u16 = 100;

/// The offset of listeners for TLS.
const HTTPS: u16 = 200;

/// The highest of all offsets.
const OFFSET_MAX: u16 = HTTPS + DNS;

/// The base port is too high.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("port {0} is too high: expected at most {max}", max = u16::MAX - OFFSET_MAX)]
pub struct PortsError(u16);

impl Ports {
    /// The default base.
    pub const DEFAULT_BASE: u16 = 7400;

    /// The most edges that fit below the port of the name server.
    pub const EDGES_MAX: u16 = DNS - 1;

    /// The ports for a base.
    pub fn new(base: u16) -> Result<Self, PortsError> {
        if base.checked_add(OFFSET_MAX).is_none() { Err(PortsError(base)) } else { Ok(Self { base }) }
    }

    /// Whether free ports are used.
    pub fn are_free(self) -> bool {
        self.base == 0
    }

    fn above(self, offset: u16) -> u16 {
        if self.are_free() { 0 } else { self.base + offset }
    }

    fn at(self, offset: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.above(offset)).into()
    }

    /// The address of the origin's API.
    pub fn origin(self) -> SocketAddr {
        self.at(0)
    }

    /// The private listener of the origin.
    pub fn origin_private(self) -> SocketAddr {
        self.at(PRIVATE)
    }

    /// The address of edge number `edge`, from 1.
    pub fn edge(self, edge: u16) -> SocketAddr {
        self.at(edge)
    }

    /// The address of edge number `edge` for TLS.
    pub fn edge_https(self, edge: u16) -> SocketAddr {
        self.at(HTTPS + edge)
    }

    /// The loopback address that only edge number `edge` has: 127.0.0.2 and so on.
    pub fn edge_loopback(self, edge: u16) -> SocketAddr {
        let first = u32::from(Ipv4Addr::LOCALHOST);
        (Ipv4Addr::from(first + u32::from(edge)), self.above(LOOPBACK_EDGES)).into()
    }

    /// The private listener of edge number `edge`.
    pub fn edge_private(self, edge: u16) -> SocketAddr {
        self.at(PRIVATE + edge)
    }

    /// The address of the name server, for UDP and TCP.
    pub fn dns(self) -> SocketAddr {
        self.at(DNS)
    }

    /// The private listener of the name server.
    pub fn dns_private(self) -> SocketAddr {
        self.at(PRIVATE + DNS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_have_documented_offsets() {
        let ports = Ports::new(Ports::DEFAULT_BASE).unwrap();
        let all = [ports.origin(), ports.edge(1), ports.edge(3), ports.origin_private(), ports.edge_private(3)];
        assert_eq!(all.map(|address| address.port()), [7400, 7401, 7403, 7500, 7503]);
        assert_eq!([ports.dns(), ports.dns_private()].map(|address| address.port()), [7453, 7553]);
        assert_eq!(ports.edge_https(1).port(), 7601);
        let loopback = [1, 3].map(|edge| ports.edge_loopback(edge).to_string());
        assert_eq!(loopback, ["127.0.0.2:7480", "127.0.0.4:7480"]);
    }

    #[test]
    fn last_edge_does_not_overlap_name_server() {
        let ports = Ports::new(Ports::DEFAULT_BASE).unwrap();
        assert!(
            ports.edge(Ports::EDGES_MAX) < ports.dns() && ports.edge_private(Ports::EDGES_MAX) < ports.dns_private()
        );
    }

    #[test]
    fn base_zero_uses_free_ports() {
        let ports = Ports::new(0).unwrap();
        let all = [ports.origin(), ports.edge_private(7), ports.edge_loopback(7), ports.dns()];
        assert_eq!(all.map(|address| address.port()), [0; 4]);
    }

    #[test]
    fn base_that_is_too_high_is_rejected() {
        assert_eq!(Ports::new(65_400), Err(PortsError(65_400)));
    }
}
