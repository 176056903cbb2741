//! The networks of one address family, for lookup by binary search.

use super::prefix::{Family, Prefix};

/// Disjoint networks in order, each with a value: 12 bytes per network.
///
/// Faster than walking the tree of the file, with a node and often a cache miss for each bit, and smaller than
/// the file.
#[derive(Debug)]
pub(super) struct PrefixTable {
    family: Family,
    /// The bits of each network, with its length in the low byte, which no prefix uses.
    networks: Vec<u64>,
    /// The value of each network.
    values: Vec<u32>,
    /// For each value of the first [`Self::INDEX_BITS`] bits, the number of networks before it; then the number of all networks.
    index: Vec<u32>,
}

impl PrefixTable {
    const INDEX_BITS: u32 = 16;
    const LENGTH_MASK: u64 = 0xff;

    pub(super) fn new(family: Family) -> Self {
        Self { family, networks: Vec::new(), values: Vec::new(), index: Vec::new() }
    }

    /// Appends a network, which must come after all others.
    pub(super) fn push(&mut self, network: Prefix, value: u32) {
        debug_assert!(
            network.family() == self.family && self.networks.last().is_none_or(|last| *last < network.bits())
        );
        self.networks.push(network.bits() | u64::from(network.length()));
        self.values.push(value);
    }

    /// Builds the index, without which nothing is found.
    pub(super) fn finish(mut self) -> Self {
        self.networks.shrink_to_fit();
        self.values.shrink_to_fit();
        let mut before = 0;
        self.index = (0..=1 << Self::INDEX_BITS)
            .map(|start| {
                let more = self.networks[before..].iter().take_while(|network| **network >> 48 < start).count();
                before += more;
                u32::try_from(before).expect("a file of 32-bit pointers has fewer networks")
            })
            .collect();
        self
    }

    pub(super) fn len(&self) -> usize {
        self.networks.len()
    }

    /// The network that contains `client`, a /24 or /48, and its value.
    pub(super) fn find(&self, client: Prefix) -> Option<(Prefix, u32)> {
        let start = usize::try_from(client.bits() >> (u64::BITS - Self::INDEX_BITS)).ok()?;
        let &[from, to] = self.index.get(start..)?.first_chunk()?;
        let range = from as usize..to as usize;
        // With its length in the low byte, an equal network compares greater than the bits of the client.
        let starts_before_or_at = |network: &u64| *network <= client.bits() | Self::LENGTH_MASK;
        let found = (range.start + self.networks[range].partition_point(starts_before_or_at)).checked_sub(1)?;
        let network = self.networks[found];
        let network = Prefix::new(self.family, network, u8::try_from(network & Self::LENGTH_MASK).ok()?);
        network.contains(client.bits()).then(|| (network, self.values[found]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_is_found_in_the_network_that_contains_it() {
        let mut table = PrefixTable::new(Family::V4);
        let prefix = |text: &str, length| Prefix::new(Family::V4, Prefix::of(text.parse().unwrap()).bits(), length);
        for (value, network) in
            [prefix("10.0.0.0", 8), prefix("12.0.0.0", 7), prefix("192.0.2.0", 24), prefix("192.0.4.0", 23)]
                .iter()
                .enumerate()
        {
            table.push(*network, u32::try_from(value).unwrap());
        }
        let table = table.finish();
        assert_eq!(table.len(), 4);
        for (address, value) in [
            ("9.255.255.255", None),
            ("10.0.0.0", Some(0)),
            ("10.255.255.255", Some(0)),
            ("11.0.0.0", None),
            ("13.200.0.0", Some(1)),
            ("192.0.1.0", None),
            ("192.0.2.1", Some(2)),
            ("192.0.3.0", None),
            ("192.0.5.0", Some(3)),
            ("255.0.0.0", None),
        ] {
            let found = table.find(Prefix::of(address.parse().unwrap()));
            assert_eq!(found.map(|(_, value)| value), value, "{address}");
        }
        assert_eq!(PrefixTable::new(Family::V6).finish().find(Prefix::of("2001:db8::".parse().unwrap())), None);
    }
}
