//! Where clients are: the operator's overrides, then the database.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::database::Database;
use super::geo_vector::GeoVector;
use super::overrides::LocationOverrides;
use super::prefix::Prefix;

/// The location of a client, and the network that has the same location: every address in `network` has this location, and the
/// networks of two locations from one [`GeoLocator`] are equal or disjoint.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ClientLocation {
    /// The location, if it is known.
    pub(crate) point: Option<GeoVector>,
    /// The network. Its length, at most 24 or 48, is the scope of RFC 7871 §7.2.1, and its key decides which edges of a metro it
    /// gets.
    pub(crate) network: IpNet,
    /// Where the location comes from.
    pub(crate) source: LocationSource,
}

/// The source of a location.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LocationSource {
    /// The configuration.
    Override,
    /// The database: it has a record of the network, with or without coordinates.
    Database,
    /// Neither.
    NotFound,
}

/// Finds the locations of clients. Cheap to clone, and to rebuild when the database is replaced.
#[derive(Debug, Clone, Default)]
pub(crate) struct GeoLocator {
    overrides: Arc<LocationOverrides>,
    database: Option<Arc<Database>>,
}

impl GeoLocator {
    pub(crate) fn new(overrides: Arc<LocationOverrides>, database: Option<Arc<Database>>) -> Self {
        Self { overrides, database }
    }

    /// The database in use, for metrics and explanations.
    pub(crate) fn database(&self) -> Option<&Arc<Database>> {
        self.database.as_ref()
    }

