//! `GET /explain` on the private listener of a name server: which edges a client gets, and why.
//!
//! Enums have a variant for values of other versions, so that a client and a name server of different versions understand each
//! other.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::geo_point::GeoPoint;
use crate::name::{EdgeName, NameServerName, Region};

/// What a client at an address is answered, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explanation {
    /// The name server that answers.
    pub name_server: NameServerName,
    /// The address of the client.
    pub address: IpAddr,
    /// Where the client is.
    pub client: ClientLocation,
    /// The name that was asked about, and what it leads to.
    #[serde(default)]
    pub name: Option<ExplainedName>,
    /// Whether no edge can be reached from the name server: most likely its own network is at fault.
    #[serde(default)]
    pub isolated: bool,
    /// The edges for IPv4.
    pub a: FamilyAnswer,
    /// The edges for IPv6.
    pub aaaa: FamilyAnswer,
}

/// Where a client is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClientLocation {
    /// Where the location comes from.
    pub source: LocationSource,
    /// The location, if it is known.
    pub location: Option<GeoPoint>,
    /// The network that gets the same answer, such as `192.0.2.0/24`. Its length is the scope of client subnet answers.
    pub network: String,
    /// Whether the address is private, such as 10.0.0.1. A private client subnet is ignored in favour of the resolver's own address.
    #[serde(default)]
    pub private: bool,
}

/// The source of a location.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum LocationSource {
    /// The `[locations]` of the configuration.
    Override,
    /// The location database.
    Database {
        /// What the database calls itself, such as `GeoLite2-City`.
        database_type: String,
    },
    /// Neither knows the client.
    NotFound,
    /// A source that this version does not know.
    #[serde(other)]
    Unknown,
}

/// A name, and the lookup of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExplainedName {
    /// The name.
    pub name: String,
    /// The steps of the lookup: any number of aliases, then what was found at the last name.
    pub lookup: Vec<LookupStep>,
}

impl ExplainedName {
    /// The regions to which readers of the site are restricted, if edges answer for the name. If they do not, the edges of the
    /// explanation are those that a site without a restriction would get.
    pub fn fleet_regions(&self) -> Option<&BTreeSet<Region>> {
        match self.lookup.last() {
            Some(LookupStep::Fleet { regions, .. }) => Some(regions),
            _ => None,
        }
    }
}

/// A step of a lookup. `zone` is the name of the zone that answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum LookupStep {
    /// An alias (CNAME). The lookup continues at its target.
    Alias {
        /// The zone.
        zone: String,
        /// The target.
        target: String,
    },
    /// The name is in none of the zones of this name server.
    NotAuthoritative,
    /// The name does not exist (NXDOMAIN).
    NoSuchName {
        /// The zone.
        zone: String,
    },
    /// The zone file does not have the name, and no origin was reached yet to tell whether it is a site's (SERVFAIL).
    NotYetKnown {
        /// The zone.
        zone: String,
    },
    /// The zone delegates the name to other name servers.
    Delegated {
        /// The zone.
        zone: String,
    },
    /// The zone file has records at the name.
    ZoneFileRecords {
        /// The zone.
        zone: String,
    },
    /// The name has no records of its own, only names below it (RFC 8020).
    EmptyNonTerminal {
        /// The zone.
        zone: String,
    },
    /// The name of a site: edges answer for it.
    Fleet {
        /// The zone.
        zone: String,
        /// The regions to which the site's readers are restricted; empty: no restriction.
        #[serde(default)]
        regions: BTreeSet<Region>,
    },
    /// The aliases form a loop or a chain that is too long.
    TooManyAliases,
    /// A step that this version does not know.
    #[serde(other)]
    Unknown,
}

/// The answer of one address family.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FamilyAnswer {
    /// How long resolvers may cache the answer, in seconds.
    pub ttl: u32,
    /// All edges, best first.
    pub edges: Vec<RankedEdge>,
}

/// An edge in the order in which a client gets them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RankedEdge {
    /// The edge.
    pub edge: EdgeName,
    /// Its address in the answer; `None`: it is not in the answer.
    pub address: Option<IpAddr>,
    /// Kilometres from the client, if both locations are known.
    pub distance_km: Option<f64>,
    /// Whether it may be in the answer, and why.
    pub eligibility: Eligibility,
    /// The probes of its addresses of this family.
    #[serde(default)]
    pub probes: Vec<AddressProbe>,
}

