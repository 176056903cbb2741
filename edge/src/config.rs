//! What an operator may set. `edge.sample.toml` explains every setting.

mod byte_size;
mod raw;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use verge_daemon::Secret;
use verge_daemon::listen::Listen;
use verge_protocol::{DomainName, EdgeName};

pub use byte_size::{ByteSize, ByteSizeError};
pub use raw::{ConfigError, RawConfig};
pub use verge_daemon::origins::{OriginUrl, OriginUrlError};

/// The settings of one edge, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its name in the fleet.
    pub name: EdgeName,
    /// The origins, tried in order. At least one.
    pub origins: Vec<OriginUrl>,
    /// Proves to the origins that it is this edge.
    pub token: Secret,
    /// The folder that holds all it keeps. Made if it is not there; no two edges share one.
    pub data: PathBuf,
    /// Where readers come in. At least one; the first is the one that is told.
    pub listen: Vec<Listen>,
    /// Health and metrics, for the operator's own network.
    pub private_listen: Listen,
    /// Sites answer at `<site>.<base domain>`, below each of these. At least one.
    pub base_domains: Vec<DomainName>,
    /// Where readers reach this very edge, as told to the origin. Without it, an edge on loopback tells its bound port.
    pub url: Option<String>,
    /// Blobs kept in memory, in bytes.
    pub memory_cache: ByteSize,
    /// Blobs and manifests kept on disk, in bytes. Manifests in use are kept whatever the budget.
    pub disk_cache: ByteSize,
    /// For how long it goes on serving after it has said that it is draining, so that readers are sent elsewhere first: by Verge's
    /// name servers, after an interval of their probes, a time-out, and the TTL of their answers.
    pub lame_duck: Duration,
    /// How long requests under way may take to finish at shutdown.
    pub drain_timeout: Duration,
}

impl Config {
    /// [`Config::memory_cache`] when nothing is set.
    pub const MEMORY_CACHE: ByteSize = ByteSize(128 << 20);
    /// [`Config::disk_cache`] when nothing is set.
    pub const DISK_CACHE: ByteSize = ByteSize(10 << 30);
    /// [`Config::drain`] when nothing is set.
    pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

    /// The defaults, below `localhost`, on free ports of the loopback interface.
    pub fn new(name: EdgeName, origin: OriginUrl, token: Secret, data: PathBuf) -> Self {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            name,
            origins: vec![origin],
            token,
            data,
            listen: vec![any_port.into()],
            private_listen: any_port.into(),
            base_domains: vec![DomainName::localhost()],
            url: None,
            memory_cache: Self::MEMORY_CACHE,
            disk_cache: Self::DISK_CACHE,
            lame_duck: Duration::ZERO,
            drain_timeout: Self::DRAIN_TIMEOUT,
        }
    }
}
