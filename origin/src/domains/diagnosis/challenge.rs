//! The CNAME record that lets the fleet answer DNS-01 challenges.

use verge_protocol::api::{DomainFinding, DomainStep, FindingKind};

use super::{finding, stale};
use crate::domains::observation::Observation;
use crate::domains::resolver::Answer;

/// Whether an answer delegates to `target`.
pub(super) fn is_delegated(answer: &Answer, target: &str) -> bool {
    answer.aliases.first().is_some_and(|alias| alias == target)
}

/// What is wrong with the delegation. None is needed, and any other does no harm, if the domain points at the fleet: HTTP-01 will do.
pub(super) fn findings(target: &str, points_at_fleet: bool, observation: &Observation) -> Vec<DomainFinding> {
    let blocks = [DomainStep::Certificate].into();
    let wanted = format!("CNAME {target}");
    let stale = stale::findings(observation, &blocks, &wanted, |answer| is_delegated(answer, target));
    if !stale.is_empty() || points_at_fleet {
        return stale;
    }
    let (server, answer) = finding::of_zone(observation);
    if answer.aliases.is_empty() || is_delegated(answer, target) {
        return Vec::new();
    }
    let seen = finding::describe(answer);
    vec![finding::at(server, observation, FindingKind::DelegationElsewhere, &blocks, seen, wanted)]
}
