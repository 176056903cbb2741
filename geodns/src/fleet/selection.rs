//! What an answer names.

use std::net::{IpAddr, Ipv4Addr};

use super::foremost::Foremost;

/// The edges that an answer names, the best first, and how long it holds. No two of one edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Picked {
    named: [Named; Self::MOST],
    length: usize,
    ttl: u32,
}

/// An address of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Named {
    /// Of the family that was asked for.
    pub(crate) address: IpAddr,
    /// Whose it is, for [`Fleet::name`](super::Fleet::name).
    pub(crate) edge: usize,
}

impl Picked {
    /// The most edges an answer names: browsers try no more, and the answer stays small.
    pub(crate) const MOST: usize = Foremost::MOST;

    /// Nobody yet.
    pub(super) fn new(ttl: u32) -> Self {
        let nobody = Named { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), edge: usize::MAX };
        Self { named: [nobody; Self::MOST], length: 0, ttl }
    }

    /// Names one more, with which an answer may be kept no longer than `ttl`. There must be room.
    pub(super) fn push(&mut self, named: Named, ttl: u32) {
        self.named[self.length] = named;
        self.length += 1;
        self.ttl = self.ttl.min(ttl);
    }

    /// The edges.
    pub(crate) fn named(&self) -> &[Named] {
        &self.named[..self.length]
    }

    /// How long resolvers may keep the answer, in seconds.
    pub(crate) fn ttl(&self) -> u32 {
        self.ttl
    }
}
