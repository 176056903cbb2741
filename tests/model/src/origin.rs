//! An origin: the machine of each rollout, the feed, and the last report of each edge.
//!
//! It carries out the decisions of `verge_origin::model` as `origin/src/rollout.rs` and `origin/src/feed.rs` do. A process that ends
//! loses all but its database.

mod abandonment;
pub(crate) mod commit;
mod feed;
mod members;
mod process;
mod purges;
mod rollouts;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use verge_origin::model;
use verge_protocol::canary::CanaryPlan;
use verge_protocol::host::HostLabel;
use verge_protocol::report::EdgeReport;
use verge_protocol::{Checkpoint, Digest, EdgeName, Generation, Position, Seq};

use self::commit::{Commit, CommitFailures, Write};
use self::process::Process;
pub(crate) use self::process::{FeedStream, LastReport};
use crate::database::{Begun, Database};
use crate::outcome::Statistics;
use crate::plant::Plant;
use crate::site::Build;
use crate::world::{Event, World};

/// That an edge was left behind.
pub(crate) struct LeftBehind {
    /// The write that it is to confirm.
    since: Position,
    /// When it was left behind.
    pub(crate) at: Duration,
}

pub(crate) struct Origin {
    pub(crate) database: Database,
    pub(crate) backup: Option<Database>,
    process: Option<Process>,
    /// Every edge that there ever is.
    edges: BTreeMap<EdgeName, usize>,
    pub(crate) commit_failures: CommitFailures,
    /// The feeds on their way, by connection. They outlive the process.
    pub(crate) feeds: BTreeMap<u64, FeedStream>,
    /// The last report that any process of the origin has got of each edge.
    pub(crate) last_reports: BTreeMap<usize, LastReport>,
    /// The releases to which channels were moved without an edge, or that canary edges serve or have served, and by which write, until
    /// the edge confirms that or a later one, and has prepared the release if it is still coming.
    pub(crate) left_behind: BTreeMap<(usize, HostLabel, Digest), LeftBehind>,
    /// What it has done, in numbers.
    pub(crate) statistics: Statistics,
}

impl Origin {
    pub(crate) fn new(edges: usize) -> Self {
        Self {
            database: Database::new(Generation(1_700_000_000), (0..edges).collect()),
            backup: None,
            process: None,
            edges: (0..edges).map(|edge| (name(edge), edge)).collect(),
            commit_failures: CommitFailures::new(),
            feeds: BTreeMap::new(),
            last_reports: BTreeMap::new(),
            left_behind: BTreeMap::new(),
            statistics: Statistics::default(),
        }
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
    }

    /// Starts a process, which resumes the rollouts that the last one left.
    pub(crate) fn start(&mut self, world: &mut World) {
        if self.process.is_some() {
            return;
        }
        world.log(|_| "origin starts".to_owned());
        self.process = Some(Process {
            started: world.now,
            reports: BTreeMap::new(),
            runs: Vec::new(),
            purges: Vec::new(),
            abandoning: Vec::new(),
            joined: BTreeMap::new(),
            subscriptions: BTreeMap::new(),
            next_poll: None,
        });
        if world.has(Plant::OriginResumesNothing) {
            return;
        }
        for (label, begun, state) in self.database.rollouts() {
            let epoch = self.database.channel(&label).map(|state| state.epoch);
            if model::is_resumable(&state, epoch, world.wall()) {
                world.log(|ledger| format!("origin resumes {label} to {}", ledger.name(&state.manifest)));
                self.run(world, label, begun, state);
            } else {
                self.abandon(world, &label, &state, "too late to resume");
            }
        }
        self.poll(world);
        self.expire(world);
    }

    /// Kills the process.
    pub(crate) fn kill(&mut self, world: &mut World) {
        let Some(process) = self.process.take() else { return };
        world.log(|_| "origin is killed".to_owned());
        for (connection, subscription) in process.subscriptions {
            if let Some(feed) = self.feeds.get_mut(&connection) {
                feed.has_ended = true;
            }
            let delay = world.random.latency();
            world.after(delay, Event::FeedEnds { edge: subscription.edge, connection });
        }
    }

    /// Copies the database.
    pub(crate) fn back_up(&mut self, world: &mut World) {
        world.log(|_| format!("origin is copied at {}", self.database.position));
        self.backup = Some(self.database.clone());
    }

    /// Goes back to an older copy. The process must not be running.
    pub(crate) fn restore(&mut self, world: &mut World) {
        let Some(backup) = self.backup.clone().filter(|_| self.process.is_none()) else { return };
        world.log(|_| format!("origin is restored from {} to {}", self.database.position, backup.position));
        let before = std::mem::replace(&mut self.database, backup).position.generation;
        world.ledger.restored(before, &self.database);
        let coming = self.database.rollouts().into_iter().map(|(label, _, state)| (label, state.manifest));
        let served = self.database.channels().into_iter().map(|(label, state)| (label, state.manifest));
        for (label, manifest) in coming.chain(served) {
            world.ledger.begun(&label, world.now, manifest);
        }
    }

