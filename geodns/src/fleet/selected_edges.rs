//! The edges of one answer.

use std::net::{IpAddr, Ipv4Addr};

use super::top_k::TopK;

/// The edges returned in an answer, best first, each at most once, and the TTL of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Selection {
    edges: [SelectedEdge; Self::MAX],
    length: usize,
    ttl: u32,
}

/// One address of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SelectedEdge {
    /// An address of the queried family.
    pub(crate) address: IpAddr,
    /// The index of the edge, for [`Fleet::name`](super::Fleet::name).
    pub(crate) edge: usize,
}

impl Selection {
    /// The most edges in an answer: browsers try no more, and the answer stays small.
    pub(crate) const MAX: usize = TopK::MAX;

    /// An empty selection.
    pub(super) fn new(ttl: u32) -> Self {
        let unused = SelectedEdge { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), edge: usize::MAX };
        Self { edges: [unused; Self::MAX], length: 0, ttl }
    }

    /// Appends an edge and lowers the TTL of the answer to `ttl`. There must be room.
    pub(super) fn push(&mut self, edge: SelectedEdge, ttl: u32) {
        self.edges[self.length] = edge;
        self.length += 1;
        self.ttl = self.ttl.min(ttl);
    }

    /// The edges, best first.
    pub(crate) fn edges(&self) -> &[SelectedEdge] {
        &self.edges[..self.length]
    }

    /// How long resolvers may cache the answer, in seconds.
    pub(crate) fn ttl(&self) -> u32 {
        self.ttl
    }
}
