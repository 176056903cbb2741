//! From the name that is asked for to the one that has the answer, alias by alias.

use std::sync::LazyLock;

use crate::dns::record::{RecordSet, RecordType};
use crate::fleet::RegionSetId;
use crate::geo::Family;
use crate::snapshot::Snapshot;
use crate::zone::{Found, Node, Zone};

/// The longest chain of aliases that is followed.
const ALIASES: usize = 8;

/// Stands for all there is at a name that somebody asks everything of (RFC 8482 §4.2).
static REFUSES_ANY: LazyLock<RecordSet> = LazyLock::new(|| RecordSet {
    record_type: RecordType::HINFO,
    ttl: 3600,
    data: vec![Box::from(&b"\x07RFC8482\0"[..])],
});

/// The names that a look-up passes, the one asked for first. An alias is followed as long as it stays in zones served here, each
/// once, and at most [`ALIASES`] of them: a chain that ends with an alias is a loop, or as good as one.
pub(crate) struct Chain<'n, 'v> {
    snapshot: &'v Snapshot,
    record_type: RecordType,
    next: Option<&'n [u8]>,
    passed: [&'n [u8]; ALIASES + 1],
    hops: usize,
}

/// A name on the way.
pub(crate) struct Hop<'n, 'v> {
    pub(crate) owner: &'n [u8],
    /// The zone that answers for it, and what it knows; `None`: none of those served here.
    pub(crate) known: Option<(&'v Zone, Known<'v>)>,
}

/// What a zone knows of a name.
pub(crate) enum Known<'v> {
    /// Others answer for it, from a cut in the zone.
    Delegated { cut: &'v [u8], servers: &'v RecordSet },
    /// It does not exist, nor does any below.
    Missing,
    /// It exists, or a wildcard stands in for it.
    Node { node: Node<'v>, at: At<'v>, wildcard: Option<&'v [u8]> },
}

/// What a node has for a question.
pub(crate) enum At<'v> {
    Records(&'v RecordSet),
    Alias(&'v RecordSet),
    Fleet(RegionSetId, Family),
    Nothing,
}

impl<'n, 'v: 'n> Chain<'n, 'v> {
    /// The look-up of a type at `name`, in canonical wire form.
    pub(crate) fn new(snapshot: &'v Snapshot, name: &'n [u8], record_type: RecordType) -> Self {
        Self { snapshot, record_type, next: Some(name), passed: [b""; ALIASES + 1], hops: 0 }
    }
}

impl<'n, 'v: 'n> Iterator for Chain<'n, 'v> {
    type Item = Hop<'n, 'v>;

    fn next(&mut self) -> Option<Self::Item> {
        let owner = self.next.take()?;
        if self.hops > ALIASES || self.passed[..self.hops].contains(&owner) {
            return None;
        }
        self.passed[self.hops] = owner;
        self.hops += 1;
        let zone = zone_of(self.snapshot, owner, self.record_type);
        let known = zone.map(|zone| (zone, known(zone, owner, self.record_type)));
        if let Some((_, Known::Node { at: At::Alias(set), .. })) = known
            // Who asks everything of a name has been told it.
            && self.record_type != RecordType::ANY
        {
            self.next = Some(&set.data[0]);
        }
        Some(Hop { owner, known })
    }
}

/// The zone that answers for a name.
fn zone_of<'v>(snapshot: &'v Snapshot, owner: &[u8], record_type: RecordType) -> Option<&'v Zone> {
    let zone = snapshot.catalogue.zone(owner)?;
    if record_type == RecordType::DS && zone.apex.wire() == owner {
        // What says that a zone is signed stands in the zone above it, if that is served here too.
        return Some(snapshot.catalogue.zone_above(owner).unwrap_or(zone));
    }
    Some(zone)
}

fn known<'v>(zone: &'v Zone, owner: &[u8], record_type: RecordType) -> Known<'v> {
    let (node, wildcard) = match zone.find(owner) {
        Found::Delegated { cut, node, .. } if record_type == RecordType::DS && cut == owner => (node, None),
        Found::Delegated { cut, servers, .. } => return Known::Delegated { cut, servers },
        Found::Missing { .. } => return Known::Missing,
        Found::Node { node, wildcard } => (node, wildcard),
    };
    Known::Node { node, at: at(node, record_type), wildcard }
}

fn at(node: Node<'_>, record_type: RecordType) -> At<'_> {
    if let Some(set) = node.set(record_type) {
        return At::Records(set);
    }
    if let Some(set) = node.set(RecordType::CNAME) {
        return At::Alias(set);
    }
    match (node.fleet, record_type) {
        (Some(region_set), RecordType::A) => At::Fleet(region_set, Family::V4),
        (Some(region_set), RecordType::AAAA) => At::Fleet(region_set, Family::V6),
        (fleet, RecordType::ANY) if fleet.is_some() || !node.sets.is_empty() => At::Records(&REFUSES_ANY),
        _ => At::Nothing,
    }
}
