//! What a zone has at a name (RFC 1034 §4.3.2, RFC 4592, RFC 8020).

use std::sync::Arc;

use foldhash::HashMap;

use crate::dns::name::{self, Name};
use crate::dns::record::{RecordSet, RecordType};
use crate::fleet::RegionSetId;

use super::file::ZoneFile;

/// A zone with the names that the fleet answers for.
#[derive(Debug)]
pub(crate) struct Zone {
    /// Its name.
    pub(crate) apex: Name,
    /// Its start of authority.
    pub(crate) soa: RecordSet,
    /// How long resolvers may keep that something is not there, in seconds: the lower of the TTL and the MINIMUM of the SOA
    /// record (RFC 2308 §5).
    pub(crate) negative_ttl: u32,
    /// Its place in the order given.
    pub(crate) index: usize,
    pub(super) file: Arc<ZoneFile>,
    /// Names of the fleet; `None` at those that only lie above one.
    pub(super) fleet: HashMap<Name, Option<RegionSetId>>,
}

/// What is at a name that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node<'a> {
    /// The operator's records; none at an empty non-terminal.
    pub(crate) sets: &'a [RecordSet],
    /// Set where A and AAAA are the fleet's; `sets` has none of both then.
    pub(crate) fleet: Option<RegionSetId>,
}

/// What a zone knows of a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Found<'a> {
    /// The name exists, or a wildcard stands in for it (RFC 4592 §3.3.1).
    Node {
        /// What is there; nothing at all at an empty non-terminal.
        node: Node<'a>,
        /// The wildcard.
        wildcard: Option<&'a [u8]>,
    },
    /// The name is at or below a zone cut. At the cut itself this zone still answers for DS, from `node` (RFC 4035 §3.1.4.1).
    Delegated {
        /// The topmost cut.
        cut: &'a [u8],
        /// Its NS records.
        servers: &'a RecordSet,
        /// All that is at the cut.
        node: Node<'a>,
    },
    /// The name does not exist, nor does any below (RFC 8020 §2).
    Missing {
        /// The longest ancestor that exists (RFC 4592 §3.3.1).
        encloser: &'a [u8],
    },
}

impl Zone {
    /// What is at `name`, the canonical wire form of the apex or of a name below. Neither allocates nor locks.
    pub(crate) fn find<'a>(&'a self, name: &[u8]) -> Found<'a> {
        find(self.apex.wire(), name, |name| self.place(name))
    }

    /// What is at exactly this name, below a zone cut too: for glue and additional records.
    pub(crate) fn node(&self, name: &[u8]) -> Option<Node<'_>> {
        self.place(name).map(|place| place.node)
    }

    fn place(&self, name: &[u8]) -> Option<Place<'_>> {
        let written = self.file.place(name);
        match self.fleet.get_key_value(name) {
            Some((name, fleet)) => {
                let sets = written.map_or(&[][..], |place| place.node.sets);
                Some(Place { name: name.wire(), node: Node { sets, fleet: *fleet }, cut: 0 })
            }
            None => written,
        }
    }
}

impl<'a> Node<'a> {
    /// The operator's records of a type.
    pub(crate) fn set(&self, record_type: RecordType) -> Option<&'a RecordSet> {
        self.sets.iter().find(|set| set.record_type == record_type)
    }
}

/// A name that exists.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) name: &'a [u8],
    pub(super) node: Node<'a>,
    /// The length of the cut that it is at or below; 0 if the zone has authority.
    pub(super) cut: usize,
}

/// Finds `name`, which is `apex` or below, among the names that `place` knows. A name is known if one below it is.
pub(super) fn find<'a>(apex: &[u8], name: &[u8], place: impl Fn(&[u8]) -> Option<Place<'a>>) -> Found<'a> {
    if let Some(exact) = place(name) {
        return delegated(&exact, &place).unwrap_or(Found::Node { node: exact.node, wildcard: None });
    }
    // From the apex down: where a label is not known, nothing below is, however long the name that a stranger asks for.
    let mut encloser = place(apex).expect("a zone has its apex");
    let labels = name::ancestors(name).take_while(|name| name.len() > apex.len()).count();
    let below = (1..labels).rev().filter_map(|above| name::ancestors(name).nth(above));
    for next in below.map_while(&place) {
        encloser = next;
    }
    if let Some(delegated) = delegated(&encloser, &place) {
        return delegated;
    }
    let mut wildcard = [0; Name::MAX];
    let length = 2 + encloser.name.len();
    let synthesis = wildcard.get_mut(..length).and_then(|wildcard| {
        wildcard[..2].copy_from_slice(b"\x01*");
        wildcard[2..].copy_from_slice(encloser.name);
        place(wildcard)
    });
    match synthesis {
        Some(Place { name, node, .. }) => Found::Node { node, wildcard: Some(name) },
        None => Found::Missing { encloser: encloser.name },
    }
}

/// The referral for a name at or below a cut.
fn delegated<'a>(at: &Place<'a>, place: impl Fn(&[u8]) -> Option<Place<'a>>) -> Option<Found<'a>> {
    let cut = at.name.get(at.name.len() - at.cut..).filter(|cut| !cut.is_empty())?;
    let node = place(cut)?.node;
    Some(Found::Delegated { cut, servers: node.set(RecordType::NS)?, node })
}

