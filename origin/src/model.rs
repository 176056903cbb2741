//! The decisions of an origin, without I/O: what the model test of rollouts (`tests/model`) runs. No part of the crate's interface.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use verge_protocol::api::PurgeProgress;
use verge_protocol::feed::FeedMessage;
use verge_protocol::purge::{Purge, PurgeScope};
use verge_protocol::report::EdgeReport;
use verge_protocol::state::{ChannelState, Inherited, RolloutState, Row};
use verge_protocol::{Checkpoint, Digest, EdgeName, Generation, History, Position, Seq, SiteName, Timestamp};

use crate::purges::{Confirmation, Purged};
pub use crate::rollout::{Action, Rollout, Target};
pub use crate::store::{ChannelMove, Relation};
use crate::{edge_reports, feed, publish, rollout, store};

/// How many of a channel's moves [`inherited`] gets to see.
pub const MOVES_READ: u32 = store::MOVES_READ;

/// Whether a new generation must wait because one was taken at `last`.
pub fn is_too_soon(last: Timestamp, now: Timestamp) -> bool {
    store::is_too_soon(last, now)
}

/// What a channel that inherited `kept` inherits after a move to `next` at `now`. `moves` are its moves so far, the latest first;
/// `purges` those of its site.
pub fn inherited(
    next: Digest,
    moves: &[ChannelMove],
    purges: &[Purge],
    kept: Vec<Inherited>,
    now: Timestamp,
) -> Vec<Inherited> {
    store::with_kept(publish::inherited(next, moves, purges, now), kept, next)
}

/// What a channel that points at `served` and inherited `kept` inherits after a canary `release` was taken back at `now`.
pub fn inherited_after_canary(release: Digest, kept: Vec<Inherited>, served: Digest, now: Timestamp) -> Vec<Inherited> {
    store::after_canary(release, kept, served, now)
}

/// What remains of `inherits` after a purge.
pub fn inherited_after_purge(inherits: &[Inherited], scope: &PurgeScope) -> Vec<Inherited> {
    publish::inherited_after_purge(inherits, scope)
}

/// What remains of `inherits` at `now`; `None` if that is all of it.
pub fn still_inherited(inherits: &[Inherited], now: Timestamp) -> Option<Vec<Inherited>> {
    let rest = publish::still_inherited(inherits, now);
    (rest.len() < inherits.len()).then_some(rest)
}

/// Whether a rollout that the last process left is carried on, of a channel that is at `epoch`.
pub fn is_resumable(state: &RolloutState, epoch: Option<Seq>, now: Timestamp) -> bool {
    rollout::check_resumable(state, epoch, now).is_ok()
}

/// Whether a rollout whose move could not be committed has moved the channel, which is in the state `current`, all the same.
pub fn has_moved(current: &ChannelState, state: &RolloutState) -> bool {
    rollout::has_moved(current, state)
}

/// Where a subscriber at `since` is, relative to an origin at `now` with this `history` after the write `since.position.seq`.
pub fn relation(since: Checkpoint, now: Checkpoint, history: Option<History>) -> Relation {
    store::relation(since, now, history, Seq(0))
}

/// What counts of a report by an edge that is in such a `relation` to the origin.
pub fn claims(report: &Arc<EdgeReport>, relation: Option<Relation>) -> Arc<EdgeReport> {
    edge_reports::claims(report, relation)
}

/// The messages of the rows written after `sent`.
pub fn row_messages(sent: Checkpoint, rows: Vec<(Row, Checkpoint)>) -> Vec<FeedMessage> {
    feed::row_messages(sent, rows)
}

/// The generation to take after `had` because a subscriber was in `seen`.
pub fn next_generation(had: Generation, seen: Generation, now: Timestamp) -> Generation {
    store::next_generation(had, seen, now)
}

/// Which edges have done a purge. Times are since the origin started.
pub struct PurgeConfirmation(Confirmation);

impl PurgeConfirmation {
    /// Begins at `now`, for a purge that was made by the write at `position`.
    pub fn new(site: SiteName, scope: PurgeScope, position: Position, now: Duration) -> Self {
        Self(Confirmation::new(Purged { site, scope, position }, rollout::Timing::default(), now))
    }

    /// Takes the edges of the fleet.
    pub fn set_members(&mut self, members: &BTreeSet<EdgeName>, now: Duration) {
        self.0.set_members(members, now);
    }

    /// Takes what counts of the last report of an edge.
    pub fn report(&mut self, edge: &EdgeName, report: &Arc<EdgeReport>, received: Duration, time: Timestamp) {
        self.0.report(edge, report, received, time);
    }

    /// The origin is in this generation now.
    pub fn set_generation(&mut self, generation: Generation) {
        self.0.set_generation(generation);
    }

    /// What has happened up to `now`.
    pub fn poll(&mut self, now: Duration) -> Vec<PurgeProgress> {
        self.0.poll(now)
    }

    /// When to poll again if nothing happens; `None`: it is over.
    pub fn deadline(&self) -> Option<Duration> {
        self.0.deadline()
    }
}
