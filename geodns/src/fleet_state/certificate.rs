//! A certificate of the fleet, as far as name servers need it.

use std::collections::BTreeSet;

use verge_protocol::certificate::CertificateState;
use verge_protocol::{CertificateName, Timestamp};

/// A certificate that the edges have, or are about to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// The names it is valid for.
    pub(crate) names: BTreeSet<CertificateName>,
    /// The start of its validity.
    pub(crate) not_before: Timestamp,
    /// The end of its validity.
    pub(crate) not_after: Timestamp,
    /// Whether every edge presents it: its names speak HTTPS.
    pub(crate) confirmed: bool,
}

impl From<CertificateState> for Certificate {
    fn from(state: CertificateState) -> Self {
        let CertificateState { names, not_before, not_after, confirmed, .. } = state;
        Self { names, not_before, not_after, confirmed }
    }
}
