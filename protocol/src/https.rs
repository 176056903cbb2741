//! How readers reach a site over TLS.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The HTTPS settings of a site.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SiteHttps {
    /// Requests without TLS are answered. Otherwise they are redirected to `https`, if there is a certificate for the host.
    #[serde(default)]
    pub optional: bool,
    /// What browsers are told to keep in mind; `None`: nothing.
    #[serde(default)]
    pub hsts: Option<Hsts>,
}

/// A policy that a browser keeps for a host (HTTP Strict Transport Security, RFC 6797): for `max_age_seconds` after each response it sends
/// no request without TLS. 0 ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hsts {
    /// How long a browser keeps it.
    pub max_age_seconds: u64,
    /// It applies to all hosts below the host, too.
    #[serde(default)]
    pub include_subdomains: bool,
    /// Browsers may be shipped with it.
    #[serde(default)]
    pub preload: bool,
}

impl fmt::Display for Hsts {
    /// The value of the header `Strict-Transport-Security`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "max-age={}", self.max_age_seconds)?;
        if self.include_subdomains {
            f.write_str("; includeSubDomains")?;
        }
        if self.preload {
            f.write_str("; preload")?;
        }
        Ok(())
    }
}
