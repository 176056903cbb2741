//! The URL under whose host sites answer.

use std::fmt;
use std::str::FromStr;

use url::Url;
use verge_protocol::DomainName;
use verge_protocol::host::{HostLabel, ReleaseLabel};

/// The URL under whose host sites answer: with `https://sites.example.org`, the site `demo` is at `https://demo.sites.example.org/`.
#[derive(Clone)]
pub struct SitesUrl {
    url: Url,
    base: DomainName,
}

/// The text is not a URL under whose host sites can answer.
#[derive(Debug, thiserror::Error)]
#[error("invalid sites URL `{0}`: expected http[s]://HOST[:PORT], with a host name and no path")]
pub struct SitesUrlError(String);

impl SitesUrl {
    /// The URL of a channel of a site.
    pub fn of(&self, label: &HostLabel) -> String {
        self.with_label(label)
    }

    /// The URL of one release of a site.
    pub(crate) fn of_release(&self, label: &ReleaseLabel) -> String {
        self.with_label(label)
    }

    fn with_label(&self, label: &dyn fmt::Display) -> String {
        let port = self.url.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}://{label}.{}{port}/", self.url.scheme(), self.base)
    }

    /// The domain below which sites answer.
    pub fn base(&self) -> &DomainName {
        &self.base
    }
}

impl fmt::Debug for SitesUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.url.as_str())
    }
}

impl FromStr for SitesUrl {
    type Err = SitesUrlError;

    fn from_str(text: &str) -> Result<Self, SitesUrlError> {
        let parse = || {
            let url: Url = text.parse().ok()?;
            let base = url.domain()?.parse().ok()?;
            let is_bare = matches!(url.scheme(), "http" | "https") && url.path() == "/" && url.query().is_none();
            is_bare.then_some(Self { url, base })
        };
        parse().ok_or_else(|| SitesUrlError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_is_a_label_before_the_host() {
        let url = |base: &str, label: &str| base.parse::<SitesUrl>().unwrap().of(&label.parse().unwrap());
        assert_eq!(url("http://localhost:7401", "demo"), "http://demo.localhost:7401/");
        assert_eq!(url("https://sites.example.org/", "pr-1--demo"), "https://pr-1--demo.sites.example.org/");
    }

    #[test]
    fn a_url_without_a_host_name_or_with_a_path_is_refused() {
        for bad in ["localhost", "ftp://localhost", "http://127.0.0.1:80", "http://localhost/x", "http://localhost/?x"]
        {
            assert!(bad.parse::<SitesUrl>().is_err(), "{bad}");
        }
    }
}
