//! Prefixes of clients: at most a /24 (IPv4) or a /48 (IPv6).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// An address family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Family {
    /// IPv4: `A` records.
    V4,
    /// IPv6: `AAAA` records.
    V6,
}

impl Family {
    /// Both families.
    pub(crate) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// The family of `address`. An IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2) is IPv4.
    pub(crate) fn of(address: IpAddr) -> Self {
        if address.to_canonical().is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// The length of the longest prefix by which clients are distinguished: that of a typical site network.
    pub(crate) const fn max_length(self) -> u8 {
        match self {
            Self::V4 => 24,
            Self::V6 => 48,
        }
    }
}

/// A prefix of at most [`Family::max_length`] bits. Its bits are the most significant of 64; all others are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefix {
    family: Family,
    bits: u64,
    length: u8,
}

impl Prefix {
    /// The first `length` bits of `bits`, at most [`Family::max_length`].
    pub(super) fn new(family: Family, bits: u64, length: u8) -> Self {
        let length = length.min(family.max_length());
        Self { family, bits: bits & !host_mask(length), length }
    }

    /// The /24 or /48 of an address.
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::new(Family::V4, u64::from(address.to_bits()) << 32, u8::MAX),
            IpAddr::V6(address) => Self::new(Family::V6, high_half(address.to_bits()), u8::MAX),
        }
    }

    pub(super) fn family(self) -> Family {
        self.family
    }

    pub(super) fn bits(self) -> u64 {
        self.bits
    }

    pub(super) fn length(self) -> u8 {
        self.length
    }

    /// The greatest 64 bits that begin with this prefix.
    pub(super) fn last(self) -> u64 {
        self.bits | host_mask(self.length)
    }

    /// Whether `bits` begin with this prefix.
    pub(super) fn contains(self, bits: u64) -> bool {
        bits & !host_mask(self.length) == self.bits
    }

    /// The prefix of `length` bits that contains it. `length` must not exceed its own.
    pub(super) fn supernet(self, length: u8) -> Self {
        debug_assert!(length <= self.length);
        Self::new(self.family, self.bits, length)
    }

    /// The length of the largest prefix that contains it and lies within `first..=last`, in which it must lie itself.
    pub(super) fn shortest_length_between(self, first: u64, last: u64) -> u8 {
        // A prefix excludes a neighbour if it is long enough to include the first bit in which the two differ.
        let excluding = |neighbour: u64| u8::try_from((self.bits ^ neighbour).leading_zeros() + 1).unwrap_or(u8::MAX);
        let before = first.checked_sub(1).map_or(0, excluding);
        let after = last.checked_add(1).map_or(0, excluding);
        before.max(after)
    }

    /// Its first address.
    pub(super) fn address(self) -> IpAddr {
        IpNet::from(self).addr()
    }
}

/// The bits that a prefix of `length` does not determine.
const fn host_mask(length: u8) -> u64 {
    match u64::MAX.checked_shr(length as u32) {
        Some(mask) => mask,
        None => 0,
    }
}

/// The most significant 64 of 128 bits.
fn high_half(bits: u128) -> u64 {
    u64::try_from(bits >> 64).expect("64 bits are left")
}

impl From<Prefix> for IpNet {
    fn from(prefix: Prefix) -> Self {
        const MAX_LENGTH: &str = "a prefix is at most 48 bits long";
        match prefix.family {
            Family::V4 => {
                let bits = u32::try_from(prefix.bits >> 32).expect("32 bits are left");
                Ipv4Net::new(Ipv4Addr::from_bits(bits), prefix.length).expect(MAX_LENGTH).into()
            }
            Family::V6 => Ipv6Net::new(Ipv6Addr::from_bits(u128::from(prefix.bits) << 64), prefix.length)
                .expect(MAX_LENGTH)
                .into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_truncated_to_its_prefix() {
        for (address, prefix) in [
            ("192.0.2.77", "192.0.2.0/24"),
            ("::ffff:192.0.2.77", "192.0.2.0/24"),
            ("255.255.255.255", "255.255.255.0/24"),
            ("2001:db8:1:2::3", "2001:db8:1::/48"),
            ("::", "::/48"),
        ] {
            assert_eq!(IpNet::from(Prefix::of(address.parse().unwrap())).to_string(), prefix);
        }
    }

    #[test]
    fn shortest_length_is_bounded_by_the_neighbours() {
        let prefix = Prefix::of("10.0.4.0".parse().unwrap());
        let bits = |text: &str| Prefix::of(text.parse().unwrap()).bits();
        for (first, last, length) in [
            (0, u64::MAX, 0),
            (bits("10.0.4.0"), u64::MAX, 22),
            (bits("10.0.0.0"), bits("10.0.8.0") - 1, 21),
            (bits("10.0.3.0"), bits("10.0.6.0") - 1, 23),
            (bits("10.0.4.0"), bits("10.0.5.0") - 1, 24),
        ] {
            assert_eq!(prefix.shortest_length_between(first, last), length, "{first:x} {last:x}");
        }
        assert_eq!(Prefix::new(Family::V6, u64::MAX, 0).last(), u64::MAX);
        assert!(Prefix::new(Family::V4, 0, 0).contains(u64::MAX));
    }
}
