//! The configuration of a cluster.

use std::path::PathBuf;
use std::time::Duration;

use super::ports::Ports;

/// How long each daemon waits for requests in progress when it shuts down.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// The configuration of a cluster.
#[derive(Debug, Clone)]
pub struct ClusterConfig {
    /// The number of edges.
    pub edges: u16,
    /// The ports.
    pub ports: Ports,
    /// The data directory.
    pub data: PathBuf,
    /// Whether the data directory is deleted on exit.
    pub temporary: bool,
    /// Whether edges serve TLS, with certificates of an authority in the data directory.
    pub https: bool,
}
