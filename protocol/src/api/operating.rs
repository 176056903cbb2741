//! What operators decide: edges, nodes, fences and domains.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::domain::DomainName;
use crate::fleet::Force;
use crate::geo_point::GeoPoint;
use crate::name::{NameServerName, Region, SiteName};
use crate::timestamp::Timestamp;

/// Answer to `POST /v1/edges/{edge}/token` and `POST /v1/name-servers/{node}/token`: said once; the origin keeps only its digest. An
/// earlier token of the same name stops working.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedToken {
    /// To be kept by whom it is for.
    pub token: String,
}

/// `GET /v1/name-servers` answers a list of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameServer {
    /// A GeoDNS node that has a token.
    pub name: NameServerName,
    /// When it was issued.
    pub issued: Timestamp,
}

/// `PUT /v1/edges/{edge}`: how readers are sent to an edge. What [`EdgeState`](crate::fleet::EdgeState) says of each
/// field goes here too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the fields are those of `EdgeState`")]
pub struct EdgeSettings {
    pub addresses: Vec<IpAddr>,
    pub port: u16,
    pub location: Option<GeoPoint>,
    pub regions: BTreeSet<Region>,
    pub weight: u16,
}

/// `PUT /v1/edges/{edge}/force`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForceEdge {
    /// What is decided.
    #[serde(with = "Decision")]
    pub force: Force,
}

/// The same words as those of [`Force`], and no others: what somebody decides now and mistypes must not be taken for a decision.
#[derive(Serialize, Deserialize)]
#[serde(remote = "Force", rename_all = "lowercase")]
enum Decision {
    Up,
    Down,
    Auto,
}

/// `PUT /v1/sites/{site}/regions`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SiteRegions {
    /// Readers of the site are sent only to edges in one of these; none named: to any.
    pub regions: BTreeSet<Region>,
}

/// `PUT /v1/domains/{domain}`: asks for a domain to show a site, and for the proof to be looked for now. Answered by a [`Domain`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainRequest {
    /// The site.
    pub site: SiteName,
    /// Another domain of the same site that readers are sent on to.
    #[serde(default)]
    pub redirect_to: Option<DomainName>,
}

/// `GET /v1/domains` answers a list of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// The domain.
    pub name: DomainName,
    /// The site it is to show.
    pub site: SiteName,
    /// Another domain of the same site that readers are sent on to.
    #[serde(default)]
    pub redirect_to: Option<DomainName>,
    /// The TXT record that proves it.
    pub proof: Proof,
    /// When it was proven; until then it is not served.
    pub proven: Option<Timestamp>,
    /// Why it could not be proven when that was last tried, for a person to read.
    #[serde(default)]
    pub problem: Option<String>,
}

/// A TXT record that only who has the domain can make, bound to one site: pointing a name at the fleet proves nothing, since
/// names are forgotten and taken over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The record's name, `_verge.www.example.com`.
    pub name: String,
    /// Its text.
    pub value: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_that_is_mistyped_is_none() {
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
