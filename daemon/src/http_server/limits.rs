//! The limits of a listener, and the settings for them.

use std::net::{IpAddr, Ipv6Addr};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;

use super::trusted_proxies::TrustedProxies;

/// Limits of a listener.
#[derive(Debug, Clone)]
pub struct HttpLimits {
    /// Concurrent connections. Beyond it, those that have done nothing for the longest time are closed.
    pub connections: usize,
    /// Concurrent connections of one IPv4 address, or of one `/56` of IPv6. Beyond it, the one that has done nothing for the longest time is
    /// closed.
    pub connections_per_address: usize,
    /// Proxies, whose connections are those of many clients: no limit of an address is for them.
    pub trusted_proxies: TrustedProxies,
    /// TLS handshakes a second of one address, as for [`Self::connections_per_address`], after a burst of a few seconds; beyond it they wait.
    pub handshakes_per_second: NonZeroU32,
    /// Requests on one connection; then it is closed once they, and those that were read together with the last, are answered.
    pub requests: u32,
    /// Time from the start of a connection, or the end of the previous request, to the end of the next request's headers.
    pub header_timeout: Duration,
    /// How long a client may take fewer than [`Self::write_rate`] bytes a second of what there is to send. The connection is closed at most
    /// half as long after that.
    pub write_timeout: Duration,
    /// In bytes per second.
    pub write_rate: u32,
    /// Size of a request's headers, in bytes.
    pub header_bytes: usize,
    /// Concurrent requests on one HTTP/2 connection.
    pub http2_streams: u32,
    /// Whether requests may have bodies. If not, the service must refuse those that have one and close their connections; then a target of
    /// HTTP/1.1 may contain any byte but control characters and spaces, and those that no URI has reach the service percent-encoded.
    pub has_bodies: bool,
}

impl HttpLimits {
    /// The address for which what is said of an address counts, for a connection from `peer`: the IPv4 address, or the first of the `/56` of an
    /// IPv6 address, which is what one customer of a provider has. `None` for [`Self::trusted_proxies`].
    pub fn limited(&self, peer: IpAddr) -> Option<IpAddr> {
        (!self.trusted_proxies.contains(peer)).then(|| match peer.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 72 << 72).into(),
            address @ IpAddr::V4(_) => address,
        })
    }
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: 256,
            trusted_proxies: TrustedProxies::default(),
            handshakes_per_second: const { NonZeroU32::new(50).unwrap() },
            requests: 10_000,
            header_timeout: Duration::from_secs(30),
            write_timeout: Duration::from_mins(1),
            write_rate: 256,
            header_bytes: 16 * 1024,
            http2_streams: 128,
            has_bodies: true,
        }
    }
}

/// The table `[limits]` of a configuration file. What it does not set has the default. Unknown fields are errors, and so is 0.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the sample files and `HttpLimits` explain every setting")]
pub struct RawHttpLimits {
    pub connections: Option<NonZeroUsize>,
    pub connections_per_address: Option<NonZeroUsize>,
    #[serde(default)]
    pub trusted_proxies: Vec<String>,
    pub handshakes_per_second: Option<NonZeroU32>,
    pub requests_per_connection: Option<NonZeroU32>,
    pub header_timeout_seconds: Option<NonZeroU64>,
    pub write_timeout_seconds: Option<NonZeroU64>,
    pub write_rate: Option<NonZeroU32>,
}

/// A trusted proxy that is neither an address nor a network.
#[derive(Debug, thiserror::Error)]
#[error(
    "invalid address `{0}` in `trusted_proxies`: expected an address such as \"192.0.2.1\", or a network such as \"10.0.0.0/8\""
)]
pub struct HttpLimitsError(String);

impl TryFrom<RawHttpLimits> for HttpLimits {
    type Error = HttpLimitsError;

    fn try_from(raw: RawHttpLimits) -> Result<Self, HttpLimitsError> {
        let network = |text: String| match text.parse::<IpNet>() {
            Ok(network) => Ok(network),
            Err(_) => text.parse::<IpAddr>().map(IpNet::from).map_err(|_| HttpLimitsError(text)),
        };
        let default = Self::default();
        let seconds = |set: Option<NonZeroU64>, default| set.map_or(default, |set| Duration::from_secs(set.get()));
        let networks: Vec<IpNet> = raw.trusted_proxies.into_iter().map(network).collect::<Result<_, _>>()?;
        Ok(Self {
            connections: raw.connections.map_or(default.connections, NonZeroUsize::get),
            connections_per_address: raw
                .connections_per_address
                .map_or(default.connections_per_address, NonZeroUsize::get),
            trusted_proxies: TrustedProxies::new(networks),
            handshakes_per_second: raw.handshakes_per_second.unwrap_or(default.handshakes_per_second),
            requests: raw.requests_per_connection.map_or(default.requests, NonZeroU32::get),
            header_timeout: seconds(raw.header_timeout_seconds, default.header_timeout),
            write_timeout: seconds(raw.write_timeout_seconds, default.write_timeout),
            write_rate: raw.write_rate.map_or(default.write_rate, NonZeroU32::get),
            ..default
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(text: &str) -> Result<HttpLimits, String> {
        let raw: RawHttpLimits = toml::from_str(text).map_err(|error| error.to_string())?;
        HttpLimits::try_from(raw).map_err(|error| error.to_string())
    }

    #[test]
    fn settings_override_defaults() {
        let text = "connections = 5\ntrusted_proxies = [\"10.0.0.0/8\", \"::1\"]\nwrite_timeout_seconds = 7";
        let limits = limits(text).unwrap();
        assert_eq!((limits.connections, limits.write_timeout), (5, Duration::from_secs(7)));
        assert_eq!(limits.connections_per_address, HttpLimits::default().connections_per_address);
        for (address, is_trusted) in [("10.1.2.3", true), ("::1", true), ("11.0.0.1", false), ("::2", false)] {
            assert_eq!(limits.trusted_proxies.contains(address.parse().unwrap()), is_trusted, "{address}");
        }
    }

    #[test]
    fn invalid_setting_is_named() {
        assert!(limits("connections = 0").unwrap_err().contains("connections"));
        assert!(limits("conections = 1").unwrap_err().contains("unknown field `conections`"));
        assert!(limits("trusted_proxies = [\"proxy\"]").unwrap_err().contains("invalid address `proxy`"));
    }
}
