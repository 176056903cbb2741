//! Name servers of one zone that disagree.

use std::collections::BTreeSet;

use verge_protocol::api::{DomainFinding, DomainStep, FindingKind};

use super::finding;
use crate::domains::observation::Observation;
use crate::domains::resolver::Answer;

/// The name servers that do not answer what is wanted, if another one does: it would do to repair them.
pub(super) fn findings(
    observation: &Observation,
    blocks: &BTreeSet<DomainStep>,
    wanted: &str,
    is_wanted: impl Fn(&Answer) -> bool,
) -> Vec<DomainFinding> {
    if !observation.authoritative.iter().any(|(_, answer)| is_wanted(answer)) {
        return Vec::new();
    }
    let stale = observation.authoritative.iter().filter(|(_, answer)| !is_wanted(answer));
    let report = |(server, answer): &(String, Answer)| {
        let (seen, wanted) = (finding::describe(answer), wanted.to_owned());
        finding::at(server.clone(), observation, FindingKind::NameServerStale, blocks, seen, wanted)
    };
    stale.map(report).collect()
}
