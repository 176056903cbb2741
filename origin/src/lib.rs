//! Verge's origin: takes builds, makes releases of them, and tells the edges.
//!
//! One direction, top to bottom: [`Origin`] opens ports → `http` locks requests into calls → `publish`, `edges`, `fences`,
//! `domains`, `feed` and `fleet` decide → `store` keeps.

mod app;
mod channel_locks;
mod config;
mod domains;
mod edge_settings;
mod feed;
mod site_regions;
mod edge_reports;
mod http;
mod metrics;
mod origin;
mod publish;
mod store;
mod token;

mod uploads;

pub use config::{Config, RawConfig, SitesUrl};
pub use origin::Origin;
