//! Edges, as they come and as they are compared.

use std::collections::BTreeSet;
use std::net::IpAddr;

use verge_protocol::fleet::{EdgeState, Force};
use verge_protocol::{EdgeName, Region};

use super::rendezvous;
use super::standing::{Grade, Standing};
use crate::place::{Family, Point};

/// An edge: what the operator says of it, and how each of its addresses does.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    pub(crate) name: EdgeName,
    pub(crate) state: EdgeState,
    /// One for each of `state.addresses`, in that order; of what is missing here nothing bad is known.
    pub(crate) conditions: Vec<Condition>,
}

/// How an address of an edge does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each may be so without the others")]
pub(crate) struct Condition {
    /// It answers.
    pub(crate) up: bool,
    /// It may be about to change: answers that name it hold for [`Policy::shaky_ttl`](super::Policy::shaky_ttl).
    pub(crate) shaky: bool,
    /// It has served older releases than others do, for too long.
    pub(crate) lagging: bool,
    /// It is about to end.
    pub(crate) draining: bool,
}

impl Default for Condition {
    /// Of an address of which nothing bad is known.
    fn default() -> Self {
        Self { up: true, shaky: false, lagging: false, draining: false }
    }
}

/// What never changes between readers: an edge, ready to be compared.
#[derive(Debug)]
pub(super) struct Edge {
    pub(super) name: EdgeName,
    pub(super) key: u64,
    pub(super) weight: u16,
    pub(super) point: Option<Point>,
    pub(super) force: Force,
    pub(super) regions: BTreeSet<Region>,
    addresses: Vec<(IpAddr, Condition)>,
}

impl From<Member> for Edge {
    fn from(Member { name, state, conditions }: Member) -> Self {
        let conditions = conditions.into_iter().chain(std::iter::repeat(Condition::default()));
        Self {
            key: rendezvous::name_key(name.as_str()),
            weight: state.weight.max(1),
            point: state.location.map(Point::from),
            force: state.force,
            regions: state.regions,
            addresses: state.addresses.into_iter().map(|address| address.to_canonical()).zip(conditions).collect(),
            name,
        }
    }
}

impl Edge {
    /// How good its best address of a family is; or why the edge cannot be considered.
    pub(super) fn grade(&self, fence: &BTreeSet<Region>, family: Family) -> Result<Grade, Standing> {
        if !fence.is_empty() && self.regions.is_disjoint(fence) {
            return Err(Standing::OutsideFence);
        }
        let best = self.graded(family).map(|(_, _, grade)| grade).min().ok_or(Standing::NoAddress)?;
        if self.force == Force::Down { Err(Standing::ForcedDown) } else { Ok(best) }
    }

    /// Its addresses of a family: whether each is shaky, and how good it is. The operator's word is never shaky.
    pub(super) fn graded(&self, family: Family) -> impl Iterator<Item = (IpAddr, bool, Grade)> {
        let of_family = self.addresses.iter().filter(move |(address, _)| Family::of(*address) == family);
        of_family.map(|(address, condition)| {
            (*address, condition.shaky && self.force == Force::Auto, Grade::of(self.force, *condition))
        })
    }
}
