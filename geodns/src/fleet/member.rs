//! Edges of a fleet: as configured, and as indexed.

use std::collections::BTreeSet;
use std::net::IpAddr;

use verge_protocol::fleet::{EdgeState, Force};
use verge_protocol::{EdgeName, Region};

use super::address_condition::Condition;
use super::eligibility::{Eligibility, HealthStatus};
use super::rendezvous;
use crate::geo::{Family, GeoVector};

/// An edge as configured by the operator, with the condition of its addresses.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Member {
    pub(crate) name: EdgeName,
    pub(crate) state: EdgeState,
    /// One per address in `state.addresses`, in that order. A missing one counts as up.
    pub(crate) conditions: Vec<Condition>,
}

/// An edge with everything that does not depend on the client computed once.
#[derive(Debug)]
pub(super) struct Edge {
    pub(super) name: EdgeName,
    /// Its rendezvous key.
    pub(super) key: u64,
    pub(super) weight: u16,
    pub(super) point: Option<GeoVector>,
    pub(super) force: Force,
    regions: BTreeSet<Region>,
    addresses: Vec<(IpAddr, Condition)>,
}

impl From<Member> for Edge {
    fn from(Member { name, state, conditions }: Member) -> Self {
        let conditions = conditions.into_iter().chain(std::iter::repeat(Condition::default()));
        Self {
            key: rendezvous::name_key(name.as_str()),
            weight: state.weight.max(1),
            point: state.location.map(GeoVector::from),
            force: state.force,
            regions: state.regions,
            addresses: state.addresses.into_iter().map(|address| address.to_canonical()).zip(conditions).collect(),
            name,
        }
    }
}

impl Edge {
    /// The status of its best address of a family, or why the edge is excluded whatever its health.
    pub(super) fn status(&self, regions: &BTreeSet<Region>, family: Family) -> Result<HealthStatus, Eligibility> {
        if !regions.is_empty() && self.regions.is_disjoint(regions) {
            return Err(Eligibility::OutsideRegions);
        }
        let statuses = self.addresses_with_status(family).map(|(_, _, status)| status);
        let best = statuses.min().ok_or(Eligibility::NoAddress)?;
        if self.force == Force::Down { Err(Eligibility::ForcedDown) } else { Ok(best) }
    }

    /// Its addresses of a family: whether each is suspect, and its status. An edge forced up is never suspect.
    pub(super) fn addresses_with_status(&self, family: Family) -> impl Iterator<Item = (IpAddr, bool, HealthStatus)> {
        let of_family = self.addresses.iter().filter(move |(address, _)| Family::of(*address) == family);
        of_family.map(|(address, condition)| {
            (*address, condition.suspect && self.force == Force::Auto, HealthStatus::of(self.force, *condition))
        })
    }
}
