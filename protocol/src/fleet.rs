//! What the operator says of edges, sites and domains, as name servers and edges are told of it.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::domain::DomainName;
use crate::geo_point::GeoPoint;
use crate::name::{Region, SiteName};

/// Value of the key `edge/<edge>`: how readers are sent to an edge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EdgeState {
    /// Where readers reach it. Without any it is not named in DNS.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// The port of its HTTP listener at those addresses, which probes go to.
    #[serde(default = "EdgeState::default_port")]
    pub port: u16,
    /// Where it stands; without a place it is as good for every reader as any other such.
    #[serde(default)]
    pub location: Option<GeoPoint>,
    /// The regions it is in, for fences: `eu`, `de`.
    #[serde(default)]
    pub regions: BTreeSet<Region>,
    /// How many readers it takes, relative to other edges at its place. From 1 to 1000.
    #[serde(default = "EdgeState::default_weight")]
    pub weight: u16,
    /// What the operator has decided whatever probes say.
    #[serde(default)]
    pub force: Force,
}

impl EdgeState {
    /// [`EdgeState::port`] when nothing is said.
    pub const PORT: u16 = 80;
    /// [`EdgeState::weight`] when nothing is said.
    pub const WEIGHT: u16 = 1;

    fn default_port() -> u16 {
        Self::PORT
    }

    fn default_weight() -> u16 {
        Self::WEIGHT
    }
}

/// What the operator has decided about an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Force {
    /// Readers are sent to it, whatever probes say.
    Up,
    /// No reader is sent to it, even if no other edge is left.
    Down,
    /// Probes decide. Also what a reader makes of a decision it does not know.
    #[default]
    #[serde(other)]
    Auto,
}

/// Value of the key `site/<site>`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SiteState {
    /// Readers of the site are sent only to edges in one of these regions; none named: to any edge.
    #[serde(default)]
    pub regions: BTreeSet<Region>,
}

/// Value of the key `domain/<domain>`: a domain that was proven to belong to who has the site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainState {
    /// The site whose `live` it shows.
    pub site: SiteName,
    /// Readers are sent on to this domain of the same site, with the path they asked for, if it was proven too and redirects to none
    /// itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect_to: Option<DomainName>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_a_default() {
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
