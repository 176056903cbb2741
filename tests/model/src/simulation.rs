//! One run: what happens, in the order of its times.

use std::time::Duration;

use crate::action::{self, Action};
use crate::fleet::Fleet;
use crate::invariant::Invariant;
use crate::operator;
use crate::outcome::{Outcome, Statistics};
use crate::plant::Plant;
use crate::world::{Event, World};

/// How long a fleet without faults may take to agree: preparing, a new generation and the back-offs of requests.
const SETTLE: Duration = Duration::from_mins(5);

/// A run.
pub(crate) struct Simulation {
    fleet: Fleet,
    /// How often each action happens.
    weights: Vec<(usize, Action)>,
}

impl Simulation {
    pub(crate) fn new(seed: u64, plant: Option<Plant>, is_traced: bool) -> Self {
        let mut fleet = Fleet::new(World::new(seed, plant, is_traced));
        let weights = action::weights(&mut fleet.world.random);
        Self { fleet, weights }
    }

    /// Runs `steps` events, then without faults until the fleet agrees.
    pub(crate) fn run(mut self, steps: u64) -> Outcome {
        let mut taken = 0;
        while taken < steps && self.fleet.world.ledger.failure().is_none() {
            self.step();
            taken += 1;
        }
        let mut disagreement = None;
        if self.fleet.world.ledger.failure().is_none() {
            self.settle();
            let end = self.fleet.world.now + SETTLE;
            loop {
                self.step();
                taken += 1;
                if self.fleet.world.ledger.failure().is_some() {
                    break;
                }
                if taken % 64 == 0 || self.fleet.world.now > end {
                    disagreement = self.disagreement();
                    if disagreement.is_none() || self.fleet.world.now > end {
                        break;
                    }
                }
            }
        }
        if let Some(what) = disagreement {
            self.fleet.world.ledger.fail(Invariant::Agreement, what);
        }
        let statistics = Statistics {
            events: taken,
            seconds: self.fleet.world.now.as_secs(),
            purges: self.fleet.world.ledger.purges.count(),
            chunks: self.fleet.readers.chunks,
            ..self.fleet.origin.statistics
        };
        let failure = self.fleet.world.ledger.failure().cloned();
        Outcome { failure, statistics, trace: self.fleet.world.into_trace() }
    }