    /// Locates `address`. Two binary searches; no allocation, nothing is decoded.
    ///
    /// The network is the largest prefix around the client's /24 or /48 that lies within the matching override or database
    /// network and does not contain a more specific override. A client that neither knows is alone in its /24 or /48, so that
    /// such clients are still spread over edges by weight.
    pub(crate) fn locate(&self, address: IpAddr) -> ClientLocation {
        let client = Prefix::of(address);
        let interval = self.overrides.find(client);
        let (within, point, source) = match interval.matched {
            Some((within, point)) => (within, Some(point), LocationSource::Override),
            None => match self.database.as_ref().and_then(|database| database.find(client)) {
                Some((within, point)) => (within, point, LocationSource::Database),
                None => (client, None, LocationSource::NotFound),
            },
        };
        let length = within.length().max(client.shortest_length_between(interval.first, interval.last));
        ClientLocation { point, network: client.supernet(length).into(), source }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use proptest::prelude::*;
    use verge_mmdb::IpVersion;
    use verge_protocol::GeoPoint;

    use super::super::prefix::Family;
    use super::super::test_support::{city, database};
    use super::*;

    fn locator(overrides: &[(&str, &str)], networks: &[(&str, &str)]) -> GeoLocator {
        let overrides = overrides.iter().map(|(prefix, location)| (prefix.parse().unwrap(), location.parse().unwrap()));
        let networks: Vec<_> = networks
            .iter()
            .map(|(network, location)| (network.parse().unwrap(), city(location.parse().unwrap())))
            .collect();
        let database =
            (!networks.is_empty()).then(|| Arc::new(Database::read(&database(IpVersion::V6, &networks)).unwrap()));
        GeoLocator::new(Arc::new(LocationOverrides::new(overrides).unwrap()), database)
    }

    fn located(locator: &GeoLocator, address: &str) -> String {
        let ClientLocation { point, network, source } = locator.locate(address.parse().unwrap());
        let location = point.map_or("-".to_owned(), |point| point.location().to_string());
        format!("{network} {location} {source:?}")
    }

    #[test]
    fn overrides_take_precedence_and_split_the_networks_of_the_database() {
        let locator = locator(
            &[("10.1.0.0/16", "1,1"), ("10.1.128.0/24", "2,2"), ("2001:db8:7::/48", "3,3")],
            &[("10.0.0.0/8", "8,8"), ("192.0.2.128/25", "9,9"), ("2001:db8::/32", "4,4")],
        );
        for (address, expected) in [
            ("10.200.0.1", "10.128.0.0/9 8,8 Database"),
            ("10.0.0.1", "10.0.0.0/16 8,8 Database"),
            ("10.1.0.1", "10.1.0.0/17 1,1 Override"),
            ("10.1.128.1", "10.1.128.0/24 2,2 Override"),
            ("10.1.129.1", "10.1.129.0/24 1,1 Override"),
            ("::ffff:10.1.255.1", "10.1.192.0/18 1,1 Override"),
            ("11.2.3.4", "11.2.3.0/24 - NotFound"),
            // The address is truncated before the lookup: the first address of a /24 locates all of it.
            ("192.0.2.200", "192.0.2.0/24 - NotFound"),
            ("2001:db8:7:1::1", "2001:db8:7::/48 3,3 Override"),
            ("2001:db8:8::1", "2001:db8:8::/45 4,4 Database"),
            ("2001:db9::1", "2001:db9::/48 - NotFound"),
        ] {
            assert_eq!(located(&locator, address), expected, "{address}");
        }
        assert_eq!(located(&GeoLocator::default(), "192.0.2.1"), "192.0.2.0/24 - NotFound");
    }

    /// Prefixes within a small range of each family, so that they nest, touch and repeat. Each has its own location.
    fn prefixes(v4: RangeInclusive<u8>, v6: RangeInclusive<u8>) -> impl Strategy<Value = Vec<(IpNet, GeoPoint)>> {
        let v4 = (v4, 0..0x2000_u32).prop_map(|(length, bits)| {
            IpNet::new(IpAddr::V4((0x0a00_0000 | bits << 6).into()), length).unwrap().trunc()
        });
        let v6 = (v6, 0..0x2000_u128).prop_map(|(length, bits)| {
            IpNet::new(IpAddr::V6((0x2a << 120 | bits << 78).into()), length).unwrap().trunc()
        });
        prop::collection::btree_set(prop_oneof![v4, v6], 0..12).prop_map(|prefixes| {
            let location = |index| GeoPoint::new(f64::from(u8::try_from(index).unwrap()) + 1.0, 0.0).unwrap();
            prefixes.into_iter().enumerate().map(|(index, prefix)| (prefix, location(index))).collect()
        })
    }

    fn address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            (0..0x8_0000_u32).prop_map(|bits| IpAddr::V4((0x0a00_0000 | bits).into())),
            (0..0x8_0000_u128).prop_map(|bits| IpAddr::V6((0x2a << 120 | bits << 72 | 1).into())),
            any::<u32>().prop_map(|bits| IpAddr::V4(bits.into())),
            any::<u128>().prop_map(|bits| IpAddr::V6(bits.into())),
        ]
    }

    fn longest(among: &[(IpNet, GeoPoint)], address: IpAddr) -> Option<&(IpNet, GeoPoint)> {
        among.iter().filter(|(prefix, _)| prefix.contains(&address)).max_by_key(|(prefix, _)| prefix.prefix_len())
    }

    /// A model of what [`GeoLocator::locate`] documents. The network of an address in the database is that of the longest
    /// match, without the more specific networks inside it.
    fn model(
        overrides: &[(IpNet, GeoPoint)],
        networks: &[(IpNet, GeoPoint)],
        address: IpAddr,
    ) -> (IpNet, Option<GeoPoint>, LocationSource) {
        let cap = if address.is_ipv4() { 24 } else { 48 };
        let client = IpNet::new(address, cap).unwrap().trunc();
        let (among, found, source) = match longest(overrides, client.addr()) {
            Some(found) => (overrides, Some(found), LocationSource::Override),
            None => match longest(networks, client.addr()) {
                Some(found) => (networks, Some(found), LocationSource::Database),
                None => return (client, None, LocationSource::NotFound),
            },
        };
        let (within, location) = *found.unwrap();
        let mut network = client;
        while let Some(wider) = network.supernet().filter(|wider| within.contains(wider)) {
            let inside = |(prefix, _): &(IpNet, GeoPoint)| wider.contains(prefix) && *prefix != within;
            let splits = |prefixes: &[(IpNet, GeoPoint)]| prefixes.iter().any(inside);
            if splits(overrides) || (source == LocationSource::Database && splits(among)) {
                break;
            }
            network = wider;
        }
        (network, Some(location), source)
    }

    proptest! {
        #![proptest_config(ProptestConfig::default())]

        #[test]
        fn networks_are_maximal_uniform_and_disjoint(
            overrides in prefixes(0..=24, 0..=48),
            // Shorter ones of IPv6 would have IPv4 inside and 6to4.
            networks in prefixes(0..=28, 7..=56),
            addresses in prop::collection::vec(address(), 1..24),
        ) {
            let records: Vec<_> = networks.iter().map(|(network, location)| (*network, city(*location))).collect();
            let database = Database::read(&database(IpVersion::V6, &records)).ok().map(Arc::new);
            let locator = GeoLocator::new(Arc::new(LocationOverrides::new(overrides.iter().copied()).unwrap()), database);
            let mut seen: Vec<ClientLocation> = Vec::new();
            for address in addresses {
                let location = locator.locate(address);
                let located = (location.network, location.point.map(GeoVector::location), location.source);
                // IPv4-mapped and the other corners of ::/16 are for the examples.
                let plain = !matches!(address, IpAddr::V6(v6) if v6.segments()[0] == 0);
                prop_assert!(!plain || located == model(&overrides, &networks, address), "{address}: {located:?}");
                prop_assert!(location.network.contains(&address.to_canonical()));
                let longest = Family::of(location.network.addr()).max_length();
                prop_assert!(location.network.prefix_len() <= longest);
                prop_assert_eq!(locator.locate(location.network.addr()), location);
                prop_assert_eq!(locator.locate(location.network.broadcast()), location);
                for other in &seen {
                    let (network, other_network) = (location.network, other.network);
                    let apart = !network.contains(&other_network) && !other_network.contains(&network);
                    prop_assert!(apart || *other == location, "{other:?} {location:?}");
                }
                seen.push(location);
            }
        }
    }
}
