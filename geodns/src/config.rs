//! The configuration of a name server. `geodns.sample.toml` explains every setting.

pub mod raw;

#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use ipnet::IpNet;
use verge_daemon::Secret;
use verge_daemon::listen::Listen;
use verge_daemon::origins::OriginUrl;
use verge_daemon::run::OriginAccess;
use verge_protocol::api::TokenOwner;
use verge_protocol::{DomainName, GeoPoint, KeyPin, NameServerName};

pub use crate::dns::rate_limiter::RateLimit;
pub use crate::dns::tcp::TcpLimits;
pub use crate::fleet::{AllDown, Policy};
use crate::geo::Database;
pub use crate::geo::OverrideError;
pub use crate::health::{HealthConfig, HealthConfigError, Pem, ProbeSettings};
pub use crate::watched_files::ZoneConfig;
use crate::watched_files::check_zones;
pub use verge_protocol::fleet::ProbeScheme;

/// The validated configuration of one name server. Its `Debug` output includes the bounds that follow from it.
#[derive(Clone)]
pub struct Config {
    /// Its name, returned to queries that ask for it (RFC 5001).
    pub name: NameServerName,
    /// The origins to follow, tried in order. At least one.
    pub origins: Vec<OriginUrl>,
    /// The pin of the origins' key; `None`: they are verified by name.
    pub origin_pin: Option<KeyPin>,
    /// The token that authorizes it to follow the origins.
    pub token: Secret,
    /// The data directory. Created if it does not exist; not to be shared by two name servers.
    pub data: PathBuf,
    /// The addresses for DNS over UDP and TCP. At least one. Port 0 chooses a free port, the same for both.
    pub listen: Vec<SocketAddr>,
    /// The listener for health, metrics and explanations, for the operator's own network.
    pub private_listen: Listen,
    /// Names at which the private listener answers, besides addresses, `localhost` and the name of the machine.
    pub private_hosts: Vec<DomainName>,
    /// UDP threads per address.
    pub workers: usize,
    /// The zones to answer for. At least one.
    pub zones: Vec<ZoneConfig>,
    /// Locations of networks, which take precedence over the database.
    pub locations: Vec<(IpNet, GeoPoint)>,
    /// A location database in the MMDB format.
    pub database: Option<PathBuf>,
    /// How many edges an answer has, and its TTL.
    pub answers: Policy,
    /// The health checks of edges.
    pub health: HealthConfig,
    /// Limits of TCP connections.
    pub tcp: TcpLimits,
    /// The limit of similar answers to one network.
    pub rate_limit: RateLimit,
    /// One in this many queries is logged; 0: none.
    pub log_one_in: u32,
    /// How long answers under way may take at shutdown.
    pub drain_timeout: Duration,
}

impl Config {
    /// The default of [`Config::drain_timeout`].
    pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

    /// The defaults, for these zones, on a free port of the loopback interface.
    pub fn new(name: NameServerName, origin: OriginUrl, token: Secret, data: PathBuf, zones: Vec<ZoneConfig>) -> Self {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            name,
            origins: vec![origin],
            origin_pin: None,
            token,
            data,
            listen: vec![any_port],
            private_listen: any_port.into(),
            private_hosts: Vec::new(),
            workers: Self::default_workers(),
            zones,
            locations: Vec::new(),
            database: None,
            answers: Policy::default(),
            health: HealthConfig::default(),
            tcp: TcpLimits::default(),
            rate_limit: RateLimit::default(),
            log_one_in: 0,
            drain_timeout: Self::DRAIN_TIMEOUT,
        }
    }

    /// How it connects to the origins.
    pub(crate) fn origin_access(&self) -> OriginAccess {
        OriginAccess {
            urls: self.origins.clone(),
            pin: self.origin_pin,
            token: self.token.clone(),
            owner: TokenOwner::NameServer(self.name.clone()),
        }
    }

    /// The default of [`Config::workers`]: one per processor.
    fn default_workers() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    /// The longest time from the failure of an edge until resolvers no longer return it: detection, and the TTL of an answer given
    /// just before. Readers whose browser tries the second address do not wait for it.
    pub fn failover_bound(&self) -> Duration {
        self.health.probe.detection_bound() + Duration::from_secs(self.answers.ttl.into())
    }

    /// The domains that have the names of sites below them.
    pub(crate) fn base_domains(&self) -> Vec<DomainName> {
        self.zones.iter().filter(|zone| zone.sites).map(|zone| zone.name.clone()).collect()
    }

    /// Validates the files that the configuration names. Blocks.
    pub(crate) fn check_files(&self) -> anyhow::Result<()> {
        check_zones(&self.zones)?;
        if let Some(path) = &self.database {
            Database::open(path).with_context(|| format!("failed to load the location database {}", path.display()))?;
        }
        Ok(())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ten_minutes = Duration::from_mins(10);
        formatter
            .debug_struct("Config")
            .field("name", &self.name)
            .field("origins", &self.origins)
            .field("origin_pin", &self.origin_pin)
            .field("token", &self.token)
            .field("data", &self.data)
            .field("listen", &self.listen)
            .field("private_listen", &self.private_listen)
            .field("private_hosts", &self.private_hosts)
            .field("workers", &self.workers)
            .field("zones", &self.zones)
            .field("locations", &self.locations)
            .field("database", &self.database)
            .field("answers", &self.answers)
            .field("health", &self.health)
            .field("tcp", &self.tcp)
            .field("rate_limit", &self.rate_limit)
            .field("log_one_in", &self.log_one_in)
            .field("drain_timeout", &self.drain_timeout)
            .field("edge failure detected within", &self.health.probe.detection_bound())
            .field("readers moved to other edges within", &self.failover_bound())
            .field(
                "state changes per edge address in 10 minutes, at most",
                &self.health.probe.max_transitions(ten_minutes),
            )
            .finish()
    }
}
