//! The networks of one family, for look-ups.

use super::block::{Block, Family};

/// Disjoint networks in order, 12 bytes each, and what is known of each.
///
/// Searching them is faster than walking down the tree of the file, with a node and often a cache miss for each bit, and they
/// take less memory than the file.
#[derive(Debug)]
pub(super) struct Table {
    family: Family,
    /// The bits of a network; below them, where a block has none, its length.
    networks: Vec<u64>,
    /// What is known of it.
    values: Vec<u32>,
    /// For each beginning of [`Self::INDEXED`] bits, how many networks come before it; then the number of all.
    index: Vec<u32>,
}

impl Table {
    const INDEXED: u32 = 16;
    const LENGTH: u64 = 0xff;

    pub(super) fn new(family: Family) -> Self {
        Self { family, networks: Vec::new(), values: Vec::new(), index: Vec::new() }
    }

    /// Adds a network, which must come after all others.
    pub(super) fn push(&mut self, network: Block, value: u32) {
        debug_assert!(
            network.family() == self.family && self.networks.last().is_none_or(|last| *last < network.bits())
        );
        self.networks.push(network.bits() | u64::from(network.length()));
        self.values.push(value);
    }

    /// Ends adding. Only then anything is found.
    pub(super) fn finish(mut self) -> Self {
        self.networks.shrink_to_fit();
        self.values.shrink_to_fit();
        let mut before = 0;
        self.index = (0..=1 << Self::INDEXED)
            .map(|beginning| {
                let more = self.networks[before..].iter().take_while(|network| **network >> 48 < beginning).count();
                before += more;
                u32::try_from(before).expect("a file of 32-bit pointers has fewer networks")
            })
            .collect();
        self
    }

    pub(super) fn len(&self) -> usize {
        self.networks.len()
    }

    /// The network that `client`, a /24 or /48, lies in.
    pub(super) fn find(&self, client: Block) -> Option<(Block, u32)> {
        let beginning = usize::try_from(client.bits() >> (u64::BITS - Self::INDEXED)).ok()?;
        let &[from, to] = self.index.get(beginning..)?.first_chunk()?;
        let among = from as usize..to as usize;
        // The length of an equal network makes it greater than the client's bits, hence what is compared.
        let not_after = |network: &u64| *network <= client.bits() | Self::LENGTH;
        let found = (among.start + self.networks[among].partition_point(not_after)).checked_sub(1)?;
        let network = self.networks[found];
        let network = Block::new(self.family, network, u8::try_from(network & Self::LENGTH).ok()?);
        network.contains(client.bits()).then(|| (network, self.values[found]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_network_around() {
        let mut table = Table::new(Family::V4);
        let block = |text: &str, length| Block::new(Family::V4, Block::of(text.parse().unwrap()).bits(), length);
        for (value, network) in
            [block("10.0.0.0", 8), block("12.0.0.0", 7), block("192.0.2.0", 24), block("192.0.4.0", 23)]
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
            let found = table.find(Block::of(address.parse().unwrap()));
            assert_eq!(found.map(|(_, value)| value), value, "{address}");
        }
        assert_eq!(Table::new(Family::V6).finish().find(Block::of("2001:db8::".parse().unwrap())), None);
    }
}
