//! Certificates, as operators see them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::certificate::CertificateName;
use crate::domain::DomainName;
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
    /// The end of its validity.
    #[serde(default)]
    pub not_after: Option<Timestamp>,
    /// When it is ordered anew; `None`: it is due.
    #[serde(default)]
    pub renewal: Option<Timestamp>,
    /// Why the last order failed, for a person to read.
    #[serde(default)]
    pub problem: Option<String>,
}
