//! The origin's settings.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use serde::Deserialize;
use url::Url;
use verge_daemon::listen::Listen;
use verge_protocol::DomainName;
use verge_protocol::api::Limits;
use verge_protocol::host::HostLabel;

use crate::domains;

/// The configuration file as written. `origin.sample.toml` explains each setting.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    data: PathBuf,
    #[serde(default = "default_listen")]
    listen: SocketAddr,
    #[serde(default = "default_private_listen")]
    private_listen: SocketAddr,
    sites_url: String,
    resolver: Option<SocketAddr>,
    #[serde(default = "default_encode_seconds")]
    encode_seconds: u64,
    #[serde(default = "default_drain_timeout_seconds")]
    drain_timeout_seconds: u64,
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7400))
}

fn default_private_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7500))
}

fn default_encode_seconds() -> u64 {
    20
}

fn default_drain_timeout_seconds() -> u64 {
    20
}

/// The origin's settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder for everything the origin keeps.
    pub data: PathBuf,
    /// Where the API listens; port 0 takes a free one.
    pub listen: Listen,
    /// Where health and metrics listen.
    pub private_listen: Listen,
    /// Where sites are reached.
    pub sites_url: SitesUrl,
    /// Whom to ask for the TXT records that prove domains; `None`: whom the system asks.
    pub resolver: Option<SocketAddr>,
    /// How long the resolver may take for an answer before it is asked again, or given up.
    pub resolver_patience: Duration,
    /// How often missing proofs are looked for.
    pub domain_period: Duration,
    /// How long a push may wait for the densest encodings before faster ones are made.
    pub encode_budget: Duration,
    /// How long requests under way have to finish at shutdown.
    pub drain_timeout: Duration,
    /// What is taken at most.
    pub limits: Limits,
}

/// What an origin takes at most.
const LIMITS: Limits = Limits { files: 100_000, file_bytes: 16 << 30, build_bytes: 64 << 30, pack_bytes: 32 << 20 };

impl RawConfig {
    /// Checks what can be checked without touching anything.
    pub fn check(self) -> anyhow::Result<Config> {
        Ok(Config {
            listen: self.listen.into(),
            private_listen: self.private_listen.into(),
            resolver: self.resolver,
            encode_budget: Duration::from_secs(self.encode_seconds),
            drain_timeout: Duration::from_secs(self.drain_timeout_seconds),
            ..Config::new(self.data, self.sites_url.parse().context("`sites_url` cannot be used")?)
        })
    }
}

impl Config {
    /// The defaults, on free ports of the loopback interface.
    pub fn new(data: PathBuf, sites_url: SitesUrl) -> Self {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            data,
            listen: any_port.into(),
            private_listen: any_port.into(),
            sites_url,
            resolver: None,
            resolver_patience: domains::PATIENCE,
            domain_period: domains::PERIOD,
            encode_budget: Duration::from_secs(default_encode_seconds()),
            drain_timeout: Duration::from_secs(default_drain_timeout_seconds()),
            limits: LIMITS,
        }
    }
}

/// The URL under whose host sites answer: `https://sites.example.org` makes the site `demo` answer at
/// `https://demo.sites.example.org/`.
#[derive(Clone)]
pub struct SitesUrl {
    url: Url,
    base: DomainName,
}

impl std::fmt::Debug for SitesUrl {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.url.as_str())
    }
}

impl SitesUrl {
    /// Where a channel of a site answers.
    pub fn of(&self, label: &HostLabel) -> String {
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{label}.{}{port}/", self.url.scheme(), self.base)
    }

    /// The domain that sites are part of.
    pub fn base(&self) -> &DomainName {
        &self.base
    }
}

impl std::str::FromStr for SitesUrl {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let url: Url = text.parse().with_context(|| format!("`{text}` is not a URL"))?;
        ensure!(matches!(url.scheme(), "http" | "https"), "`{text}` is neither http nor https");
        let base = url.domain().and_then(|host| host.parse().ok());
        let base = base.with_context(|| format!("`{text}` has no host name that sites could be part of"))?;
        ensure!(url.path() == "/" && url.query().is_none(), "`{text}` has a path: sites are named by the host alone");
        Ok(Self { url, base })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_a_good_configuration() {
        let raw: RawConfig = toml::from_str(include_str!("../origin.sample.toml")).unwrap();
        raw.check().unwrap();
    }

    #[test]
    fn a_site_is_a_label_before_the_host() {
        let url = |base: &str, label: &str| base.parse::<SitesUrl>().unwrap().of(&label.parse().unwrap());
        assert_eq!(url("http://localhost:7401", "demo"), "http://demo.localhost:7401/");
        assert_eq!(url("https://sites.example.org/", "pr-1--demo"), "https://pr-1--demo.sites.example.org/");
        for bad in ["localhost", "ftp://localhost", "http://127.0.0.1:80", "http://localhost/x", "http://localhost/?x"]
        {
            assert!(bad.parse::<SitesUrl>().is_err(), "{bad}");
        }
    }
}
