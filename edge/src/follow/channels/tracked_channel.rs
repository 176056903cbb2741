//! What is known of one channel.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use verge_daemon::feed::StoredRow;
use verge_protocol::state::{ChannelState, RolloutState};
use verge_protocol::{ChannelName, Digest, Seq, SiteName};

/// The entries of the channels of a site.
pub(super) fn of_site<'a, T>(
    channels: &'a BTreeMap<(SiteName, ChannelName), T>,
    site: &SiteName,
) -> impl Iterator<Item = (&'a ChannelName, &'a T)> {
    let from_first = channels.range((site.clone(), ChannelName::lowest())..);
    from_first.take_while(move |((of, _), _)| of == site).map(|((_, name), channel)| (name, channel))
}

/// A channel's row that can be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AcceptedRow {
    pub(super) stored: Arc<StoredRow>,
    /// The value of the row.
    pub(super) state: ChannelState,
}

/// A row of an earlier history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SupersededRow {
    pub(super) row: AcceptedRow,
    /// Until when its files are inherited, as time since this process started.
    pub(super) until: Duration,
}

/// A rollout in the feed: the release that a channel is about to point at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rollout {
    pub(super) stored: Arc<StoredRow>,
    /// The value of the row.
    pub(super) state: RolloutState,
}

/// A channel in the feed.
#[derive(Default)]
pub(super) struct TrackedChannel {
    /// The last row that can be followed.
    pub(super) accepted: Option<AcceptedRow>,
    /// The row that is served; behind `accepted` while its release is being fetched.
    pub(super) served: Option<AcceptedRow>,
    /// Whether the release of `served` was on disk at some time since it was served. If it is not any more, as when a blob turns out to be
    /// corrupt, the channel does not lag.
    pub(super) is_held: bool,
    /// What the channel served in an earlier history of the origin. Readers may still have its pages open: its files are inherited, as
    /// those of earlier releases are, which the origin cannot arrange since it does not know them.
    pub(super) superseded: Option<SupersededRow>,
    /// The number of a later row that cannot be followed, and why.
    pub(super) refused: Option<(Seq, String)>,
}

impl TrackedChannel {
    /// The manifest of the release that must be on disk for the channel not to lag; `None` if it has been.
    pub(super) fn awaited(&self) -> Option<Digest> {
        let accepted = self.accepted.as_ref()?.state.manifest;
        (!self.holds(accepted)).then_some(accepted)
    }

    /// Whether it serves the release of `manifest`, and had it on disk.
    pub(super) fn holds(&self, manifest: Digest) -> bool {
        self.is_held && self.served.as_ref().is_some_and(|served| served.state.manifest == manifest)
    }

    /// The accepted row, if it is not served yet.
    pub(super) fn not_served(&self) -> Option<&AcceptedRow> {
        self.accepted.as_ref().filter(|accepted| self.served.as_ref() != Some(*accepted))
    }
}
