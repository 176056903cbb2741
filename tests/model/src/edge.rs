//! An edge: the machine that follows the feed, and a disk.
//!
//! It carries out the decisions of `verge_edge::model` as `edge/src/follow` does: changes, manifests and blobs change the machine; the
//! state is saved; then readers see the new table; then it is reported. A process that ends loses all but the disk.

mod feed;
mod planted;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use verge_daemon::feed::Cursor;
use verge_edge::model::{Disk as _, Follower, Purge, Saved, ServedTable, Serving};
use verge_protocol::canary::ResponseCounts;
use verge_protocol::host::HostLabel;
use verge_protocol::report::{EdgeReport, REPORT_SECONDS};
use verge_protocol::{Digest, EdgeName};

use crate::disk::Disk;
use crate::ledger::Ledger;
use crate::origin::{Origin, name};
use crate::plant::Plant;
use crate::site::Build;
use crate::world::{Event, Input, World};

pub(crate) struct Edge {
    index: usize,
    name: EdgeName,
    pub(crate) disk: Disk,
    /// Whether it takes seconds to fetch something.
    is_slow: bool,
    /// Whether nothing passes between it and the origin.
    pub(crate) is_cut_off: bool,
    /// Whether its process is killed the next time that it saves what readers are about to see.
    pub(crate) dies_saving: bool,
    pub(crate) process: Option<Process>,
}

/// A process of an edge.
pub(crate) struct Process {
    number: u64,
    started: Duration,
    follower: Follower,
    cursor: Cursor,
    feed: Option<Feed>,
    /// When an origin was last seen, or else when it started.
    origin_seen: Duration,
    /// Whether the last attempt to reach an origin failed.
    is_origin_unreachable: bool,
    /// What readers see.
    table: ServedTable,
    inbox: VecDeque<Input>,
    save: Option<Save>,
    /// Why the state is not saved.
    not_saving: Option<String>,
    /// Manifests that are being fetched.
    fetching: BTreeSet<Digest>,
    /// Those of them that could not be fetched.
    unavailable: BTreeSet<Digest>,
    is_prefetching: bool,
    /// The purge that is being carried out.
    purge: Option<Purge>,
    /// The releases of which it counts responses during a canary, and since when.
    counting: BTreeMap<Digest, Duration>,
    /// The last report that was sent, without what changes with every blob.
    reported: Option<EdgeReport>,
    pub(crate) is_draining: bool,
}

/// A feed that is read, or waited for.
struct Feed {
    connection: u64,
    /// When something arrived last, or when it was opened.
    last_seen: Duration,
    /// Whether something has arrived.
    has_delivered: bool,
}

/// A state that is being saved, and what readers see when it is.
struct Save {
    state: Saved,
    table: Option<(ServedTable, Vec<Serving>)>,
}

