//! Where a client is, and for whom else that holds.
//!
//! A client is its /24 (IPv4) or /48 (IPv6): longer prefixes are never told apart, so that an answer says no more of a reader
//! than RFC 7871 §11.1 asks for, and holds for everybody it is cached for.

mod block;
mod database;
mod overrides;
mod point;
mod private;
mod record;
mod table;
#[cfg(test)]
mod testing;
mod walk;

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use block::Block;

pub(crate) use block::Family;
pub(crate) use database::{Database, DatabaseError};
pub(crate) use overrides::Overrides;

pub use overrides::OverrideError;
pub(crate) use point::Point;
pub(crate) use private::is_private;

/// Where a client is, and for which network that holds: every address in `network` has this same locality, and the networks of
/// two localities of one [`Atlas`] are the same or have no address in common.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Locality {
    /// Where it is, if that is known.
    pub(crate) place: Option<Point>,
    /// Whom an answer holds for. Its length, at most 24 or 48, is the scope of RFC 7871 §7.2.1; as a whole it is the key by
    /// which weights part readers.
    pub(crate) network: IpNet,
    /// Who said so.
    pub(crate) source: Source,
}

/// Who says where a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// The operator.
    Override,
    /// The database: it has a record of the network, with coordinates or without.
    Database,
    /// Nobody.
    Nowhere,
}

/// Everything known of where clients are: what the operator says goes before what the database says. Cheap to clone, and to make
/// anew when one of its halves is replaced.
#[derive(Debug, Clone, Default)]
pub(crate) struct Atlas {
    overrides: Arc<Overrides>,
    database: Option<Arc<Database>>,
}

impl Atlas {
    pub(crate) fn new(overrides: Arc<Overrides>, database: Option<Arc<Database>>) -> Self {
        Self { overrides, database }
    }

    /// The database in use, for status.
    pub(crate) fn database(&self) -> Option<&Arc<Database>> {
        self.database.as_ref()
    }

