//! Which port is whose.

use std::net::{Ipv4Addr, SocketAddr};

/// The ports of a cluster: with base 7400, the origin's API is at 7400, the edges serve at 7401, 7402 and on, the name server
/// answers at 7453, and each has its health and metrics 100 above. Edges that have an address of their own serve there at 7480.
/// Base 0 stands for free ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    base: u16,
}

/// How far the name server is above.
const DNS: u16 = 53;

/// How far the port is above that edges have at addresses of their own.
const ALONE: u16 = 80;

/// How far health and metrics are above.
const PRIVATE: u16 = 100;

/// A base that leaves no room for all ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("port {0} is too high: the cluster needs the next {PRIVATE} and more")]
pub struct PortsError(u16);

impl Ports {
    /// Where the origin's API is, unless something else is asked for.
    pub const DEFAULT_BASE: u16 = 7400;

    /// The most edges that fit below the name server.
    pub const EDGES_MAX: u16 = DNS - 1;

    /// Takes a base.
    pub fn new(base: u16) -> Result<Self, PortsError> {
        if base.checked_add(PRIVATE + DNS).is_none() { Err(PortsError(base)) } else { Ok(Self { base }) }
    }

    /// Whether they are chosen when they are opened.
    pub fn are_free(self) -> bool {
        self.base == 0
    }

    fn above(self, offset: u16) -> u16 {
        if self.are_free() { 0 } else { self.base + offset }
    }

    fn at(self, offset: u16) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.above(offset)).into()
    }

    /// The origin's API.
    pub fn origin(self) -> SocketAddr {
        self.at(0)
    }

    /// The origin's health and metrics.
    pub fn origin_private(self) -> SocketAddr {
        self.at(PRIVATE)
    }

    /// Where edge number `edge`, from 1, serves.
    pub fn edge(self, edge: u16) -> SocketAddr {
        self.at(edge)
    }

    /// An address that no other edge has, where edge number `edge` serves too: 127.0.0.2 and on.
    pub fn edge_alone(self, edge: u16) -> SocketAddr {
        let first = u32::from(Ipv4Addr::LOCALHOST);
        (Ipv4Addr::from(first + u32::from(edge)), self.above(ALONE)).into()
    }

    /// The health and metrics of edge number `edge`.
    pub fn edge_private(self, edge: u16) -> SocketAddr {
        self.at(PRIVATE + edge)
    }

    /// Where the name server answers, over UDP and TCP.
    pub fn dns(self) -> SocketAddr {
        self.at(DNS)
    }

    /// The name server's health, metrics and explanations.
    pub fn dns_private(self) -> SocketAddr {
        self.at(PRIVATE + DNS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixed_ports_are_as_documented() {
        let ports = Ports::new(Ports::DEFAULT_BASE).unwrap();
        let all = [ports.origin(), ports.edge(1), ports.edge(3), ports.origin_private(), ports.edge_private(3)];
        assert_eq!(all.map(|address| address.port()), [7400, 7401, 7403, 7500, 7503]);
        assert_eq!([ports.dns(), ports.dns_private()].map(|address| address.port()), [7453, 7553]);
        let alone = [1, 3].map(|edge| ports.edge_alone(edge).to_string());
        assert_eq!(alone, ["127.0.0.2:7480", "127.0.0.4:7480"]);
    }

    #[test]
    fn the_last_edge_has_ports_of_its_own() {
        let ports = Ports::new(Ports::DEFAULT_BASE).unwrap();
        assert!(
            ports.edge(Ports::EDGES_MAX) < ports.dns() && ports.edge_private(Ports::EDGES_MAX) < ports.dns_private()
        );
    }

    #[test]
    fn zero_stands_for_free_ports() {
        let ports = Ports::new(0).unwrap();
        let all = [ports.origin(), ports.edge_private(7), ports.edge_alone(7), ports.dns()];
        assert_eq!(all.map(|address| address.port()), [0; 4]);
    }

    #[test]
    fn a_base_without_room_is_refused() {
        assert_eq!(Ports::new(65_400), Err(PortsError(65_400)));
    }
}
