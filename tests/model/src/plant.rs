//! Bugs that are planted to show that the invariants find them.

use crate::invariant::Invariant;

/// A bug of an edge, of an origin or of the feed. The machines are as they are; what carries out their decisions is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plant {
    /// An edge swaps its table before the state is saved.
    EdgeSwapsBeforeSaving,
    /// An edge serves a release as soon as it hears of its rollout.
    EdgeServesWhatIsComing,
    /// An edge does not serve the files of what is coming.
    EdgeHidesWhatIsComing,
    /// An edge reports what it is told before it serves it.
    EdgeReportsBeforeServing,
    /// An edge reports that it is prepared as soon as it hears of a rollout.
    EdgeReportsPreparedUnprepared,
    /// An edge does not report that a channel lags.
    EdgeConcealsLag,
    /// An edge answers a path that the newest release withdrew from an older one.
    EdgeFallsThroughToOlderReleases,
    /// An edge removes the blobs of a release that it is about to serve.
    EdgeEvictsWhatIsComing,
    /// An origin switches without waiting for anybody.
    OriginSwitchesUnprepared,
    /// An origin counts an edge that it is not hearing from any more as prepared.
    OriginCountsEveryReportAsPrepared,
    /// An origin lets channels inherit nothing.
    OriginInheritsNothing,
    /// An origin moves channels without comparing epochs.
    OriginComparesNoEpochs,
    /// An origin that was restored does not take a new generation.
    OriginKeepsItsGeneration,
    /// An origin forgets the rollouts that its last process left.
    OriginResumesNothing,
    /// An edge does not report that purges are not done.
    EdgeConcealsPurges,
    /// An edge does not learn what is erased.
    EdgeIgnoresErasures,
    /// An origin purges nothing of what channels inherit.
    OriginPurgesNothing,
    /// An origin does not remember purges when it moves channels.
    OriginForgetsPurges,
    /// An edge is a canary edge of every canary.
    EdgeJoinsEveryCanary,
    /// An edge goes on with a canary that has ended.
    EdgeIgnoresEndsOfCanaries,
    /// An origin lets reports of edges count that have read another history.
    OriginBelievesOtherHistories,
    /// An origin lets channels not inherit a canary release that was taken back.
    OriginForgetsCanaries,
    /// An origin lets channels not inherit a canary release that another push replaced.
    OriginForgetsReplacedCanaries,
    /// An origin does not tell rollouts which edges join or leave the fleet.
    OriginForgetsWhoJoins,
    /// An origin believes that a move whose commit failed was not made.
    OriginTakesFailedMovesForLost,
    /// An origin believes that a rollout was not begun whose commit failed.
    OriginForgetsBegunRollouts,
    /// An edge that has just started takes readers before it has caught up.
    EdgeTakesReadersAtOnce,
    /// An edge goes on serving channels that were deleted.
    EdgeIgnoresDeletions,
    /// A feed that is resumed leaves out the first row.
    FeedSkipsARow,
}

impl Plant {
    /// All, each with the invariant that it breaks.
    pub const ALL: [(Self, Invariant); 29] = [
        (Self::EdgeSwapsBeforeSaving, Invariant::EpochsGrow),
        (Self::EdgeServesWhatIsComing, Invariant::Committed),
        (Self::EdgeHidesWhatIsComing, Invariant::ChunksFound),
        (Self::EdgeReportsBeforeServing, Invariant::Confirmed),
        (Self::EdgeReportsPreparedUnprepared, Invariant::ChunksFound),
        (Self::EdgeConcealsLag, Invariant::Confirmed),
        (Self::EdgeFallsThroughToOlderReleases, Invariant::Withdrawn),
        (Self::EdgeEvictsWhatIsComing, Invariant::ChunksFound),
        (Self::OriginSwitchesUnprepared, Invariant::ChunksFound),
        (Self::OriginCountsEveryReportAsPrepared, Invariant::ChunksFound),
        (Self::OriginInheritsNothing, Invariant::ChunksFound),
        (Self::OriginComparesNoEpochs, Invariant::Expected),
        (Self::OriginKeepsItsGeneration, Invariant::EpochsGrow),
        (Self::OriginResumesNothing, Invariant::Agreement),
        (Self::EdgeConcealsPurges, Invariant::Purged),
        (Self::EdgeIgnoresErasures, Invariant::Purged),
        (Self::OriginPurgesNothing, Invariant::Purged),
        (Self::OriginForgetsPurges, Invariant::Purged),
        (Self::OriginBelievesOtherHistories, Invariant::Confirmed),
        (Self::EdgeJoinsEveryCanary, Invariant::CanaryEdges),
        (Self::EdgeIgnoresEndsOfCanaries, Invariant::Agreement),
        (Self::OriginForgetsCanaries, Invariant::ChunksFound),
        (Self::OriginForgetsReplacedCanaries, Invariant::ChunksFound),
        (Self::OriginForgetsWhoJoins, Invariant::Named),
        (Self::OriginTakesFailedMovesForLost, Invariant::Told),
        (Self::OriginForgetsBegunRollouts, Invariant::Agreement),
        (Self::EdgeTakesReadersAtOnce, Invariant::ChunksFound),
        (Self::EdgeIgnoresDeletions, Invariant::Deleted),
        (Self::FeedSkipsARow, Invariant::Agreement),
    ];
}
