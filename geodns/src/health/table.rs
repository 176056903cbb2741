//! How the edges are, for whoever answers, shows and counts.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use verge_protocol::fleet::EdgeState;
use verge_protocol::{EdgeName, Position, Timestamp};

use super::failure::Failure;
use crate::fleet::Condition;

/// Every address that is probed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct HealthTable {
    /// By edge and address.
    pub(crate) edges: BTreeMap<EdgeName, BTreeMap<IpAddr, AddressHealth>>,
    /// No probe of any edge succeeds: most likely it is this machine that has no network. Conditions are what probes made
    /// of them all the same.
    pub(crate) isolated: bool,
}

/// How an address of an edge is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AddressHealth {
    /// What counts for answers.
    pub(crate) condition: Condition,
    /// Since when it is up or down; at the earliest since this daemon was told of it.
    pub(crate) since: Timestamp,
    /// Whether a probe of it has ended since this daemon was told of it. Until then it is taken for what it last was, or for up.
    pub(crate) probed: bool,
    /// Why the last probe failed; `None` if it succeeded.
    pub(crate) failure: Option<Failure>,
    /// How far the edge had followed, as it last said.
    pub(crate) position: Option<Position>,
    /// How many channels it could not bring up to that, as it last said.
    pub(crate) pending: usize,
    /// How long the last successful probe took, from connecting on.
    pub(crate) took: Option<Duration>,
}

impl HealthTable {
    /// The condition of each address of an edge, in their order. One that is not probed yet is up.
    pub(crate) fn conditions(&self, edge: &EdgeName, state: &EdgeState) -> Vec<Condition> {
        let known = self.edges.get(edge);
        let condition = |address| Some(known?.get(address)?.condition);
        state.addresses.iter().map(|address| condition(address).unwrap_or_default()).collect()
    }

    /// Every address of every edge.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = (&EdgeName, IpAddr, &AddressHealth)> {
        self.edges
            .iter()
            .flat_map(|(edge, addresses)| addresses.iter().map(move |(address, health)| (edge, *address, health)))
    }

    fn get(&self, edge: &EdgeName, address: IpAddr) -> Option<&AddressHealth> {
        self.edges.get(edge)?.get(&address)
    }

    /// Whether answers made of either are alike.
    pub(super) fn answers_like(&self, other: &Self) -> bool {
        let conditions = |(edge, address, health): (_, _, &AddressHealth)| (edge, address, health.condition);
        self.isolated == other.isolated && self.addresses().map(conditions).eq(other.addresses().map(conditions))
    }

    /// Tells the log what is no more as it was `before`.
    pub(super) fn announce(&self, before: &Self) {
        for (edge, address, health) in self.addresses() {
            let is = health.condition;
            let was = before.get(edge, address).map_or(is, |before| before.condition);
            if is.up != was.up {
                match &health.failure {
                    None => tracing::info!(%edge, %address, "the edge is up again"),
                    Some(reason) => tracing::warn!(%edge, %address, %reason, "the edge is down"),
                }
            }
            if is.draining != was.draining {
                tracing::info!(%edge, %address, draining = is.draining, "the edge says whether it is about to end");
            }
            if is.lagging && !was.lagging {
                let position = health.position.map(|position| position.to_string());
                tracing::warn!(%edge, %address, position, pending = health.pending, "the edge is behind the others");
            } else if is.up && was.lagging && !is.lagging {
                tracing::info!(%edge, %address, "the edge is no longer behind the others");
            }
        }
        if self.isolated && !before.isolated {
            tracing::error!("no edge can be reached: most likely this machine's own network is at fault");
        } else if before.isolated && !self.isolated {
            tracing::info!("edges can be reached again");
        }
    }
}
