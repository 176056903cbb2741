//! Networks and what is known of them → the bytes of a file.

mod data;
mod metadata;
mod tree;

use ipnet::IpNet;

use crate::{Layout, Spot, Value};
use data::Data;
use tree::{Branch, Prefix, Tree};

/// The addresses a database can tell about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    /// IPv4 only: a tree 32 levels deep.
    V4,
    /// IPv6, and IPv4 at `::/96`: a tree 128 levels deep.
    V6,
}

/// The bits of a record of the search tree; a node is two records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordSize {
    /// 24.
    Bits24,
    /// 28.
    Bits28,
    /// 32.
    Bits32,
}

/// What a file is to be like.
#[derive(Debug, Clone)]
pub struct Options {
    /// Which addresses.
    pub family: Family,
    /// The size of a record of the search tree.
    pub record_size: RecordSize,
    /// How what is known of a network is spelt.
    pub layout: Layout,
    /// Whether `::ffff:0:0/96` and `2002::/16` lead to the IPv4 addresses, as in files of `MaxMind`. What is inserted inside of
    /// them is then lost. Without meaning for [`Family::V4`].
    pub aliases: bool,
    /// The database type that the metadata name. Some readers look for coordinates only if it ends in `City`.
    pub database_type: String,
    /// When the database says it was made: seconds since 1970. Never the time of writing, so the same input makes the same bytes.
    pub build_epoch: u64,
}

impl Default for Options {
    /// What most published City databases are: both families, 28 bits, nested maps, aliases.
    fn default() -> Self {
        Self {
            family: Family::V6,
            record_size: RecordSize::Bits28,
            layout: Layout::MaxMind,
            aliases: true,
            database_type: "Verge-Test-City".to_owned(),
            build_epoch: 1_767_225_600,
        }
    }
}

/// Why a file cannot be written.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// An IPv6 network for a tree of IPv4.
    #[error("{0} is IPv6, and the database is of IPv4 only")]
    Family(IpNet),
    /// Nodes and data are more than a record can point at.
    #[error("{nodes} nodes and {data} bytes of data are too much for records of {bits} bits")]
    TooLarge {
        /// Nodes of the tree.
        nodes: usize,
        /// Bytes of the data section.
        data: usize,
        /// The record size.
        bits: u16,
    },
}

/// Collects networks and writes the file.
///
/// A more specific network wins over one that contains it, whatever the order of insertion; of two equal ones the later wins.
/// Equal values, whole records or parts of them, are stored once.
#[derive(Debug)]
pub struct Writer {
    options: Options,
    entries: Vec<(Prefix, Value)>,
}

impl RecordSize {
    /// The number of bits.
    pub fn bits(self) -> u16 {
        match self {
            Self::Bits24 => 24,
            Self::Bits28 => 28,
            Self::Bits32 => 32,
        }
    }
}

impl Writer {
    /// An empty database.
    pub fn new(options: Options) -> Self {
        Self { options, entries: Vec::new() }
    }

    /// Adds what is known of a network, spelt in the layout chosen.
    pub fn insert(&mut self, network: IpNet, spot: &Spot) -> Result<(), WriteError> {
        self.insert_value(network, self.options.layout.record(spot))
    }