#[cfg(test)]
mod model;

#[cfg(test)]
mod tests {
    use super::super::catalogue::Catalogue;
    use super::super::file::tests::zone;
    use super::*;

    const RICH: &str = "
@ TXT apex
www A 192.0.2.1
* TXT wildcard
deep.ent TXT deep
*.wild CNAME www
x.wild A 192.0.2.2
b.*.star A 192.0.2.3
sub NS ns.sub
sub DS 1 8 2 00
ns.sub A 192.0.2.4
*.sub A 192.0.2.5
lower.sub NS ns.net.
*.alone A 192.0.2.6
";

    fn show(wire: &[u8]) -> String {
        Name::from_canonical(wire).to_string().replace("example.com.", "@")
    }

    /// What is found, in short; `@` is the apex.
    pub(super) fn told(zone: &Zone, name: &str) -> String {
        let types = |node: Node<'_>| {
            let sets = node.sets.iter().map(|set| set.record_type.to_string());
            sets.chain(node.fleet.map(|region_set| format!("fleet {}", region_set.0))).collect::<Vec<_>>().join(" ")
        };
        match zone.find(Name::parse(name).unwrap().wire()) {
            Found::Node { node, wildcard: None } => format!("[{}]", types(node)),
            Found::Node { node, wildcard: Some(wildcard) } => format!("{} [{}]", show(wildcard), types(node)),
            Found::Delegated { cut, servers, node } => {
                assert_eq!(servers.record_type, RecordType::NS);
                format!("to {} [{}]", show(cut), types(node))
            }
            Found::Missing { encloser } => format!("missing below {}", show(encloser)),
        }
    }

    #[test]
    fn a_rich_zone() {
        let names = ["site", "a.pages", "ent"].map(|site| (format!("{site}.example.com"), RegionSetId(7)));
        let names = names.map(|(name, region_set)| (Name::parse(&name).unwrap(), region_set));
        let catalogue = Catalogue::new(&[Arc::new(zone(RICH))], &names);
        let zone = &catalogue.zones()[0];
        for (name, expected) in [
            ("", "[NS SOA TXT]"),
            ("www.", "[A]"),
            // A wildcard stands in where the closest encloser is its parent, at any depth below.
            ("nowhere.", "*.@ [TXT]"),
            ("a.b.nowhere.", "*.@ [TXT]"),
            ("*.", "[TXT]"),
            // Any name that exists blocks it, with the records asked for or not.
            ("a.www.", "missing below www.@"),
            ("a.*.", "missing below *.@"),
            ("deep.ent.", "[TXT]"),
            ("a.ent.", "missing below ent.@"),
            ("a.deep.ent.", "missing below deep.ent.@"),
            ("wild.", "[]"),
            ("y.wild.", "*.wild.@ [CNAME]"),
            ("z.y.wild.", "*.wild.@ [CNAME]"),
            ("x.wild.", "[A]"),
            ("a.x.wild.", "missing below x.wild.@"),
            ("alone.", "[]"),
            // A wildcard may itself be a name without records.
            ("star.", "[]"),
            ("a.star.", "*.star.@ []"),
            ("b.a.star.", "*.star.@ []"),
            ("*.star.", "[]"),
            ("b.*.star.", "[A]"),
            // At and below a cut nothing but the cut counts.
            ("sub.", "to sub.@ [NS DS]"),
            ("ns.sub.", "to sub.@ [NS DS]"),
            ("a.sub.", "to sub.@ [NS DS]"),
            ("*.sub.", "to sub.@ [NS DS]"),
            ("lower.sub.", "to sub.@ [NS DS]"),
            ("a.lower.sub.", "to sub.@ [NS DS]"),
            ("site.", "[fleet 7]"),
            ("a.site.", "missing below site.@"),
            ("pages.", "[]"),
            ("b.pages.", "missing below pages.@"),
            ("ent.", "[fleet 7]"),
        ] {
            assert_eq!(told(zone, &format!("{name}example.com")), expected, "{name}");
        }
        let glue = zone.node(Name::parse("ns.sub.example.com").unwrap().wire()).unwrap();
        assert!(glue.set(RecordType::A).is_some() && glue.set(RecordType::NS).is_none());
    }

    #[test]
    fn the_longest_names_are_looked_up() {
        let longest = format!("{}example.com", "a.".repeat(121));
        let name = Name::parse(&longest).unwrap();
        assert_eq!(name.wire().len(), Name::MAX);
        let catalogue = Catalogue::new(&[Arc::new(zone("*.b A 192.0.2.1"))], &[(name.clone(), RegionSetId(1))]);
        let zone = &catalogue.zones()[0];
        assert_eq!(told(zone, &longest), "[fleet 1]");
        assert_eq!(told(zone, &longest[2..]), "[]");
        assert_eq!(told(zone, &format!("b.{}", &longest[2..])), format!("missing below {}@", "a.".repeat(120)));
        assert_eq!(told(zone, &format!("{}b.example.com", "c.".repeat(120))), "*.b.@ [A]");
    }
}