    /// Where `address` is. Two searches in sorted memory: no allocation, nothing is decoded.
    ///
    /// The network is the largest prefix around the client's /24 or /48 that lies in what was matched, an override or a network
    /// of the database, and has no more specific override inside. A client that nobody knows is alone in its /24 or /48, so that
    /// weights still part such clients.
    pub(crate) fn locate(&self, address: IpAddr) -> Locality {
        let client = Block::of(address);
        let run = self.overrides.find(client);
        let (within, place, source) = match run.matched {
            Some((within, point)) => (within, Some(point), Source::Override),
            None => match self.database.as_ref().and_then(|database| database.find(client)) {
                Some((within, place)) => (within, place, Source::Database),
                None => (client, None, Source::Nowhere),
            },
        };
        let length = within.length().max(client.shortest_between(run.first, run.last));
        Locality { place, network: client.widened(length).into(), source }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::RangeInclusive;

    use proptest::prelude::*;
    use verge_mmdb::Family as Families;
    use verge_protocol::GeoPoint;

    use super::testing::{city, database};
    use super::*;

    fn atlas(overrides: &[(&str, &str)], networks: &[(&str, &str)]) -> Atlas {
        let overrides = overrides.iter().map(|(prefix, place)| (prefix.parse().unwrap(), place.parse().unwrap()));
        let networks: Vec<_> =
            networks.iter().map(|(network, place)| (network.parse().unwrap(), city(place.parse().unwrap()))).collect();
        let database =
            (!networks.is_empty()).then(|| Arc::new(Database::read(&database(Families::V6, &networks)).unwrap()));
        Atlas::new(Arc::new(Overrides::new(overrides).unwrap()), database)
    }

    fn told(atlas: &Atlas, address: &str) -> String {
        let locality = atlas.locate(address.parse().unwrap());
        let place = locality.place.map_or("-".to_owned(), |point| point.place().to_string());
        format!("{} {place} {:?}", locality.network, locality.source)
    }

    #[test]
    fn overrides_go_before_the_database_and_split_its_networks() {
        let atlas = atlas(
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
            ("11.2.3.4", "11.2.3.0/24 - Nowhere"),
            // It is cut before it is looked up: where the first address of a /24 is, all of it is.
            ("192.0.2.200", "192.0.2.0/24 - Nowhere"),
            ("2001:db8:7:1::1", "2001:db8:7::/48 3,3 Override"),
            ("2001:db8:8::1", "2001:db8:8::/45 4,4 Database"),
            ("2001:db9::1", "2001:db9::/48 - Nowhere"),
        ] {
            assert_eq!(told(&atlas, address), expected, "{address}");
        }
        assert_eq!(told(&Atlas::default(), "192.0.2.1"), "192.0.2.0/24 - Nowhere");
    }

    /// Prefixes crowded into a corner of each family, so that they nest, touch and repeat. The place tells which one it was.
    fn prefixes(v4: RangeInclusive<u8>, v6: RangeInclusive<u8>) -> impl Strategy<Value = Vec<(IpNet, GeoPoint)>> {
        let v4 = (v4, 0..0x2000_u32).prop_map(|(length, bits)| {
            IpNet::new(IpAddr::V4((0x0a00_0000 | bits << 6).into()), length).unwrap().trunc()
        });
        let v6 = (v6, 0..0x2000_u128).prop_map(|(length, bits)| {
            IpNet::new(IpAddr::V6((0x2a << 120 | bits << 78).into()), length).unwrap().trunc()
        });
        prop::collection::btree_set(prop_oneof![v4, v6], 0..12).prop_map(|prefixes| {
            let place = |index| GeoPoint::new(f64::from(u8::try_from(index).unwrap()) + 1.0, 0.0).unwrap();
            prefixes.into_iter().enumerate().map(|(index, prefix)| (prefix, place(index))).collect()
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

    /// What [`Atlas::locate`] promises, in the words of its documentation. The database is asked for the network of an address
    /// as its tree has it: longest match, less what more specific networks cut out.
    fn model(
        overrides: &[(IpNet, GeoPoint)],
        networks: &[(IpNet, GeoPoint)],
        address: IpAddr,
    ) -> (IpNet, Option<GeoPoint>, Source) {
        let cap = if address.is_ipv4() { 24 } else { 48 };
        let client = IpNet::new(address, cap).unwrap().trunc();
        let (among, found, source) = match longest(overrides, client.addr()) {
            Some(found) => (overrides, Some(found), Source::Override),
            None => match longest(networks, client.addr()) {
                Some(found) => (networks, Some(found), Source::Database),
                None => return (client, None, Source::Nowhere),
            },
        };
        let (within, place) = *found.unwrap();
        let mut network = client;
        while let Some(wider) = network.supernet().filter(|wider| within.contains(wider)) {
            let inside = |(prefix, _): &(IpNet, GeoPoint)| wider.contains(prefix) && *prefix != within;
            let splits = |prefixes: &[(IpNet, GeoPoint)]| prefixes.iter().any(inside);
            if splits(overrides) || (source == Source::Database && splits(among)) {
                break;
            }
            network = wider;
        }
        (network, Some(place), source)
    }

    proptest! {
        #![proptest_config(ProptestConfig::default())]

        #[test]
        fn localities_are_whole_and_disjoint(
            overrides in prefixes(0..=24, 0..=48),
            // Shorter ones of IPv6 would have IPv4 inside and 6to4.
            networks in prefixes(0..=28, 7..=56),
            addresses in prop::collection::vec(address(), 1..24),
        ) {
            let records: Vec<_> = networks.iter().map(|(network, place)| (*network, city(*place))).collect();
            let database = Database::read(&database(Families::V6, &records)).ok().map(Arc::new);
            let atlas = Atlas::new(Arc::new(Overrides::new(overrides.iter().copied()).unwrap()), database);
            let mut seen: Vec<Locality> = Vec::new();
            for address in addresses {
                let locality = atlas.locate(address);
                let told = (locality.network, locality.place.map(Point::place), locality.source);
                // IPv4-mapped and the other corners of ::/16 are for the examples.
                let plain = !matches!(address, IpAddr::V6(v6) if v6.segments()[0] == 0);
                prop_assert!(!plain || told == model(&overrides, &networks, address), "{address}: {told:?}");
                prop_assert!(locality.network.contains(&address.to_canonical()));
                let longest = Family::of(locality.network.addr()).longest();
                prop_assert!(locality.network.prefix_len() <= longest);
                prop_assert_eq!(atlas.locate(locality.network.addr()), locality);
                prop_assert_eq!(atlas.locate(locality.network.broadcast()), locality);
                for other in &seen {
                    let (network, other_network) = (locality.network, other.network);
                    let apart = !network.contains(&other_network) && !other_network.contains(&network);
                    prop_assert!(apart || *other == locality, "{other:?} {locality:?}");
                }
                seen.push(locality);
            }
        }
    }
}
