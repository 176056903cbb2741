//! A fictional internet: thousands of networks in real cities.

mod cities;
mod random;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::NetworkInfo;
pub use cities::{CITIES, City};
use random::Random;

/// The number of IPv4 networks of a sample.
pub const IPV4_NETWORKS: usize = 4_500;
/// The number of IPv6 networks of a sample.
pub const IPV6_NETWORKS: usize = 2_500;

/// Networks and what a database knows of them, sorted; the same for the same seed.
///
/// [`IPV4_NETWORKS`] from /8 to /28 and [`IPV6_NETWORKS`] from /20 to /56, each once, many nested, with addresses
/// left that belong to none. All are publicly routable: never private, loopback, or reserved for
/// documentation. Of a hundred networks about ninety are in a city of [`CITIES`], five in a country without coordinates, three in
/// a country with coordinates but no city, and two on a continent.
pub fn networks(seed: u64) -> Vec<(IpNet, NetworkInfo)> {
    let mut random = Random::new(seed);
    let ipv4 = random_networks(&mut random, IPV4_NETWORKS, &IPV4_LENGTHS, ipv4_network);
    let ipv6 = random_networks(&mut random, IPV6_NETWORKS, &IPV6_LENGTHS, ipv6_network);
    ipv4.into_iter().chain(ipv6).collect()
}

/// Prefix lengths with their relative frequency.
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

/// The /12 blocks that the regional registries allocate from, and one of the older /16.
const IPV6_REGIONS: [(u128, u8); 6] =
    [(0x2001, 16), (0x2400, 12), (0x2600, 12), (0x2800, 12), (0x2a00, 12), (0x2c00, 12)];

fn random_networks(
    random: &mut Random,
    count: usize,
    lengths: &[(u8, u16)],
    network: fn(&mut Random, u8) -> IpNet,
) -> BTreeMap<IpNet, NetworkInfo> {
    let mut networks = BTreeMap::new();
    let mut all: Vec<IpNet> = Vec::with_capacity(count);
    while networks.len() < count {
        let length = weighted(random, lengths);
        let inside = (!all.is_empty() && random.below(100) < 45).then(|| all[random.below(all.len())]);
        let network = match inside {
            Some(parent) if parent.prefix_len() < length => within(random, parent, length),
            _ => network(random, length),
        };
        if is_public(network) && !networks.contains_key(&network) {
            networks.insert(network, info(random));
            all.push(network);
        }
    }
    networks
}

fn weighted(random: &mut Random, lengths: &[(u8, u16)]) -> u8 {
    let total: usize = lengths.iter().map(|(_, weight)| usize::from(*weight)).sum();
    let mut left = random.below(total);
    for (length, weight) in lengths {
        match left.checked_sub(usize::from(*weight)) {
            None => return *length,
            Some(rest) => left = rest,
        }
    }
    unreachable!("a number below the sum of the weights falls within one of them")
}

fn ipv4_network(random: &mut Random, length: u8) -> IpNet {
    let address = Ipv4Addr::from_bits(random.bits32());
    Ipv4Net::new(address, length).expect("at most 28").trunc().into()
}

fn ipv6_network(random: &mut Random, length: u8) -> IpNet {
    let (region, bits) = IPV6_REGIONS[random.below(IPV6_REGIONS.len())];
    let address = Ipv6Addr::from_bits(region << 112 | random.bits128() >> bits);
    Ipv6Net::new(address, length).expect("at most 56").trunc().into()
}

/// A random network of this length within a larger one.
fn within(random: &mut Random, parent: IpNet, length: u8) -> IpNet {
    match parent {
        IpNet::V4(parent) => {
            let address = parent.addr().to_bits() | random.bits32() & parent.hostmask().to_bits();
            Ipv4Net::new(Ipv4Addr::from_bits(address), length).expect("at most 28").trunc().into()
        }
        IpNet::V6(parent) => {
            let address = parent.addr().to_bits() | random.bits128() & parent.hostmask().to_bits();
            Ipv6Net::new(Ipv6Addr::from_bits(address), length).expect("at most 56").trunc().into()
        }
    }
}

/// Whether the network overlaps with no reserved network.
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

fn info(random: &mut Random) -> NetworkInfo {
    let city = &CITIES[random.below(CITIES.len())];
    let whole = city.info();
    match random.below(100) {
        0..90 => whole,
        90..95 => NetworkInfo { location: None, city: None, ..whole },
        95..98 => NetworkInfo { city: None, ..whole },
        _ => NetworkInfo { continent: whole.continent, ..NetworkInfo::default() },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::iter::successors;

    use super::*;

    #[test]
    fn same_seed_makes_the_same_sample() {
        assert_eq!(networks(7), networks(7));
        assert_ne!(networks(7), networks(8));
    }

    #[test]
    fn sample_has_nested_networks_and_gaps_like_real_databases() {
        for seed in [0, 1, u64::MAX] {
            let sample = networks(seed);
            let all: BTreeSet<IpNet> = sample.iter().map(|(network, _)| *network).collect();
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
            let count = |has: fn(&NetworkInfo) -> bool| sample.iter().filter(|(_, info)| has(info)).count();
            assert!(count(|info| info.location.is_some() && info.city.is_some()) > 6_000);
            assert!(count(|info| info.location.is_none() && info.country.is_some()) > 200);
            assert!(count(|info| info.location.is_some() && info.city.is_none()) > 100);
            assert!(count(|info| info.country.is_none()) > 50);
        }
    }

    fn is_ipv4(network: &IpNet) -> bool {
        network.addr().is_ipv4()
    }

    fn is_ipv6(network: &IpNet) -> bool {
        network.addr().is_ipv6()
    }
}
