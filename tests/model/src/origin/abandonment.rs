//! Ends of rollouts without a move, and what is known of a move whose commit failed.

use std::time::Duration;

use verge_origin::model;
use verge_protocol::Position;
use verge_protocol::host::HostLabel;
use verge_protocol::state::RolloutState;

use super::Origin;
use super::commit::Write;
use crate::database::{Database, TakenBack};
use crate::invariant::Invariant;
use crate::plant::Plant;
use crate::world::{Event, World};

/// After what time an origin tries again to end a rollout, if it could not.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

impl Origin {
    /// Where a rollout has moved its channel although the commit failed.
    pub(super) fn moved_in_spite_of(&self, world: &World, label: &HostLabel, state: &RolloutState) -> Option<Position> {
        let current = self.database.channel(label).filter(|_| !world.has(Plant::OriginTakesFailedMovesForLost))?;
        model::has_moved(&current, state).then_some(Position { seq: current.epoch, ..self.database.position })
    }

    /// Ends a rollout without a move, and tells its publisher. If that cannot be written, the publisher is told nothing, and it is tried
    /// again.
    pub(super) fn abandon(&mut self, world: &mut World, label: &HostLabel, state: &RolloutState, reason: &str) {
        world.log(|ledger| format!("origin abandons {label} to {}: {reason}", ledger.name(&state.manifest)));
        let had_canary_edges = state.canary.as_ref().is_some_and(|canary| !canary.edges.is_empty());
        if self.end_rollout(world, label, state) {
            let channel = self.database.channel(label);
            if channel.is_some_and(|channel| channel.manifest == state.manifest && Some(channel.epoch) > state.expected)
            {
                let name = world.ledger.name(&state.manifest);
                world
                    .ledger
                    .fail(Invariant::Told, format!("{label} has moved to {name}, which is said to have failed"));
            }
        } else if had_canary_edges {
            let delay = world.random.millis(1, 1900);
            world.after(delay, Event::PushAgain(label.clone()));
        }
    }

    /// Deletes a rollout, now or later. Whether it is known to be deleted.
    pub(super) fn end_rollout(&mut self, world: &mut World, label: &HostLabel, state: &RolloutState) -> bool {
        let (now, plant) = (world.wall(), world.plant);
        let delete = |database: &mut Database| database.abandon_rollout(label, state, now, plant);
        let outcome = self.commit(world, Write::Abandonment, delete);
        let is_known = outcome.is_known();
        self.taken_back(label, outcome.written().flatten().as_ref());
        if let Some(process) = self.process.as_mut().filter(|_| !is_known) {
            process.abandoning.push((label.clone(), state.clone()));
            world.after(RETRY_INTERVAL, Event::EndRollouts);
        }
        self.announce(world);
        is_known
    }

    /// Tries again to delete the rollouts that it could not delete.
    pub(crate) fn end_rollouts(&mut self, world: &mut World) {
        let abandoning = self.process.as_mut().map(|process| std::mem::take(&mut process.abandoning));
        for (label, state) in abandoning.unwrap_or_default() {
            self.end_rollout(world, &label, &state);
        }
    }

    /// Edges that were left behind by a canary release have it once they have read that it is inherited.
    pub(super) fn taken_back(&mut self, label: &HostLabel, taken_back: Option<&TakenBack>) {
        let Some(TakenBack { manifest, since }) = taken_back else { return };
        for ((_, of, release), left) in &mut self.left_behind {
            if of == label && release == manifest {
                left.since = *since;
            }
        }
    }
}
