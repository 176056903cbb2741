//! Verge's origin: it stores builds, makes releases of them, and publishes every change to edges and name servers.
//!
//! Imports point one way: [`Origin`] opens the ports and composes the state of the API (`app_state`) → `http` turns requests into calls →
//! `publish`, `uploads`, `domains`, `edge_settings`, `site_regions`, `edge_reports` and `feed` decide → `store` persists.

mod api_tls;
mod app_state;
mod caa_issuers;
mod certificates;
mod channel_deletion;
mod channel_locks;
mod collection;
mod command;
mod composition;
mod config;
mod domains;
mod edge_reports;
mod edge_settings;
mod erasure;
mod expiry_clock;
mod failed_attempts;
mod feed;
mod fleet;
mod http;
mod inheritance_expiry;
mod join;
mod metrics;
#[doc(hidden)]
pub mod model;
mod origin;
mod problems;
mod program;
mod publish;
mod purges;
mod rollout;
mod site_https;
mod site_regions;
mod sites_url;
mod store;
mod token;
mod uploads;
mod verify;

pub use certificates::{AuthoritySettings, ExternalAccount, SiteCertificates};
pub use collection::Retention;
pub use command::{Command, Pin};
pub use config::Config;
pub use config::acme::{AcmeError, RawAcme, RawAuthority, RawExternalAccount};
pub use config::raw::{ConfigError, RawConfig};
pub use failed_attempts::FailureLimit;
pub use origin::Origin;
pub use rollout::Timing;
pub use sites_url::{SitesUrl, SitesUrlError};
pub use verify::Verify;
