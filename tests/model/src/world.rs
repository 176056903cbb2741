//! Time, chance, messages on their way, and the trace.

use std::collections::BTreeMap;
use std::time::Duration;

use verge_daemon::feed::Change;
use verge_edge::model::Purge;
use verge_protocol::host::HostLabel;
use verge_protocol::report::EdgeReport;
use verge_protocol::{Checkpoint, Digest, Timestamp};

use crate::ledger::Ledger;
use crate::plant::Plant;
use crate::random::Random;

/// The wall clock at the start of a run.
const EPOCH_MILLIS: u64 = 1_700_000_000_000;

/// What happens at its time. Numbers of processes and connections tell whether it still matters.
pub(crate) enum Event {
    /// Something random happens: see [`crate::action`].
    Act,
    /// A publisher who was told nothing pushes again.
    PushAgain(HostLabel),
    /// The deadline of a rollout may have come.
    Poll,
    /// Inherited releases may have expired.
    Expire,
    StartOrigin,
    /// The origin is restored from its last copy once more.
    RestoreOrigin,
    /// An origin tries again to end the rollouts that it could not end.
    EndRollouts,
    StartEdge(usize),
    /// An edge joins the fleet, and starts if it does not run.
    Join(usize),
    StopEdge {
        edge: usize,
        process: u64,
    },
    Heal(usize),
    RepairDisk(usize),
    /// A subscription arrives at the origin.
    Subscribe {
        edge: usize,
        connection: u64,
        since: Option<Checkpoint>,
    },
    /// The origin sends what is new.
    Publish {
        connection: u64,
    },
    /// The first message of a feed that is on its way arrives.
    FeedArrives {
        edge: usize,
        connection: u64,
    },
    /// An edge connects.
    Connect {
        edge: usize,
        process: u64,
    },
    /// An edge notices that its feed has ended.
    FeedEnds {
        edge: usize,
        connection: u64,
    },
    ReportArrives {
        edge: usize,
        sent: Duration,
        report: Box<EdgeReport>,
    },
    /// An edge reports because it is time.
    ReportDue {
        edge: usize,
        process: u64,
    },
    ManifestArrives {
        edge: usize,
        process: u64,
        manifest: Digest,
    },
    FetchManifest {
        edge: usize,
        process: u64,
        manifest: Digest,
    },
    BlobsArrive {
        edge: usize,
        process: u64,
        blobs: Vec<Digest>,
    },
    Prefetch {
        edge: usize,
        process: u64,
    },
    Saved {
        edge: usize,
        process: u64,
    },
    PurgeDone {
        edge: usize,
        process: u64,
    },
    /// The apply task looks again.
    Look {
        edge: usize,
        process: u64,
    },
    /// A reader asks for a chunk of a page.
    Chunk {
        page: u64,
    },
}

/// What an edge's apply task has to do.
pub(crate) enum Input {
    Change(Change),
    Manifest(Digest),
    Failure(Digest),
    Purged(Purge),
    Look,
}

/// Everything that origin, edges and readers share.
pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) random: Random,
    pub(crate) plant: Option<Plant>,
    pub(crate) ledger: Ledger,
    /// Nothing fails any more.
    pub(crate) is_quiet: bool,
    /// By how many milliseconds the origin's wall clock was set back.
    pub(crate) set_back_millis: u64,
    queue: BTreeMap<(Duration, u64), Event>,
    numbers: u64,
    trace: Option<Vec<String>>,
}

impl World {
    pub(crate) fn new(seed: u64, plant: Option<Plant>, is_traced: bool) -> Self {
        Self {
            now: Duration::ZERO,
            random: Random::new(seed),
            plant,
            ledger: Ledger::default(),
            is_quiet: false,
            set_back_millis: 0,
            queue: BTreeMap::new(),
            numbers: 0,
            trace: is_traced.then(Vec::new),
        }
    }

    /// A number that no other process, connection or page has.
    pub(crate) fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    /// The origin's wall clock.
    pub(crate) fn wall(&self) -> Timestamp {
        Timestamp(EPOCH_MILLIS - self.set_back_millis).after(self.now)
    }

    pub(crate) fn after(&mut self, delay: Duration, event: Event) {
        let number = self.number();
        self.queue.insert((self.now + delay, number), event);
    }

    /// Takes the next event, and moves the time to it.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let ((at, _), event) = self.queue.pop_first()?;
        self.now = self.now.max(at);
        Some(event)
    }

    pub(crate) fn has(&self, plant: Plant) -> bool {
        self.plant == Some(plant)
    }

    /// Adds a line to the trace.
    pub(crate) fn log(&mut self, line: impl FnOnce(&Ledger) -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>10.3} {}", self.now.as_secs_f64(), line(&self.ledger)));
        }
    }

    pub(crate) fn into_trace(self) -> Vec<String> {
        self.trace.unwrap_or_default()
    }
}
