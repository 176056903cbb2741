//! Certificates of the fleet, and answers to the challenges of certificate authorities, as the change feed carries them.
//!
//! No value holds a private key: it is named by a digest, and an edge requests it from the origin, sealed to its own public key, see
//! [`SealedSecret`](crate::api::SealedSecret).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::domain::{DomainName, DomainNameError};
use crate::serde_text::serde_as_text;
use crate::timestamp::Timestamp;

/// A name in a certificate: a domain, or `*.` before a domain.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CertificateName {
    /// This host alone.
    Host(DomainName),
    /// Every host that is one label below this domain, but not the domain itself (RFC 9525 §6.3).
    Wildcard(DomainName),
}

impl CertificateName {
    /// The domain, without `*.`.
    pub fn domain(&self) -> &DomainName {
        match self {
            Self::Host(domain) | Self::Wildcard(domain) => domain,
        }
    }

    /// Whether a certificate with this name is valid for `host`, which is lowercase.
    pub fn covers(&self, host: &str) -> bool {
        match self {
            Self::Host(domain) => domain.as_str() == host,
            Self::Wildcard(domain) => domain.label_of(host).is_some(),
        }
    }
}

impl FromStr for CertificateName {
    type Err = DomainNameError;

    fn from_str(text: &str) -> Result<Self, DomainNameError> {
        match text.strip_prefix("*.") {
            Some(domain) => domain.parse().map(Self::Wildcard),
            None => text.parse().map(Self::Host),
        }
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(domain) => fmt::Display::fmt(domain, formatter),
            Self::Wildcard(domain) => write!(formatter, "*.{domain}"),
        }
    }
}

impl fmt::Debug for CertificateName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

serde_as_text!(CertificateName);

/// Value of the key `certificate/<domain>`: a certificate that edges present to readers. The domain identifies it; a renewed certificate
/// replaces it. It is one of the names that the certificate should have, without `*.`, but the certificate may lack it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateState {
    /// The names it is valid for.
    pub names: BTreeSet<CertificateName>,
    /// The certificate and its intermediate certificates, in PEM (RFC 7468), its own first.
    pub chain: String,
    /// The SHA-256 of its `SubjectPublicKeyInfo` (RFC 5280 §4.1.2.7), which names the private key.
    pub key: Digest,
    /// The start of its validity.
    pub not_before: Timestamp,
    /// The end of its validity.
    pub not_after: Timestamp,
    /// Whether every edge that is not away has reported that it serves this certificate, or one before it with all its names: name servers then
    /// publish that its names speak HTTPS. No longer once one reports that it has no TLS.
    #[serde(default)]
    pub confirmed: bool,
}

/// Value of the key `challenge/<domain>`: how the fleet answers a certificate authority that checks the control of a domain.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ChallengeState {
    /// Texts of TXT records, by the owner name at which name servers answer with them, in their zones (RFC 8555 §8.4). Lowercase, without
    /// the final dot.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub dns: BTreeMap<String, BTreeSet<String>>,
    /// Key authorizations by token: edges answer `/.well-known/acme-challenge/<token>` of this domain with them (RFC 8555 §8.3).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub http: BTreeMap<String, String>,
}

/// Value of the key `secret/tickets`: the secret from which edges derive the keys of TLS session tickets, so that a session that one edge
/// began resumes at another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketSecretState {
    /// The SHA-256 of the secret, which names it.
    pub secret: Digest,
}

/// Value of the key `caa/issuers`: who may issue certificates for the names that name servers answer for from the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaaState {
    /// The names by which the authorities call themselves in CAA records (RFC 8659 §4.2), such as `letsencrypt.org`. Never empty.
    pub issuers: BTreeSet<String>,
    /// The URLs of the directories of these authorities.
    #[serde(default)]
    pub directories: BTreeSet<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> CertificateName {
        text.parse().unwrap()
    }

    #[test]
    fn wildcard_covers_one_label_below_its_domain() {
        let wildcard = name("*.sites.example");
        assert!(wildcard.covers("demo.sites.example") && wildcard.covers("pr-1--demo.sites.example"));
        for other in ["sites.example", "a.b.sites.example", "demo.example", "*.sites.example.org"] {
            assert!(!wildcard.covers(other), "{other}");
        }
        assert!(name("sites.example").covers("sites.example") && !name("sites.example").covers("a.sites.example"));
    }

    #[test]
    fn name_has_one_text_form_and_malformed_names_are_rejected() {
        for text in ["www.example.com", "*.example.com"] {
            assert_eq!(name(text).to_string(), text);
        }
        for bad in ["", "*", "*.", "**.example.com", "a.*.example.com", "*example.com", "_a.example.com"] {
            assert!(bad.parse::<CertificateName>().is_err(), "{bad}");
        }
    }
}
