//! Verge's name server: authoritative for the operator's zones, in which the names of sites lead each reader to the nearest edge
//! that is healthy and up to date.
//!
//! ```text
//! origin ──feed──► follow ──names──► zone ◄── zone files
//!                    │                │
//!                    └──edges──► fleet┤◄── health ◄── probes of each edge
//!                                     ▼
//! question ─────────────────────► answer ◄── place ◄── database, overrides
//! ```
//!
//! A [`GeoDns`] is a value: bound when its ports are open, as many in one process as wanted. An answer is a function of the
//! question, of who asks, and of one snapshot of all that, the [view](view::View): the way to it takes no lock and does no I/O.

pub mod config;

mod answer;
mod assemble;
mod dns;
mod explain;
mod fleet;
mod follow;
mod geodns;
mod health;
mod metrics;
mod place;
mod query_log;
mod service;
mod sources;
#[cfg(test)]
mod testing;
mod view;
mod zone;

pub use config::Config;
pub use geodns::{BindError, GeoDns};
