//! The regions of a small internet and their networks, which are reserved for documentation (RFC 5737, RFC 3849).

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use verge_protocol::{EdgeName, GeoPoint};

/// A region with one edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Region {
    /// Around Frankfurt: `192.0.2.0/24` and `2001:db8:100::/40`. The next nearest edge is America's.
    Europe,
    /// Around New York: `198.51.100.0/24` and `2001:db8:200::/40`. The next nearest edge is Europe's.
    America,
    /// Around Singapore: `203.0.113.0/24` and `2001:db8:300::/40`. The next nearest edge is Europe's.
    Asia,
}

impl Region {
    /// All regions.
    pub const ALL: [Self; 3] = [Self::Europe, Self::America, Self::Asia];

    /// All regions by the distance of their edges, the nearest first.
    pub fn by_distance(self) -> [Self; 3] {
        match self {
            Self::Europe => [Self::Europe, Self::America, Self::Asia],
            Self::America => [Self::America, Self::Europe, Self::Asia],
            Self::Asia => [Self::Asia, Self::Europe, Self::America],
        }
    }

    /// The location of its edge and its readers.
    pub fn location(self) -> GeoPoint {
        let (latitude, longitude) = match self {
            Self::Europe => (50.11, 8.68),
            Self::America => (40.71, -74.01),
            Self::Asia => (1.35, 103.82),
        };
        GeoPoint::new(latitude, longitude).unwrap()
    }

    /// The name of its edge.
    pub fn edge(self) -> EdgeName {
        let name = match self {
            Self::Europe => "fra-1",
            Self::America => "nyc-1",
            Self::Asia => "sin-1",
        };
        name.parse().unwrap()
    }

    /// Its networks, one per address family.
    pub fn networks(self) -> [IpNet; 2] {
        [Ipv4Net::new_assert(self.v4(0), 24).into(), Ipv6Net::new_assert(self.v6(0, 0), 40).into()]
    }

    /// An address in its /24.
    pub fn v4(self, host: u8) -> Ipv4Addr {
        let [a, b, c] = match self {
            Self::Europe => [192, 0, 2],
            Self::America => [198, 51, 100],
            Self::Asia => [203, 0, 113],
        };
        Ipv4Addr::new(a, b, c, host)
    }

    /// An address in one of its /48s.
    pub fn v6(self, subnet: u8, host: u8) -> Ipv6Addr {
        let region = match self {
            Self::Europe => 0x100,
            Self::America => 0x200,
            Self::Asia => 0x300,
        };
        Ipv6Addr::new(0x2001, 0x0db8, region | u16::from(subnet), 0, 0, 0, 0, host.into())
    }
}
