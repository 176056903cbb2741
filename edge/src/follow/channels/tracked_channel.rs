//! What is known of one channel.

use std::sync::Arc;

use verge_daemon::feed::StoredRow;
use verge_protocol::state::{ChannelState, Inherited};
use verge_protocol::{Seq, Timestamp};

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
    /// How long its files are inherited.
    pub(super) until: Timestamp,
}

impl SupersededRow {
    /// The manifests to be inherited, and until when, the most recent first.
    pub(super) fn manifests(&self) -> impl Iterator<Item = Inherited> + '_ {
        let own = Inherited { manifest: self.row.state.manifest, until: self.until };
        std::iter::once(own).chain(self.row.state.inherits.iter().copied())
    }
}

/// A channel in the feed.
#[derive(Default)]
pub(super) struct TrackedChannel {
    /// The last row that can be followed.
    pub(super) accepted: Option<AcceptedRow>,
    /// The row that is served; behind `accepted` while the channel lags.
    pub(super) served: Option<AcceptedRow>,
    /// What the channel served in an earlier history of the origin. Readers may still have its pages open: its files are inherited, as
    /// those of earlier releases are, which the origin cannot arrange since it does not know them.
    pub(super) superseded: Option<SupersededRow>,
    /// The number of a later row that cannot be followed, and why.
    pub(super) refused: Option<(Seq, String)>,
}
