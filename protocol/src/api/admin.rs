//! Bodies of the calls for operators: edges, name servers and region restrictions.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::fleet::{Force, ProbeScheme};
use crate::geo_point::GeoPoint;
use crate::name::{NameServerName, Region};
use crate::timestamp::Timestamp;

/// Answer to `POST /v1/edges/{edge}/token` and `POST /v1/name-servers/{name}/token`. The origin stores only the token's digest. An earlier
/// token of the same edge or name server stops working.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedToken {
    /// The token, a secret.
    pub token: String,
}

/// `GET /v1/name-servers` answers a list of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameServer {
    /// The name of a name server that has a token.
    pub name: NameServerName,
    /// When the token was issued.
    pub issued: Timestamp,
}

/// `PUT /v1/edges/{edge}`: how DNS routes readers to an edge. [`EdgeState`](crate::fleet::EdgeState) documents the fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `EdgeState`")]
pub struct EdgeSettings {
    pub addresses: Vec<IpAddr>,
    pub port: u16,
    #[serde(default)]
    pub scheme: Option<ProbeScheme>,
    pub location: Option<GeoPoint>,
    pub regions: BTreeSet<Region>,
    pub weight: u16,
}

/// `PUT /v1/edges/{edge}/force`: overrides the health checks of an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForceEdge {
    /// The override.
    #[serde(with = "StrictForce")]
    pub force: Force,
}

/// [`Force`] without its fallback for unknown values: a mistyped request must be refused, not read as `auto`.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Force", rename_all = "lowercase")]
enum StrictForce {
    Up,
    Down,
    Auto,
}

/// `PUT /v1/sites/{site}/regions`: restricts the readers of a site to edges in some regions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteRegions {
    /// DNS routes the site's readers only to edges in one of these regions; if empty, to any edge.
    pub regions: BTreeSet<Region>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_override_is_refused() {
        let read = |text: &str| serde_json::from_value::<ForceEdge>(serde_json::json!({ "force": text }));
        for (text, force) in [("up", Force::Up), ("down", Force::Down), ("auto", Force::Auto)] {
            assert_eq!(read(text).unwrap(), ForceEdge { force });
            assert_eq!(serde_json::to_value(ForceEdge { force }).unwrap(), serde_json::json!({ "force": text }));
        }
        for text in ["dwon", "Up", ""] {
            assert!(read(text).unwrap_err().to_string().contains(&format!("`{text}`")), "{text}");
        }
    }
}
