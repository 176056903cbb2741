//! The binary search tree: each level is a bit of the address, highest first.

use ipnet::IpNet;

use super::Family;

/// The first bits of an address, counted from the root of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Prefix {
    /// The highest come first; those past `length` are zero.
    bits: u128,
    length: u8,
}

/// What a bit leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Branch {
    /// No record.
    Nothing,
    /// The node of this number.
    Node(usize),
    /// The record of this number.
    Record(usize),
}

/// A tree that leads from the bits of an address to a record.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: Vec<[Branch; 2]>,
}

impl Prefix {
    /// Where an IPv6 tree holds IPv4: `::/96`.
    pub(super) const IPV4: Self = Self { bits: 0, length: 96 };
    /// IPv4-mapped addresses and 6to4.
    pub(super) const ALIASES: [Self; 2] =
        [Self { bits: 0xffff << 32, length: 96 }, Self { bits: 0x2002 << 112, length: 16 }];

    /// `None`: IPv6, in a tree of IPv4.
    pub(super) fn of(network: IpNet, family: Family) -> Option<Self> {
        match (network.trunc(), family) {
            (IpNet::V4(network), Family::V4) => {
                Some(Self { bits: u128::from(network.addr().to_bits()) << 96, length: network.prefix_len() })
            }
            (IpNet::V4(network), Family::V6) => {
                Some(Self { bits: network.addr().to_bits().into(), length: 96 + network.prefix_len() })
            }
            (IpNet::V6(network), Family::V6) => {
                Some(Self { bits: network.addr().to_bits(), length: network.prefix_len() })
            }
            (IpNet::V6(_), Family::V4) => None,
        }
    }

    pub(super) fn length(self) -> u8 {
        self.length
    }

    fn bit(self, index: u8) -> usize {
        usize::from(self.bits >> (127 - index) & 1 == 1)
    }
}

impl Default for Tree {
    fn default() -> Self {
        Self { nodes: vec![[Branch::Nothing; 2]] }
    }
}

impl Tree {
    /// All nodes; the first is the root.
    pub(super) fn nodes(&self) -> &[[Branch; 2]] {
        &self.nodes
    }

    /// Makes a prefix lead to `target`, in place of whatever it led to. So shorter prefixes must be put first.
    pub(super) fn put(&mut self, prefix: Prefix, target: Branch) {
        let Some(last) = prefix.length.checked_sub(1) else {
            self.nodes[0] = [target; 2];
            return;
        };
        let mut node = 0;
        for index in 0..last {
            let bit = prefix.bit(index);
            node = match self.nodes[node][bit] {
                Branch::Node(next) => next,
                // What held for the whole holds for both halves, until one is replaced.
                whole => {
                    self.nodes.push([whole; 2]);
                    let next = self.nodes.len() - 1;
                    self.nodes[node][bit] = Branch::Node(next);
                    next
                }
            };
        }
        self.nodes[node][prefix.bit(last)] = target;
    }

    /// What a prefix of at least one bit leads to: all that is known below it, or the record that contains it.
    pub(super) fn at(&self, prefix: Prefix) -> Branch {
        let mut branch = Branch::Node(0);
        for index in 0..prefix.length {
            let Branch::Node(node) = branch else { break };
            branch = self.nodes[node][prefix.bit(index)];
        }
        branch
    }
}
