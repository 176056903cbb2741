//! The tasks of rollouts: what the machine decides is carried out.

use std::collections::BTreeSet;
use std::time::Duration;

use verge_origin::Timing;
use verge_origin::model::{Action, Rollout, Target};
use verge_protocol::api::{LaggingEdge, Progress};
use verge_protocol::host::HostLabel;
use verge_protocol::report::{LIVE_SECONDS, STALL_SECONDS};
use verge_protocol::state::RolloutState;
use verge_protocol::{EdgeName, Position};

use super::commit::Write;
use super::process::{LastReport, Run};
use super::{LeftBehind, Origin, name};
use crate::invariant::Invariant;
use crate::plant::Plant;
use crate::world::World;

impl Origin {
    pub(super) fn run(&mut self, world: &mut World, label: HostLabel, begun: Position, state: RolloutState) {
        let members = self.members();
        let Some(process) = &mut self.process else { return };
        let uptime = world.now.saturating_sub(process.started);
        let target = Target {
            label: label.clone(),
            release: state.release,
            manifest: state.manifest,
            canary: state.canary.as_ref().filter(|_| state.expected.is_some()).map(|canary| canary.plan),
            has_canary_edges: state.canary.as_ref().is_some_and(|canary| !canary.edges.is_empty()),
        };
        let mut rollout = Rollout::new(target, begun, Timing::default(), uptime);
        if !world.has(Plant::OriginSwitchesUnprepared) {
            rollout.set_members(&members, uptime);
        }
        for (edge, last) in &process.reports {
            rollout.report(&name(*edge), &last.report, last.received, last.time);
        }
        let is_followed = world.random.percent(80);
        process.runs.push(Run { rollout, state, label, began: uptime, is_locked: true, is_followed, moved: None });
    }

    /// Lets every rollout go on, and carries out what it decides.
    pub(crate) fn poll(&mut self, world: &mut World) {
        let mut index = 0;
        while let Some(process) = self.process.as_mut().filter(|process| index < process.runs.len()) {
            let uptime = world.now.saturating_sub(process.started);
            let run = &mut process.runs[index];
            run.rollout.set_generation(self.database.position.generation);
            let actions = run.rollout.poll(uptime);
            if actions.is_empty() {
                if let Some(deadline) = run.rollout.deadline() {
                    process.poll_at(world, deadline);
                }
                index += 1;
                continue;
            }
            for action in actions {
                self.carry_out(world, index, action);
            }
        }
        self.poll_purges(world);
    }

    /// Carries out an action of the run at `index`. A run that is over is removed.
    fn carry_out(&mut self, world: &mut World, index: usize, action: Action) {
        let Some(process) = &mut self.process else { return };
        let run = &mut process.runs[index];
        match action {
            Action::Tell(Progress::Confirmed { edge, .. }) => {
                if let (Some(edge), Some(moved)) = (self.edges.get(&edge), run.moved) {
                    check_confirmation(world, *edge, process.reports.get(edge), &run.label, moved);
                }
            }
            Action::Tell(Progress::Finished { confirmed, lagging, .. }) => {
                let label = run.label.clone();
                self.check_named(world, &label, &confirmed, &lagging);
            }
            Action::Tell(_) => {}
            Action::StartCanary(edges) => self.start_canary(world, index, edges),
            Action::Switch => self.switch(world, index),
            Action::Abandon { reason } => {
                let Run { label, state, .. } = process.runs.remove(index);
                self.statistics.abandoned += 1;
                self.abandon(world, &label, &state, &reason);
            }
            Action::End => drop(process.runs.remove(index)),
        }
    }

    fn switch(&mut self, world: &mut World, index: usize) {
        let Some(process) = &mut self.process else { return };
        let (label, state) = (process.runs[index].label.clone(), process.runs[index].state.clone());
        let earlier = self.database.lives(&label).into_iter().map(|life| life.manifest).collect();
        let before = self.database.channel(&label).map(|state| state.epoch);
        let (now, plant) = (world.wall(), world.plant);
        let outcome = self.commit(world, Write::Other, |database| database.move_channel(&label, &state, now, plant));
        let is_known = outcome.is_known();
        let written = outcome.written().and_then(Result::ok);
        if let Some(position) = written {
            world.log(|ledger| format!("origin moves {label} to {} at {position}", ledger.name(&state.manifest)));
            let moved = (position.seq, state.manifest);
            world.ledger.committed(&label, moved, (before, state.expected), earlier, world.now);
            self.leave_behind(world, index, position);
        }
        let members = self.members();
        let position = if is_known { written } else { self.moved_in_spite_of(world, &label, &state) };
        let Some(process) = &mut self.process else { return };
        let Some(position) = position else {
            drop(process.runs.remove(index));
            return self.abandon(world, &label, &state, "the channel has moved, or could not be moved");
        };
        if Some(position) != written {
            world.ledger.fail(Invariant::Told, format!("{label} is said to have moved at {position}: {written:?}"));
        }
        self.statistics.switched += 1;
        let uptime = world.now.saturating_sub(process.started);
        let run = &mut process.runs[index];
        (run.is_locked, run.moved) = (false, Some(position));
        run.rollout.switched(position, uptime);
        if world.has(Plant::OriginSwitchesUnprepared) {
            run.rollout.set_members(&members, uptime);
        }
        if !run.is_followed {
            process.runs.remove(index);
        }
        self.announce(world);
    }

