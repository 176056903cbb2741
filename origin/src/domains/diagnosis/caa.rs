//! CAA records (RFC 8659).

use std::collections::BTreeSet;

use verge_protocol::api::{DomainFinding, DomainStep, FindingKind};

use super::finding;
use crate::domains::observation::Observation;
use crate::domains::resolver::Data;

/// The properties that an authority knows (RFC 8659 §4, RFC 9495, and those of the registry that concern no issuance).
const KNOWN: [&str; 7] = ["contactemail", "contactphone", "iodef", "issue", "issuemail", "issuevmc", "issuewild"];

/// Whether the records allow none of `issuers` to issue a certificate for the domain's own name. `issuewild` is for wildcards alone.
pub(super) fn finding(issuers: &BTreeSet<String>, observation: &Observation) -> Option<DomainFinding> {
    if issuers.is_empty() {
        return None;
    }
    let records = || {
        observation.answer.records.iter().filter_map(|data| match data {
            Data::Caa { is_critical, tag, value } => Some((*is_critical, tag.as_str(), value.as_str())),
            _ => None,
        })
    };
    let is_unknown = records().any(|(is_critical, tag, _)| is_critical && !KNOWN.contains(&tag));
    let mut allowed = records().filter(|(_, tag, _)| *tag == "issue").map(|(.., value)| issuer(value)).peekable();
    let is_restricted = allowed.peek().is_some();
    if !is_unknown && (!is_restricted || allowed.any(|name| issuers.contains(&name))) {
        return None;
    }
    let wanted = finding::list(issuers.iter().map(|issuer| format!("0 issue \"{issuer}\"")));
    let blocks = [DomainStep::Certificate].into();
    let seen = finding::describe(&observation.answer);
    Some(finding::at_resolver(observation, FindingKind::CaaForbids, &blocks, seen, wanted))
}

/// The authority in an `issue` property, without its parameters; empty: none (RFC 8659 §4.2).
fn issuer(value: &str) -> String {
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
