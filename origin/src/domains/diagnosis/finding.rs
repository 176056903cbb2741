//! How findings describe answers.

use std::collections::BTreeSet;

use verge_protocol::api::{DomainFinding, DomainStep, FindingKind};

use crate::domains::observation::Observation;
use crate::domains::proof::quoted;
use crate::domains::resolver::{Answer, Data, Status};

/// How many records are listed.
const LISTED: usize = 4;

/// A finding about what one server answers.
pub(super) fn at(
    server: String,
    observation: &Observation,
    kind: FindingKind,
    blocks: &BTreeSet<DomainStep>,
    seen: String,
    wanted: String,
) -> DomainFinding {
    let record = format!("{} {}", observation.name, observation.kind.name());
    DomainFinding { kind, blocks: blocks.clone(), server, record, seen, wanted, until: None }
}

/// A finding about what the resolver answers.
pub(super) fn at_resolver(
    observation: &Observation,
    kind: FindingKind,
    blocks: &BTreeSet<DomainStep>,
    seen: String,
    wanted: String,
) -> DomainFinding {
    at(resolver(observation), observation, kind, blocks, seen, wanted)
}

/// The name of the resolver.
pub(super) fn resolver(observation: &Observation) -> String {
    format!("resolver {}", observation.answer.server)
}

/// An answer of the zone itself: of its first name server that answers, or else of the resolver. With the name of the server.
pub(super) fn of_zone(observation: &Observation) -> (String, &Answer) {
    match observation.authoritative.first() {
        Some((server, answer)) => (server.clone(), answer),
        None => (resolver(observation), &observation.answer),
    }
}

/// An answer in a few words: `CNAME www.example.net, 192.0.2.1`.
pub(super) fn describe(answer: &Answer) -> String {
    let aliases = answer.aliases.iter().map(|target| format!("CNAME {target}"));
    let nothing = match &answer.status {
        Status::Failed(code) => Some(failure(code, answer.extended_error)),
        Status::Silent => Some("no answer".to_owned()),
        Status::NoName => Some(match &answer.zone {
            Some(zone) if answer.aliases.is_empty() => format!("no such name in zone {zone}"),
            _ => "no such name".to_owned(),
        }),
        Status::Exists if answer.records.is_empty() && answer.aliases.is_empty() => Some("no such record".to_owned()),
        Status::Exists => None,
    };
    let mut records: Vec<String> = answer.records.iter().map(record).collect();
    // Their order changes from answer to answer.
    records.sort();
    list(aliases.chain(records).chain(nothing))
}

/// The first few of some items.
pub(super) fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    let first = items.iter().take(LISTED).cloned().collect::<Vec<_>>().join(", ");
    match items.len().saturating_sub(LISTED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

fn record(data: &Data) -> String {
    match data {
        Data::Address(address) => address.to_string(),
        Data::NameServer(server) => server.clone(),
        Data::Text(text) => quoted(text),
        Data::Caa { is_critical, tag, value } => format!("{} {tag} {}", u8::from(*is_critical) << 7, quoted(value)),
    }
}

fn failure(code: &str, extended_error: Option<u16>) -> String {
    match extended_error.and_then(dnssec_error) {
        Some(reason) => format!("{code}: {reason}"),
        None => code.to_owned(),
    }
}

/// The extended errors of DNSSEC validation (RFC 8914 §4).
pub(super) fn dnssec_error(code: u16) -> Option<&'static str> {
    Some(match code {
        6 => "DNSSEC bogus",
        7 => "signature expired",
        8 => "signature not yet valid",
        9 => "DNSKEY missing",
        10 => "RRSIGs missing",
        11 => "no zone key bit set",
        12 => "NSEC missing",
        _ => return None,
    })
}
