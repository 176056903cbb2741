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
    /// Canaries that were started.
    pub canaries: u64,
    /// Rollouts that were abandoned.
    pub abandoned: u64,
    /// Purges, erasures included.
    pub purges: u64,
    /// Chunks that readers asked live edges for.
    pub chunks: u64,
    /// Those of them that were asked of another edge than that of the page.
    pub at_another: u64,
    /// Those of which nothing is claimed, because the channel was moved without the edge.
    pub excused: u64,
    /// Those of which nothing is claimed, because the edge has not held the channel yet.
    pub unheld: u64,
}

impl std::ops::AddAssign for Statistics {
    fn add_assign(&mut self, other: Self) {
        let Self { events, seconds, switched, canaries, abandoned, purges, chunks, at_another, excused, unheld } =
            other;
        self.events += events;
        self.seconds += seconds;
        self.switched += switched;
        self.canaries += canaries;
        self.abandoned += abandoned;
        self.purges += purges;
        self.chunks += chunks;
        self.at_another += at_another;
        self.excused += excused;
        self.unheld += unheld;
    }
}
