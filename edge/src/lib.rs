//! Verge's edge: follows the change feed of an origin, caches what it needs, and serves it to readers.
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
//! An [`Edge`] is a value: it is bound when its listeners are open, and several can run in one process. It serves what is on its
//! disk even if no origin can be reached, and never a byte that does not match its digest.

pub mod config;

mod access_log;
mod cache;
mod challenges;
mod command;
mod edge;
mod erased_contents;
mod follow;
mod metrics;
#[doc(hidden)]
pub mod model;
mod program;
mod readiness;
mod release_hosts;
mod serve;
mod status;
mod store;
mod table;
#[cfg(test)]
mod test_support;
mod tls;
mod upstream;

pub use command::Command;
pub use config::Config;
pub use edge::{BindError, Edge};
#[doc(hidden)]
pub use serve::fuzzing;
pub use serve::{Cause, Explanation, HostFacts, HostModel};
pub use status::AppliedState;
