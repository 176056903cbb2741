//! The configuration of an edge. `edge.sample.toml` explains every setting; [`raw`] reads the file.

mod access_log;
mod byte_size;
pub mod raw;

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use verge_daemon::Secret;
use verge_daemon::http_server::HttpLimits;
use verge_daemon::listen::Listen;
use verge_daemon::run::OriginAccess;
use verge_protocol::api::TokenOwner;
use verge_protocol::{DomainName, EdgeName, KeyPin};

pub use access_log::{
    AccessLogConfig, AccessLogFormat, AccessLogPathError, LogDestination, NoLogDirectory, RawAccessLog,
};
pub use byte_size::{ByteSize, ByteSizeError};
pub use verge_daemon::origins::{OriginUrl, OriginUrlError};
pub use verge_daemon::tls::CertificateFiles;

/// The validated settings of one edge.
#[derive(Debug, Clone)]
pub struct Config {
    /// The name of this edge.
    pub name: EdgeName,
    /// The origins, tried in order. At least one.
    pub origins: Vec<OriginUrl>,
    /// The pin of the origins' key; `None`: they are verified by name.
    pub origin_pin: Option<KeyPin>,
    /// The edge token, which authenticates this edge to the origins.
    pub token: Secret,
    /// The data directory. Created if it does not exist; used by one edge at a time.
    pub data: PathBuf,
    /// Listeners for readers. At least one; reports name the first.
    pub listen: Vec<Listen>,
    /// Listeners for readers over TLS; if empty, there is no TLS.
    pub tls_listen: Vec<Listen>,
    /// Certificates of the operator's own. For their names they are presented in place of those of the fleet.
    pub certificates: Vec<CertificateFiles>,
    /// The port of the URLs to which requests without TLS are redirected. `None`: 443, or on loopback that of the first of
    /// [`Self::tls_listen`].
    pub https_port: Option<u16>,
    /// Listener for `/healthz` and `/metrics`, for the operator's own network.
    pub private_listen: Listen,
    /// Names at which the private listener answers, besides addresses, `localhost` and the name of the machine.
    pub private_hosts: Vec<DomainName>,
    /// Sites are served at `<site>.<base domain>`, under each of these. At least one.
    pub base_domains: Vec<DomainName>,
    /// The public URL of this edge, as reported to the origin. `None`: an edge on loopback reports its bound address.
    pub url: Option<String>,
    /// Maximum size of the memory tier of the blob cache.
    pub memory_cache: ByteSize,
    /// Maximum size of the blobs in memory that are on their way to readers and not in the memory tier.
    pub memory_in_flight: ByteSize,
    /// What the clients of each listener for readers may take. Requests have no bodies.
    pub limits: HttpLimits,
    /// Maximum size of the blobs and manifests on disk, in whole blocks of the file system. Less is used if the file system has less
    /// to offer. Manifests in use are kept even beyond it.
    pub disk_cache: ByteSize,
    /// Maximum bytes per second at which blobs are fetched before readers ask for them. What readers wait for is not limited. `None`: no
    /// limit.
    pub prefetch_bandwidth: Option<NonZeroU64>,
    /// The access log. `None`: there is none.
    pub access_log: Option<AccessLogConfig>,
    /// How long a draining edge keeps accepting requests before it shuts down. Verge's name servers need an interval of their
    /// probes, a probe timeout and the TTL of their answers to send readers elsewhere.
    pub lame_duck: Duration,
    /// How long requests may take to finish at shutdown.
    pub drain_timeout: Duration,
}

impl Config {
    /// How it connects to the origins.
    pub(crate) fn origin_access(&self) -> OriginAccess {
        OriginAccess {
            urls: self.origins.clone(),
            pin: self.origin_pin,
            token: self.token.clone(),
            owner: TokenOwner::Edge(self.name.clone()),
        }
    }

    /// The default of [`Config::memory_cache`].
    pub const MEMORY_CACHE: ByteSize = ByteSize(128 << 20);
    /// The default of [`Config::memory_in_flight`].
    pub const MEMORY_IN_FLIGHT: ByteSize = ByteSize(64 << 20);
    /// The default of [`Config::disk_cache`].
    pub const DISK_CACHE: ByteSize = ByteSize(10 << 30);
    /// The default of [`Config::drain_timeout`].
    pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(30);

    /// The defaults, with the base domain `localhost`, on free ports of the loopback interface.
    pub fn new(name: EdgeName, origin: OriginUrl, token: Secret, data: PathBuf) -> Self {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            name,
            origins: vec![origin],
            origin_pin: None,
            token,
            data,
            listen: vec![any_port.into()],
            tls_listen: Vec::new(),
            certificates: Vec::new(),
            https_port: None,
            private_listen: any_port.into(),
            private_hosts: Vec::new(),
            base_domains: vec![DomainName::localhost()],
            url: None,
            memory_cache: Self::MEMORY_CACHE,
            memory_in_flight: Self::MEMORY_IN_FLIGHT,
            limits: HttpLimits { has_bodies: false, ..HttpLimits::default() },
            disk_cache: Self::DISK_CACHE,
            prefetch_bandwidth: None,
            access_log: None,
            lame_duck: Duration::ZERO,
            drain_timeout: Self::DRAIN_TIMEOUT,
        }
    }
}
