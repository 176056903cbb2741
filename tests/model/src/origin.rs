//! An origin: the machine of each rollout, the feed, and the last report of each edge.
//!
//! It carries out the decisions of `verge_origin::model` as `origin/src/rollout.rs` and `origin/src/feed.rs` do. A process that ends
//! loses all but its database.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use verge_origin::Timing;
use verge_origin::model::{self, Action, PurgeConfirmation, Relation, Rollout, Target};
use verge_protocol::api::{Progress, PurgeProgress};
use verge_protocol::canary::CanaryPlan;
use verge_protocol::feed::{FeedEvent, FeedMessage, Reset};
use verge_protocol::host::HostLabel;
use verge_protocol::purge::PurgeScope;
use verge_protocol::report::{EdgeReport, LIVE_SECONDS, STALL_SECONDS};
use verge_protocol::state::RolloutState;
use verge_protocol::{Checkpoint, Digest, EdgeName, Generation, Position, Seq, SiteName, SitePath, Timestamp};

use crate::database::Database;
use crate::invariant::Invariant;
use crate::plant::Plant;
use crate::site::Build;
use crate::world::{Event, World};

/// The last report of an edge.
#[derive(Clone)]
pub(crate) struct LastReport {
    pub(crate) report: Arc<EdgeReport>,
    /// When it arrived.
    pub(crate) received: Duration,
    time: Timestamp,
    /// When the edge sent it, and in which process.
    pub(crate) sent: Duration,
}

/// The task of one rollout.
struct Run {
    rollout: Rollout,
    state: RolloutState,
    label: HostLabel,
    began: Duration,
    /// Whether it holds the lock of the channel.
    is_locked: bool,
    /// Whether a client waits for confirmations.
    is_followed: bool,
    moved: Option<Position>,
}

/// The task that tells a client which edges have done a purge.
struct PurgeRun {
    confirmation: PurgeConfirmation,
    site: SiteName,
    seq: Seq,
}

/// The origin's end of a feed.
struct Subscription {
    edge: usize,
    at: Checkpoint,
    generation: Generation,
    is_tailing: bool,
}

/// A process of the origin.
struct Process {
    started: Duration,
    reports: BTreeMap<usize, LastReport>,
    runs: Vec<Run>,
    purges: Vec<PurgeRun>,
    subscriptions: BTreeMap<u64, Subscription>,
}

/// A feed on its way.
#[derive(Default)]
pub(crate) struct FeedStream {
    /// When each message arrives at the earliest.
    pub(crate) messages: VecDeque<(Duration, FeedMessage)>,
    last_arrival: Duration,
    /// Whether the origin has ended it.
    pub(crate) has_ended: bool,
}

pub(crate) struct Origin {
    pub(crate) database: Database,
    pub(crate) backup: Option<Database>,
    process: Option<Process>,
    members: BTreeMap<EdgeName, usize>,
    /// The feeds on their way, by connection. They outlive the process.
    pub(crate) feeds: BTreeMap<u64, FeedStream>,
    /// The last report that any process of the origin has got of each edge.
    pub(crate) last_reports: BTreeMap<usize, LastReport>,
    /// The releases to which channels were moved without an edge, or that canary edges serve or have served, and by which write, until
    /// the edge confirms that or a later one, and has prepared the release if it is still coming.
    pub(crate) left_behind: BTreeMap<(usize, HostLabel, Digest), Position>,
    /// How many rollouts have switched, how many canaries were started, and how many rollouts were abandoned.
    pub(crate) outcomes: (u64, u64, u64),
}

