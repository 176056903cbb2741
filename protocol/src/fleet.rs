//! The operator's configuration of edges, sites and domains, as the change feed carries it to edges and name servers.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::domain::DomainName;
use crate::geo_point::GeoPoint;
use crate::https::SiteHttps;
use crate::name::{Region, SiteName};
use crate::timestamp::Timestamp;

/// Value of the key `edge/<edge>`: how DNS routes readers to an edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeState {
    /// Its public addresses. Without any it never appears in DNS answers.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// The port of its HTTP listener at those addresses, where it is probed.
    #[serde(default = "EdgeState::default_port")]
    pub port: u16,
    /// The scheme of its probes; `None`: as the name servers are configured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheme: Option<ProbeScheme>,
    /// Where it is. Edges without a location come after all others, at equal distance from every reader.
    #[serde(default)]
    pub location: Option<GeoPoint>,
    /// The regions it belongs to, e.g. `eu`, `de`: sites can be restricted to regions.
    #[serde(default)]
    pub regions: BTreeSet<Region>,
    /// Its share of readers relative to other edges of its metro, from 1 to 1000.
    #[serde(default = "EdgeState::default_weight")]
    pub weight: u16,
    /// The operator's override of health checks.
    #[serde(default)]
    pub force: Force,
}

impl EdgeState {
    /// The default of [`EdgeState::port`].
    pub const PORT: u16 = 80;
    /// The default of [`EdgeState::weight`].
    pub const WEIGHT: u16 = 1;

    fn default_port() -> u16 {
        Self::PORT
    }

    fn default_weight() -> u16 {
        Self::WEIGHT
    }
}

/// The scheme of probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ProbeScheme {
    /// Plain HTTP.
    Http,
    /// HTTPS: an edge whose certificate readers would reject is not healthy.
    Https,
}

impl ProbeScheme {
    /// As in URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// The operator's override of an edge's health checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Force {
    /// Treated as up, regardless of probes.
    Up,
    /// Never in DNS answers, even if no other edge is left.
    Down,
    /// Probes decide. An unknown value is read as this one.
    #[default]
    #[serde(other)]
    Auto,
}

/// Value of the key `site/<site>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SiteState {
    /// DNS routes the site's readers only to edges in one of these regions; if empty, to any edge.
    #[serde(default)]
    pub regions: BTreeSet<Region>,
    /// How readers reach it over TLS.
    #[serde(default)]
    pub https: SiteHttps,
    /// Since when browsers have been told to use TLS only, without an interruption.
    #[serde(default)]
    pub hsts_since: Option<Timestamp>,
}

/// Value of the key `domain/<domain>`: a domain whose ownership was proven for the site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainState {
    /// The site whose `live` channel it serves.
    pub site: SiteName,
    /// Requests are redirected to the same path on this domain of the same site, if that is proven and does not redirect itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_to: Option<DomainName>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_fields_have_defaults() {
        let edge: EdgeState = serde_json::from_str(r#"{"a field from the future":1,"force":"maybe"}"#).unwrap();
        assert_eq!((edge.port, edge.weight, edge.force, edge.location), (80, 1, Force::Auto, None));
        let edge: EdgeState = serde_json::from_str(
            r#"{"addresses":["192.0.2.1","2001:db8::1"],"location":"50.11,8.68","regions":["eu"]}"#,
        )
        .unwrap();
        assert_eq!(edge.addresses.len(), 2);
        insta::assert_snapshot!(serde_json::to_string(&edge).unwrap());
    }
}