    /// Lets a few edges serve the release of the run at `index`.
    fn start_canary(&mut self, world: &mut World, index: usize, edges: BTreeSet<EdgeName>) {
        let Some(process) = &mut self.process else { return };
        let run = &mut process.runs[index];
        world.log(|ledger| {
            format!("origin starts a canary of {} as {} at {edges:?}", ledger.name(&run.state.manifest), run.label)
        });
        world.ledger.canary_started(&run.label, run.state.manifest, &edges);
        if let Some(canary) = &mut run.state.canary {
            canary.edges = edges;
        }
        let (label, state) = (run.label.clone(), run.state.clone());
        self.statistics.canaries += 1;
        let outcome = self.commit(world, Write::Other, |database| database.set_rollout(&label, &state));
        let is_known = outcome.is_known();
        if let Some(position) = outcome.written() {
            self.leave_behind(world, index, position);
        }
        if let Some(process) = self.process.as_mut().filter(|_| !is_known) {
            drop(process.runs.remove(index));
            self.statistics.abandoned += 1;
            return self.abandon(world, &label, &state, "its canary could not be started");
        }
        self.announce(world);
    }

    /// Notes the edges without which readers get the release of the run at `index` from now on, by the write at `position`.
    fn leave_behind(&mut self, world: &World, index: usize, position: Position) {
        let Some(process) = &self.process else { return };
        let uptime = world.now.saturating_sub(process.started);
        let Run { label, state, began, .. } = &process.runs[index];
        for edge in self.edges.values() {
            let last = process.reports.get(edge);
            let prepared = last.and_then(|last| last.report.preparation(&label.site, &label.channel, state.manifest));
            let key = (*edge, label.clone(), state.manifest);
            let waited_since = process.joined.get(edge).copied().unwrap_or_default().max(*began);
            let is_left_behind = self.left_behind.contains_key(&key)
                || !self.is_member(*edge)
                || may_be_left_behind(last, waited_since, uptime);
            if !prepared.is_some_and(|one| one.prepared) && is_left_behind {
                self.left_behind.insert(key, LeftBehind { since: position, at: world.now });
            }
        }
    }

    /// The origin tells a client that a rollout has ended.
    fn check_named(&self, world: &mut World, label: &HostLabel, confirmed: &[EdgeName], lagging: &[LaggingEdge]) {
        let Some(process) = &self.process else { return };
        let named: BTreeSet<&EdgeName> = confirmed.iter().chain(lagging.iter().map(|one| &one.edge)).collect();
        let is_draining = |edge: &usize| process.reports.get(edge).is_some_and(|last| last.report.draining);
        let wrong = self.edges.iter().find(|(name, edge)| {
            let is_member = self.is_member(**edge);
            named.contains(name) != is_member && !(is_member && is_draining(edge))
        });
        if let Some((name, edge)) = wrong {
            let is_member = self.is_member(*edge);
            let what = format!("{name} in the fleet: {is_member}, and the end of {label} names {named:?}");
            world.ledger.fail(Invariant::Named, what);
        }
    }
}

/// Whether a rollout that began at `began` may go on at `now` without an edge that is not prepared: it is not live, has said for ten
/// seconds that it makes no progress, or has not been heard for as long by this process, or since its start 15 s ago.
fn may_be_left_behind(last: Option<&LastReport>, began: Duration, now: Duration) -> bool {
    let (live, stall) = (Duration::from_secs(LIVE_SECONDS), Duration::from_secs(STALL_SECONDS));
    match last {
        None => now > live || now >= began + stall,
        Some(last) => last.report.draining || now > last.received + live || last.received >= began + stall,
    }
}

/// The origin tells a client that an edge has confirmed the move at `moved`.
fn check_confirmation(world: &mut World, edge: usize, last: Option<&LastReport>, label: &HostLabel, moved: Position) {
    let shown = world.ledger.shown(edge, label);
    let serves = shown.is_some_and(|(generation, epoch)| {
        generation > moved.generation || generation == moved.generation && epoch >= moved.seq
    }) || world.ledger.deletions.is_deleted_since(label, moved.seq);
    world.log(|_| format!("origin knows that e{edge} confirms {label} at {moved}"));
    // What it reported before it lost its disk was true.
    let forgotten = last.is_some_and(|last| world.ledger.has_forgotten_since(edge, last.sent));
    let is_saved = last.is_some_and(|last| last.report.not_saving.is_none());
    if !(serves && is_saved || forgotten) {
        let what = format!("e{edge} confirms {label} at {moved} and shows {shown:?}");
        world.ledger.fail(Invariant::Confirmed, what);
    }
}
