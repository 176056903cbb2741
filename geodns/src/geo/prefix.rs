//! Prefixes as they are looked up: at most a /24 or a /48.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

/// A family of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Family {
    /// IPv4: `A` records.
    V4,
    /// IPv6: `AAAA` records.
    V6,
}

impl Family {
    /// Both.
    pub(crate) const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// That of `address`; an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2) is IPv4.
    pub(crate) fn of(address: IpAddr) -> Self {
        if address.to_canonical().is_ipv4() { Self::V4 } else { Self::V6 }
    }

    /// The length of the longest prefix that is told apart: what a site of a reader's network has.
    pub(crate) const fn longest(self) -> u8 {
        match self {
            Self::V4 => 24,
            Self::V6 => 48,
        }
    }
}

/// A prefix of at most [`Family::longest`] bits, of either family: its bits are the most significant of 64, all others are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    family: Family,
    bits: u64,
    length: u8,
}

impl Block {
    /// The first `length` bits of `bits`, or as many as are told apart.
    pub(super) fn new(family: Family, bits: u64, length: u8) -> Self {
        let length = length.min(family.longest());
        Self { family, bits: bits & !rest(length), length }
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

    /// The last 64 bits that begin with the block's.
    pub(super) fn last(self) -> u64 {
        self.bits | rest(self.length)
    }

    /// Whether `bits` begin with the block's.
    pub(super) fn contains(self, bits: u64) -> bool {
        bits & !rest(self.length) == self.bits
    }

    /// The block of `length` bits around it, which must be no longer than it is.
    pub(super) fn widened(self, length: u8) -> Self {
        debug_assert!(length <= self.length);
        Self::new(self.family, self.bits, length)
    }

    /// The length of the largest block around it that has nothing before `first` or after `last`, between which it must lie.
    pub(super) fn shortest_between(self, first: u64, last: u64) -> u8 {
        // A block ends where the first bit that is unlike a neighbour's comes to be among its own.
        let apart = |neighbour: u64| u8::try_from((self.bits ^ neighbour).leading_zeros() + 1).unwrap_or(u8::MAX);
        let before = first.checked_sub(1).map_or(0, apart);
        let after = last.checked_add(1).map_or(0, apart);
        before.max(after)
    }

    /// Its first address.
    pub(super) fn address(self) -> IpAddr {
        IpNet::from(self).addr()
    }
}

/// The bits that a prefix of `length` does not fix.
const fn rest(length: u8) -> u64 {
    match u64::MAX.checked_shr(length as u32) {
        Some(rest) => rest,
        None => 0,
    }
}

/// The most significant 64 of 128 bits.
fn high_half(bits: u128) -> u64 {
    u64::try_from(bits >> 64).expect("64 bits are left")
}

impl From<Block> for IpNet {
    fn from(block: Block) -> Self {
        const SHORT: &str = "a block is at most 48 bits long";
        match block.family {
            Family::V4 => {
                let bits = u32::try_from(block.bits >> 32).expect("32 bits are left");
                Ipv4Net::new(Ipv4Addr::from_bits(bits), block.length).expect(SHORT).into()
            }
            Family::V6 => {
                Ipv6Net::new(Ipv6Addr::from_bits(u128::from(block.bits) << 64), block.length).expect(SHORT).into()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_cut() {
        for (address, block) in [
            ("192.0.2.77", "192.0.2.0/24"),
            ("::ffff:192.0.2.77", "192.0.2.0/24"),
            ("255.255.255.255", "255.255.255.0/24"),
            ("2001:db8:1:2::3", "2001:db8:1::/48"),
            ("::", "::/48"),
        ] {
            assert_eq!(IpNet::from(Block::of(address.parse().unwrap())).to_string(), block);
        }
    }

    #[test]
    fn a_block_grows_until_it_would_reach_beyond() {
        let block = Block::of("10.0.4.0".parse().unwrap());
        let bits = |text: &str| Block::of(text.parse().unwrap()).bits();
        for (first, last, length) in [
            (0, u64::MAX, 0),
            (bits("10.0.4.0"), u64::MAX, 22),
            (bits("10.0.0.0"), bits("10.0.8.0") - 1, 21),
            (bits("10.0.3.0"), bits("10.0.6.0") - 1, 23),
            (bits("10.0.4.0"), bits("10.0.5.0") - 1, 24),
        ] {
            assert_eq!(block.shortest_between(first, last), length, "{first:x} {last:x}");
        }
        assert_eq!(Block::new(Family::V6, u64::MAX, 0).last(), u64::MAX);
        assert!(Block::new(Family::V4, 0, 0).contains(u64::MAX));
    }
}
