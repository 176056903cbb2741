//! What a process of the origin knows, and loses when it ends.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use verge_origin::model::{PurgeConfirmation, Rollout};
use verge_protocol::feed::FeedMessage;
use verge_protocol::host::HostLabel;
use verge_protocol::report::EdgeReport;
use verge_protocol::state::RolloutState;
use verge_protocol::{Checkpoint, Generation, Position, Seq, SiteName, Timestamp};

use crate::world::{Event, World};

/// A process of the origin.
pub(super) struct Process {
    pub(super) started: Duration,
    pub(super) reports: BTreeMap<usize, LastReport>,
    pub(super) runs: Vec<Run>,
    pub(super) purges: Vec<PurgeRun>,
    /// The rollouts that it could not end.
    pub(super) abandoning: Vec<(HostLabel, RolloutState)>,
    /// When each edge joined the fleet that was not in it when the process started.
    pub(super) joined: BTreeMap<usize, Duration>,
    pub(super) subscriptions: BTreeMap<u64, Subscription>,
    /// When it polls next if nothing happens.
    pub(super) next_poll: Option<Duration>,
}

impl Process {
    /// Polls when it has run for so long: as long as nothing happens, nothing is polled before.
    pub(super) fn poll_at(&mut self, world: &mut World, uptime: Duration) {
        let at = world.now.max(self.started + uptime);
        if self.next_poll.is_none_or(|next| next <= world.now || at < next) {
            self.next_poll = Some(at);
            world.after(at.saturating_sub(world.now), Event::Poll);
        }
    }
}

/// The last report of an edge.
#[derive(Clone)]
pub(crate) struct LastReport {
    pub(crate) report: Arc<EdgeReport>,
    /// When it arrived.
    pub(crate) received: Duration,
    pub(super) time: Timestamp,
    /// When the edge sent it, and in which process.
    pub(crate) sent: Duration,
}

/// The task of one rollout.
pub(super) struct Run {
    pub(super) rollout: Rollout,
    pub(super) state: RolloutState,
    pub(super) label: HostLabel,
    pub(super) began: Duration,
    /// Whether it holds the lock of the channel.
    pub(super) is_locked: bool,
    /// Whether a client waits for confirmations.
    pub(super) is_followed: bool,
    pub(super) moved: Option<Position>,
}

/// The task that tells a client which edges have done a purge.
pub(super) struct PurgeRun {
    pub(super) confirmation: PurgeConfirmation,
    pub(super) site: SiteName,
    pub(super) seq: Seq,
}

/// The origin's end of a feed.
pub(super) struct Subscription {
    pub(super) edge: usize,
    pub(super) at: Checkpoint,
    pub(super) generation: Generation,
    pub(super) is_tailing: bool,
}

/// A feed on its way.
#[derive(Default)]
pub(crate) struct FeedStream {
    /// When each message arrives at the earliest.
    pub(crate) messages: VecDeque<(Duration, FeedMessage)>,
    pub(super) last_arrival: Duration,
    /// Whether the origin has ended it.
    pub(crate) has_ended: bool,
}
