//! The configuration file as written.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use verge_daemon::config::OneOrMany;
use verge_daemon::http_server::{HttpLimitsError, RawHttpLimits};
use verge_daemon::listen::Listen;
use verge_daemon::tls::CertificateFiles;
use verge_protocol::DomainName;

use super::Config;
use super::acme::{AcmeError, RawAcme};
use super::api_name::{self, ApiNameError, Given};
use crate::collection::Retention;
use crate::sites_url::{SitesUrl, SitesUrlError};

/// What a configuration file holds. A field that is not listed here is an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "`origin.sample.toml` explains every setting, and `Config` what each comes to")]
pub struct RawConfig {
    pub data: PathBuf,
    pub listen: Option<SocketAddr>,
    pub tls_listen: Option<OneOrMany<SocketAddr>>,
    pub api_certificate: Option<CertificateFiles>,
    pub api_name: Option<DomainName>,
    pub challenge_listen: Option<SocketAddr>,
    pub private_listen: Option<SocketAddr>,
    #[serde(default)]
    pub private_hosts: Vec<DomainName>,
    pub sites_url: String,
    pub acme: Option<RawAcme>,
    pub master_key_file: Option<PathBuf>,
    pub resolver: Option<SocketAddr>,
    pub encode_seconds: Option<u64>,
    pub drain_timeout_seconds: Option<u64>,
    #[serde(default)]
    pub retention: RawRetention,
    #[serde(default)]
    pub limits: RawHttpLimits,
}

/// The section `[retention]`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawRetention {
    pub releases: Option<u32>,
    pub days: Option<u32>,
}

impl TryFrom<RawRetention> for Retention {
    type Error = ConfigError;

    fn try_from(raw: RawRetention) -> Result<Self, ConfigError> {
        let releases = raw.releases.unwrap_or(Self::DEFAULT.releases);
        if releases < 2 {
            return Err(ConfigError::Retention(releases));
        }
        let time = raw.days.map_or(Self::DEFAULT.time, |days| Duration::from_hours(24) * days);
        Ok(Self { releases, time })
    }
}

