//! What an edge keeps on disk: the last state, manifests, and blobs.
//!
//! ```text
//! data/
//!   lock                   held for as long as the edge runs
//!   state.json             rows, position, and what is served where it lags
//!   manifests/<digest>     canonical bytes
//!   blobs/ab/<digest>      bytes
//!   quarantine/            what did not match its digest, for an operator to look at
//!   temporary/             files in the making
//! ```
//!
//! A file appears under its name only when it is whole; what is read is checked against its digest, every time. So nothing here
//! needs to be trusted: what is lost or broken is fetched again.
//!
//! What touches files blocks; [`Disk`] takes it to threads where that is no harm.

mod blocking_store;
mod disk;
mod disk_budget;
mod eviction;
mod index;
mod layout;
mod state_file;

pub(crate) use self::blocking_store::Store;
pub(crate) use self::disk::Disk;
pub(crate) use self::layout::{Object, OpenError};
pub(crate) use self::state_file::{Saved, SavedRow, Serving};
