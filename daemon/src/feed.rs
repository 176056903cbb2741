//! Following the origin's change feed.
//!
//! ```text
//! origin ──events──► wire ──► Cursor ──Change──► whoever follows
//! ```
//!
//! A [`Subscriber`] is the task that does it. What it tells is whole and in order, whatever becomes of origins and connections; to
//! keep it, and to say again from where to go on after a restart, is for whoever follows.

mod cursor;
mod event_stream;
mod last_seen;
mod subscriber;

use verge_protocol::Position;
use verge_protocol::state::Row;

pub use self::last_seen::LastSeen;
pub use self::subscriber::Subscriber;

/// What must be taken over at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The whole table as of the position: a key that is not named is gone.
    Snapshot(Position, Vec<Row>),
    /// What changed up to the position, in order.
    Rows(Position, Vec<Row>),
}
