//! The configuration file before validation.
#![expect(missing_docs, reason = "`geodns.sample.toml` explains every setting, and `Config` every value")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;
use verge_daemon::Secret;
use verge_daemon::config::OneOrMany;
use verge_daemon::origins::{OriginSettings, OriginSettingsError};
use verge_protocol::api::TokenOwner;
use verge_protocol::{DomainName, GeoPoint, KeyPin, NameServerName};

use super::{
    AllDown, Config, HealthConfig, HealthConfigError, Pem, Policy, ProbeScheme, ProbeSettings, RateLimit, TcpLimits,
    ZoneConfig,
};
use crate::geo::{LocationOverrides, OverrideError};

/// The fields of a configuration file. An unknown field is an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    pub name: NameServerName,
    pub origins: Vec<String>,
    pub origin_pin: Option<KeyPin>,
    pub token: Option<Secret>,
    pub token_file: Option<PathBuf>,
    #[serde(default)]
    pub insecure: bool,
    pub data: PathBuf,
    pub listen: OneOrMany<SocketAddr>,
    pub private_listen: SocketAddr,
    #[serde(default)]
    pub private_hosts: Vec<DomainName>,
    pub workers: Option<usize>,
    pub drain_timeout_seconds: Option<u64>,
    #[serde(default)]
    pub zones: Vec<RawZone>,
    #[serde(default)]
    pub locations: BTreeMap<IpNet, GeoPoint>,
    pub database: Option<PathBuf>,
    #[serde(default)]
    pub answers: RawAnswers,
    #[serde(default)]
    pub health: RawHealth,
    #[serde(default)]
    pub tcp: RawTcp,
    #[serde(default)]
    pub rate_limit: RawRateLimit,
    #[serde(default)]
    pub query_log: RawQueryLog,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawZone {
    pub name: DomainName,
    pub file: PathBuf,
    #[serde(default)]
    pub sites: bool,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawAnswers {
    pub count: Option<usize>,
    pub ttl_seconds: Option<u32>,
    pub suspect_ttl_seconds: Option<u32>,
    pub all_down: Option<RawAllDown>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RawAllDown {
    AsIfUp,
    Nothing,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawHealth {
    pub interval_seconds: Option<f64>,
    pub timeout_seconds: Option<f64>,
    pub retry_seconds: Option<f64>,
    pub fall: Option<NonZeroU32>,
    pub rise: Option<NonZeroU32>,
    pub lag_seconds: Option<f64>,
    pub scheme: Option<RawScheme>,
    pub host: Option<DomainName>,
    pub ca_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RawScheme {
    Http,
    Https,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTcp {
    pub connections: Option<usize>,
    pub per_address: Option<usize>,
    pub idle_seconds: Option<f64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRateLimit {
    pub per_second: Option<u32>,
    pub slip: Option<u32>,
    pub exempt: Option<Vec<IpNet>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawQueryLog {
    #[serde(default)]
    pub one_in: u32,
}

/// Why a configuration file is rejected.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The origins or the token.
    #[error(transparent)]
    Origins(#[from] OriginSettingsError),
    /// There is no zone.
    #[error("no zone is configured: add [[zones]] with a `name` and a `file`")]
    NoZone,
    /// A zone is listed twice.
    #[error("zone {0} is listed twice")]
    DuplicateZone(DomainName),
    /// A number is out of range.
    #[error("invalid `{setting}`: expected {expected}")]
    Number {
        /// The setting.
        setting: &'static str,
        /// The range.
        expected: &'static str,
    },
    /// A location override is invalid.
    #[error("invalid `locations`")]
    Locations(#[from] OverrideError),
    /// The health checks are invalid.
    #[error("invalid `health`")]
    Health(#[from] HealthConfigError),
    /// The file of certificates cannot be read.
    #[error("failed to read `health.ca_file` {}", path.display())]
    Ca {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl TryFrom<RawConfig> for Config {
    type Error = ConfigError;

    fn try_from(raw: RawConfig) -> Result<Self, ConfigError> {
        let (origins, token) = OriginSettings {
            origins: &raw.origins,
            insecure: raw.insecure,
            token: raw.token,
            token_file: raw.token_file.as_deref(),
            owner: TokenOwner::NameServer(raw.name.clone()),
        }
        .check()?;
        LocationOverrides::new(raw.locations.iter().map(|(network, location)| (*network, *location)))?;
        Ok(Self {
            name: raw.name,
            origins,
            origin_pin: raw.origin_pin,
            token,
            data: raw.data,
            listen: raw.listen.into(),
            private_listen: raw.private_listen.into(),
            private_hosts: raw.private_hosts,
            workers: raw.workers.map_or_else(
                || Ok(Self::default_workers()),
                |count| within("workers", count, 1..=256, "from 1 to 256"),
            )?,
            zones: zones(raw.zones)?,
            locations: raw.locations.into_iter().collect(),
            database: raw.database,
            answers: answers(&raw.answers)?,
            health: health(raw.health)?,
            tcp: tcp(&raw.tcp)?,
            rate_limit: rate_limit(raw.rate_limit),
            log_one_in: raw.query_log.one_in,
            drain_timeout: raw.drain_timeout_seconds.map_or(Self::DRAIN_TIMEOUT, Duration::from_secs),
        })
    }
}

fn within<T: PartialOrd>(
    setting: &'static str,
    value: T,
    range: std::ops::RangeInclusive<T>,
    expected: &'static str,
) -> Result<T, ConfigError> {
    if range.contains(&value) { Ok(value) } else { Err(ConfigError::Number { setting, expected }) }
}

fn seconds(setting: &'static str, value: Option<f64>, default: Duration) -> Result<Duration, ConfigError> {
    let expected = "more than 0 and at most 600";
    value.map_or(Ok(default), |value| Ok(Duration::from_secs_f64(within(setting, value, 0.001..=600.0, expected)?)))
}

fn zones(raw: Vec<RawZone>) -> Result<Vec<ZoneConfig>, ConfigError> {
    let mut zones: Vec<ZoneConfig> = Vec::new();
    for RawZone { name, file, sites } in raw {
        if zones.iter().any(|zone| zone.name == name) {
            return Err(ConfigError::DuplicateZone(name));
        }
        zones.push(ZoneConfig { name, file, sites });
    }
    if zones.is_empty() { Err(ConfigError::NoZone) } else { Ok(zones) }
}

fn answers(raw: &RawAnswers) -> Result<Policy, ConfigError> {
    let default = Policy::default();
    let ttl = "from 1 to 86400";
    Ok(Policy {
        answers: within("answers.count", raw.count.unwrap_or(default.answers), 1..=4, "from 1 to 4")?,
        ttl: within("answers.ttl_seconds", raw.ttl_seconds.unwrap_or(default.ttl), 1..=86_400, ttl)?,
        suspect_ttl: within(
            "answers.suspect_ttl_seconds",
            raw.suspect_ttl_seconds.unwrap_or(default.suspect_ttl),
            1..=86_400,
            ttl,
        )?,
        all_down: match raw.all_down {
            None => default.all_down,
            Some(RawAllDown::AsIfUp) => AllDown::AsIfUp,
            Some(RawAllDown::Nothing) => AllDown::Nothing,
        },
    })
}

fn health(raw: RawHealth) -> Result<HealthConfig, ConfigError> {
    let default = HealthConfig::default();
    let probe = ProbeSettings {
        interval: seconds("health.interval_seconds", raw.interval_seconds, default.probe.interval)?,
        timeout: seconds("health.timeout_seconds", raw.timeout_seconds, default.probe.timeout)?,
        retry: seconds("health.retry_seconds", raw.retry_seconds, default.probe.retry)?,
        fall: raw.fall.unwrap_or(default.probe.fall),
        rise: raw.rise.unwrap_or(default.probe.rise),
    };
    let read = |path: PathBuf| std::fs::read(&path).map_err(|source| ConfigError::Ca { path, source });
    let config = HealthConfig {
        probe,
        lag_after: seconds("health.lag_seconds", raw.lag_seconds, default.lag_after)?,
        scheme: match raw.scheme {
            None | Some(RawScheme::Http) => ProbeScheme::Http,
            Some(RawScheme::Https) => ProbeScheme::Https,
        },
        host: raw.host,
        ca: raw.ca_file.map(read).transpose()?.map(Pem::from),
    };
    config.check()?;
    Ok(config)
}

fn tcp(raw: &RawTcp) -> Result<TcpLimits, ConfigError> {
    let default = TcpLimits::default();
    let most = "from 1 to 100000";
    Ok(TcpLimits {
        connections: within("tcp.connections", raw.connections.unwrap_or(default.connections), 1..=100_000, most)?,
        per_address: within("tcp.per_address", raw.per_address.unwrap_or(default.per_address), 1..=100_000, most)?,
        idle: seconds("tcp.idle_seconds", raw.idle_seconds, default.idle)?,
    })
}

fn rate_limit(raw: RawRateLimit) -> RateLimit {
    let default = RateLimit::default();
    RateLimit {
        per_second: raw.per_second.unwrap_or(default.per_second),
        slip: raw.slip.unwrap_or(default.slip),
        exempt: raw.exempt.unwrap_or(default.exempt),
    }
}
