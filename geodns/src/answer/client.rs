//! For whom an answer is: whose subnet the resolver told, or the resolver itself.

use std::net::IpAddr;

use crate::dns::query::Edns;
use crate::geo::{ClientLocation, GeoLocator, LocationSource, is_private};

/// By what the client was placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// By the client subnet that the resolver sent (RFC 7871).
    Subnet,
    /// By the address that the question came from.
    Resolver,
}

/// Whom an answer is for, and for whom else it holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    /// Where that is.
    pub(crate) location: ClientLocation,
    /// By what that was told.
    pub(crate) by: By,
}

impl Client {
    /// The subnet that came with the question counts, unless it says nothing: none was told, or it is one that many have, such
    /// as 10.0.0.0/8, and the operator has not placed it. Then it is the resolver's own address (RFC 7871 §7.2.1, §11.3).
    pub(crate) fn of(edns: Option<&Edns>, resolver: IpAddr, locator: &GeoLocator) -> Self {
        let told = edns.and_then(|edns| edns.subnet).and_then(|subnet| subnet.address());
        match told.and_then(|address| subnet(address, locator)) {
            Some(location) => Self { location, by: By::Subnet },
            None => Self { location: locator.locate(resolver.to_canonical()), by: By::Resolver },
        }
    }

    /// For how many bits of the client subnet the answer holds: 0 when that was of no use, and so all get this answer.
    pub(crate) fn scope(&self) -> u8 {
        match self.by {
            By::Subnet => self.location.network.prefix_len(),
            By::Resolver => 0,
        }
    }
}

/// Where a client subnet is; `None` if it says nothing.
fn subnet(address: IpAddr, locator: &GeoLocator) -> Option<ClientLocation> {
    // Written as IPv6, an IPv4 subnet's scope would have to be too; nobody asks like that.
    if address != address.to_canonical() {
        return None;
    }
    let location = locator.locate(address);
    (location.source == LocationSource::Override || !is_private(address)).then_some(location)
}