    fn step(&mut self) {
        let Some(event) = self.fleet.world.next() else { return };
        let Fleet { world, origin, edges, readers, .. } = &mut self.fleet;
        match event {
            Event::Act => action::act(&mut self.fleet, &self.weights),
            Event::PushAgain(label) => action::push_again(&mut self.fleet, &label),
            Event::Poll => origin.poll(world),
            Event::Expire => origin.expire(world),
            Event::StartOrigin => origin.start(world),
            Event::RestoreOrigin => operator::restore_origin(world, origin, readers),
            Event::EndRollouts => origin.end_rollouts(world),
            Event::StartEdge(edge) => edges[edge].start(world),
            Event::Join(edge) => operator::join_fleet(world, origin, &mut edges[edge]),
            Event::StopEdge { edge, process } => {
                if edges[edge].process(process).is_some() {
                    edges[edge].kill(world, origin);
                    let delay = world.random.millis(100, 10_000);
                    world.after(delay, Event::StartEdge(edge));
                }
            }
            Event::Heal(edge) => {
                if edges[edge].is_cut_off {
                    world.log(|_| format!("e{edge} is connected again"));
                    edges[edge].is_cut_off = false;
                    edges[edge].report(world, true);
                }
            }
            Event::RepairDisk(edge) => edges[edge].repair_disk(world),
            Event::Subscribe { edge, connection, since } => {
                if edges[edge].is_cut_off {
                    world.after(Duration::from_secs(5), Event::FeedEnds { edge, connection });
                } else {
                    origin.subscribe(world, edge, connection, since);
                }
            }
            Event::Publish { connection } => origin.publish_rows(world, connection),
            Event::FeedArrives { edge, connection } => edges[edge].receive(world, origin, connection),
            Event::Connect { edge, process } => {
                if edges[edge].process(process).is_some() {
                    edges[edge].connect(world);
                }
            }
            Event::FeedEnds { edge, connection } => edges[edge].feed_ends(world, origin, connection),
            Event::ReportArrives { edge, sent, report } => {
                // A report that is on its way when the edge is cut off is lost, or arrives when that is over.
                if !edges[edge].is_cut_off {
                    origin.receive(world, edge, sent, *report);
                }
            }
            Event::ReportDue { edge, process } => {
                if edges[edge].process(process).is_some() {
                    edges[edge].report_due(world);
                }
            }
            Event::ManifestArrives { edge, process, manifest } => {
                if edges[edge].process(process).is_some() {
                    edges[edge].take_manifest(world, origin, manifest);
                }
            }
            Event::FetchManifest { edge, process, manifest } => {
                if edges[edge].process(process).is_some() {
                    edges[edge].fetch_manifest(world, manifest);
                }
            }
            Event::BlobsArrive { edge, process, blobs } => {
                if edges[edge].process(process).is_some() {
                    edges[edge].take_blobs(world, origin, &blobs);
                }
            }
            Event::Prefetch { edge, process } => {
                if edges[edge].process(process).is_some() {
                    edges[edge].retry_prefetch(world);
                }
            }
            Event::Saved { edge, process } => {
                if edges[edge].process(process).is_some() {
                    edges[edge].saved(world);
                }
            }
            Event::PurgeDone { edge, process } => {
                if edges[edge].process(process).is_some() {
                    edges[edge].purge_done(world);
                }
            }
            Event::Look { edge, process } => {
                if let Some(process) = edges[edge].process(process) {
                    process.look();
                    edges[edge].work(world);
                }
            }
            Event::Chunk { page } => readers.next_chunk(world, edges, origin, page),
        }
        let Fleet { world, edges, .. } = &mut self.fleet;
        for edge in world.ledger.take_unchecked() {
            if let Some(table) = edges[edge].table() {
                world.ledger.check_removed(edge, table);
            }
        }
    }

    /// Nothing fails any more, but for a commit that was to fail: what is down starts, what is cut off is connected.
    fn settle(&mut self) {
        let Fleet { world, origin, edges, .. } = &mut self.fleet;
        world.log(|_| "everything is repaired".to_owned());
        world.is_quiet = true;
        world.after(Duration::ZERO, Event::StartOrigin);
        for index in 0..edges.len() {
            world.after(Duration::ZERO, Event::Join(index));
            world.after(Duration::ZERO, Event::Heal(index));
            world.after(Duration::ZERO, Event::RepairDisk(index));
        }
        // What the origin has lost is uploaded again.
        for build in world.ledger.builds() {
            origin.database.objects.extend(build.blobs.keys().copied().chain([build.manifest]));
        }
    }

    /// What is not as it should be when nothing happens any more.
    fn disagreement(&self) -> Option<String> {
        if let Some((label, ..)) = self.fleet.origin.database.rollouts().first() {
            return Some(format!("a rollout of {label} is left"));
        }
        for (index, edge) in self.fleet.edges.iter().enumerate() {
            let Some(table) = edge.table() else { return Some(format!("e{index} does not run")) };
            for (label, state) in self.fleet.origin.database.channels() {
                let shown = self.fleet.world.ledger.shown(index, &label);
                let generation = self.fleet.origin.database.position.generation;
                if table.release(&label) != Some(state.manifest) || shown != Some((generation, state.epoch)) {
                    return Some(format!(
                        "e{index} serves {label} at {shown:?}: expected epoch {} of {generation}",
                        state.epoch
                    ));
                }
            }
            if let Some(label) = self.fleet.world.ledger.deletions.violation(None, table) {
                return Some(format!("e{index} serves {label}, which was deleted"));
            }
            let last = self.fleet.origin.last_reports.get(&index).map(|last| &last.report);
            let lag = last.map(|report| (&report.lagging, &report.purging));
            if lag.is_none_or(|(lagging, purging)| !lagging.is_empty() || !purging.is_empty()) {
                return Some(format!("e{index} lags: {lag:?}"));
            }
            if let Some(unconfirmed) = self.fleet.world.ledger.purges.unconfirmed(index) {
                return Some(unconfirmed);
            }
        }
        None
    }
}
