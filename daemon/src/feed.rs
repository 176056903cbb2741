//! Subscribing to the origin's change feed.
//!
//! ```text
//! origin ──bytes──► EventStream ──events──► Cursor ──Change──► the daemon
//! ```
//!
//! A [`Subscriber`] is the task that does this. Its changes are complete and in order, whatever happens to origins and connections.
//! A [`RowStore`] holds the rows; saving it, and passing the position to resume from after a restart, is the daemon's task.

mod cursor;
mod event_stream;
mod last_seen;
mod row_store;
mod subscriber;

use verge_protocol::Position;
use verge_protocol::state::Row;

pub use self::last_seen::LastSeen;
pub use self::row_store::{Keep, RowChanges, RowEvent, RowHandler, RowStore, SavedRows, StoredRow};
pub use self::subscriber::Subscriber;

/// A change that must be applied atomically.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The whole table as of the position: keys that are not listed do not exist.
    Snapshot(Position, Vec<Row>),
    /// The rows that changed up to the position, in order.
    Rows(Position, Vec<Row>),
}
