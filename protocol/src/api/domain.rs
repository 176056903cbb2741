//! Bodies of the calls for domains.

use serde::{Deserialize, Serialize};

use super::domain_finding::DomainFinding;
use crate::domain::DomainName;
use crate::name::SiteName;
use crate::timestamp::Timestamp;

/// `PUT /v1/domains/{domain}`: claims a domain for a site, and checks it now. The answer is a [`Domain`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainRequest {
    /// The site.
    pub site: SiteName,
    /// Another domain of the same site to redirect readers to.
    #[serde(default)]
    pub redirect_to: Option<DomainName>,
}

/// `GET /v1/domains` answers a list of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// The domain.
    pub name: DomainName,
    /// The site that it is claimed for.
    pub site: SiteName,
    /// Another domain of the same site to redirect readers to.
    #[serde(default)]
    pub redirect_to: Option<DomainName>,
    /// The TXT record that proves it.
    pub proof: Proof,
    /// Whether the origin orders a certificate for it, once it is proven.
    #[serde(default)]
    pub orders_certificate: bool,
    /// The record with which its certificate is issued before its address changes; `None`: the certificate is ordered once its address is
    /// that of the fleet, or never.
    #[serde(default)]
    pub delegation: Option<Delegation>,
    /// When it was proven; `None`: it is not proven and not served.
    pub proven: Option<Timestamp>,
    /// Why the last check did not find the proof, for a person to read.
    #[serde(default)]
    pub problem: Option<String>,
    /// What the last check since the start of the origin found wrong in DNS. What blocks the earliest step comes first.
    #[serde(default)]
    pub findings: Vec<DomainFinding>,
}

/// A TXT record that only the owner of the domain can create, bound to one site. (That a name points at the edges proves nothing: such
/// names are left behind, and registered by others.)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The record's name, `_verge.www.example.com`.
    pub name: String,
    /// The record's text.
    pub value: String,
}

/// A CNAME record that lets the fleet's name servers answer the DNS-01 challenges of a domain (RFC 8555 §8.4).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delegation {
    /// The record's name, `_acme-challenge.www.example.com`.
    pub name: String,
    /// The record's target, which no other domain has.
    pub target: String,
}
