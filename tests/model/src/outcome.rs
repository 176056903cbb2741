//! The result of a run.

use std::collections::BTreeMap;
use std::ops::AddAssign;

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
#[derive(Debug, Clone, Default)]
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
    /// Canaries that another push replaced.
    pub replaced: u64,
    /// Channels that were deleted.
    pub deleted: u64,
    /// Commits that failed, whether they were lost or not.
    pub failed_commits: u64,
    /// Edges that joined the fleet, once more.
    pub joined: u64,
    /// Purges, erasures included.
    pub purges: u64,
    /// What became of the chunks that readers asked live edges for.
    pub chunks: Chunks,
}

/// What became of the chunks that readers asked live edges for: each was checked, or excused once.
#[derive(Debug, Clone, Default)]
pub struct Chunks {
    /// All.
    pub asked: u64,
    /// Those that were asked of another edge than that of the page.
    pub at_another: u64,
    /// Those that had to be found.
    pub checked: u64,
    /// Those of which nothing is claimed.
    pub excused: BTreeMap<Excuse, u64>,
}

/// Why nothing is claimed of a chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Excuse {
    /// An origin has moved the channel to the release of the page, or to a later one, without the edge: a rollout that goes on without an
    /// edge names it as lagging. One that has started since takes no readers before it has read the feed and has got its manifests, unless
    /// no origin answers or it fails to get one.
    LeftBehind,
    /// The edge has not reported the channel without lag since it last lost its disk. A channel of which an edge has not heard is a
    /// host that does not exist; its first release is served before it is held. Of one that has started since the channel was created the
    /// same holds as above.
    NotHeld,
    /// The origin knows nothing of the release: it was restored from an older copy, or the channel was deleted.
    Unknown,
    /// The release was replaced long ago, as when an edge lags for so long, or many moves ago.
    Old,
    /// The path was purged since the release was replaced, or by a purge that an origin has lost; or its bytes were erased.
    Purged,
    /// The edge is in another generation of the origin than the edge that gave the page.
    OtherHistory,
}

impl AddAssign for Statistics {
    fn add_assign(&mut self, other: Self) {
        let Self { events, seconds, switched, canaries, abandoned, replaced, .. } = other;
        let Self { deleted, failed_commits, joined, purges, chunks, .. } = other;
        self.events += events;
        self.seconds += seconds;
        self.switched += switched;
        self.canaries += canaries;
        self.abandoned += abandoned;
        self.replaced += replaced;
        self.deleted += deleted;
        self.failed_commits += failed_commits;
        self.joined += joined;
        self.purges += purges;
        self.chunks += chunks;
    }
}

impl AddAssign for Chunks {
    fn add_assign(&mut self, other: Self) {
        let Self { asked, at_another, checked, excused } = other;
        self.asked += asked;
        self.at_another += at_another;
        self.checked += checked;
        for (excuse, chunks) in excused {
            *self.excused.entry(excuse).or_default() += chunks;
        }
    }
}
