//! The order of edges that are equally good for a reader.
//!
//! Weighted rendezvous hashing: every edge runs a race for every network, and the time it takes is drawn from the exponential
//! distribution whose rate is its weight, by a hash of both names in place of chance. The first to arrive is first with a chance
//! in proportion to its weight; and as no time depends on who else runs, an edge that leaves moves only its own readers.
//!
//! The hashes are part of how name servers agree: changed ones would send readers elsewhere while versions are mixed.

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

/// What comes of a network and a rival for it.
pub(super) fn draw(network: u64, rival: u64) -> u64 {
    mix(network ^ rival)
}

/// How long an edge takes to a network. Never negative; equal for two edges only by a chance of 2⁻⁵³.
pub(super) fn time(network: u64, rival: u64, weight: u16) -> f64 {
    -fraction(draw(network, rival)).ln() / f64::from(weight)
}

/// A time that [`time`] is never below, at a fraction of the cost: -ln x is at least 1 - x, and little more where it is small.
pub(super) fn least_time(network: u64, rival: u64, weight: u16) -> f64 {
    (1.0 - fraction(draw(network, rival))) / f64::from(weight)
}

/// The 53 most significant bits as a number above 0, at most 1.
fn fraction(bits: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "2⁵³ and all below it are exact")]
    let fraction = ((bits >> 11) + 1) as f64;
    // 2⁻⁵³.
    fraction * (f64::EPSILON / 2.0)
}

/// The finaliser of `SplitMix64` (Steele, Lea, Flood 2014): every bit of the input changes half of the output.
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
    fn the_hashes_of_all_versions() {
        let order = |network: &str| {
            let network = network_key(network.parse().unwrap());
            let mut edges = [("ams-1", 1), ("fra-1", 1), ("fra-2", 2), ("lon-1", 1), ("par-1", 3)];
            edges.sort_by(|(one, weight), (other, other_weight)| {
                let time = |name, weight| time(network, name_key(name), weight);
                time(one, *weight).total_cmp(&time(other, *other_weight))
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
        fn no_time_is_less_than_the_least(network: u64, rival: u64, weight in 1..=1000_u16) {
            let (least, time) = (least_time(network, rival, weight), time(network, rival, weight));
            prop_assert!((0.0..=time * (1.0 + 1e-15)).contains(&least), "{least} {time}");
            prop_assert!(time.is_finite());
        }
    }
}
