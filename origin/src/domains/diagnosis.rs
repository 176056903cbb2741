//! What is wrong with a domain in DNS. Pure: observations go in, findings come out.

mod addresses;
mod caa;
mod challenge;
mod expected;
mod failures;
mod finding;
mod stale;
#[cfg(test)]
mod tests;
mod txt;

use std::collections::BTreeSet;

use verge_protocol::api::{DomainFinding, DomainStep};

use super::observation::Observations;

use self::addresses::{Pointing, pointing};
pub(super) use self::expected::{Expected, ExpectedCertificate};

/// Everything that is wrong. What blocks the earliest step comes first.
pub(super) fn diagnose(expected: &Expected<'_>, observed: &Observations) -> Vec<DomainFinding> {
    let Expected { row, edges, certificate, .. } = expected;
    let pointing = pointing(edges, &observed.ipv4.answer, &observed.ipv6.answer);
    let delegation = certificate.as_ref().and_then(|certificate| certificate.delegation);
    let is_delegated = delegation.is_some_and(|target| challenge::is_delegated(&observed.delegation.answer, target));
    let mut service = BTreeSet::from([DomainStep::Service]);
    if certificate.is_some() && !is_delegated {
        service.insert(DomainStep::Certificate);
    }

    let mut findings = failures::findings(
        row.proven.is_some(),
        certificate.as_ref().map(|certificate| certificate.delegation.is_some()),
        &service,
        observed,
    );
    let addresses = addresses::findings(expected, pointing, &service, observed);
    let is_unregistered = addresses.iter().any(|finding| finding.blocks.contains(&DomainStep::Proof));
    if row.proven.is_none() && !is_unregistered {
        findings.extend(txt::findings(&row.proof, &observed.proof));
    }
    if let Some(certificate) = certificate {
        if let Some(target) = certificate.delegation {
            findings.extend(challenge::findings(target, pointing == Pointing::Fleet, &observed.delegation));
        }
        findings.extend(caa::finding(certificate.issuers, &observed.caa));
    }
    findings.extend(addresses);
    findings.sort_by_key(|finding| finding.blocks.first().copied());
    findings
}
