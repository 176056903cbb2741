//! Where a domain points.

use std::collections::BTreeSet;
use std::net::IpAddr;

use verge_protocol::api::{DomainFinding, DomainStep, FindingKind};

use super::expected::Expected;
use super::{finding, stale};
use crate::domains::observation::Observations;
use crate::domains::resolver::{Answer, Status};

/// Where a domain points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::domains) enum Pointing {
    /// At the fleet alone.
    Fleet,
    /// The domain does not exist.
    NoName,
    /// Nowhere, or elsewhere alone.
    Elsewhere,
    /// At the fleet and elsewhere.
    Partly,
    /// Its IPv4 addresses at the fleet, its IPv6 addresses elsewhere.
    Ipv6Elsewhere,
    /// A query failed, or the addresses of the fleet are unknown.
    Unknown,
}

/// Where the answers for A and AAAA records point. `edges` are the addresses of the fleet.
pub(in crate::domains) fn pointing(edges: &BTreeSet<IpAddr>, ipv4: &Answer, ipv6: &Answer) -> Pointing {
    if !ipv4.is_definite() || !ipv6.is_definite() {
        return Pointing::Unknown;
    }
    // A name server that denies the name because it has no AAAA record is wrong (RFC 4074 §4.2).
    if [ipv4, ipv6].iter().all(|answer| answer.status == Status::NoName) {
        return Pointing::NoName;
    }
    let split = |answer: &Answer| {
        let (ours, foreign): (Vec<_>, Vec<_>) = answer.addresses().partition(|address| edges.contains(address));
        (!ours.is_empty(), !foreign.is_empty())
    };
    match (split(ipv4), split(ipv6)) {
        ((false, false), (false, false)) => Pointing::Elsewhere,
        _ if edges.is_empty() => Pointing::Unknown,
        ((_, false), (_, false)) => Pointing::Fleet,
        ((false, _), (false, _)) => Pointing::Elsewhere,
        ((true, false), (false, true)) => Pointing::Ipv6Elsewhere,
        _ => Pointing::Partly,
    }
}

/// What is wrong with where the domain points. `service` is what that blocks.
pub(super) fn findings(
    expected: &Expected<'_>,
    pointing: Pointing,
    service: &BTreeSet<DomainStep>,
    observed: &Observations,
) -> Vec<DomainFinding> {
    let Observations { ipv4, ipv6, .. } = observed;
    for observation in [ipv4, ipv6] {
        let stale = stale::findings(observation, service, &wanted(expected), |answer| is_right(expected, answer));
        if !stale.is_empty() {
            return stale;
        }
    }
    let (kind, observation) = match pointing {
        Pointing::Fleet | Pointing::Unknown => return Vec::new(),
        Pointing::NoName => (FindingKind::NameMissing, ipv4),
        Pointing::Elsewhere => (FindingKind::AddressElsewhere, ipv4),
        Pointing::Partly => (FindingKind::AddressPartlyElsewhere, ipv4),
        Pointing::Ipv6Elsewhere => (FindingKind::Ipv6Elsewhere, ipv6),
    };
    let mut blocks = service.clone();
    // Denied by a top-level domain: not even the proof can be created.
    if pointing == Pointing::NoName && ipv4.answer.zone.as_ref().is_some_and(|zone| !zone.contains('.')) {
        blocks.insert(DomainStep::Proof);
    }
    let mut found = finding::at_resolver(observation, kind, &blocks, seen(pointing, observed), wanted(expected));
    if matches!(kind, FindingKind::AddressElsewhere | FindingKind::AddressPartlyElsewhere) {
        found.record = format!("{} A, AAAA", observation.name);
    }
    vec![found]
}

/// Whether a name server of the domain's zone sends readers to the fleet.
fn is_right(expected: &Expected<'_>, answer: &Answer) -> bool {
    let is_ours =
        |alias: &String| alias.parse().is_ok_and(|name: verge_protocol::DomainName| name.is_within(expected.base));
    let mut addresses = answer.addresses().peekable();
    answer.aliases.iter().any(is_ours)
        || addresses.peek().is_some() && addresses.all(|address| expected.edges.contains(&address))
}

fn seen(pointing: Pointing, Observations { ipv4, ipv6, .. }: &Observations) -> String {
    let (ipv4, ipv6) = (&ipv4.answer, &ipv6.answer);
    match pointing {
        Pointing::Ipv6Elsewhere => finding::describe(ipv6),
        // One list, the alias once.
        _ if !ipv6.records.is_empty() => {
            let records = ipv4.records.iter().chain(&ipv6.records).cloned().collect();
            finding::describe(&Answer { records, status: Status::Exists, ..ipv6.clone() })
        }
        _ => finding::describe(ipv4),
    }
}

fn wanted(Expected { row, base, edges, .. }: &Expected<'_>) -> String {
    let alias = format!("CNAME {}.{base}", row.site);
    if edges.is_empty() {
        return alias;
    }
    format!("{alias} ({})", finding::list(edges.iter().map(ToString::to_string)))
}
