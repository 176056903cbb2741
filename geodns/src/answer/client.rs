//! Where the client of a query is: in the client subnet that the resolver sent, or where the resolver is.

use std::net::IpAddr;

use crate::dns::query::Edns;
use crate::geo::{ClientLocation, GeoLocator, LocationSource, is_private};

/// Where the client of a query is, and for which other clients the same answer is valid.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    pub(super) location: ClientLocation,
    /// Whether the location is that of the client subnet (RFC 7871), not of the resolver.
    by_subnet: bool,
}

impl Client {
    /// Locates the client by its subnet. If the query has none, or a private one (such as 10.0.0.0/8) for which the operator has
    /// not configured a location, the address of the resolver is used (RFC 7871 §7.2.1, §11.3).
    pub(super) fn of(edns: Option<&Edns>, resolver: IpAddr, locator: &GeoLocator) -> Self {
        let address = edns.and_then(|edns| edns.subnet).and_then(|subnet| subnet.address());
        match address.and_then(|address| locate_subnet(address, locator)) {
            Some(location) => Self { location, by_subnet: true },
            None => Self { location: locator.locate(resolver.to_canonical()), by_subnet: false },
        }
    }

    /// SCOPE PREFIX-LENGTH of the response: for how many bits of the client subnet it is valid. 0 if the subnet was not used: the
    /// response is the same for all clients of the resolver.
    pub(super) fn scope(&self) -> u8 {
        if self.by_subnet { self.location.network.prefix_len() } else { 0 }
    }
}

/// Where a client subnet is; `None` if it cannot be used.
fn locate_subnet(address: IpAddr, locator: &GeoLocator) -> Option<ClientLocation> {
    // IPv4 addresses in IPv6 form, whose scope would have to be in that form too, are not used in practice.
    if address != address.to_canonical() {
        return None;
    }
    let location = locator.locate(address);
    (location.source == LocationSource::Override || !is_private(address)).then_some(location)
}