impl Origin {
    pub(crate) fn new(edges: usize) -> Self {
        let members = (0..edges).map(|edge| (name(edge), edge)).collect();
        Self {
            database: Database::new(Generation(1_700_000_000)),
            backup: None,
            process: None,
            members,
            feeds: BTreeMap::new(),
            last_reports: BTreeMap::new(),
            left_behind: BTreeMap::new(),
            outcomes: (0, 0, 0),
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
        let (reports, subscriptions) = (BTreeMap::new(), BTreeMap::new());
        self.process =
            Some(Process { started: world.now, reports, runs: Vec::new(), purges: Vec::new(), subscriptions });
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
        self.database = backup;
        world.ledger.purges.restored(&self.database);
        for (label, _, state) in self.database.rollouts() {
            world.ledger.begun(&label, world.now, state.manifest);
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
        let compare = !world.has(Plant::OriginComparesNoEpochs);
        let release = (build.manifest, canary);
        let Ok((begun, state)) = self.database.begin_rollout(label, expected, release, world.wall(), compare) else {
            world.log(|_| format!("{label} is not at {expected:?}: refused"));
            return;
        };
        world.log(|ledger| format!("origin begins {label} to {} at {begun}", ledger.name(&build.manifest)));
        world.ledger.begun(label, world.now, build.manifest);
        self.run(world, label.clone(), begun, state);
        self.announce(world);
        self.poll(world);
    }

    fn run(&mut self, world: &mut World, label: HostLabel, begun: Position, state: RolloutState) {
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
            rollout.set_members(&self.members.keys().cloned().collect(), uptime);
        }
        for (edge, last) in &process.reports {
            rollout.report(&name(*edge), &last.report, last.received, last.time);
        }
        let is_followed = world.random.percent(80);
        process.runs.push(Run { rollout, state, label, began: uptime, is_locked: true, is_followed, moved: None });
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
            let has_caught_up = |label: &HostLabel, manifest: &Digest, moved: &Position| {
                let HostLabel { site, channel } = label;
                let is_prepared = || report.preparation(site, channel, *manifest).is_some_and(|one| one.prepared);
                report.confirms(*moved, site, channel) && (is_prepared() || !self.database.is_coming(label, *manifest))
            };
            self.left_behind
                .retain(|(of, label, manifest), moved| *of != edge || !has_caught_up(label, manifest, moved));
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
                    // As long as nothing happens, nothing is polled before.
                    world.after(deadline.saturating_sub(uptime), Event::Poll);
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

    /// Tells clients which edges have done purges.
    fn poll_purges(&mut self, world: &mut World) {
        let Some(process) = &mut self.process else { return };
        let uptime = world.now.saturating_sub(process.started);
        for PurgeRun { confirmation, site, seq } in &mut process.purges {
            confirmation.set_generation(self.database.position.generation);
            for event in confirmation.poll(uptime) {
                if let PurgeProgress::Confirmed { edge, .. } = event
                    && let Some(index) = self.members.get(&edge)
                {
                    world.log(|_| format!("origin knows that {edge} has done the purge of {site} at {seq}"));
                    world.ledger.purges.told(*index, site, *seq);
                }
            }
            if let Some(deadline) = confirmation.deadline() {
                world.after(deadline.saturating_sub(uptime), Event::Poll);
            }
        }
        process.purges.retain(|run| run.confirmation.deadline().is_some());
    }

    /// Carries out an action of the run at `index`. A run that is over is removed.
    fn carry_out(&mut self, world: &mut World, index: usize, action: Action) {
        let Some(process) = &mut self.process else { return };
        let run = &mut process.runs[index];
        match action {
            Action::Tell(Progress::Confirmed { edge, .. }) => {
                if let (Some(edge), Some(moved)) = (self.members.get(&edge), run.moved) {
                    check_confirmation(world, *edge, process.reports.get(edge), &run.label, moved);
                }
            }
            Action::Tell(_) => {}
            Action::StartCanary(edges) => self.start_canary(world, index, edges),
            Action::Switch => self.switch(world, index),
            Action::Abandon { reason } => {
                let Run { label, state, .. } = process.runs.remove(index);
                self.outcomes.2 += 1;
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
        let Ok(position) = self.database.move_channel(&label, &state, world.wall(), world.plant) else {
            drop(process.runs.remove(index));
            return self.abandon(world, &label, &state, "the channel has moved");
        };
        world.log(|ledger| format!("origin moves {label} to {} at {position}", ledger.name(&state.manifest)));
        world.ledger.committed(&label, (position.seq, state.manifest), (before, state.expected), earlier, world.now);
        self.leave_behind(world, index, position);
        self.outcomes.0 += 1;
        let Some(process) = &mut self.process else { return };
        let uptime = world.now.saturating_sub(process.started);
        let run = &mut process.runs[index];
        (run.is_locked, run.moved) = (false, Some(position));
        run.rollout.switched(position, uptime);
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
        let position = self.database.set_rollout(&run.label, &run.state);
        self.outcomes.1 += 1;
        self.leave_behind(world, index, position);
        self.announce(world);
    }

    /// Notes the edges without which readers get the release of the run at `index` from now on, by the write at `position`.
    fn leave_behind(&mut self, world: &World, index: usize, position: Position) {
        let Some(process) = &self.process else { return };
        let uptime = world.now.saturating_sub(process.started);
        let Run { label, state, began, .. } = &process.runs[index];
        for edge in self.members.values() {
            let last = process.reports.get(edge);
            let prepared = last.and_then(|last| last.report.preparation(&label.site, &label.channel, state.manifest));
            let key = (*edge, label.clone(), state.manifest);
            let is_left_behind = self.left_behind.contains_key(&key) || may_be_left_behind(last, *began, uptime);
            if !prepared.is_some_and(|one| one.prepared) && is_left_behind {
                self.left_behind.insert(key, position);
            }
        }
    }

    fn abandon(&mut self, world: &mut World, label: &HostLabel, state: &RolloutState, reason: &str) {
        world.log(|ledger| format!("origin abandons {label} to {}: {reason}", ledger.name(&state.manifest)));
        let inherited_since = self.database.abandon_rollout(label, state, world.wall(), world.plant);
        for ((_, of, manifest), position) in &mut self.left_behind {
            if let Some(since) = inherited_since.filter(|_| of == label && *manifest == state.manifest) {
                *position = since;
            }
        }
        self.announce(world);
    }

    /// Somebody purges paths of a site.
    pub(crate) fn purge(&mut self, world: &mut World, site: &SiteName, scope: PurgeScope) {
        if self.process.is_some() {
            let in_use = self.database.in_use(site);
            let position = self.database.purge(site, &scope, world.plant);
            self.purged(world, site, (scope, position), BTreeSet::new(), in_use);
        }
    }

    /// Somebody erases a release: what no other release of the site has, unless a channel needs it. The purge that goes with it is of one
    /// of its paths.
    pub(crate) fn erase(&mut self, world: &mut World, label: &HostLabel, release: &Build) {
        let site = &label.site;
        let releases = self.database.releases(label);
        let others = releases.iter().filter(|(_, manifest)| *manifest != release.manifest);
        let others: BTreeSet<Digest> =
            others.flat_map(|(_, id)| world.ledger.build(id).contents.values().copied()).collect();
        let own = |content: &Digest| !others.contains(content) && !self.database.is_erased(site, *content);
        let contents: BTreeSet<Digest> = release.contents.values().copied().filter(own).collect();
        let path = release.contents.iter().find(|(_, content)| contents.contains(content));
        let Some(path) = path.map(|(path, _)| path.parse::<SitePath>().expect("a valid path")) else { return };
        let in_use = self.database.in_use(site);
        if self.process.is_some() && !in_use.iter().any(|(_, id)| *id == release.manifest) {
            let position = self.database.erase(site, &contents, &path, world.wall());
            self.purged(world, site, (PurgeScope::Path(path), position), contents, in_use);
        }
    }

    fn purged(
        &mut self,
        world: &mut World,
        site: &SiteName,
        (scope, position): (PurgeScope, Position),
        erased: BTreeSet<Digest>,
        in_use: Vec<(HostLabel, Digest)>,
    ) {
        let Some(process) = &mut self.process else { return };
        world.log(|_| format!("origin purges {scope} of {site} at {position}, and erases {} contents", erased.len()));
        let channels = self.database.channels().into_iter().map(|(label, _)| label).collect();
        world.ledger.purges.made((site, scope.clone()), position.seq, erased, in_use, channels);
        let uptime = world.now.saturating_sub(process.started);
        let mut confirmation = PurgeConfirmation::new(site.clone(), scope, position, uptime);
        confirmation.set_members(&self.members.keys().cloned().collect(), uptime);
        for (edge, last) in &process.reports {
            confirmation.report(&name(*edge), &last.report, last.received, last.time);
        }
        process.purges.push(PurgeRun { confirmation, site: site.clone(), seq: position.seq });
        self.announce(world);
        self.poll_purges(world);
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

    /// Wakes the subscriptions, each in its own time: several writes may be read at once.
    fn announce(&mut self, world: &mut World) {
        let Some(process) = &self.process else { return };
        for connection in process.subscriptions.keys() {
            let delay = world.random.millis(0, 5);
            world.after(delay, Event::Publish { connection: *connection });
        }
    }

    /// An edge subscribes.
    pub(crate) fn subscribe(&mut self, world: &mut World, edge: usize, connection: u64, since: Option<Checkpoint>) {
        let Some(process) = &mut self.process else {
            return world.after(Duration::from_millis(1), Event::FeedEnds { edge, connection });
        };
        let generation = self.database.position.generation;
        let mut at = since.unwrap_or_default();
        let mut reset = None;
        if let Some(since) = since {
            match self.database.relation(since) {
                Relation::Resumable => {}
                Relation::Compacted => reset = Some(Reset::Compacted),
                Relation::Diverged => reset = Some(Reset::Diverged),
                Relation::Ahead if world.has(Plant::OriginKeepsItsGeneration) => reset = Some(Reset::Compacted),
                Relation::Ahead if self.database.diverge(since, world.wall()) => {
                    world.log(|_| format!("origin takes a new generation after {since}: {}", self.database.position));
                    reset = Some(Reset::Diverged);
                    for connection in process.subscriptions.keys() {
                        world.after(Duration::from_millis(1), Event::Publish { connection: *connection });
                    }
                }
                Relation::Ahead => {
                    return world.after(Duration::from_millis(1), Event::FeedEnds { edge, connection });
                }
            }
        }
        self.feeds.insert(connection, FeedStream::default());
        if let Some(reset) = reset {
            self.send(world, edge, connection, FeedMessage { at, event: FeedEvent::Reset(reset) });
            return self.end_feed(world, edge, connection);
        }
        if world.has(Plant::FeedSkipsARow) && since.is_some() {
            at.position.seq.0 += 1;
        }
        process.subscriptions.insert(connection, Subscription { edge, at, generation, is_tailing: false });
        self.publish_rows(world, connection);
    }

    /// Sends a subscriber what is new.
    pub(crate) fn publish_rows(&mut self, world: &mut World, connection: u64) {
        let Some(process) = &mut self.process else { return };
        let Some(subscription) = process.subscriptions.get_mut(&connection) else { return };
        let edge = subscription.edge;
        if subscription.generation != self.database.position.generation {
            let at = subscription.at;
            process.subscriptions.remove(&connection);
            self.send(world, edge, connection, FeedMessage { at, event: FeedEvent::Reset(Reset::Compacted) });
            return self.end_feed(world, edge, connection);
        }
        let rows = self.database.rows_after(subscription.at.position.seq);
        let messages = model::row_messages(subscription.at, rows);
        subscription.at = self.database.at();
        let at = subscription.at;
        let is_tailing = std::mem::replace(&mut subscription.is_tailing, true);
        for message in messages {
            self.send(world, edge, connection, message);
        }
        if !is_tailing {
            self.send(world, edge, connection, FeedMessage { at, event: FeedEvent::CaughtUp { complete: true } });
        }
    }

    fn send(&mut self, world: &mut World, edge: usize, connection: u64, message: FeedMessage) {
        let Some(feed) = self.feeds.get_mut(&connection) else { return };
        let at = feed.last_arrival.max(world.now + world.random.latency());
        feed.last_arrival = at;
        feed.messages.push_back((at, message));
        world.after(at.saturating_sub(world.now), Event::FeedArrives { edge, connection });
    }

    fn end_feed(&mut self, world: &mut World, edge: usize, connection: u64) {
        let Some(feed) = self.feeds.get_mut(&connection) else { return };
        feed.has_ended = true;
        let delay = feed.last_arrival.saturating_sub(world.now) + Duration::from_millis(1);
        world.after(delay, Event::FeedEnds { edge, connection });
    }

    /// An edge has closed its feed.
    pub(crate) fn disconnect(&mut self, connection: u64) {
        self.feeds.remove(&connection);
        if let Some(process) = &mut self.process {
            process.subscriptions.remove(&connection);
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
    });
    world.log(|_| format!("origin knows that e{edge} confirms {label} at {moved}"));
    // What it reported before it lost its disk was true.
    let forgotten = last.is_some_and(|last| world.ledger.has_forgotten_since(edge, last.sent));
    let is_saved = last.is_some_and(|last| last.report.not_saving.is_none());
    if !(serves && is_saved || forgotten) {
        let what = format!("e{edge} confirms {label} at {moved} and shows {shown:?}");
        world.ledger.fail(Invariant::Confirmed, what);
    }
}

pub(crate) fn name(edge: usize) -> EdgeName {
    format!("e{edge}").parse().expect("a valid name")
}
