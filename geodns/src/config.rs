//! What an operator may set. `geodns.sample.toml` explains every setting.

mod raw;

#[cfg(test)]
mod checks;

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use ipnet::IpNet;
use prometheus_client::metrics::counter::Counter;
use verge_daemon::Secret;
use verge_daemon::listen::Listen;
use verge_daemon::origins::OriginUrl;
use verge_protocol::{DomainName, GeoPoint, NameServerName};

pub use self::raw::{ConfigError, RawConfig};
pub use crate::dns::rate_limiter::RateLimit;
pub use crate::dns::tcp::TcpLimits;
pub use crate::fleet::{AllDown, Policy};
pub use crate::health::{HealthConfig, HealthConfigError, Pace, Pem, Scheme};
use crate::place::Database;
pub use crate::place::OverrideError;
use crate::sources::ZoneSource;

/// The settings of one GeoDNS node, checked. Its `Debug` also says what they bound.
#[derive(Clone)]
pub struct Config {
    /// Its name, which it tells to who asks for it (RFC 5001).
    pub name: NameServerName,
    /// The origins to follow, tried in order. At least one.
    pub origins: Vec<OriginUrl>,
    /// Proves to the origins that it may follow them.
    pub token: Secret,
    /// The folder of its last state. Made if it is not there; no two nodes share one.
    pub data: PathBuf,
    /// Where it is asked, over UDP and TCP. At least one. Port 0 takes a free one, the same for both.
    pub listen: Vec<SocketAddr>,
    /// Health, metrics and explanations, for the operator's own network.
    pub private_listen: Listen,
    /// Threads for each address, for questions over UDP.
    pub workers: usize,
    /// The zones to answer for. At least one.
    pub zones: Vec<ZoneConfig>,
    /// Where clients are, whatever the database says.
    pub places: Vec<(IpNet, GeoPoint)>,
    /// An MMDB file that says where clients are.
    pub database: Option<PathBuf>,
    /// How many edges are named, and for how long that holds.
    pub answers: Policy,
    /// How edges are probed.
    pub health: HealthConfig,
    /// What strangers may take of us over TCP.
    pub tcp: TcpLimits,
    /// How many like answers go to one network.
    pub rate_limit: RateLimit,
    /// One query in so many is logged; 0: none.
    pub log_one_in: u32,
    /// How long what is under way may take at shutdown.
    pub drain_timeout: Duration,
}

/// A zone to answer for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneConfig {
    /// Its apex.
    pub name: DomainName,
    /// A zone file (RFC 1035 §5) with what the operator has to say: SOA, NS, and whatever else.
    pub file: PathBuf,
    /// Whether sites answer at `<site>.<name>`.
    pub sites: bool,
}

impl Config {
    /// [`Config::drain`] when nothing is set.
    pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

    /// The defaults, for these zones, on a free port of the loopback interface.
    pub fn new(name: NameServerName, origin: OriginUrl, token: Secret, data: PathBuf, zones: Vec<ZoneConfig>) -> Self {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            name,
            origins: vec![origin],
            token,
            data,
            listen: vec![any_port],
            private_listen: any_port.into(),
            workers: Self::default_workers(),
            zones,
            places: Vec::new(),
            database: None,
            answers: Policy::default(),
            health: HealthConfig::default(),
            tcp: TcpLimits::default(),
            rate_limit: RateLimit::default(),
            log_one_in: 0,
            drain_timeout: Self::DRAIN_TIMEOUT,
        }
    }

    /// [`Config::workers`] when nothing is set: one for each processor.
    fn default_workers() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from)
    }

    /// The longest time from when an edge dies to when the last resolver asks again and hears of another: detection, and the time
    /// to live of an answer given just before it. Readers whose browser tries the second address are not kept waiting for it.
    pub fn failover_bound(&self) -> Duration {
        self.health.pace.detection_bound() + Duration::from_secs(self.answers.ttl.into())
    }

    /// The domains that sites' names hang below.
    pub(crate) fn bases(&self) -> Vec<DomainName> {
        self.zones.iter().filter(|zone| zone.sites).map(|zone| zone.name.clone()).collect()
    }

    /// Reads the files that the configuration names, to find what is wrong with them. Blocks.
    pub(crate) fn check_files(&self) -> anyhow::Result<()> {
        ZoneSource::open(&self.zones, Counter::default())?;
        if let Some(path) = &self.database {
            Database::open(path).with_context(|| format!("the database of places, {}", path.display()))?;
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
            .field("token", &self.token)
            .field("data", &self.data)
            .field("listen", &self.listen)
            .field("private_listen", &self.private_listen)
            .field("workers", &self.workers)
            .field("zones", &self.zones)
            .field("places", &self.places)
            .field("database", &self.database)
            .field("answers", &self.answers)
            .field("health", &self.health)
            .field("tcp", &self.tcp)
            .field("rate_limit", &self.rate_limit)
            .field("log_one_in", &self.log_one_in)
            .field("drain_timeout", &self.drain_timeout)
            .field("an edge's failure is known after at most", &self.health.pace.detection_bound())
            .field("and its readers are elsewhere after at most", &self.failover_bound())
            .field("changes of an edge in ten minutes at most", &self.health.pace.most_changes(ten_minutes))
            .finish()
    }
}
