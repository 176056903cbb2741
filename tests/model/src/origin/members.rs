//! The edges of the fleet: those that readers are sent to, and that rollouts wait for.

use std::collections::BTreeSet;

use verge_protocol::EdgeName;

use super::{Origin, name};
use crate::plant::Plant;
use crate::world::World;

impl Origin {
    /// Whether an edge is in the fleet: it was not removed, and is not forced down.
    pub(crate) fn is_member(&self, edge: usize) -> bool {
        self.database.members.contains(&edge)
    }

    /// The names of those that are.
    pub(super) fn members(&self) -> BTreeSet<EdgeName> {
        self.database.members.iter().map(|edge| name(*edge)).collect()
    }

    /// An edge joins the fleet, or leaves it. False: no origin is running, and nothing has changed.
    pub(crate) fn set_member(&mut self, world: &mut World, edge: usize, is_member: bool) -> bool {
        let Some(process) = &mut self.process else { return false };
        let members = &mut self.database.members;
        if !if is_member { members.insert(edge) } else { members.remove(&edge) } {
            return true;
        }
        world.log(|_| format!("e{edge} {} the fleet", if is_member { "joins" } else { "leaves" }));
        let uptime = world.now.saturating_sub(process.started);
        if is_member {
            process.joined.insert(edge, uptime);
            self.statistics.joined += 1;
        }
        if world.has(Plant::OriginForgetsWhoJoins) {
            return true;
        }
        let members = members.iter().map(|edge| name(*edge)).collect();
        for run in &mut process.runs {
            run.rollout.set_members(&members, uptime);
            process.reports.iter().for_each(|(edge, last)| {
                run.rollout.report(&name(*edge), &last.report, last.received, last.time);
            });
        }
        for run in &mut process.purges {
            run.confirmation.set_members(&members, uptime);
            process.reports.iter().for_each(|(edge, last)| {
                run.confirmation.report(&name(*edge), &last.report, last.received, last.time);
            });
        }
        self.poll(world);
        true
    }
}
