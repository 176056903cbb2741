//! The base URL of an origin or a name server.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;

/// A base URL, to which API paths are appended: `http` or `https`, with a host, without credentials, query or fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl {
    url: Url,
    text: String,
}

/// An invalid base URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid server URL `{text}`: {reason}")]
pub struct ServerUrlError {
    text: String,
    reason: &'static str,
}

impl FromStr for ServerUrl {
    type Err = ServerUrlError;

    fn from_str(text: &str) -> Result<Self, ServerUrlError> {
        Self::parse_with(text, "expected a URL such as https://origin.example.com")
    }
}

impl ServerUrl {
    /// Parses the URL of a name server's private listener, which is rarely behind TLS.
    pub fn parse_name_server(text: &str) -> Result<Self, ServerUrlError> {
        Self::parse_with(text, "expected a URL such as http://127.0.0.1:7601")
    }

    /// Parses a URL; `expectation` is the reason given if it is not a URL at all.
    fn parse_with(text: &str, expectation: &'static str) -> Result<Self, ServerUrlError> {
        let invalid = |reason| ServerUrlError { text: text.to_owned(), reason };
        let url: Url = text.parse().map_err(|_| invalid(expectation))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("expected https:// or http://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(ServerUrlError { text: "…@…".to_owned(), reason: "expected no credentials in the URL" });
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("expected no query or fragment"));
        }
        let text = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { url, text })
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl ServerUrl {
    /// The URL of `path`, which starts with a slash.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }

    /// Whether the connection uses TLS.
    pub fn is_encrypted(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether it refers to this machine: 127.0.0.0/8, `::1`, and names below `localhost` (RFC 6761 §6.3).
    pub fn is_loopback(&self) -> bool {
        self.localhost_name().is_some() || self.ip().is_some_and(|address| address.is_loopback())
    }

    /// The host, if it is `localhost` or below. Not to be looked up in DNS: some resolvers return other addresses.
    pub fn localhost_name(&self) -> Option<&str> {
        let host = self.url.host_str()?;
        let name = host.strip_suffix('.').unwrap_or(host);
        (name == "localhost" || name.ends_with(".localhost")).then_some(host)
    }

    fn ip(&self) -> Option<IpAddr> {
        self.url.host_str()?.trim_matches(['[', ']']).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> ServerUrl {
        text.parse().unwrap()
    }

    #[test]
    fn join_appends_path_to_base() {
        for text in ["http://127.0.0.1:8700", "http://127.0.0.1:8700/"] {
            assert_eq!(url(text).join("/v1/sites"), "http://127.0.0.1:8700/v1/sites");
        }
        assert_eq!(url("https://x.org/verge/").join("/v1/sites"), "https://x.org/verge/v1/sites");
        assert_eq!(url("HTTPS://X.org").to_string(), "https://x.org");
    }

    #[test]
    fn loopback_addresses_and_localhost_names_are_loopback() {
        for text in ["127.0.0.1:1", "127.9.9.9", "[::1]:1", "localhost", "localhost.", "a.b.localhost:1"] {
            assert!(url(&format!("http://{text}")).is_loopback(), "{text}");
        }
        // Other notations of the same address.
        assert!(url("http://0x7f.1").is_loopback());
        for text in ["128.0.0.1", "10.0.0.1", "[::2]", "localhost.org", "notlocalhost", "127.0.0.1.org"] {
            assert!(!url(&format!("http://{text}")).is_loopback(), "{text}");
        }
    }

    #[test]
    fn invalid_server_urls_are_rejected() {
        for text in ["", "origin.example.com", "ftp://x.org", "https://", "https://x.org/?a", "https://x.org/#a"] {
            assert!(text.parse::<ServerUrl>().is_err(), "{text}");
        }
        let error = "https://ann:vrg_secret@x.org".parse::<ServerUrl>().unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
