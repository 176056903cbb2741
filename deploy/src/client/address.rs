//! Where an origin or a name server is, and whether a token may be sent there.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use reqwest::Url;

/// The URL that the API's paths are added to. `http` or `https`, with a host, without user, query or fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    url: Url,
    text: String,
}

/// Text that is not such an address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not the URL of a server: {reason}")]
pub struct AddressError {
    text: String,
    reason: &'static str,
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        Self::read(text, "it should look like https://server.example.com")
    }
}

impl Address {
    /// That of a name server's private listener, which is seldom behind TLS.
    pub fn of_node(text: &str) -> Result<Self, AddressError> {
        Self::read(text, "it should look like http://127.0.0.1:7601")
    }

    /// Reads a URL; of what is none at all, `like` says what one looks like.
    fn read(text: &str, like: &'static str) -> Result<Self, AddressError> {
        let refuse = |reason| AddressError { text: text.to_owned(), reason };
        let url: Url = text.parse().map_err(|_| refuse(like))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refuse("it should start with https:// or http://"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(AddressError { text: "…@…".to_owned(), reason: "a token is never part of it" });
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("it should end with the host, or a path"));
        }
        let text = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { url, text })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl Address {
    /// The URL of `path`, which starts with a slash.
    pub fn join(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }

    /// Whether what is sent there can be read on the way.
    pub fn is_plain(&self) -> bool {
        self.url.scheme() == "http"
    }

    /// Whether it never leaves this machine: 127.0.0.0/8, `::1`, and the names below `localhost` (RFC 6761 §6.3).
    pub fn is_loopback(&self) -> bool {
        self.local_name().is_some() || self.ip().is_some_and(|address| address.is_loopback())
    }

    /// The host, when it is a name that means this machine. Resolvers are not asked about it: some would answer otherwise.
    pub fn local_name(&self) -> Option<&str> {
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

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn paths_are_added_to_whatever_was_given() {
        for text in ["http://127.0.0.1:8700", "http://127.0.0.1:8700/"] {
            assert_eq!(address(text).join("/v1/sites"), "http://127.0.0.1:8700/v1/sites");
        }
        assert_eq!(address("https://x.org/verge/").join("/v1/sites"), "https://x.org/verge/v1/sites");
        assert_eq!(address("HTTPS://X.org").to_string(), "https://x.org");
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for text in ["127.0.0.1:1", "127.9.9.9", "[::1]:1", "localhost", "localhost.", "a.b.localhost:1"] {
            assert!(address(&format!("http://{text}")).is_loopback(), "{text}");
        }
        // Odd spellings of the same address are still that address.
        assert!(address("http://0x7f.1").is_loopback());
        for text in ["128.0.0.1", "10.0.0.1", "[::2]", "localhost.org", "notlocalhost", "127.0.0.1.org"] {
            assert!(!address(&format!("http://{text}")).is_loopback(), "{text}");
        }
    }

    #[test]
    fn what_is_not_an_origin_is_refused() {
        for text in ["", "origin.example.com", "ftp://x.org", "https://", "https://x.org/?a", "https://x.org/#a"] {
            assert!(text.parse::<Address>().is_err(), "{text}");
        }
        let error = "https://ann:vrg_secret@x.org".parse::<Address>().unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
