//! The configuration file, before validation.

use std::net::SocketAddr;
use std::num::NonZeroU64;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use verge_daemon::Secret;
use verge_daemon::config::OneOrMany;
use verge_daemon::http_server::{HttpLimits, HttpLimitsError, RawHttpLimits};
use verge_daemon::listen::Listen;
use verge_daemon::origins::{OriginSettings, OriginSettingsError};
use verge_protocol::api::TokenOwner;
use verge_protocol::{DomainName, EdgeName, KeyPin};

use super::{AccessLogPathError, ByteSize, CertificateFiles, Config, OriginUrl, RawAccessLog};

/// The fields of a configuration file. Unknown fields are errors.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "`edge.sample.toml` and `Config` explain every setting")]
pub struct RawConfig {
    pub name: EdgeName,
    pub origins: Vec<String>,
    pub origin_pin: Option<KeyPin>,
    pub token: Option<Secret>,
    pub token_file: Option<PathBuf>,
    pub data: PathBuf,
    pub listen: OneOrMany<SocketAddr>,
    pub tls_listen: Option<OneOrMany<SocketAddr>>,
    #[serde(default)]
    pub certificates: Vec<CertificateFiles>,
    pub https_port: Option<u16>,
    pub private_listen: SocketAddr,
    #[serde(default)]
    pub private_hosts: Vec<DomainName>,
    pub base_domain: OneOrMany<DomainName>,
    pub url: Option<String>,
    pub memory_cache: Option<ByteSize>,
    pub memory_in_flight: Option<ByteSize>,
    pub disk_cache: Option<ByteSize>,
    pub prefetch_bandwidth: Option<ByteSize>,
    pub lame_duck_seconds: Option<u64>,
    pub drain_timeout_seconds: Option<u64>,
    #[serde(default)]
    pub insecure: bool,
    #[serde(default)]
    pub limits: RawHttpLimits,
    pub access_log: Option<RawAccessLog>,
}