    /// A publisher asks for a release of `build`, or for a move to an existing one, and knows the epoch `expected`.
    pub(crate) fn publish(
        &mut self,
        world: &mut World,
        label: &HostLabel,
        (build, canary): (&Build, Option<CanaryPlan>),
        expected: Option<Seq>,
    ) {
        let Some(process) = &self.process else { return };
        if build.contents.values().any(|content| self.database.is_erased(&build.site, *content)) {
            world.log(|ledger| format!("{} has erased contents: refused", ledger.name(&build.manifest)));
            return;
        }
        if process.runs.iter().any(|run| run.is_locked && run.label == *label) {
            world.log(|_| format!("{label} is locked"));
            return;
        }
        self.database.objects.extend(build.blobs.keys().copied().chain([build.manifest]));
        let (release, now, plant) = ((build.manifest, canary), world.wall(), world.plant);
        let begin = |database: &mut Database| database.begin_rollout(label, expected, release, now, plant);
        let outcome = self.commit(world, Write::Other, begin);
        // Of a commit that failed the origin looks whether it has survived.
        let is_forgotten = !outcome.is_known() && world.has(Plant::OriginForgetsBegunRollouts);
        match outcome.written() {
            Some(Ok(Begun { position, state, taken_back })) => {
                world.log(|ledger| format!("origin begins {label} to {} at {position}", ledger.name(&build.manifest)));
                world.ledger.begun(label, world.now, build.manifest);
                self.statistics.replaced += u64::from(taken_back.is_some());
                self.taken_back(label, taken_back.as_ref());
                if !is_forgotten {
                    self.run(world, label.clone(), position, state);
                }
            }
            Some(Err(_)) => world.log(|_| format!("{label} is not at {expected:?}: refused")),
            None => world.log(|_| format!("no rollout of {label} is begun")),
        }
        self.announce(world);
        self.poll(world);
    }

    /// An edge's report arrives.
    pub(crate) fn receive(&mut self, world: &mut World, edge: usize, sent: Duration, report: EdgeReport) {
        let Some(process) = &mut self.process else { return };
        let mut report = report;
        if world.has(Plant::OriginCountsEveryReportAsPrepared) {
            report.preparations = None;
        }
        let at = report.history.map(|history| Checkpoint { position: report.applied, history });
        let relation = at.map(|at| self.database.relation(at));
        let reported = Arc::new(report);
        let report = match world.plant {
            Some(Plant::OriginBelievesOtherHistories) => reported,
            _ => model::claims(&reported, relation),
        };
        if !world.ledger.has_forgotten_since(edge, sent) {
            world.ledger.reported(edge, &report, self.database.position.generation);
            let has_caught_up = |label: &HostLabel, manifest: &Digest, moved: Position| {
                let HostLabel { site, channel } = label;
                let is_prepared = || report.preparation(site, channel, *manifest).is_some_and(|one| one.prepared);
                report.confirms(moved, site, channel) && (is_prepared() || !self.database.is_coming(label, *manifest))
            };
            self.left_behind
                .retain(|(of, label, manifest), left| *of != edge || !has_caught_up(label, manifest, left.since));
        }
        let received = world.now.saturating_sub(process.started);
        let last = LastReport { report: Arc::clone(&report), received, time: world.wall(), sent };
        self.last_reports.insert(edge, LastReport { received: world.now, ..last.clone() });
        for run in &mut process.runs {
            run.rollout.set_generation(self.database.position.generation);
            run.rollout.report(&name(edge), &report, received, last.time);
        }
        for run in &mut process.purges {
            run.confirmation.set_generation(self.database.position.generation);
            run.confirmation.report(&name(edge), &report, received, last.time);
        }
        process.reports.insert(edge, last);
        self.poll(world);
    }

    /// Writes to the database, unless the commit is to fail.
    fn commit<T>(&mut self, world: &mut World, kind: Write, write: impl FnOnce(&mut Database) -> T) -> Commit<T> {
        let Some(survives) = self.commit_failures.remove(&kind) else {
            return Commit::Made(write(&mut self.database));
        };
        world.log(|_| format!("the commit fails, and {}", if survives { "survives" } else { "is lost" }));
        self.statistics.failed_commits += 1;
        if survives { Commit::Survived(write(&mut self.database)) } else { Commit::Lost }
    }

    /// Somebody deletes a channel.
    pub(crate) fn delete(&mut self, world: &mut World, label: &HostLabel) {
        let Some(process) = &self.process else { return };
        let is_locked = process.runs.iter().any(|run| run.is_locked && run.label == *label);
        if label.channel.is_live() || is_locked || self.database.channel(label).is_none() {
            return;
        }
        if let Some(seq) = self.commit(world, Write::Other, |database| database.delete_channel(label)).written() {
            world.log(|_| format!("origin deletes {label} at {seq}"));
            self.statistics.deleted += 1;
            world.ledger.deleted(label, seq);
            self.left_behind.retain(|(_, of, _), _| of != label);
        }
        self.announce(world);
    }

    /// Ends inheritance whose time is over.
    pub(crate) fn expire(&mut self, world: &mut World) {
        if self.process.is_none() {
            return;
        }
        for (label, state) in self.database.channels() {
            if let Some(inherits) = model::still_inherited(&state.inherits, world.wall()) {
                world.log(|_| {
                    format!("origin lets {label} inherit {} releases less", state.inherits.len() - inherits.len())
                });
                self.database.set_inherits(&label, &state, inherits);
            }
        }
        self.announce(world);
    }
}

pub(crate) fn name(edge: usize) -> EdgeName {
    format!("e{edge}").parse().expect("a valid name")
}
