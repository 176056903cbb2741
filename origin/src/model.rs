//! The decisions of an origin, without I/O: what the model test of rollouts (`tests/model`) runs. No part of the crate's interface.

use std::sync::Arc;

use verge_protocol::feed::FeedMessage;
use verge_protocol::report::EdgeReport;
use verge_protocol::state::{Inherited, RolloutState, Row};
use verge_protocol::{Checkpoint, Digest, Generation, History, Seq, Timestamp};

pub use crate::rollout::{Action, Rollout, Target};
pub use crate::store::{ChannelMove, Relation};
use crate::{edge_reports, feed, publish, rollout, store};

/// How many of a channel's moves [`inherited`] gets to see.
pub const MOVES_READ: u32 = store::MOVES_READ;

/// Whether a new generation must wait because one was taken at `last`.
pub fn is_too_soon(last: Timestamp, now: Timestamp) -> bool {
    store::is_too_soon(last, now)
}

/// What a channel inherits after a move to `next` at `now`. `moves` are its moves so far, the latest first.
pub fn inherited(next: Digest, moves: &[ChannelMove], now: Timestamp) -> Vec<Inherited> {
    publish::inherited(next, moves, &[], now)
}

/// What remains of `inherits` at `now`; `None` if that is all of it.
pub fn still_inherited(inherits: &[Inherited], now: Timestamp) -> Option<Vec<Inherited>> {
    let rest = publish::still_inherited(inherits, now);
    (rest.len() < inherits.len()).then_some(rest)
}

/// Whether a rollout that the last process left is carried on, of a channel that is at `epoch`.
pub fn is_resumable(state: &RolloutState, epoch: Option<Seq>, now: Timestamp) -> bool {
    rollout::is_resumable(state, epoch, now)
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
