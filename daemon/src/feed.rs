//! Subscribing to the origin's change feed.
//!
//! ```text
//! origin ──bytes──► EventStream ──events──► Cursor ──Change──► the daemon
//! ```
//!
//! A [`Subscriber`] is the task that does this. Its changes are complete and in order, whatever happens to origins and connections.
//! A [`RowStore`] holds the rows; saving it, and passing the checkpoint to resume from after a restart, is the daemon's task.

mod cursor;
mod event_stream;
mod last_seen;
mod row_store;
mod subscriber;

use verge_protocol::Checkpoint;
use verge_protocol::state::Row;

pub use self::cursor::{Cursor, Step};
pub use self::last_seen::LastSeen;
pub use self::row_store::{Keep, RowChanges, RowEvent, RowHandler, RowRecord, RowStore, StoredRow};
pub use self::subscriber::Subscriber;

/// A change that must be applied atomically.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The whole table.
    Snapshot {
        /// As of this checkpoint.
        at: Checkpoint,
        /// Its rows.
        rows: Vec<Row>,
        /// What became of keys that it does not list.
        missing: MissingKeys,
    },
    /// The rows that changed up to the checkpoint, in order.
    Rows(Checkpoint, Vec<Row>),
}

/// What became of the keys that a subscriber has and a snapshot does not list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingKeys {
    /// They were deleted.
    Deleted,
    /// The origin cannot tell: it was restored from an older copy, it is another one, or it could not read all its rows. They stay
    /// in force until a row of theirs arrives.
    Unknown,
}