/// Whether an edge may be in an answer, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Eligibility {
    /// Eligible: up and current.
    Healthy,
    /// Eligible: forced up by the operator.
    ForcedUp,
    /// Eligible although it is lagging: too few edges are current.
    LaggingButNeeded,
    /// Eligible although it is draining: no other edge is up.
    DrainingButNeeded,
    /// Eligible although it is down: no edge is up.
    DownButNeeded,
    /// Not eligible: lagging.
    Lagging,
    /// Not eligible: draining.
    Draining,
    /// Not eligible: down.
    Down,
    /// Not eligible: forced down by the operator.
    ForcedDown,
    /// Not eligible: it has no address of the family.
    NoAddress,
    /// Not eligible: it is outside the regions to which the site is restricted.
    OutsideRegions,
    /// A reason that this version does not know.
    #[serde(other)]
    Unknown,
}

impl Eligibility {
    /// Whether the edge may be in an answer. `false` for [`Self::Unknown`].
    pub fn is_eligible(self) -> bool {
        match self {
            Self::Healthy | Self::ForcedUp | Self::LaggingButNeeded | Self::DrainingButNeeded | Self::DownButNeeded => {
                true
            }
            Self::Lagging
            | Self::Draining
            | Self::Down
            | Self::ForcedDown
            | Self::NoAddress
            | Self::OutsideRegions
            | Self::Unknown => false,
        }
    }
}

/// The state of an address of an edge, and the result of its last probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressProbe {
    /// The address.
    pub address: IpAddr,
    /// Whether it counts as up, which takes several probes to change.
    pub up: bool,
    /// The last probe.
    pub last: ProbeResult,
}

/// The result of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum ProbeResult {
    /// No probe has ended yet.
    NotProbed,
    /// The edge answered that it is healthy.
    Succeeded {
        /// From connecting to the last byte, in milliseconds.
        latency_ms: u64,
    },
    /// It did not.
    Failed {
        /// Why.
        failure: ProbeFailure,
    },
    /// A result that this version does not know.
    #[serde(other)]
    Unknown,
}

/// Why a probe failed. `cause` is the text of the operating system or of a library.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ProbeFailure {
    /// Nothing listens at the address.
    ConnectionRefused,
    /// Connecting and answering took too long.
    Timeout {
        /// The timeout, in milliseconds.
        after_ms: u64,
    },
    /// The connection failed or was closed.
    Unreachable {
        /// Why.
        cause: String,
    },
    /// The server at the address does not speak TLS.
    NotTls,
    /// The certificate has expired.
    CertificateExpired,
    /// The certificate is not valid yet.
    CertificateNotYetValid,
    /// The certificate is for another host.
    CertificateNameMismatch {
        /// The host or address that it should be for.
        expected: String,
    },
    /// The certificate is issued by an unknown authority.
    CertificateUnknownIssuer,
    /// The signature of the certificate is wrong.
    CertificateBadSignature,
    /// The certificate is rejected for another reason.
    CertificateRejected {
        /// Why.
        cause: String,
    },
    /// TLS failed for another reason.
    TlsFailed {
        /// Why.
        cause: String,
    },
    /// The answer has a status other than 200. An edge that cannot serve answers 503.
    Status {
        /// The status code.
        status: u16,
    },
    /// The answer is not an edge's health.
    InvalidAnswer {
        /// Why.
        cause: String,
    },
    /// Another edge answered.
    WrongEdge {
        /// The edge that answered.
        edge: EdgeName,
    },
    /// A failure that this version does not know.
    #[serde(other)]
    Unknown,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn enum_values_of_other_versions_are_read_as_unknown() {
        let unknown = json!({ "type": "from_the_future", "more": [1] });
        assert_eq!(serde_json::from_value::<LocationSource>(unknown.clone()).unwrap(), LocationSource::Unknown);
        assert_eq!(serde_json::from_value::<LookupStep>(unknown.clone()).unwrap(), LookupStep::Unknown);
        assert_eq!(serde_json::from_value::<ProbeFailure>(unknown).unwrap(), ProbeFailure::Unknown);
        let unknown = json!({ "result": "from_the_future", "more": [1] });
        assert_eq!(serde_json::from_value::<ProbeResult>(unknown).unwrap(), ProbeResult::Unknown);
        assert_eq!(serde_json::from_value::<Eligibility>(json!("from_the_future")).unwrap(), Eligibility::Unknown);
        assert_eq!(serde_json::to_value(Eligibility::DownButNeeded).unwrap(), json!("down_but_needed"));
    }
}
