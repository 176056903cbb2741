//! Follows CNAME records from QNAME to the name that has the answer (RFC 1034 §4.3.2).

use std::sync::LazyLock;

use crate::dns::record::{RecordSet, RecordType};
use crate::fleet::RegionSetId;
use crate::geo::Family;
use crate::https_names::HTTPS_RECORD;
use crate::snapshot::Snapshot;
use crate::zone::{Lookup, Zone, ZoneNode};

/// The most CNAME records that are followed.
const MAX_ALIASES: usize = 8;

/// The answer to a query of type ANY, in place of all records (RFC 8482 §4.2).
static MINIMAL_ANY: LazyLock<RecordSet> = LazyLock::new(|| RecordSet {
    record_type: RecordType::HINFO,
    ttl: 3600,
    data: vec![Box::from(&b"\x07RFC8482\0"[..])],
});

/// Iterates over the names of a look-up, QNAME first. Aliases are followed while they are in zones served here, each once, and at
/// most [`MAX_ALIASES`] of them: a chain whose last step is an alias is a loop, or too long.
pub(crate) struct CnameChain<'n, 'v> {
    snapshot: &'v Snapshot,
    record_type: RecordType,
    next: Option<&'n [u8]>,
    passed: [&'n [u8]; MAX_ALIASES + 1],
    steps: usize,
}

/// One name of a chain.
pub(crate) struct ChainStep<'n, 'v> {
    pub(crate) owner: &'n [u8],
    /// The zone of the name, and its answer; `None` if no zone served here has the name.
    pub(crate) found: Option<(&'v Zone, ZoneAnswer<'v>)>,
}

/// The answer of a zone for a name and a type.
pub(crate) enum ZoneAnswer<'v> {
    /// The name is delegated, at a zone cut.
    Delegation { cut: &'v [u8], servers: &'v RecordSet },
    /// Neither the name nor any below it exists.
    NxDomain,
    /// The name exists, or is synthesized from a wildcard.
    Node { node: ZoneNode<'v>, data: NodeData<'v>, wildcard: Option<&'v [u8]> },
}

/// What a node has for a type.
pub(crate) enum NodeData<'v> {
    Records(&'v RecordSet),
    Cname(&'v RecordSet),
    /// The fleet answers, with addresses of edges.
    Fleet(RegionSetId, Family),
    /// No records of the type (RFC 2308 §2.2).
    NoData,
}

impl<'n, 'v: 'n> CnameChain<'n, 'v> {
    /// Starts the look-up of a type at `name`, in canonical wire form.
    pub(crate) fn new(snapshot: &'v Snapshot, name: &'n [u8], record_type: RecordType) -> Self {
        Self { snapshot, record_type, next: Some(name), passed: [b""; MAX_ALIASES + 1], steps: 0 }
    }
}

impl<'n, 'v: 'n> Iterator for CnameChain<'n, 'v> {
    type Item = ChainStep<'n, 'v>;

    fn next(&mut self) -> Option<Self::Item> {
        let owner = self.next.take()?;
        if self.steps > MAX_ALIASES || self.passed[..self.steps].contains(&owner) {
            return None;
        }
        self.passed[self.steps] = owner;
        self.steps += 1;
        let zone = zone_of(self.snapshot, owner, self.record_type);
        let found = zone.map(|zone| (zone, zone_answer(self.snapshot, zone, owner, self.record_type)));
        if let Some((_, ZoneAnswer::Node { data: NodeData::Cname(set), .. })) = found
            // For ANY the CNAME record is the answer.
            && self.record_type != RecordType::ANY
        {
            self.next = Some(&set.data[0]);
        }
        Some(ChainStep { owner, found })
    }
}

/// The zone that answers for a name and a type.
fn zone_of<'v>(snapshot: &'v Snapshot, owner: &[u8], record_type: RecordType) -> Option<&'v Zone> {
    let zone = snapshot.zone_set.zone(owner)?;
    if record_type == RecordType::DS && zone.apex.wire() == owner {
        // DS records are in the parent zone, if that is served here too.
        return Some(snapshot.zone_set.zone_above(owner).unwrap_or(zone));
    }
    Some(zone)
}

fn zone_answer<'v>(snapshot: &'v Snapshot, zone: &'v Zone, owner: &[u8], record_type: RecordType) -> ZoneAnswer<'v> {
    let (node, wildcard) = match zone.lookup(owner) {
        Lookup::Delegation { cut, node, .. } if record_type == RecordType::DS && cut == owner => (node, None),
        Lookup::Delegation { cut, servers, .. } => return ZoneAnswer::Delegation { cut, servers },
        Lookup::NxDomain { .. } => return ZoneAnswer::NxDomain,
        Lookup::Node { node, wildcard } => (node, wildcard),
    };
    let data = match record_type {
        RecordType::TXT => zone.challenge(owner).map(NodeData::Records),
        RecordType::ANY => zone.challenge(owner).map(|_| NodeData::Records(&MINIMAL_ANY)),
        RecordType::HTTPS if has_https(snapshot, node, owner) => Some(NodeData::Records(&HTTPS_RECORD)),
        RecordType::CAA if has_caa(snapshot, zone, node, owner) => snapshot.caa.as_deref().map(NodeData::Records),
        _ => None,
    };
    let data = data.unwrap_or_else(|| node_data(node, record_type));
    ZoneAnswer::Node { node, data, wildcard }
}

/// Whether the fleet answers for the name, over HTTPS, and the zone file has no HTTPS record of its own.
fn has_https(snapshot: &Snapshot, node: ZoneNode<'_>, owner: &[u8]) -> bool {
    node.fleet.is_some() && node.set(RecordType::HTTPS).is_none() && snapshot.https_names.contains(owner)
}

/// Whether the name is the fleet's, and the zone file has no CAA records of its own, here or for the zone: an authority looks for those if
/// there are none here.
fn has_caa(snapshot: &Snapshot, zone: &Zone, node: ZoneNode<'_>, owner: &[u8]) -> bool {
    let has_own = |node: ZoneNode<'_>| node.set(RecordType::CAA).is_some() || node.set(RecordType::CNAME).is_some();
    let apex_has_own =
        || matches!(zone.lookup(zone.apex.wire()), Lookup::Node { node, .. } if node.set(RecordType::CAA).is_some());
    (node.fleet.is_some() || snapshot.https_names.contains(owner)) && !has_own(node) && !apex_has_own()
}

fn node_data(node: ZoneNode<'_>, record_type: RecordType) -> NodeData<'_> {
    if let Some(set) = node.set(record_type) {
        return NodeData::Records(set);
    }
    if let Some(set) = node.set(RecordType::CNAME) {
        return NodeData::Cname(set);
    }
    match (node.fleet, record_type) {
        (Some(region_set), RecordType::A) => NodeData::Fleet(region_set, Family::V4),
        (Some(region_set), RecordType::AAAA) => NodeData::Fleet(region_set, Family::V6),
        (fleet, RecordType::ANY) if fleet.is_some() || !node.sets.is_empty() => NodeData::Records(&MINIMAL_ANY),
        _ => NodeData::NoData,
    }
}
