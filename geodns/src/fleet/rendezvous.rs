//! Weighted rendezvous hashing: the order of edges that are equally near to a client.
//!
//! Every edge has a cost for every network, drawn by a hash of both keys from the exponential distribution whose rate is the
//! weight of the edge. The edge of lowest cost comes first; the probability of that is proportional to its weight. As no cost
//! depends on the other edges, an edge that goes away moves only its own networks.
//!
//! Name servers agree by these hashes. A changed hash sends readers to other edges while versions are mixed.

use std::net::IpAddr;

use ipnet::IpNet;

/// The key of an edge: 64-bit FNV-1a of its name, mixed.
pub(super) fn name_key(name: &str) -> u64 {
    let fnv = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    mix(name.bytes().fold(0xcbf2_9ce4_8422_2325, fnv))
}

/// The key of a network: of its family, its length and all bits of its address.
pub(super) fn network_key(network: IpNet) -> u64 {
    let length = u64::from(network.prefix_len());
    match network.addr() {
        IpAddr::V4(address) => mix(mix(4 << 32 | length) ^ u64::from(address.to_bits())),
        IpAddr::V6(address) => {
            let [high, low] = [address.to_bits() >> 64, address.to_bits() & u128::from(u64::MAX)]
                .map(|half| u64::try_from(half).expect("64 bits are left"));
            mix(mix(mix(6 << 32 | length) ^ high) ^ low)
        }
    }
}

/// The hash of a network and an edge or address.
pub(super) fn hash(network: u64, key: u64) -> u64 {
    mix(network ^ key)
}

/// The cost of an edge for a network. Never negative; equal for two edges with a probability of 2⁻⁵³.
pub(super) fn cost(network: u64, edge: u64, weight: u16) -> f64 {
    -fraction(hash(network, edge)).ln() / f64::from(weight)
}

/// A lower bound of [`cost`], without the logarithm: -ln x is at least 1 - x, and little more for small costs.
pub(super) fn min_cost(network: u64, edge: u64, weight: u16) -> f64 {
    (1.0 - fraction(hash(network, edge))) / f64::from(weight)
}

/// The 53 most significant bits as a number above 0, at most 1.
fn fraction(bits: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "2⁵³ and all integers below it are exact")]
    let fraction = ((bits >> 11) + 1) as f64;
    // 2⁻⁵³.
    fraction * (f64::EPSILON / 2.0)
}

/// The finaliser of `SplitMix64` (Steele, Lea, Flood 2014): every input bit changes half of the output bits.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// If this fails, name servers of this version and of others send readers to different edges.
    #[test]
    fn hashes_are_the_same_in_all_versions() {
        let order = |network: &str| {
            let network = network_key(network.parse().unwrap());
            let mut edges = [("ams-1", 1), ("fra-1", 1), ("fra-2", 2), ("lon-1", 1), ("par-1", 3)];
            edges.sort_by(|(one, weight), (other, other_weight)| {
                let cost = |name, weight| cost(network, name_key(name), weight);
                cost(one, *weight).total_cmp(&cost(other, *other_weight))
            });
            format!("{network:016x} {}", edges.map(|(name, _)| name).join(" "))
        };
        insta::assert_snapshot!(
            ["192.0.2.0/24", "192.0.0.0/23", "10.0.0.0/8", "0.0.0.0/0", "2001:db8::/32", "2001:db8:1::/48", "::/0"]
                .map(order)
                .join("\n")
        );
        insta::assert_snapshot!(format!("{:016x} {:016x}", name_key("fra-1"), name_key("fra-2")));
    }

    proptest! {
        #[test]
        fn cost_is_finite_and_at_least_the_minimum(network: u64, edge: u64, weight in 1..=1000_u16) {
            let (least, cost) = (min_cost(network, edge, weight), cost(network, edge, weight));
            prop_assert!((0.0..=cost * (1.0 + 1e-15)).contains(&least), "{least} {cost}");
            prop_assert!(cost.is_finite());
        }
    }
}
