//! The look-up of a name in a zone (RFC 1034 §4.3.2, RFC 4592, RFC 8020).

use crate::dns::name::{self, Name};
use crate::dns::record::{RecordSet, RecordType};
use crate::fleet::RegionSetId;

/// What is at a name that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ZoneNode<'a> {
    /// The operator's records; none at an empty non-terminal.
    pub(crate) sets: &'a [RecordSet],
    /// Set where the fleet answers for A and AAAA; `sets` has neither then.
    pub(crate) fleet: Option<RegionSetId>,
}

impl<'a> ZoneNode<'a> {
    /// The operator's records of a type.
    pub(crate) fn set(&self, record_type: RecordType) -> Option<&'a RecordSet> {
        self.sets.iter().find(|set| set.record_type == record_type)
    }
}

/// What a zone has for a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lookup<'a> {
    /// The name exists, or is synthesized from a wildcard (RFC 4592 §3.3.1).
    Node {
        /// What is there; nothing at an empty non-terminal.
        node: ZoneNode<'a>,
        /// The wildcard.
        wildcard: Option<&'a [u8]>,
    },
    /// The name is at or below a zone cut. At the cut itself this zone still answers for DS, from `node` (RFC 4035 §3.1.4.1).
    Delegation {
        /// The topmost cut.
        cut: &'a [u8],
        /// Its NS records.
        servers: &'a RecordSet,
        /// Everything at the cut.
        node: ZoneNode<'a>,
    },
    /// Neither the name nor any below it exists (RFC 8020 §2).
    NxDomain {
        /// The longest ancestor that exists (RFC 4592 §3.3.1).
        closest_encloser: &'a [u8],
    },
}

/// A name that exists.
#[derive(Debug, Clone, Copy)]
pub(super) struct NameEntry<'a> {
    pub(super) name: &'a [u8],
    pub(super) node: ZoneNode<'a>,
    /// The length of the zone cut that the name is at or below; 0 if the zone is authoritative.
    pub(super) cut: usize,
}

/// Looks up `name`, which is `apex` or below. `entry` gives the entries of names that exist; if a name exists, so do those above
/// it.
pub(super) fn lookup<'a>(apex: &[u8], name: &[u8], entry: impl Fn(&[u8]) -> Option<NameEntry<'a>>) -> Lookup<'a> {
    if let Some(exact) = entry(name) {
        return delegation(&exact, &entry).unwrap_or(Lookup::Node { node: exact.node, wildcard: None });
    }
    // From the apex down, so that a long name that does not exist costs no more than a short one: the first missing label ends it.
    let mut closest_encloser = entry(apex).expect("a zone has its apex");
    let labels = name::ancestors(name).take_while(|name| name.len() > apex.len()).count();
    let below = (1..labels).rev().filter_map(|above| name::ancestors(name).nth(above));
    for next in below.map_while(&entry) {
        closest_encloser = next;
    }
    if let Some(delegation) = delegation(&closest_encloser, &entry) {
        return delegation;
    }
    let mut wildcard = [0; Name::MAX];
    let length = 2 + closest_encloser.name.len();
    let source_of_synthesis = wildcard.get_mut(..length).and_then(|wildcard| {
        wildcard[..2].copy_from_slice(b"\x01*");
        wildcard[2..].copy_from_slice(closest_encloser.name);
        entry(wildcard)
    });
    match source_of_synthesis {
        Some(NameEntry { name, node, .. }) => Lookup::Node { node, wildcard: Some(name) },
        None => Lookup::NxDomain { closest_encloser: closest_encloser.name },
    }
}

/// The delegation of a name at or below a cut.
fn delegation<'a>(at: &NameEntry<'a>, entry: impl Fn(&[u8]) -> Option<NameEntry<'a>>) -> Option<Lookup<'a>> {
    let cut = at.name.get(at.name.len() - at.cut..).filter(|cut| !cut.is_empty())?;
    let node = entry(cut)?.node;
    Some(Lookup::Delegation { cut, servers: node.set(RecordType::NS)?, node })
}
