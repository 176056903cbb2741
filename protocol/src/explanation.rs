//! Why a name server leads a client where it does: `GET /explain` on a node's private listener.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::geo_point::GeoPoint;
use crate::name::{EdgeName, NameServerName, Region};

/// What a client at an address is answered, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// Who answers.
    pub node: NameServerName,
    /// The address that was asked about.
    pub address: IpAddr,
    /// Where that is.
    pub located: Located,
    /// The name that was asked about, and what is there.
    #[serde(default)]
    pub name: Option<ExplainedName>,
    /// No edge can be reached from the node: most likely its own network is at fault.
    #[serde(default)]
    pub isolated: bool,
    /// The edges in the order in which IPv4 readers are led to them.
    pub a: FamilyAnswer,
    /// The edges in the order in which IPv6 readers are led to them.
    pub aaaa: FamilyAnswer,
}

/// Where a client is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Located {
    /// Who says so: `override`, `database`, or `nowhere` if nobody knows.
    pub by: String,
    /// The place, if it is known.
    pub place: Option<GeoPoint>,
    /// The answer holds for this network, `192.0.2.0/24`. Its length is the scope of client subnet answers.
    pub network: String,
    /// What the database calls itself, if there is one: `GeoLite2-City`.
    #[serde(default)]
    pub database: Option<String>,
    /// The address is one that many have, such as 10.0.0.1: as a client subnet it says nothing, and the resolver's own address
    /// counts in its place.
    #[serde(default)]
    pub private: bool,
}

/// A name, and what answers for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedName {
    /// The name.
    pub name: String,
    /// What is there, for a person to read.
    pub found: String,
    /// Whether edges answer for it; if not, those below are what a site's name would be answered.
    pub fleet: bool,
    /// The regions its readers are kept to; none: anywhere.
    #[serde(default)]
    pub fence: BTreeSet<Region>,
}

/// The answer of one address family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FamilyAnswer {
    /// How long resolvers may keep it, in seconds.
    pub ttl: u32,
    /// All edges, the best first.
    pub edges: Vec<RankedEdge>,
}

/// An edge in an explanation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankedEdge {
    /// The edge.
    pub edge: EdgeName,
    /// The address that is in the answer; `None`: it is not named.
    pub address: Option<IpAddr>,
    /// Kilometres from the client, if both have a place.
    pub distance_km: Option<f64>,
    /// Why it is named or not.
    pub verdict: String,
    /// What probes of its addresses of this family say.
    #[serde(default)]
    pub probes: Vec<String>,
}
