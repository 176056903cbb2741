//! Which port is whose.

use std::net::{Ipv4Addr, SocketAddr};

/// The ports of a cluster: with base 7400, the origin's API is at 7400, the edges serve at 7401, 7402 and on, and each has its
/// health and metrics 100 above. Base 0 stands for free ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    base: u16,
}

/// How far health and metrics are above.
const PRIVATE: u16 = 100;

/// A base that leaves no room for all ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("port {0} is too high: the cluster needs the next {PRIVATE} and more")]
pub struct PortsError(u16);

impl Ports {
    /// Where the origin's API is, unless something else is asked for.
    pub const DEFAULT_BASE: u16 = 7400;

    /// The most edges that fit below the private ports.
    pub const EDGES_MAX: u16 = PRIVATE - 1;

    /// Takes a base.
    pub fn new(base: u16) -> Result<Self, PortsError> {
        if base.checked_add(PRIVATE + Self::EDGES_MAX).is_none() { Err(PortsError(base)) } else { Ok(Self { base }) }
    }

    fn at(self, offset: u16) -> SocketAddr {
        let port = if self.base == 0 { 0 } else { self.base + offset };
        (Ipv4Addr::LOCALHOST, port).into()
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

    /// The health and metrics of edge number `edge`.
    pub fn edge_private(self, edge: u16) -> SocketAddr {
        self.at(PRIVATE + edge)
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
    }

    #[test]
    fn zero_stands_for_free_ports() {
        let ports = Ports::new(0).unwrap();
        assert_eq!([ports.origin(), ports.edge_private(7)].map(|address| address.port()), [0, 0]);
    }

    #[test]
    fn a_base_without_room_is_refused() {
        assert_eq!(Ports::new(65_400), Err(PortsError(65_400)));
    }
}
