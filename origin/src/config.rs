//! The origin's settings, checked. `origin.sample.toml` explains every setting.

pub(crate) mod acme;
pub(crate) mod api_name;
pub(crate) mod raw;

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

use verge_daemon::http_server::HttpLimits;
use verge_daemon::listen::Listen;
use verge_daemon::tls::CertificateFiles;
use verge_protocol::DomainName;
use verge_protocol::api::Limits;

use crate::certificates::{AuthoritySettings, SiteCertificates};
use crate::collection::Retention;
use crate::failed_attempts::FailureLimit;
use crate::rollout::Timing;
use crate::sites_url::SitesUrl;

/// The settings of one origin, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The data directory: the database, all blobs and the administrator's token. Created if it does not exist; no two origins share
    /// one.
    pub data: PathBuf,
    /// The listener of the API; port 0 takes a free one.
    pub listen: Listen,
    /// Listeners of the API over TLS.
    pub tls_listen: Vec<Listen>,
    /// The certificate that they present; `None`: one of the identity key, which clients pin.
    pub api_certificate: Option<CertificateFiles>,
    /// The name for which a certificate of the identity key is ordered.
    pub api_name: Option<DomainName>,
    /// The listener where the origin proves that name over HTTP; the authority asks at port 80.
    pub challenge_listen: Option<Listen>,
    /// The private listener, for `/healthz` and `/metrics`.
    pub private_listen: Listen,
    /// Names at which the private listener answers, besides addresses, `localhost` and the name of the machine.
    pub private_hosts: Vec<DomainName>,
    /// The URL under whose host sites answer.
    pub sites_url: SitesUrl,
    /// The certificate authorities, the preferred one first. Empty: no certificates are ordered.
    pub authorities: Vec<AuthoritySettings>,
    /// Which certificates the hosts of sites have.
    pub site_certificates: SiteCertificates,
    /// The interval between looks at which certificates are due. Not a setting.
    pub certificate_interval: Duration,
    /// The file of the master key, under which secrets are encrypted in the database; `None`: `master.key` in the data directory. It is made
    /// if it does not exist.
    pub master_key_file: Option<PathBuf>,
    /// The recursive name server to query for the TXT records that prove domains; `None`: those of the system.
    pub resolver: Option<SocketAddr>,
    /// The port of authoritative name servers. Not a setting.
    pub dns_port: u16,
    /// How long a name server may give an old answer to what a certificate authority will ask. Not a setting.
    pub dns_stale_timeout: Duration,
    /// How long the resolver may take to answer a query before it is sent again, once, or given up.
    pub resolver_timeout: Duration,
    /// The interval between checks of domains that are not proven yet.
    pub domain_check_interval: Duration,
    /// How long a push may wait for the densest encodings before the rest is encoded at faster levels.
    pub encode_budget: Duration,
    /// The interval between checks for what has expired: releases that channels inherit, and channels. Not a setting.
    pub expiry_check_interval: Duration,
    /// Which releases are kept though no channel points at them.
    pub retention: Retention,
    /// The interval between collections of what is not needed. Not a setting.
    pub collection_interval: Duration,
    /// How long a rollout waits for edges. Not a setting.
    pub rollout_timing: Timing,
    /// How long requests in progress have to finish at shutdown.
    pub drain_timeout: Duration,
    /// What the clients of each public listener may take.
    pub http_limits: HttpLimits,
    /// How often one address may send no valid token. Not a setting.
    pub failure_limit: FailureLimit,
    /// Limits of builds and packs.
    pub limits: Limits,
}

impl Config {
    /// [`Config::listen`] when nothing is set.
    pub const LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7400));
    /// [`Config::private_listen`] when nothing is set.
    pub const PRIVATE_LISTEN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 7500));
    /// [`Config::resolver_timeout`]; not a setting.
    pub const RESOLVER_TIMEOUT: Duration = Duration::from_secs(3);
    /// [`Config::domain_check_interval`]; not a setting.
    pub const DOMAIN_CHECK_INTERVAL: Duration = Duration::from_mins(1);
    /// [`Config::expiry_check_interval`]; not a setting.
    pub const EXPIRY_CHECK_INTERVAL: Duration = Duration::from_secs(10);
    /// [`Config::collection_interval`]; not a setting.
    pub const COLLECTION_INTERVAL: Duration = Duration::from_hours(1);
    /// [`Config::certificate_interval`]; not a setting.
    pub const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(20);
    /// [`Config::encode_budget`] when nothing is set.
    pub const ENCODE_BUDGET: Duration = Duration::from_secs(20);
    /// [`Config::drain_timeout`] when nothing is set.
    pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);
    /// [`Config::failure_limit`]; not a setting.
    pub const FAILURE_LIMIT: FailureLimit = FailureLimit { burst: 20, interval: Duration::from_secs(3) };
    /// [`Config::limits`]; not a setting.
    pub const LIMITS: Limits =
        Limits { files: 100_000, file_bytes: 16 << 30, build_bytes: 64 << 30, pack_bytes: 32 << 20 };

    /// The file of the master key.
    pub(crate) fn master_key_path(&self) -> PathBuf {
        self.master_key_file.clone().unwrap_or_else(|| self.data.join("master.key"))
    }

    /// The defaults, on free ports of the loopback interface.
    pub fn new(data: PathBuf, sites_url: SitesUrl) -> Self {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            data,
            listen: any_port.into(),
            tls_listen: Vec::new(),
            api_certificate: None,
            api_name: None,
            challenge_listen: None,
            private_listen: any_port.into(),
            private_hosts: Vec::new(),
            sites_url,
            authorities: Vec::new(),
            site_certificates: SiteCertificates::Wildcard,
            certificate_interval: Self::CERTIFICATE_INTERVAL,
            master_key_file: None,
            resolver: None,
            dns_port: 53,
            dns_stale_timeout: Duration::from_mins(10),
            resolver_timeout: Self::RESOLVER_TIMEOUT,
            domain_check_interval: Self::DOMAIN_CHECK_INTERVAL,
            encode_budget: Self::ENCODE_BUDGET,
            expiry_check_interval: Self::EXPIRY_CHECK_INTERVAL,
            retention: Retention::DEFAULT,
            collection_interval: Self::COLLECTION_INTERVAL,
            rollout_timing: Timing::default(),
            http_limits: HttpLimits::default(),
            drain_timeout: Self::DRAIN_TIMEOUT,
            failure_limit: Self::FAILURE_LIMIT,
            limits: Self::LIMITS,
        }
    }
}
