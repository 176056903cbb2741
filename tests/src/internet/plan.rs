//! What a small internet is to be like.

use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;
use verge_geodns::config::{HealthConfig, Policy, ProbePolicy};
use verge_mmdb::{NetworkInfo, Options, Writer};
use verge_protocol::GeoPoint;

use super::Region;

/// What a small internet is to be like.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How name servers know where clients are.
    pub places: Places,
    /// How many edges they name, and for how long.
    pub answers: Policy,
    /// How they probe.
    pub health: HealthConfig,
}

/// How name servers know where clients are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Places {
    /// From prefixes in their configuration.
    Overrides,
    /// From a database.
    Database,
}

impl Plan {
    /// As an operator in a hurry would have it: probes every second, answers that hold for five.
    pub fn hasty(edges_named: usize) -> Self {
        let policy = ProbePolicy {
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(1),
            retry: Duration::from_millis(500),
            ..ProbePolicy::default()
        };
        Self {
            places: Places::Overrides,
            answers: Policy { answers: edges_named, ttl: 5, suspect_ttl: 2, ..Policy::default() },
            health: HealthConfig { policy, lag_after: Duration::from_secs(2), ..HealthConfig::default() },
        }
    }

    /// For how long a failure lasts at most, as `docs/DNS.md` has it: until name servers know, and until resolvers ask again.
    pub fn failure_bound(&self) -> Duration {
        self.health.policy.detection_bound() + self.ttl()
    }

    /// The same for an edge that lags behind a release, from when the best edge has it. The best edge is asked within an
    /// interval; its position is what counts `lag_after` later, or up to a second after that; within an interval the laggard is
    /// asked; and then until resolvers ask again.
    pub fn lag_bound(&self) -> Duration {
        let ProbePolicy { interval, timeout, .. } = self.health.policy;
        (interval + timeout) * 2 + self.health.lag_after + Duration::from_secs(1) + self.ttl()
    }

    /// For how long readers may still be sent to an edge that has said that it is draining: until each name server has asked it, and
    /// until resolvers, who count whole seconds, ask again.
    pub fn leaving_bound(&self) -> Duration {
        let ProbePolicy { interval, timeout, .. } = self.health.policy;
        interval + timeout + self.ttl() + Duration::from_secs(1)
    }

    /// For how long resolvers may keep an answer.
    pub fn ttl(&self) -> Duration {
        Duration::from_secs(self.answers.ttl.into())
    }
}

impl Places {
    /// The prefixes for the configuration.
    pub(super) fn overrides(self) -> Vec<(IpNet, GeoPoint)> {
        match self {
            Self::Overrides => networks().collect(),
            Self::Database => Vec::new(),
        }
    }

    /// The same as a file in the format of `MaxMind`.
    pub(super) fn write_database(path: &Path) {
        let mut writer = Writer::new(Options::default());
        for (network, place) in networks() {
            writer.insert(network, &NetworkInfo { location: Some(place), ..NetworkInfo::default() });
        }
        std::fs::write(path, writer.to_bytes().unwrap()).unwrap();
    }
}

fn networks() -> impl Iterator<Item = (IpNet, GeoPoint)> {
    Region::ALL.into_iter().flat_map(|region| region.networks().map(|network| (network, region.place())))
}