impl Edge {
    pub(crate) fn new(index: usize, budget: u64, is_slow: bool) -> Self {
        Self {
            index,
            name: name(index),
            disk: Disk::new(budget),
            is_slow,
            is_cut_off: false,
            dies_saving: false,
            process: None,
        }
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    /// The process with this number, if it is still running.
    pub(crate) fn process(&mut self, number: u64) -> Option<&mut Process> {
        self.process.as_mut().filter(|process| process.number == number)
    }

    /// What readers see; `None` if they are not answered.
    pub(crate) fn table(&self) -> Option<&ServedTable> {
        self.process.as_ref().map(|process| &process.table)
    }

    /// Starts a process, which serves what is on the disk.
    pub(crate) fn start(&mut self, world: &mut World) {
        if self.process.is_some() {
            return;
        }
        let load = |id: &Digest| self.disk.has_manifest(id).then(|| world.ledger.build(id).files.clone());
        let file = self.disk.state_file();
        let follower = Follower::restore(self.name.clone(), file.as_deref(), load, &self.disk);
        let number = world.number();
        let (table, serving) = follower.table();
        world.log(|ledger| format!("e{} starts: {}", self.index, describe(ledger, &table, &serving)));
        let plant = world.plant;
        world.ledger.shows((self.index, &self.name), &table, &serving, plant);
        let cursor = Cursor::new(follower.checkpoint());
        self.process = Some(Process {
            number,
            started: world.now,
            follower,
            cursor,
            feed: None,
            origin_seen: world.now,
            is_origin_unreachable: false,
            table,
            inbox: VecDeque::from([Input::Look]),
            save: None,
            not_saving: None,
            fetching: BTreeSet::new(),
            unavailable: BTreeSet::new(),
            is_prefetching: false,
            purge: None,
            counting: BTreeMap::new(),
            reported: None,
            is_draining: false,
        });
        let edge = self.index;
        world.after(Duration::from_millis(1), Event::Connect { edge, process: number });
        world.after(Duration::from_secs(REPORT_SECONDS), Event::ReportDue { edge, process: number });
        self.work(world);
        self.report(world, true);
    }

    /// Kills the process. A state that is being saved may be saved or not.
    pub(crate) fn kill(&mut self, world: &mut World, origin: &mut Origin) {
        let Some(process) = self.process.take() else { return };
        world.log(|_| format!("e{} is killed", self.index));
        if let Some(feed) = process.feed {
            origin.disconnect(feed.connection);
        }
        if process.not_saving.is_some() || self.disk.is_failing {
            // What readers saw was not saved, as the edge has said.
            world.ledger.forget(self.index, world.now);
        }
        if let Some(save) = process.save.filter(|_| world.random.percent(50)) {
            self.disk.save(save.state);
        }
    }

    /// Takes what there is to do, unless a state is being saved.
    pub(crate) fn work(&mut self, world: &mut World) {
        while let Some(process) = self.process.as_mut().filter(|process| process.save.is_none()) {
            let Some(input) = process.inbox.pop_front() else { return };
            let mut all = false;
            match input {
                Input::Change(change) => {
                    process.follower.apply(change);
                    while let Some(Input::Change(_)) = process.inbox.front() {
                        let Some(Input::Change(change)) = process.inbox.pop_front() else { break };
                        process.follower.apply(change);
                    }
                }
                Input::Manifest(id) => {
                    process.fetching.remove(&id);
                    process.follower.add_manifest(world.ledger.build(&id).files.clone());
                }
                Input::Failure(id) => {
                    process.unavailable.insert(id);
                    process.follower.record_failure(id, "unreachable");
                }
                Input::Purged(purge) => process.follower.record_purge(purge),
                Input::Look => all = true,
            }
            self.update(world, all);
        }
    }

    /// Lets channels move, and saves what has changed.
    fn update(&mut self, world: &mut World, all: bool) {
        let Some(process) = &mut self.process else { return };
        let now = world.now.saturating_sub(process.started);
        let has_new_table = process.follower.advance(now, all, &self.disk);
        let missing: BTreeSet<Digest> = process.follower.missing_manifests().into_iter().collect();
        process.fetching.retain(|id| missing.contains(id));
        process.unavailable.retain(|id| missing.contains(id));
        for manifest in missing {
            if process.fetching.insert(manifest) {
                let (edge, process) = (self.index, process.number);
                world.after(Duration::ZERO, Event::FetchManifest { edge, process, manifest });
            }
        }
        let table = has_new_table.then(|| process.follower.table());
        if process.follower.take_unsaved() || process.not_saving.is_some() {
            let mut save = Save { state: process.follower.to_save(now), table };
            let number = process.number;
            let delay =
                if world.random.percent(8) { world.random.millis(100, 3000) } else { world.random.millis(1, 20) };
            if has_new_table && std::mem::take(&mut self.dies_saving) {
                world.after(delay / 2, Event::StopEdge { edge: self.index, process: number });
            }
            if world.has(Plant::EdgeSwapsBeforeSaving)
                && let Some(table) = save.table.take()
            {
                process.show(world, (self.index, &self.name), table);
            }
            process.save = Some(save);
            if world.has(Plant::EdgeReportsBeforeServing) {
                process.follower.set_applied(None);
                self.report(world, false);
            }
            world.after(delay, Event::Saved { edge: self.index, process: number });
        } else {
            self.publish(world, table);
        }
    }

    /// The state is saved, unless the disk fails.
    pub(crate) fn saved(&mut self, world: &mut World) {
        let Some(process) = &mut self.process else { return };
        let Some(Save { state, table }) = process.save.take() else { return };
        let is_saved = self.disk.save(state);
        let unsaved = process.follower.unsaved_manifest(&self.disk);
        process.not_saving = (!is_saved || unsaved.is_some()).then(|| "the disk fails".to_owned());
        if process.not_saving.is_some() {
            let (edge, process) = (self.index, process.number);
            world.after(Duration::from_secs(2), Event::Look { edge, process });
        }
        self.publish(world, table);
        self.work(world);
    }

    /// The purge that is being carried out is done.
    pub(crate) fn purge_done(&mut self, world: &mut World) {
        let Some(process) = &mut self.process else { return };
        let Some(purge) = process.purge.take() else { return };
        purge.erased().iter().for_each(|blob| self.disk.remove_blob(blob));
        process.inbox.push_back(Input::Purged(purge));
        self.work(world);
    }

    /// Shows readers the table, and reports it.
    fn publish(&mut self, world: &mut World, table: Option<(ServedTable, Vec<Serving>)>) {
        let Some(process) = &mut self.process else { return };
        if let Some(table) = table {
            process.show(world, (self.index, &self.name), table);
        }
        if let Some(purge) = process.follower.start_purge(world.now.saturating_sub(process.started)) {
            process.purge = Some(purge);
            let (edge, process) = (self.index, process.number);
            let delay = if self.is_slow { world.random.millis(50, 2000) } else { world.random.millis(1, 50) };
            world.after(delay, Event::PurgeDone { edge, process });
        }
        process.follower.set_applied(process.not_saving.clone());
        self.report(world, false);
        self.prefetch(world);
    }

    /// Sends a report if there is something new, or if it must be sent anyway.
    pub(crate) fn report(&mut self, world: &mut World, anyway: bool) {
        let Some(process) = &mut self.process else { return };
        let Some(mut report) = process.follower.report() else { return };
        report.draining = process.is_draining;
        if world.has(Plant::EdgeReportsPreparedUnprepared) {
            report.preparations.iter_mut().flatten().for_each(|one| one.prepared = true);
        }
        if world.has(Plant::EdgeConcealsLag) {
            report.lagging.clear();
        }
        if world.has(Plant::EdgeConcealsPurges) {
            report.purging.clear();
        }
        let is_counted = |manifest: &Digest| report.canaries.iter().any(|canary| canary.manifest == *manifest);
        process.counting.retain(|manifest, _| is_counted(manifest));
        for canary in &mut report.canaries {
            let since = *process.counting.entry(canary.manifest).or_insert(world.now);
            canary.counts = counts(world.ledger.build(&canary.manifest), world.now.saturating_sub(since));
        }
        let mut news = report.clone();
        news.lagging.iter_mut().for_each(|lag| lag.reason.clear());
        if !anyway && process.reported.as_ref() == Some(&news) {
            return;
        }
        process.reported = Some(news);
        let event = |report| Event::ReportArrives { edge: self.index, sent: world.now, report: Box::new(report) };
        let (first, second) = (event(report.clone()), event(report));
        if self.is_cut_off {
            return;
        }
        let delay = world.random.latency();
        world.after(delay, first);
        // A request that was given up may arrive all the same, and after later ones.
        if !world.is_quiet && world.random.percent(4) {
            let delay = world.random.millis(1, 8000);
            world.after(delay, second);
        }
    }

    /// Begins to fetch the blobs that are missing.
    pub(crate) fn prefetch(&mut self, world: &mut World) {
        let Some(process) = self.process.as_mut().filter(|process| !process.is_prefetching) else { return };
        let (mut plan, leaves_out_others) = process.follower.plan(self.disk.budget, &self.disk);
        if leaves_out_others {
            world.after(Duration::ZERO, Event::Look { edge: self.index, process: process.number });
        }
        let lost: Vec<Digest> = process.follower.referenced_manifests().into_iter().collect();
        let is_missing = lost.iter().any(|id| !self.disk.has_manifest(id) && !process.fetching.contains(id));
        if plan.is_empty() && !is_missing {
            return;
        }
        plan.truncate(1 + world.random.below(4));
        process.is_prefetching = true;
        let (edge, process) = (self.index, process.number);
        let delay = if self.is_slow { world.random.millis(500, 4000) } else { world.random.latency() };
        world.after(delay, Event::BlobsArrive { edge, process, blobs: plan });
    }

    /// Blobs arrive, if the origin can be reached and has them.
    pub(crate) fn take_blobs(&mut self, world: &mut World, origin: &Origin, blobs: &[Digest]) {
        let is_reachable = self.reaches(origin);
        let Some(process) = &mut self.process else { return };
        process.is_prefetching = false;
        let (edge, number) = (self.index, process.number);
        let mut is_complete = is_reachable;
        if is_reachable {
            for manifest in process.follower.referenced_manifests() {
                if !process.fetching.contains(&manifest) && origin.database.objects.contains(&manifest) {
                    self.disk.put_manifest(manifest);
                }
            }
            for blob in blobs {
                if origin.database.objects.contains(blob) {
                    let size = world.ledger.blob_size(blob);
                    self.disk.put_blob(*blob, size, |blob| process.follower.importance(blob));
                }
                is_complete &= self.disk.has_blob(blob);
            }
            is_complete &= process.follower.unsaved_manifest(&self.disk).is_none() && !self.disk.is_failing;
        }
        if world.has(Plant::EdgeEvictsWhatIsComing) {
            for one in process.reported.iter().flat_map(|report| report.preparations.iter().flatten()) {
                if one.prepared && world.random.percent(50) {
                    world.ledger.build(&one.manifest).blobs.keys().for_each(|blob| self.disk.remove_blob(blob));
                }
            }
        }
        process.inbox.push_back(Input::Look);
        if !is_complete {
            process.is_prefetching = true;
            let delay = world.random.millis(200, 2000);
            world.after(delay, Event::Prefetch { edge, process: number });
        }
        self.work(world);
    }

    /// Whether prefetching may go on after a pause.
    pub(crate) fn retry_prefetch(&mut self, world: &mut World) {
        if let Some(process) = &mut self.process {
            process.is_prefetching = false;
        }
        self.prefetch(world);
    }

    /// Asks for a manifest: from disk, or else from the origin.
    pub(crate) fn fetch_manifest(&mut self, world: &mut World, manifest: Digest) {
        let Some(process) = &self.process else { return };
        if process.fetching.contains(&manifest) {
            let delay = match self.disk.has_manifest(&manifest) {
                true => Duration::from_millis(1),
                false if self.is_slow => world.random.millis(500, 4000),
                false => world.random.latency(),
            };
            world.after(delay, Event::ManifestArrives { edge: self.index, process: process.number, manifest });
        }
    }

    /// A manifest arrives, if the origin can be reached and has it.
    pub(crate) fn take_manifest(&mut self, world: &mut World, origin: &Origin, manifest: Digest) {
        let is_available =
            self.disk.has_manifest(&manifest) || self.reaches(origin) && origin.database.objects.contains(&manifest);
        let Some(process) = &mut self.process else { return };
        if !process.fetching.contains(&manifest) {
            return;
        }
        if is_available {
            self.disk.put_manifest(manifest);
            process.inbox.push_back(Input::Manifest(manifest));
        } else {
            process.inbox.push_back(Input::Failure(manifest));
            let delay = world.random.millis(200, 2000);
            world.after(delay, Event::FetchManifest { edge: self.index, process: process.number, manifest });
        }
        self.work(world);
    }

    /// Whether a request reaches the origin.
    pub(crate) fn reaches(&self, origin: &Origin) -> bool {
        !self.is_cut_off && origin.is_running()
    }

    /// It reports every few seconds.
    pub(crate) fn report_due(&mut self, world: &mut World) {
        let Some(process) = &self.process else { return };
        let (edge, process) = (self.index, process.number);
        world.after(Duration::from_secs(REPORT_SECONDS), Event::ReportDue { edge, process });
        self.report(world, true);
    }

    /// Begins to shut down: it says so, and answers for some more seconds.
    pub(crate) fn drain(&mut self, world: &mut World) {
        let Some(process) = &mut self.process else { return };
        world.log(|_| format!("e{} drains", self.index));
        process.is_draining = true;
        let (edge, process) = (self.index, process.number);
        self.report(world, true);
        let delay = world.random.millis(1000, 5000);
        world.after(delay, Event::StopEdge { edge, process });
    }

    /// Whether its process has started since a time, and has caught up with an origin.
    pub(crate) fn has_caught_up_since(&self, world: &World, time: Duration) -> bool {
        let takes_readers_at_once = world.has(Plant::EdgeTakesReadersAtOnce);
        let has_caught_up = |process: &Process| {
            let is_available = process.follower.is_available(Duration::ZERO, false) || takes_readers_at_once;
            process.started > time && is_available && process.unavailable.is_empty()
        };
        self.process.as_ref().is_some_and(has_caught_up)
    }

    /// Whether it reports that it has a release, and has lost nothing of it.
    pub(crate) fn claims(&self, label: &HostLabel, manifest: &Digest) -> bool {
        let HostLabel { site, channel } = label;
        let Some((process, report)) = self.process.as_ref().and_then(|one| Some((one, one.reported.as_ref()?))) else {
            return false;
        };
        let lags = report.lagging.iter().any(|lag| lag.site == *site && lag.channel == *channel);
        let serves = process.table.release(label) == Some(*manifest) && !lags;
        let is_prepared = report.preparation(site, channel, *manifest).is_some_and(|one| one.prepared);
        self.disk.is_sound() && (serves || is_prepared)
    }

    /// Writes to its disk succeed again.
    pub(crate) fn repair_disk(&mut self, world: &mut World) {
        if self.disk.is_failing {
            world.log(|_| format!("the disk of e{} can be written again", self.index));
            self.disk.is_failing = false;
        }
    }

    /// Whether it holds the blob at a path, or can get it.
    pub(crate) fn can_send(&self, origin: &Origin, blob: &Digest) -> bool {
        self.disk.has_blob(blob) || self.reaches(origin) && origin.database.objects.contains(blob)
    }
}

impl Process {
    fn show(
        &mut self,
        world: &mut World,
        (edge, name): (usize, &EdgeName),
        (table, serving): (ServedTable, Vec<Serving>),
    ) {
        world.log(|ledger| format!("e{edge} shows {}", describe(ledger, &table, &serving)));
        let plant = world.plant;
        world.ledger.shows((edge, name), &table, &serving, plant);
        self.table = table;
    }

    pub(crate) fn look(&mut self) {
        self.inbox.push_back(Input::Look);
    }

    /// The number of the process.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

/// What readers got from a release in so much time: enough to judge it by after some seconds.
fn counts(build: &Build, time: Duration) -> ResponseCounts {
    let responses = time.as_secs() * 2;
    ResponseCounts {
        responses,
        server_errors: if build.is_bad { responses / 2 } else { 0 },
        ..ResponseCounts::default()
    }
}

fn describe(ledger: &Ledger, table: &ServedTable, serving: &[Serving]) -> String {
    let one = |row: &Serving| {
        let canary = table.release(&row.label).filter(|release| *release != row.manifest);
        let canary = canary.map(|release| format!(" (canary: {})", ledger.name(&release))).unwrap_or_default();
        format!("{} {} at {}-{}{canary}", row.label, ledger.name(&row.manifest), row.generation, row.epoch)
    };
    serving.iter().map(one).collect::<Vec<_>>().join(", ")
}
