//! Verge's edge: follows an origin, keeps what it needs, and serves it to readers.
//!
//! ```text
//! origin ──feed──► follow ──► table ──────┐
//!    │                                    ▼
//!    └──blobs──► upstream ──► cache ──► serve ──► reader
//!                              ▲  │
//!                              │  ▼
//!                             store (disk)
//! ```
//!
//! An [`Edge`] is a value: bound when its ports are open, as many in one process as wanted. It serves what its disk holds
//! whether or not an origin can be reached, and no byte that does not match its digest.

pub mod config;

mod cache;
mod edge;
mod follow;
mod metrics;
mod serve;
mod status;
mod store;
mod table;
#[cfg(test)]
mod test_support;
mod upstream;

pub use config::Config;
pub use edge::{BindError, Edge};
pub use status::Applied;
