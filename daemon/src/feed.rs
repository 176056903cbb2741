//! Following the origin's change feed.
//!
//! ```text
//! origin ──events──► wire ──► Cursor ──Change──► whoever follows
//! ```
//!
//! A [`Listener`] is the task that does it. What it tells is whole and in order, whatever becomes of origins and connections; to
//! keep it, and to say again from where to go on after a restart, is for whoever follows.

mod cursor;
mod heard;
mod listen;
mod wire;

use verge_protocol::Position;
use verge_protocol::state::Row;

pub use self::heard::Heard;
pub use self::listen::Listener;

/// What must be taken over at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The whole table as of the position: a key that is not named is gone.
    Snapshot(Position, Vec<Row>),
    /// What changed up to the position, in order.
    Rows(Position, Vec<Row>),
}
