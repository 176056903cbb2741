//! Where an origin is.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;

/// The base URL of an origin: `https`, or `http` to this very machine, because the token travels with every request.
#[derive(Clone, PartialEq, Eq)]
pub struct OriginUrl(Url);

/// Why text is not the base URL of an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginUrlError {
    /// Not a URL of a web server.
    #[error("`{0}` is not the URL of an origin: expected https://host or http://127.0.0.1:port")]
    NotAnOrigin(String),
    /// The token would be sent in the clear.
    #[error("`{0}` would send the token in the clear: use https, or set `insecure = true` if the network is your own")]
    Insecure(String),
}

impl OriginUrl {
    /// Takes plain `http` to any host: for networks that are private by other means.
    pub fn insecure(text: &str) -> Result<Self, OriginUrlError> {
        let error = || OriginUrlError::NotAnOrigin(text.to_owned());
        let url = Url::parse(text).map_err(|_| error())?;
        let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() || url.path() != "/" || !plain {
            return Err(error());
        }
        Ok(Self(url))
    }

    /// The URL of one of its routes; `path` starts without a slash.
    pub(super) fn route(&self, path: &str) -> Url {
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
    fn a_token_is_sent_in_the_clear_only_to_this_machine() {
        for good in ["https://origin.example", "http://127.0.0.1:7400", "http://localhost:1/", "http://[::1]:7400"] {
            assert!(good.parse::<OriginUrl>().is_ok(), "{good}");
        }
        for open in ["http://origin.example", "http://192.0.2.1:7400", "http://localhost.example"] {
            assert_eq!(open.parse::<OriginUrl>(), Err(OriginUrlError::Insecure(open.to_owned())));
            assert!(OriginUrl::insecure(open).is_ok());
        }
    }

    #[test]
    fn only_a_bare_base_is_an_origin() {
        for bad in ["", "origin.example", "ftp://x", "https://x/path", "https://x?q", "https://me@x", "unix:/x"] {
            assert!(matches!(bad.parse::<OriginUrl>(), Err(OriginUrlError::NotAnOrigin(_))), "{bad}");
        }
    }

    #[test]
    fn routes_hang_below_it() {
        let origin: OriginUrl = "http://127.0.0.1:7400".parse().unwrap();
        assert_eq!(origin.route("v1/blobs").as_str(), "http://127.0.0.1:7400/v1/blobs");
        assert_eq!(origin.to_string(), "http://127.0.0.1:7400");
    }
}
