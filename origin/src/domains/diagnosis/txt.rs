//! The TXT record that proves a domain.

use verge_protocol::api::{DomainFinding, DomainStep, FindingKind};

use super::{finding, stale};
use crate::domains::observation::Observation;
use crate::domains::proof::is_proof;
use crate::domains::resolver::{Answer, Data};

/// Why the record with the text `proof` is not found.
pub(super) fn findings(proof: &str, observation: &Observation) -> Vec<DomainFinding> {
    let has_proof = |answer: &Answer| answer.records.iter().filter_map(Data::text).any(|text| is_proof(text, proof));
    // What fails is reported by itself.
    if !observation.answer.is_definite() || has_proof(&observation.answer) {
        return Vec::new();
    }
    let (blocks, wanted) = ([DomainStep::Proof].into(), format!("`{proof}`"));
    let stale = stale::findings(observation, &blocks, &wanted, has_proof);
    if !stale.is_empty() {
        return stale;
    }
    if observation.authoritative.iter().any(|(_, answer)| has_proof(answer)) {
        let seen = finding::describe(&observation.answer);
        return vec![finding::at_resolver(observation, FindingKind::ResolverStale, &blocks, seen, wanted)];
    }
    let (server, answer) = finding::of_zone(observation);
    let kind = match answer {
        Answer { aliases, .. } if !aliases.is_empty() => FindingKind::ProofHidden,
        Answer { records, .. } if !records.is_empty() => FindingKind::ProofWrong,
        _ => FindingKind::ProofMissing,
    };
    vec![finding::at(server, observation, kind, &blocks, finding::describe(answer), wanted)]
}
