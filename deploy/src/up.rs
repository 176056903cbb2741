//! `verge up`: an origin, edges and a name server in this process, on loopback addresses.

mod authority;
mod certificate;
mod cluster;
mod config;
mod demo;
mod edge;
mod error;
mod locations;
mod loopback_addresses;
mod name_server;
mod ports;
mod render;
mod site_projects;

pub use self::cluster::Cluster;
pub use self::config::ClusterConfig;
pub use self::demo::Demo;
pub use self::error::ClusterError;
pub use self::name_server::ZONE;
pub use self::ports::{Ports, PortsError};
pub use self::render::ClusterSummary;
pub use self::site_projects::SiteProjects;