/// Why a configuration is invalid.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The origins or the token.
    #[error(transparent)]
    Origins(#[from] OriginSettingsError),
    /// The public URL.
    #[error("invalid `url` `{0}`: expected http://host[:port] or https://host[:port]")]
    Url(String),
    /// The limits of listeners for readers.
    #[error("invalid section `[limits]`")]
    Limits(#[from] HttpLimitsError),
    /// The access log.
    #[error("invalid section `[access_log]`")]
    AccessLog(#[from] AccessLogPathError),
    /// The bandwidth of prefetching is 0.
    #[error(
        "invalid `prefetch_bandwidth` `0`: expected bytes per second, such as \"5MiB\"; without the setting there is no limit"
    )]
    PrefetchBandwidth,
    /// TLS is set up without a listener for it.
    #[error("`{0}` has no effect without `tls_listen`: set `tls_listen`, such as \"0.0.0.0:443\", or remove it")]
    NoTlsListener(&'static str),
}

impl TryFrom<RawConfig> for Config {
    type Error = ConfigError;

    fn try_from(raw: RawConfig) -> Result<Self, ConfigError> {
        let (origins, token) = OriginSettings {
            origins: &raw.origins,
            insecure: raw.insecure,
            token: raw.token,
            token_file: raw.token_file.as_deref(),
            owner: TokenOwner::Edge(raw.name.clone()),
        }
        .check()?;
        if let Some(url) = raw.url.as_ref().filter(|url| OriginUrl::insecure(url).is_err()) {
            return Err(ConfigError::Url(url.clone()));
        }
        if raw.tls_listen.is_none() {
            if !raw.certificates.is_empty() {
                return Err(ConfigError::NoTlsListener("certificates"));
            }
            if raw.https_port.is_some() {
                return Err(ConfigError::NoTlsListener("https_port"));
            }
        }
        let bandwidth = |size: ByteSize| NonZeroU64::new(size.0).ok_or(ConfigError::PrefetchBandwidth);
        Ok(Self {
            name: raw.name,
            origins,
            origin_pin: raw.origin_pin,
            token,
            data: raw.data,
            listen: Vec::from(raw.listen).into_iter().map(Listen::from).collect(),
            tls_listen: raw.tls_listen.map_or_else(Vec::new, Vec::from).into_iter().map(Listen::from).collect(),
            certificates: raw.certificates,
            https_port: raw.https_port,
            private_listen: raw.private_listen.into(),
            private_hosts: raw.private_hosts,
            base_domains: raw.base_domain.into(),
            url: raw.url,
            memory_cache: raw.memory_cache.unwrap_or(Self::MEMORY_CACHE),
            memory_in_flight: raw.memory_in_flight.unwrap_or(Self::MEMORY_IN_FLIGHT),
            limits: HttpLimits { has_bodies: false, ..raw.limits.try_into()? },
            disk_cache: raw.disk_cache.unwrap_or(Self::DISK_CACHE),
            prefetch_bandwidth: raw.prefetch_bandwidth.map(bandwidth).transpose()?,
            access_log: raw.access_log.map(TryInto::try_into).transpose()?,
            lame_duck: raw.lame_duck_seconds.map_or(Duration::ZERO, Duration::from_secs),
            drain_timeout: raw.drain_timeout_seconds.map_or(Self::DRAIN_TIMEOUT, Duration::from_secs),
        })
    }
}

#[cfg(test)]
mod tests {
    use verge_daemon::config::placeholders;
    use verge_daemon::error_chain;

    use super::*;
    use crate::config::{AccessLogConfig, AccessLogFormat, LogDestination};

    const TOKEN: &str = "vrg_00000000000000000000000000000000000000009692e67b";

    const MINIMAL: &str = r#"
        name = "fra-1"
        origins = ["https://origin.example"]
        token = "vrg_00000000000000000000000000000000000000009692e67b"
        data = "data"
        listen = "127.0.0.1:0"
        private_listen = "127.0.0.1:0"
        base_domain = "localhost"
    "#;

    fn config(more: &str) -> Result<Config, String> {
        read(&format!("{MINIMAL}\n{more}"))
    }

    fn read(text: &str) -> Result<Config, String> {
        let raw: RawConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        Config::try_from(raw).map_err(|error| error_chain(&error))
    }

    #[test]
    fn sample_file_is_valid_and_its_comments_give_the_defaults() {
        let sample = include_str!("../../edge.sample.toml")
            .replace("token_file = \"/etc/verge/edge.token\"", &format!("token = \"{TOKEN}\""));
        let raw: RawConfig = toml::from_str(&sample).unwrap();
        let config = Config::try_from(raw).unwrap();
        assert_eq!((config.name.as_str(), config.lame_duck.as_secs()), ("fra-1", 75));
        // A setting that is commented out shows its default.
        assert!(sample.contains("\n# memory_cache = \"128MiB\"\n") && config.memory_cache == ByteSize(128 << 20));
        assert!(sample.contains("\n# memory_in_flight = \"64MiB\"\n") && config.memory_in_flight == ByteSize(64 << 20));
        assert!(sample.contains("\n# disk_cache = \"10GiB\"\n") && config.disk_cache == ByteSize(10 << 30));
        assert!(sample.contains("\n# drain_timeout_seconds = 30\n") && config.drain_timeout == Duration::from_secs(30));
    }

    #[test]
    fn sample_file_has_placeholders_for_what_must_be_set() {
        let found = placeholders(include_str!("../../edge.sample.toml"));
        let settings: Vec<&str> = found.iter().map(|placeholder| placeholder.setting.as_str()).collect();
        assert_eq!(settings, ["base_domain", "origins"]);
    }

    #[test]
    fn optional_settings_when_set_override_defaults() {
        let config = config(
            "memory_cache = \"1GiB\"\nprefetch_bandwidth = \"5MiB\"\nlame_duck_seconds = 9\ndrain_timeout_seconds = 5\nurl = \"http://203.0.113.7\"",
        )
        .unwrap();
        assert_eq!(config.memory_cache, ByteSize(1 << 30));
        assert_eq!(config.prefetch_bandwidth.map(NonZeroU64::get), Some(5 << 20));
        assert_eq!((config.lame_duck, config.drain_timeout), (Duration::from_secs(9), Duration::from_secs(5)));
        assert_eq!(config.url.as_deref(), Some("http://203.0.113.7"));
    }

    #[test]
    fn listen_takes_one_address_or_a_list() {
        let listening = |listen: &str| {
            let config = read(&MINIMAL.replace("\n        listen = \"127.0.0.1:0\"", &format!("\nlisten = {listen}")))?;
            Ok::<_, String>(config.listen.iter().map(|listen| format!("{listen:?}")).collect::<Vec<_>>())
        };
        assert_eq!(listening("\"[::]:80\"").unwrap(), ["[::]:80"]);
        assert_eq!(
            listening("[\"192.0.2.1:80\", \"[2001:db8::1]:80\"]").unwrap(),
            ["192.0.2.1:80", "[2001:db8::1]:80"]
        );
        assert!(listening("[]").unwrap_err().contains("the list is empty"));
        assert!(listening("80").unwrap_err().contains("expected a string or a list of strings"));
    }

    #[test]
    fn private_hosts_are_a_list_of_names() {
        assert!(config("").unwrap().private_hosts.is_empty());
        let set = config("private_hosts = [\"metrics.internal\", \"prometheus\"]").unwrap();
        assert_eq!(format!("{:?}", set.private_hosts), "[metrics.internal, prometheus]");
        for wrong in ["[\"metrics.internal:7501\"]", "[\"*.internal\"]", "[\"http://metrics.internal\"]"] {
            let error = config(&format!("private_hosts = {wrong}")).unwrap_err();
            assert!(error.contains("private_hosts") && error.contains("invalid domain"), "{error}");
        }
    }

    #[test]
    fn access_log_is_off_and_json_unless_it_is_set() {
        assert_eq!(config("").unwrap().access_log, None);
        let set = |section: &str| config(&format!("[access_log]\n{section}")).map(|config| config.access_log.unwrap());
        let file = LogDestination::File("/var/log/verge/access.log".into());
        assert_eq!(
            set("path = \"/var/log/verge/access.log\"").unwrap(),
            AccessLogConfig { destination: file, format: AccessLogFormat::Json }
        );
        assert_eq!(
            set("path = \"-\"\nformat = \"combined\"").unwrap(),
            AccessLogConfig { destination: LogDestination::Stdout, format: AccessLogFormat::Combined }
        );
        for (section, reason) in [
            ("", "missing field `path`"),
            ("path = \"\"", "invalid section `[access_log]`: invalid `path` ``: expected a file"),
            ("path = \"-\"\nformat = \"xml\"", "unknown variant `xml`, expected `json` or `combined`"),
            ("path = \"-\"\nfile = \"x\"", "unknown field `file`, expected `path` or `format`"),
        ] {
            let error = set(section).unwrap_err();
            assert!(error.contains(reason), "{section}: {error}");
        }
        // The sample, with the section uncommented.
        let sample = include_str!("../../edge.sample.toml");
        let section = sample.split("\n# [access_log]\n").nth(1).unwrap();
        assert!(
            section.contains("\n# path = \"/var/log/verge/access.log\"\n")
                && section.contains("\n# format = \"json\"\n")
        );
    }

    #[test]
    fn tls_settings_need_a_listener() {
        let files = "[[certificates]]\nchain = \"/etc/verge/chain.pem\"\nkey = \"/etc/verge/key.pem\"";
        let set = config(&format!("tls_listen = \"127.0.0.1:0\"\nhttps_port = 8443\n{files}")).unwrap();
        assert_eq!((set.tls_listen.len(), set.certificates.len(), set.https_port), (1, 1, Some(8443)));
        assert!(config("").unwrap().tls_listen.is_empty());
        for more in [files, "https_port = 8443"] {
            assert!(config(more).unwrap_err().contains("has no effect without `tls_listen`"));
        }
    }

    #[test]
    fn base_domain_takes_one_domain_or_a_list() {
        let below = |domains: &str| {
            let text = MINIMAL.replace("base_domain = \"localhost\"", &format!("base_domain = {domains}"));
            let config = read(&text)?;
            Ok::<_, String>(config.base_domains.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        assert_eq!(below("\"sites.example.com\"").unwrap(), ["sites.example.com"]);
        assert_eq!(below("[\"a.example\", \"b.example\"]").unwrap(), ["a.example", "b.example"]);
        assert!(below("[]").unwrap_err().contains("the list is empty"));
        assert!(below("\"*.example\"").unwrap_err().contains("base_domain"));
    }

    #[test]
    fn invalid_setting_is_named_in_the_error() {
        let wrong = |more: &str| config(more).unwrap_err();
        assert!(wrong("memory = 1").contains("unknown field `memory`"));
        assert!(wrong("disk_cache = \"lots\"").contains("invalid size `lots`"));
        assert!(wrong("prefetch_bandwidth = 0").contains("invalid `prefetch_bandwidth` `0`"));
        assert!(wrong("url = \"fra-1\"").contains("invalid `url` `fra-1`"));
        assert!(wrong("token_file = \"x\"").contains("both set"));
    }

    #[test]
    fn debug_output_hides_the_token() {
        assert!(!format!("{:#?}", config("").unwrap()).contains("vrg_"));
    }
}