/// Why the settings are invalid.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// No release would be kept to which a channel can be rolled back.
    #[error(
        "`releases` of `[retention]` is {0}: expected at least 2, the current release and the one to which it can be rolled back"
    )]
    Retention(u32),
    /// `sites_url` is.
    #[error(transparent)]
    SitesUrl(#[from] SitesUrlError),
    /// The section `[limits]` is.
    #[error("invalid section `[limits]`")]
    Limits(#[from] HttpLimitsError),
    /// The section `[acme]` is.
    #[error("invalid section `[acme]`")]
    Acme(#[from] AcmeError),
    /// The name of the API is.
    #[error(transparent)]
    ApiName(#[from] ApiNameError),
    /// A certificate is set without a listener that presents it.
    #[error(
        "`api_certificate` has no effect without `tls_listen`: set `tls_listen`, such as \"0.0.0.0:7443\", or remove it"
    )]
    NoTlsListener,
}

impl TryFrom<RawConfig> for Config {
    type Error = ConfigError;

    fn try_from(raw: RawConfig) -> Result<Self, ConfigError> {
        let site_certificates = raw.acme.as_ref().map(|acme| acme.sites).unwrap_or_default();
        if raw.api_certificate.is_some() && raw.tls_listen.is_none() {
            return Err(ConfigError::NoTlsListener);
        }
        let sites_url: SitesUrl = raw.sites_url.parse()?;
        let given = Given {
            api_name: raw.api_name.as_ref(),
            challenge_listen: raw.challenge_listen.is_some(),
            tls_listen: raw.tls_listen.is_some(),
            api_certificate: raw.api_certificate.is_some(),
            acme: raw.acme.is_some(),
        };
        api_name::check(&given, sites_url.base())?;
        let authorities = raw.acme.map(RawAcme::authorities).transpose()?.unwrap_or_default();
        Ok(Self {
            authorities,
            site_certificates,
            listen: raw.listen.unwrap_or(Self::LISTEN).into(),
            tls_listen: raw.tls_listen.map_or_else(Vec::new, Vec::from).into_iter().map(Listen::from).collect(),
            api_certificate: raw.api_certificate,
            api_name: raw.api_name,
            challenge_listen: raw.challenge_listen.map(Listen::from),
            private_listen: raw.private_listen.unwrap_or(Self::PRIVATE_LISTEN).into(),
            private_hosts: raw.private_hosts,
            master_key_file: raw.master_key_file,
            resolver: raw.resolver,
            encode_budget: raw.encode_seconds.map_or(Self::ENCODE_BUDGET, Duration::from_secs),
            retention: raw.retention.try_into()?,
            http_limits: raw.limits.try_into()?,
            drain_timeout: raw.drain_timeout_seconds.map_or(Self::DRAIN_TIMEOUT, Duration::from_secs),
            ..Self::new(raw.data, sites_url)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_a_configuration_with_the_defaults() {
        let raw: RawConfig = toml::from_str(include_str!("../../origin.sample.toml")).unwrap();
        let sample = Config::try_from(raw).unwrap();
        let raw = "data = \"/var/lib/verge-origin\"\nsites_url = \"https://sites.example.com\"";
        let least = Config::try_from(toml::from_str::<RawConfig>(raw).unwrap()).unwrap();
        assert_eq!(format!("{sample:?}"), format!("{least:?}"));
        let placeholders = verge_daemon::config::placeholders(include_str!("../../origin.sample.toml"));
        assert_eq!(placeholders.len(), 1, "{placeholders:?}");
        assert_eq!(format!("{:?} {:?}", least.listen, least.private_listen), "127.0.0.1:7400 127.0.0.1:7500");
    }

    #[test]
    fn private_hosts_are_a_list_of_names() {
        let config = |hosts: &str| {
            let text = format!("data = \"data\"\nsites_url = \"https://sites.example.com\"\nprivate_hosts = {hosts}");
            let raw = toml::from_str::<RawConfig>(&text).map_err(|error| error.to_string())?;
            Config::try_from(raw).map_err(|error| error.to_string())
        };
        assert_eq!(format!("{:?}", config("[\"metrics.internal\"]").unwrap().private_hosts), "[metrics.internal]");
        assert!(config("[\"metrics.internal:7500\"]").unwrap_err().contains("invalid domain name"));
    }

    #[test]
    fn retention_keeps_a_release_to_which_a_channel_can_be_rolled_back() {
        let config = |section: &str| {
            let text = format!("data = \"data\"\nsites_url = \"https://sites.example.com\"\n[retention]\n{section}");
            let raw = toml::from_str::<RawConfig>(&text).map_err(|error| error.to_string())?;
            Config::try_from(raw).map(|config| config.retention).map_err(|error| error.to_string())
        };
        let days = |days: u64| Duration::from_hours(24 * days);
        assert_eq!(config("releases = 2"), Ok(Retention { releases: 2, time: days(30) }));
        assert_eq!(config("days = 0"), Ok(Retention { releases: 10, time: days(0) }));
        let expected =
            "`releases` of `[retention]` is 1: expected at least 2, the current release and the one to which";
        assert!(config("releases = 1").unwrap_err().starts_with(expected));
        assert!(config("releases = -1").is_err() && config("weeks = 1").is_err());
    }

    #[test]
    fn certificate_of_the_api_needs_a_listener() {
        let config = |more: &str| {
            let text = format!("data = \"data\"\nsites_url = \"https://sites.example.com\"\n{more}");
            Config::try_from(toml::from_str::<RawConfig>(&text).unwrap()).map_err(|error| error.to_string())
        };
        let files = "[api_certificate]\nchain = \"chain.pem\"\nkey = \"key.pem\"";
        let secured = config(&format!("tls_listen = [\"0.0.0.0:7443\", \"[::]:7443\"]\n{files}")).unwrap();
        assert!(secured.tls_listen.len() == 2 && secured.api_certificate.is_some());
        assert!(config(files).unwrap_err().contains("has no effect without `tls_listen`"));
    }
}
