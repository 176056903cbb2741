//! A made-up internet: thousands of networks in real cities.

mod chance;
mod cities;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::Spot;
use chance::Chance;
pub use cities::{CITIES, City};

/// The number of IPv4 networks of a world.
pub const IPV4_NETWORKS: usize = 4_500;
/// The number of IPv6 networks of a world.
pub const IPV6_NETWORKS: usize = 2_500;

/// Networks and where they are, sorted; the same for the same seed.
///
/// [`IPV4_NETWORKS`] from /8 to /28 and [`IPV6_NETWORKS`] from /20 to /56, each once, many inside of others, with addresses left
/// over that belong to none. All within what may be routed on the internet: never private, loopback, or reserved for
/// documentation. Of a hundred networks about ninety are in a city of [`CITIES`], five in a country without coordinates, three in
/// a country with coordinates but no city, and two on a continent.
pub fn world(seed: u64) -> Vec<(IpNet, Spot)> {
    let mut chance = Chance::new(seed);
    let ipv4 = networks(&mut chance, IPV4_NETWORKS, &IPV4_LENGTHS, ipv4_network);
    let ipv6 = networks(&mut chance, IPV6_NETWORKS, &IPV6_LENGTHS, ipv6_network);
    ipv4.into_iter().chain(ipv6).collect()
}

/// Prefix lengths and how often each comes, in proportion: few large, most middling.
const IPV4_LENGTHS: [(u8, u16); 21] = [
    (8, 12),
    (9, 14),
    (10, 20),
    (11, 26),
    (12, 36),
    (13, 44),
    (14, 34),
    (15, 40),
    (16, 70),
    (17, 60),
    (18, 64),
    (19, 76),
    (20, 90),
    (21, 80),
    (22, 100),
    (23, 80),
    (24, 130),
    (25, 24),
    (26, 24),
    (27, 24),
    (28, 24),
];
const IPV6_LENGTHS: [(u8, u16); 12] = [
    (20, 20),
    (24, 50),
    (26, 40),
    (28, 70),
    (29, 120),
    (32, 240),
    (36, 80),
    (40, 100),
    (44, 80),
    (47, 20),
    (48, 130),
    (56, 50),
];

/// The /12 blocks that the regional registries give IPv6 from, and one of the old /16.
const IPV6_REGIONS: [(u128, u8); 6] =
    [(0x2001, 16), (0x2400, 12), (0x2600, 12), (0x2800, 12), (0x2a00, 12), (0x2c00, 12)];

fn networks(
    chance: &mut Chance,
    count: usize,
    lengths: &[(u8, u16)],
    network: fn(&mut Chance, u8) -> IpNet,
) -> BTreeMap<IpNet, Spot> {
    let mut networks = BTreeMap::new();
    let mut all: Vec<IpNet> = Vec::with_capacity(count);
    while networks.len() < count {
        let length = weighted(chance, lengths);
        let inside = (!all.is_empty() && chance.below(100) < 45).then(|| all[chance.below(all.len())]);
        let network = match inside {
            Some(parent) if parent.prefix_len() < length => within(chance, parent, length),
            _ => network(chance, length),
        };
        if is_public(network) && !networks.contains_key(&network) {
            networks.insert(network, spot(chance));
            all.push(network);
        }
    }
    networks
}

fn weighted(chance: &mut Chance, lengths: &[(u8, u16)]) -> u8 {
    let total: usize = lengths.iter().map(|(_, weight)| usize::from(*weight)).sum();
    let mut left = chance.below(total);
    for (length, weight) in lengths {
        match left.checked_sub(usize::from(*weight)) {
            None => return *length,
            Some(rest) => left = rest,
        }
    }
    unreachable!("what is below the sum of the weights is within one of them")
}

fn ipv4_network(chance: &mut Chance, length: u8) -> IpNet {
    let address = Ipv4Addr::from_bits(chance.bits32());
    Ipv4Net::new(address, length).expect("at most 28").trunc().into()
}

