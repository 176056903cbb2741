//! The configuration of a small internet: what is the same in all of them, and what a test chooses.

use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use verge_geodns::config::{HealthConfig, Policy, ProbeSettings};
use verge_mmdb::{NetworkInfo, Options, Writer};
use verge_protocol::GeoPoint;

use super::Region;

/// The base domain of all sites, and the zone that the name servers serve.
pub(super) const BASE_DOMAIN: &str = "verge.test";
/// The only site.
pub(super) const SITE: &str = "demo";
/// The domain name of the site.
pub const SITE_DOMAIN: &str = "demo.verge.test";

/// What a test chooses of a small internet.
#[derive(Debug, Clone)]
pub struct InternetConfig {
    /// The source of the locations of clients.
    pub locations: LocationSource,
    /// The number of edges per answer, and the TTLs.
    pub answers: Policy,
    /// How name servers probe edges.
    pub health: HealthConfig,
}

/// The source of the locations of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LocationSource {
    /// Prefixes in the name servers' configuration.
    Overrides,
    /// A database in the `MaxMind` format.
    Database,
}

impl InternetConfig {
    /// Short intervals: probes each second, and a TTL of five seconds.
    pub fn fast(edges_per_answer: usize) -> Self {
        let policy = ProbeSettings {
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            retry: Duration::from_millis(500),
            ..ProbeSettings::default()
        };
        Self {
            locations: LocationSource::Overrides,
            answers: Policy { answers: edges_per_answer, ttl: 5, suspect_ttl: 2, ..Policy::default() },
            health: HealthConfig { probe: policy, lag_after: Duration::from_secs(2), ..HealthConfig::default() },
        }
    }

    /// The longest time that readers are routed to an edge after it fails, as in `docs/DNS.md`: until name servers detect the
    /// failure and cached answers expire.
    pub fn failover_bound(&self) -> Duration {
        self.health.probe.detection_bound() + self.ttl()
    }

    /// The longest time that readers are routed to an edge that lags behind a release, from when the best edge has the release. The
    /// best edge is probed within an interval; the other edges must have its position `lag_after` later, or up to a second after
    /// that; the lagging edge is probed within an interval; then cached answers expire.
    pub fn lag_bound(&self) -> Duration {
        let ProbeSettings { interval, timeout, .. } = self.health.probe;
        (interval + timeout) * 2 + self.health.lag_after + Duration::from_secs(1) + self.ttl()
    }

    /// The longest time that readers are routed to an edge after it announced that it is draining: until each name server has probed
    /// it and cached answers expire, which resolvers count in whole seconds.
    pub fn draining_bound(&self) -> Duration {
        let ProbeSettings { interval, timeout, .. } = self.health.probe;
        interval + timeout + self.ttl() + Duration::from_secs(1)
    }

    /// How long resolvers may cache an answer.
    pub fn ttl(&self) -> Duration {
        Duration::from_secs(self.answers.ttl.into())
    }
}

impl LocationSource {
    /// The prefixes for the name servers' configuration.
    pub(super) fn overrides(self) -> Vec<(IpNet, GeoPoint)> {
        match self {
            Self::Overrides => network_locations().collect(),
            Self::Database => Vec::new(),
        }
    }

    /// Writes the database.
    pub(super) fn write_database(path: &Path) {
        let mut writer = Writer::new(Options::default());
        for (network, location) in network_locations() {
            writer.insert(network, &NetworkInfo { location: Some(location), ..NetworkInfo::default() });
        }
        std::fs::write(path, writer.to_bytes().unwrap()).unwrap();
    }
}

fn network_locations() -> impl Iterator<Item = (IpNet, GeoPoint)> {
    Region::ALL.into_iter().flat_map(|region| region.networks().map(|network| (network, region.location())))
}
