//! What is known of one channel.

use verge_protocol::Generation;
use verge_protocol::state::{ChannelState, Row};

/// A channel's row that can be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AcceptedRow {
    pub(super) generation: Generation,
    pub(super) row: Row,
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
    /// A later row that cannot be followed, and why.
    pub(super) refused: Option<(Row, String)>,
}
