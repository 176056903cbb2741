//! Queries that fail.

use std::collections::BTreeSet;

use verge_protocol::api::{DomainFinding, DomainStep, FindingKind};

use super::finding;
use crate::domains::observation::{Observation, Observations};

/// The queries that fail, and are needed. Those that fail for the same reason are one finding. `certificate` tells whether one is ordered,
/// and whether it can be by a delegation.
pub(super) fn findings(
    is_proven: bool,
    certificate: Option<bool>,
    service: &BTreeSet<DomainStep>,
    observed: &Observations,
) -> Vec<DomainFinding> {
    let Observations { proof, delegation, caa, ipv4, ipv6 } = observed;
    let (proof_step, certificate_step) = ([DomainStep::Proof].into(), [DomainStep::Certificate].into());
    let needed = [
        (!is_proven, proof, &proof_step),
        (certificate == Some(true), delegation, &certificate_step),
        (certificate.is_some(), caa, &certificate_step),
        (true, ipv4, service),
        (true, ipv6, service),
    ];
    let mut findings: Vec<DomainFinding> = Vec::new();
    for (_, observation, blocks) in needed.into_iter().filter(|(is_needed, ..)| *is_needed) {
        let Some(found) = failure(observation, blocks) else { continue };
        match findings.iter_mut().find(|finding| finding.kind == found.kind) {
            Some(first) => first.blocks.extend(found.blocks),
            None => findings.push(found),
        }
    }
    findings
}

fn failure(observation: &Observation, blocks: &BTreeSet<DomainStep>) -> Option<DomainFinding> {
    let Observation { answer, unvalidated, .. } = observation;
    if answer.is_definite() {
        return None;
    }
    let seen = finding::describe(answer);
    // A resolver that cannot reach the zone fails without validation too.
    let unvalidated = unvalidated.as_ref().filter(|unvalidated| unvalidated.is_definite());
    let is_bogus = unvalidated.is_some() || answer.extended_error.and_then(finding::dnssec_error).is_some();
    Some(if is_bogus {
        let without = unvalidated.map(|answer| format!("; without validation: {}", finding::describe(answer)));
        let seen = seen + &without.unwrap_or_default();
        let wanted = "an answer that is signed as the parent zone says".to_owned();
        finding::at_resolver(observation, FindingKind::DnssecBogus, blocks, seen, wanted)
    } else {
        finding::at_resolver(observation, FindingKind::LookupFailed, blocks, seen, "an answer".to_owned())
    })
}
