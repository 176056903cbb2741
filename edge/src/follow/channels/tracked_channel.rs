//! What is known of one channel.

use std::sync::Arc;

use verge_daemon::feed::StoredRow;
use verge_protocol::Seq;
use verge_protocol::state::ChannelState;

/// A channel's row that can be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AcceptedRow {
    pub(super) stored: Arc<StoredRow>,
    /// The value of the row.
    pub(super) state: ChannelState,
}

/// A channel in the feed.
#[derive(Default)]
pub(super) struct TrackedChannel {
    /// The last row that can be followed.
    pub(super) accepted: Option<AcceptedRow>,
    /// The row that is served; behind `accepted` while the channel lags.
    pub(super) served: Option<AcceptedRow>,
    /// The number of a later row that cannot be followed, and why.
    pub(super) refused: Option<(Seq, String)>,
}
