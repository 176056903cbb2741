//! The base URL of an origin.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;

/// The base URL of an origin: `https`, or `http` to loopback only, because every request carries the token.
#[derive(Clone, PartialEq, Eq)]
pub struct OriginUrl(Url);

/// Why a text is not a valid origin URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginUrlError {
    /// It is not a base URL of a web server.
    #[error("invalid origin URL `{0}`: expected https://host[:port], or http://127.0.0.1:port for this machine")]
    Invalid(String),
    /// The token would be sent unencrypted.
    #[error(
        "insecure origin URL `{0}`: the token would be sent unencrypted; use https, or set `insecure = true` on a trusted network"
    )]
    Insecure(String),
}

impl OriginUrl {
    /// Parses a URL and also accepts plain `http` to any host, for trusted networks.
    pub fn insecure(text: &str) -> Result<Self, OriginUrlError> {
        let error = || OriginUrlError::Invalid(text.to_owned());
        let url = Url::parse(text).map_err(|_| error())?;
        let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || url.path() != "/" || !plain {
            return Err(error());
        }
        Ok(Self(url))
    }

    /// The URL of a path below the origin; `path` has no leading slash.
    pub(super) fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(path);
        url
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}

impl FromStr for OriginUrl {
    type Err = OriginUrlError;

    fn from_str(text: &str) -> Result<Self, OriginUrlError> {
        let url = Self::insecure(text)?;
        let safe = url.0.scheme() == "https" || url.0.host_str().is_some_and(is_loopback);
        if safe { Ok(url) } else { Err(OriginUrlError::Insecure(text.to_owned())) }
    }
}

impl fmt::Display for OriginUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

impl fmt::Debug for OriginUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_accepted_for_loopback_only() {
        for good in ["https://origin.example", "http://127.0.0.1:7400", "http://localhost:1/", "http://[::1]:7400"] {
            assert!(good.parse::<OriginUrl>().is_ok(), "{good}");
        }
        for open in ["http://origin.example", "http://192.0.2.1:7400", "http://localhost.example"] {
            assert_eq!(open.parse::<OriginUrl>(), Err(OriginUrlError::Insecure(open.to_owned())));
            assert!(OriginUrl::insecure(open).is_ok());
        }
    }

    #[test]
    fn url_with_path_query_or_credentials_is_rejected() {
        for bad in ["", "origin.example", "ftp://x", "https://x/path", "https://x?q", "https://me@x", "unix:/x"] {
            assert!(matches!(bad.parse::<OriginUrl>(), Err(OriginUrlError::Invalid(_))), "{bad}");
        }
    }

    #[test]
    fn join_appends_path() {
        let origin: OriginUrl = "http://127.0.0.1:7400".parse().unwrap();
        assert_eq!(origin.join("v1/blobs").as_str(), "http://127.0.0.1:7400/v1/blobs");
        assert_eq!(origin.to_string(), "http://127.0.0.1:7400");
    }
}