fn ipv6_network(chance: &mut Chance, length: u8) -> IpNet {
    let (region, bits) = IPV6_REGIONS[chance.below(IPV6_REGIONS.len())];
    let address = Ipv6Addr::from_bits(region << 112 | chance.bits128() >> bits);
    Ipv6Net::new(address, length).expect("at most 56").trunc().into()
}

/// A network of this length at a random place in a larger one.
fn within(chance: &mut Chance, parent: IpNet, length: u8) -> IpNet {
    match parent {
        IpNet::V4(parent) => {
            let address = parent.addr().to_bits() | chance.bits32() & parent.hostmask().to_bits();
            Ipv4Net::new(Ipv4Addr::from_bits(address), length).expect("at most 28").trunc().into()
        }
        IpNet::V6(parent) => {
            let address = parent.addr().to_bits() | chance.bits128() & parent.hostmask().to_bits();
            Ipv6Net::new(Ipv6Addr::from_bits(address), length).expect("at most 56").trunc().into()
        }
    }
}

/// Whether the network has no address in common with one that the internet does not route.
fn is_public(network: IpNet) -> bool {
    const RESERVED: [&str; 15] = [
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/3",
        "2001::/23",
        "2001:db8::/32",
    ];
    RESERVED.iter().all(|reserved| {
        let reserved: IpNet = reserved.parse().expect("written above");
        !reserved.contains(&network) && !network.contains(&reserved)
    })
}

fn spot(chance: &mut Chance) -> Spot {
    let city = &CITIES[chance.below(CITIES.len())];
    let whole = city.spot();
    match chance.below(100) {
        0..90 => whole,
        90..95 => Spot { place: None, city: None, ..whole },
        95..98 => Spot { city: None, ..whole },
        _ => Spot { continent: whole.continent, ..Spot::default() },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::iter::successors;

    use super::*;

    #[test]
    fn the_same_seed_is_the_same_world() {
        assert_eq!(world(7), world(7));
        assert_ne!(world(7), world(8));
    }

    #[test]
    fn a_world_has_what_real_ones_have() {
        for seed in [0, 1, u64::MAX] {
            let world = world(seed);
            let all: BTreeSet<IpNet> = world.iter().map(|(network, _)| *network).collect();
            let around = |network: IpNet| successors(network.supernet(), IpNet::supernet).find(|net| all.contains(net));
            for (is_of, number, lengths) in [
                (is_ipv4 as fn(&IpNet) -> bool, IPV4_NETWORKS, 8..=28),
                (is_ipv6 as fn(&IpNet) -> bool, IPV6_NETWORKS, 20..=56),
            ] {
                let networks: Vec<IpNet> = all.iter().copied().filter(is_of).collect();
                assert_eq!(networks.len(), number);
                assert!(networks.iter().all(|net| lengths.contains(&net.prefix_len()) && *net == net.trunc()));
                let nested = networks.iter().filter(|network| around(**network).is_some()).count();
                let twice = networks.iter().filter(|network| around(**network).and_then(around).is_some()).count();
                assert!(nested > number / 5 && twice > number / 50, "{nested}, {twice} of {number}");
            }
            let known = |address: u32| {
                let host = Ipv4Net::from(Ipv4Addr::from_bits(address)).into();
                around(host).is_some()
            };
            let covered = (1..224).filter(|high| known(high << 24 | 0x0051_9b37)).count();
            assert!((60..180).contains(&covered), "{covered} of 223 addresses");
            let count = |has: fn(&Spot) -> bool| world.iter().filter(|(_, spot)| has(spot)).count();
            assert!(count(|spot| spot.place.is_some() && spot.city.is_some()) > 6_000);
            assert!(count(|spot| spot.place.is_none() && spot.country.is_some()) > 200);
            assert!(count(|spot| spot.place.is_some() && spot.city.is_none()) > 100);
            assert!(count(|spot| spot.country.is_none()) > 50);
        }
    }

    fn is_ipv4(network: &IpNet) -> bool {
        network.addr().is_ipv4()
    }

    fn is_ipv6(network: &IpNet) -> bool {
        network.addr().is_ipv6()
    }
}