    /// Adds a record of any shape, such as one that no reader can make sense of.
    pub fn insert_value(&mut self, network: IpNet, record: Value) -> Result<(), WriteError> {
        let prefix = Prefix::of(network, self.options.family).ok_or(WriteError::Family(network))?;
        self.entries.push((prefix, record));
        Ok(())
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Result<Vec<u8>, WriteError> {
        let tree = self.tree();
        let mut data = Data::default();
        let mut places: Vec<Option<usize>> = vec![None; self.entries.len()];
        // Only what the tree leads to is stored: nobody could find the rest.
        for branch in tree.nodes().iter().flatten() {
            if let Branch::Record(entry) = *branch {
                places[entry].get_or_insert_with(|| data.place(&self.entries[entry].1));
            }
        }
        let (nodes, bits) = (tree.nodes().len(), self.options.record_size.bits());
        let too_large = || WriteError::TooLarge { nodes, data: data.bytes().len(), bits };
        let record = |branch: &Branch| -> usize {
            match *branch {
                Branch::Nothing => nodes,
                Branch::Node(node) => node,
                Branch::Record(entry) => {
                    nodes + SEPARATOR.len() + places[entry].expect("every record of the tree was placed above")
                }
            }
        };
        let mut file = Vec::new();
        for node in tree.nodes() {
            let mut records = [0_u32; 2];
            for (record, value) in records.iter_mut().zip(node.iter().map(record)) {
                *record = u32::try_from(value).ok().filter(|value| fits(*value, bits)).ok_or_else(too_large)?;
            }
            encode_node(records, self.options.record_size, &mut file);
        }
        file.extend_from_slice(&SEPARATOR);
        file.extend_from_slice(data.bytes());
        let nodes = u32::try_from(nodes).map_err(|_| too_large())?;
        file.extend_from_slice(&metadata::section(&self.options, nodes));
        Ok(file)
    }

    fn tree(&self) -> Tree {
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        // Stable: of equal networks the later one comes later, and wins.
        order.sort_by_key(|entry| self.entries[*entry].0.length());
        let mut tree = Tree::default();
        for entry in order {
            tree.put(self.entries[entry].0, Branch::Record(entry));
        }
        if self.options.family == Family::V6 && self.options.aliases {
            let ipv4 = tree.at(Prefix::IPV4);
            for alias in Prefix::ALIASES {
                tree.put(alias, ipv4);
            }
        }
        tree
    }
}

const SEPARATOR: [u8; 16] = [0; 16];

fn fits(value: u32, bits: u16) -> bool {
    u64::from(value) < 1 << bits
}

fn encode_node([left, right]: [u32; 2], size: RecordSize, out: &mut Vec<u8>) {
    let ([left_high, left_low @ ..], [right_high, right_low @ ..]) = (left.to_be_bytes(), right.to_be_bytes());
    match size {
        RecordSize::Bits24 => {
            out.extend_from_slice(&left_low);
            out.extend_from_slice(&right_low);
        }
        RecordSize::Bits28 => {
            out.extend_from_slice(&left_low);
            out.push(left_high << 4 | right_high);
            out.extend_from_slice(&right_low);
        }
        RecordSize::Bits32 => {
            out.extend_from_slice(&left.to_be_bytes());
            out.extend_from_slice(&right.to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_are_packed_as_the_format_says() {
        let node = |size| {
            let mut out = Vec::new();
            encode_node([0x0abc_def1, 0x0123_4567], size, &mut out);
            out
        };
        assert_eq!(node(RecordSize::Bits28), [0xbc, 0xde, 0xf1, 0xa1, 0x23, 0x45, 0x67]);
        assert_eq!(node(RecordSize::Bits32), [0x0a, 0xbc, 0xde, 0xf1, 0x01, 0x23, 0x45, 0x67]);
        assert!(fits(0x00ff_ffff, 24) && !fits(0x0100_0000, 24));
        assert!(fits(u32::MAX, 32));
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let mut writer = Writer::new(Options { family: Family::V4, ..Options::default() });
        let network: IpNet = "2a00::/12".parse().unwrap();
        assert_eq!(writer.insert(network, &Spot::default()), Err(WriteError::Family(network)));

        let mut writer = Writer::new(Options { record_size: RecordSize::Bits24, ..Options::default() });
        for (network, letter) in [("0.0.0.0/1", "a"), ("128.0.0.0/1", "b")] {
            let large = Value::Array(vec![Value::Text(letter.repeat((1 << 24) - 1))]);
            writer.insert_value(network.parse().unwrap(), large).unwrap();
        }
        assert!(matches!(writer.to_bytes(), Err(WriteError::TooLarge { bits: 24, .. })));
    }
}
