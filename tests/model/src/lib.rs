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
//! | the fleet | edges are forced down and up, removed and added again | `origin::members` |
//! | commits | fail, and are lost or survive; the origin does not know which | `origin::commit` |
//! | connections | a feed keeps its order, stalls, breaks, and is resumed; reports are late, lost, repeated and overtake one another; an edge is cut off | `world`, `edge` |
//! | disks | blobs are lost, the state file is damaged, writes fail, everything is lost, the budget is too small | `disk` |
//! | publishers | push, with a canary or without, move back, promote, race, push again instead of a canary, purge, erase, and delete channels | `action` |
//! | readers | take pages from one edge and their chunks from others | `reader` |
//!
//! [`Invariant`] lists what must hold, [`Plant`] the bugs that show that each invariant can fail.

mod action;
mod database;
mod deletion_ledger;
mod disk;
mod edge;
mod excuse;
mod fleet;
mod invariant;
mod ledger;
mod operator;
mod origin;
mod outcome;
mod page;
mod plant;
mod purge_ledger;
mod random;
mod reader;
mod simulation;
mod site;
mod world;

pub use self::invariant::{Failure, Invariant};
pub use self::outcome::{Chunks, Excuse, Outcome, Statistics};
pub use self::plant::Plant;
use self::simulation::Simulation;

/// Runs `steps` events of `seed`, then without faults until the fleet agrees; with a planted bug if there is one.
pub fn run(seed: u64, steps: u64, plant: Option<Plant>, is_traced: bool) -> Outcome {
    Simulation::new(seed, plant, is_traced).run(steps)
}
