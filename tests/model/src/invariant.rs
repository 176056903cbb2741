//! What must hold.

/// What must hold in every run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Invariant {
    /// Within a generation the epochs that readers see of a channel at an edge only grow, unless its disk was lost or could not be written.
    EpochsGrow,
    /// What an edge serves was committed as the release of that channel.
    Committed,
    /// A channel moves from the epoch that its publisher knew.
    Expected,
    /// An edge that an origin says has confirmed a release serves it or a newer one, and does so after a restart.
    Confirmed,
    /// A chunk that a page names is found at every live edge, wherever the page came from. See [`crate::reader`].
    ChunksFound,
    /// Bytes that a later release replaced or withdrew are not inherited.
    Withdrawn,
    /// Bytes that were purged or erased are not served by an edge that has confirmed it. See [`crate::purge_ledger`].
    Purged,
    /// A channel that was deleted is not served by an edge that has applied it. See [`crate::deletion_ledger`].
    Deleted,
    /// A push that is said to have moved its channel has, and one that is said to have failed has not.
    Told,
    /// The end of a push names every edge of the fleet that is not draining, and no other.
    Named,
    /// Before a channel moves, only the edges that were chosen as canary edges serve a release.
    CanaryEdges,
    /// Once nothing happens any more, every edge serves what the origin's channels point at, lags with nothing, and has done all purges,
    /// and no rollout and no deleted channel is left.
    Agreement,
}

/// A broken invariant.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Which.
    pub invariant: Invariant,
    /// What was seen.
    pub what: String,
}
