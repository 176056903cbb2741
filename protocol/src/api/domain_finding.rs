//! What is wrong with a domain in DNS.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::timestamp::Timestamp;

/// One thing that is wrong with a domain: which name server answers what, and what it should answer. All kinds have the same fields, so that
/// a client can show one that a later version adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainFinding {
    /// What is wrong.
    pub kind: FindingKind,
    /// What cannot happen before it is repaired. Never empty.
    pub blocks: BTreeSet<DomainStep>,
    /// The name server that was asked, with its address. Of [`FindingKind::RateLimited`]: the URL of the certificate authority.
    pub server: String,
    /// The record that it was asked for: `_verge.www.example.com TXT`.
    pub record: String,
    /// Its answer, for a person to read.
    pub seen: String,
    /// The answer that is expected, for a person to read.
    pub wanted: String,
    /// Of [`FindingKind::RateLimited`]: when the next order may be sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// On one line, without what it blocks.
impl fmt::Display for DomainFinding {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, server, record, seen, wanted, .. } = self;
        write!(formatter, "{kind}: {server} answers {seen} for {record}, expected {wanted}")
    }
}

/// A step on the way of a domain to the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DomainStep {
    /// The domain is proven.
    Proof,
    /// Its certificate is issued.
    Certificate,
    /// Its readers reach the fleet.
    Service,
    /// A step that a later version adds.
    #[serde(other)]
    Unknown,
}

/// What can be wrong with a domain in DNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FindingKind {
    /// The domain does not exist.
    NameMissing,
    /// There is no TXT record that could prove it.
    ProofMissing,
    /// There are TXT records, but with other texts.
    ProofWrong,
    /// A CNAME record, perhaps of a wildcard, answers in place of the TXT record (RFC 1034 §3.6.2).
    ProofHidden,
    /// Some of the zone's name servers have a record that this one lacks.
    NameServerStale,
    /// The zone's name servers have a record, but the resolver still remembers the time before it.
    ResolverStale,
    /// A resolver rejects the answer because it fails DNSSEC validation.
    DnssecBogus,
    /// The resolver does not answer, or with an error.
    LookupFailed,
    /// `_acme-challenge` is an alias of a name other than the one that the fleet answers for.
    DelegationElsewhere,
    /// CAA records allow other certificate authorities alone (RFC 8659).
    CaaForbids,
    /// The certificate authority accepts no further order yet.
    RateLimited,
    /// None of the domain's addresses is one of the fleet's.
    AddressElsewhere,
    /// Some of the domain's addresses are not of the fleet.
    AddressPartlyElsewhere,
    /// The domain's IPv4 addresses are of the fleet, but its IPv6 addresses are not.
    Ipv6Elsewhere,
    /// A kind that a later version adds.
    #[serde(other)]
    Unknown,
}

impl FindingKind {
    /// Every kind that this version knows.
    pub const ALL: [Self; 14] = [
        Self::NameMissing,
        Self::ProofMissing,
        Self::ProofWrong,
        Self::ProofHidden,
        Self::NameServerStale,
        Self::ResolverStale,
        Self::DnssecBogus,
        Self::LookupFailed,
        Self::DelegationElsewhere,
        Self::CaaForbids,
        Self::RateLimited,
        Self::AddressElsewhere,
        Self::AddressPartlyElsewhere,
        Self::Ipv6Elsewhere,
    ];
}

/// What is wrong, in a few words.
impl fmt::Display for FindingKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NameMissing => "the domain does not exist",
            Self::ProofMissing => "the TXT record is missing",
            Self::ProofWrong => "the TXT record has another text",
            Self::ProofHidden => "a CNAME record hides the TXT record",
            Self::NameServerStale => "a name server has old records",
            Self::ResolverStale => "the resolver has an old answer",
            Self::DnssecBogus => "DNSSEC validation fails",
            Self::LookupFailed => "a DNS query fails",
            Self::DelegationElsewhere => "_acme-challenge is delegated elsewhere",
            Self::CaaForbids => "CAA records forbid the certificate",
            Self::RateLimited => "the certificate authority limits orders",
            Self::AddressElsewhere => "the domain does not point at the fleet",
            Self::AddressPartlyElsewhere => "the domain points in part elsewhere",
            Self::Ipv6Elsewhere => "the IPv6 address points elsewhere",
            Self::Unknown => "a problem that this version does not know",
        })
    }
}

impl fmt::Display for DomainStep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Proof => "proof",
            Self::Certificate => "certificate",
            Self::Service => "service",
            Self::Unknown => "another step",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finding_of_a_later_version_keeps_what_it_names() {
        let later = r#"{"kind":"zone_on_fire","blocks":["proof","insurance"],"server":"ns1.example.net (192.0.2.53)",
            "record":"example.com SOA","seen":"smoke","wanted":"no smoke","since":7}"#;
        let finding: DomainFinding = serde_json::from_str(later).unwrap();
        assert_eq!(finding.kind, FindingKind::Unknown);
        assert_eq!(finding.blocks, [DomainStep::Proof, DomainStep::Unknown].into());
        assert_eq!((&*finding.seen, &*finding.wanted), ("smoke", "no smoke"));
    }

    #[test]
    fn names_of_kinds_and_steps_are_stable() {
        let names = FindingKind::ALL.map(|kind| serde_json::to_value(kind).unwrap().as_str().unwrap().to_owned());
        let expected = [
            "name_missing",
            "proof_missing",
            "proof_wrong",
            "proof_hidden",
            "name_server_stale",
            "resolver_stale",
            "dnssec_bogus",
            "lookup_failed",
            "delegation_elsewhere",
            "caa_forbids",
            "rate_limited",
            "address_elsewhere",
            "address_partly_elsewhere",
            "ipv6_elsewhere",
        ];
        assert_eq!(names, expected);
        let finding = DomainFinding {
            kind: FindingKind::Ipv6Elsewhere,
            blocks: [DomainStep::Service, DomainStep::Certificate].into(),
            server: "resolver 192.0.2.53".to_owned(),
            record: "example.com AAAA".to_owned(),
            seen: "2001:db8::9".to_owned(),
            wanted: "2001:db8::1".to_owned(),
            until: None,
        };
        let json = serde_json::to_value(&finding).unwrap();
        assert_eq!(json["kind"], "ipv6_elsewhere");
        assert_eq!(json["blocks"], serde_json::json!(["certificate", "service"]));
        assert!(json.get("until").is_none());
        assert_eq!(serde_json::from_value::<DomainFinding>(json).unwrap(), finding);
    }
}
