//! Certificates, as operators see them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::certificate::CertificateName;
use crate::domain::DomainName;
use crate::name::EdgeName;
use crate::timestamp::Timestamp;

/// A certificate that the fleet has or should have. `GET /v1/certificates` answers a list of these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// What identifies it; one of its names, without `*.`.
    pub domain: DomainName,
    /// The names that it should have.
    pub names: BTreeSet<CertificateName>,
    /// The authority that issued it, as its certificate calls itself; `None`: there is no certificate yet.
    #[serde(default)]
    pub issuer: Option<String>,
    /// The type of its key, such as `ECDSA P-256`.
    #[serde(default)]
    pub key_type: Option<String>,
    /// The end of its validity.
    #[serde(default)]
    pub not_after: Option<Timestamp>,
    /// On how many edges it is.
    #[serde(default)]
    pub edges: CertificateEdges,
    /// The edges with TLS that do not present it, though they are not away, each with the reason, for a person to read. Empty if there is no
    /// certificate yet.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub lacking: BTreeMap<EdgeName, String>,
    /// Whether it is that of the origin's API, which no edge has.
    #[serde(default)]
    pub is_api: bool,
    /// When it is ordered anew; `None`: it is due.
    #[serde(default)]
    pub renewal: Option<Timestamp>,
    /// If it is due: when it is ordered again after a failure, or after the authority has asked to wait; `None`: at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try: Option<Timestamp>,
    /// What its order is doing, and which name servers it waits for, for a person to read; `None`: it is not being ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<String>,
    /// Why the last order failed, why nothing is ordered, or why its key cannot be read, for a person to read.
    #[serde(default)]
    pub problem: Option<String>,
}

/// Body of `POST /v1/certificates/rekey`: the certificates that are ordered anew, with other private keys. The answer is the list of domains
/// that identify them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RekeyRequest {
    /// Those with any of these names.
    Domains(BTreeSet<DomainName>),
    /// All. The secret of session tickets is replaced too, at once.
    All,
}

/// The edges with TLS that are not away, as far as they have reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CertificateEdges {
    /// How many present the certificate as of its latest write, or a newer one with its names, and keep it across restarts.
    pub presenting: u64,
    /// How many there are.
    pub of: u64,
    /// How many edges besides, that are not away, have no TLS: name servers do not publish then that names speak HTTPS.
    #[serde(default)]
    pub without_tls: u64,
}

impl CertificateEdges {
    /// Whether there is an edge with TLS, and all of these present the certificate.
    pub fn is_complete(self) -> bool {
        self.of > 0 && self.presenting == self.of
    }

    /// Whether every edge presents the certificate.
    pub fn are_all(self) -> bool {
        self.is_complete() && self.without_tls == 0
    }
}
