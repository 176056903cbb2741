//! Verge's name server: authoritative for the operator's zones, in which the names of sites resolve to the nearest edges that are
//! healthy and current.
//!
//! ```text
//! origin ──feed──► follow ──names──► zone ◄── zone files
//!                    │                │
//!                    └──edges──► fleet┤◄── health ◄── probes of each edge
//!                                     ▼
//! query ────────────────────────► answer ◄── geo ◄── location database, overrides
//! ```
//!
//! A [`GeoDns`] is a value: it is bound when its ports are open, and a process can have any number. An answer is a function of the
//! query, the client and one [snapshot](snapshot::Snapshot): the way to it takes no lock and does no I/O.

mod caa;
pub mod config;

mod answer;
mod command;
mod dns;
mod explain;
mod fleet;
mod fleet_state;
mod follow;
mod geo;
mod geodns;
mod health;
mod https_names;
mod metrics;
mod program;
mod query_log;
mod query_service;
mod readiness;
mod snapshot;
mod snapshot_builder;
#[cfg(test)]
mod test_support;
mod watched_files;
mod zone;

pub use command::{Command, Join};
pub use config::Config;
pub use geodns::{BindError, GeoDns};
