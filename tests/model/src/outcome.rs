//! The result of a run.

use crate::invariant::Failure;

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
