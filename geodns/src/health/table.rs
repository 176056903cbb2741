//! The health of the edges, as shared with answers, explanations and metrics.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use verge_protocol::explanation::ProbeFailure;
use verge_protocol::fleet::EdgeState;
use verge_protocol::{EdgeName, Position, Timestamp};

use crate::fleet::Condition;

/// The health of every probed address.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct HealthTable {
    /// By edge and address.
    pub(crate) edges: BTreeMap<EdgeName, BTreeMap<IpAddr, AddressHealth>>,
    /// No probe of any edge succeeds: most likely this machine has no network. Conditions follow the probes all the same.
    pub(crate) isolated: bool,
}

/// The health of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AddressHealth {
    /// What answers depend on.
    pub(crate) condition: Condition,
    /// Since when it is up or down; at the earliest since this daemon first knew it.
    pub(crate) since: Timestamp,
    /// Whether a probe of it has ended. Until then its condition is the saved one, or up.
    pub(crate) probed: bool,
    /// Why the last probe failed; `None` if it succeeded.
    pub(crate) failure: Option<ProbeFailure>,
    /// The position in the feed that the edge last reported.
    pub(crate) position: Option<Position>,
    /// How long before that probe the edge had heard from an origin; `None` if never since its start.
    pub(crate) origin_last_seen: Option<Duration>,
    /// The number of channels that it could not update to that position, as it last reported.
    pub(crate) pending: usize,
    /// The duration of the last successful probe, from connecting to the last byte.
    pub(crate) latency: Option<Duration>,
}

impl HealthTable {
    /// The condition of each address of an edge, in their order. An unknown address is up.
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

    /// Whether both lead to the same answers.
    pub(super) fn answers_equal(&self, other: &Self) -> bool {
        let conditions = |(edge, address, health): (_, _, &AddressHealth)| (edge, address, health.condition);
        self.isolated == other.isolated && self.addresses().map(conditions).eq(other.addresses().map(conditions))
    }

    /// Logs the changes since `before`.
    pub(super) fn log_changes(&self, before: &Self) {
        for (edge, address, health) in self.addresses() {
            let is = health.condition;
            let was = before.get(edge, address).map_or(is, |before| before.condition);
            if is.up != was.up {
                match &health.failure {
                    None => tracing::info!(%edge, %address, "edge is up"),
                    Some(failure) => tracing::warn!(%edge, %address, ?failure, "edge is down"),
                }
            }
            if is.draining != was.draining {
                tracing::info!(%edge, %address, draining = is.draining, "edge started or stopped draining");
            }
            if is.lagging && !was.lagging {
                let position = health.position.map(|position| position.to_string());
                let origin_last_seen = health.origin_last_seen.map(|ago| format!("{} s ago", ago.as_secs()));
                tracing::warn!(%edge, %address, position, pending = health.pending, origin_last_seen, "edge is lagging");
            } else if is.up && was.lagging && !is.lagging {
                tracing::info!(%edge, %address, "edge has caught up");
            }
        }
        if self.isolated && !before.isolated {
            tracing::error!("no edge can be reached: check the network of this machine");
        } else if before.isolated && !self.isolated {
            tracing::info!("edges can be reached again");
        }
    }
}
