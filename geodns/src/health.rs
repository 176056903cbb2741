//! Health of the edges: every address of every edge is probed as a reader would reach it.
//!
//! ```text
//! FleetState ──addresses──► Prober ──► ProbeTask (one GET) ──► Tracker ──ProbeOutcome──► HealthAggregate ──► HealthTable
//!                                                                               LagThreshold ──┘  └──► SavedHealth (disk)
//! ```
//!
//! [`tracker`] decides whether an address is up, [`lag`] whether an edge lags, and [`aggregate`] combines them, without I/O or a
//! clock of their own. How many failed probes take an edge down is set in [`probe_settings`].

mod aggregate;
mod certified_host;
mod config;
mod contact;
mod failure;
mod lag;
mod probe;
mod probe_settings;
mod probe_task;
mod prober;
mod saved;
mod table;
mod tracker;

pub use self::config::{HealthConfig, HealthConfigError, Pem};
pub use self::probe_settings::ProbeSettings;
pub(crate) use self::prober::Prober;
#[cfg(test)]
pub(crate) use self::saved::SavedAddress;
pub(crate) use self::saved::SavedHealth;
pub(crate) use self::table::{AddressHealth, HealthTable};
