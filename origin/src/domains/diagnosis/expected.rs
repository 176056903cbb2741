//! What DNS should say about a domain.

use std::collections::BTreeSet;
use std::net::IpAddr;

use verge_protocol::DomainName;

use crate::store::DomainRow;

/// What DNS should say about a domain.
pub(in crate::domains) struct Expected<'a> {
    pub(in crate::domains) row: &'a DomainRow,
    /// The domain of the origin's sites.
    pub(in crate::domains) base: &'a DomainName,
    /// The addresses of the fleet's edges. Without any, it is not judged where the domain points.
    pub(in crate::domains) edges: &'a BTreeSet<IpAddr>,
    /// `None`: no certificates are ordered.
    pub(in crate::domains) certificate: Option<ExpectedCertificate<'a>>,
}

/// What the certificate of a domain depends on.
pub(in crate::domains) struct ExpectedCertificate<'a> {
    /// The name to which `_acme-challenge.<domain>` may be delegated; `None`: the fleet has no name servers of its own.
    pub(in crate::domains) delegation: Option<&'a str>,
    /// The certificate authorities, as CAA records name them. Without any, CAA records are not judged.
    pub(in crate::domains) issuers: &'a BTreeSet<String>,
}
