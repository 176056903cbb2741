//! A simulated fleet: the machines of origin and edges under random interleavings and faults.
//!
//! What decides is the real code: the machine of rollouts, what a channel inherits, and how an origin tells histories apart
//! (`verge_origin::model`); what a feed's events mean (`verge_daemon::feed`); what an edge follows, holds, serves, saves and fetches
//! (`verge_edge::model`). What carries the decisions out is simulated: there are no tasks, sockets, clocks and disks. [`run`] draws what
//! happens, and when, from a seed.
//!
//! ```text
//! action ──► origin (database) ──feed──► edge (disk) ◄── reader
//!              ▲                           │    └──► ledger: invariants
//!              └──────────report───────────┘
//! ```
//!
//! | What is simulated | How | Where |
//! |---|---|---|
//! | the database of an origin | a table with sequence numbers, histories and generations; each transaction is one step | `database` |
//! | processes | any may be killed between two steps, and loses what is not in its database or on its disk; a state that an edge was saving is saved or not | `origin`, `edge` |
//! | connections | a feed keeps its order, stalls, breaks, and is resumed; reports are late, lost, repeated and overtake one another; an edge is cut off | `world`, `edge` |
//! | disks | blobs are lost, the state file is damaged, writes fail, everything is lost, the budget is too small | `disk` |
//! | publishers | push, move back, promote, and race | `action` |
//! | readers | take pages from one edge and their chunks from others | `reader` |
//!
//! [`Invariant`] lists what must hold, [`Plant`] the bugs that show that each invariant can fail.

mod action;
mod database;
mod disk;
mod edge;
mod ledger;
mod origin;
mod plant;
mod random;
mod reader;
mod simulation;
mod site;
mod world;

pub use self::ledger::{Failure, Invariant};
pub use self::plant::Plant;
use self::simulation::Simulation;

/// The result of a run.
#[derive(Debug)]
pub struct Outcome {
    /// The first broken invariant.
    pub failure: Option<Failure>,
    /// What happened, in numbers.
    pub statistics: Statistics,
    /// Every step, each with its time in seconds, if it was asked for.
    pub trace: Vec<String>,
}

/// A run in numbers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Statistics {
    /// Events.
    pub events: u64,
    /// The simulated time.
    pub seconds: u64,
    /// Rollouts that moved their channel.
    pub switched: u64,
    /// Rollouts that were abandoned.
    pub abandoned: u64,
    /// Chunks that readers asked live edges for.
    pub chunks: u64,
    /// Those of which nothing is claimed, because the channel was moved without the edge.
    pub excused: u64,
    /// Those of which nothing is claimed, because the edge has not held the channel yet.
    pub unheld: u64,
}

/// Runs `steps` events of `seed`, then without faults until the fleet agrees; with a planted bug if there is one.
pub fn run(seed: u64, steps: u64, plant: Option<Plant>, is_traced: bool) -> Outcome {
    Simulation::new(seed, plant, is_traced).run(steps)
}
