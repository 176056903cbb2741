//! All zones, and in each the names that the fleet answers for.

use std::sync::Arc;

use foldhash::HashMap;

use crate::dns::name::{self, Name};
use crate::dns::rdata;
use crate::dns::record::{RecordSet, RecordType};
use crate::fleet::RegionSetId;

use super::file::ZoneFile;
use super::find::{Found, Zone};
use super::notice::{Notice, Notices};

/// The zones that are answered for. What the operator wrote is shared with the catalogue before; only the fleet's names are put in
/// place anew.
#[derive(Debug)]
pub(crate) struct Catalogue {
    zones: Vec<Zone>,
    by_apex: HashMap<Name, usize>,
    /// The numbers of labels that apexes have, highest first: a look-up need try no others.
    depths: Vec<usize>,
    /// Names that the operator's own records keep from the fleet. Hundreds become one notice.
    pub(crate) kept_back: Vec<Notice>,
    /// How many of the fleet's names are in none of the zones, so that others must lead readers to them.
    pub(crate) elsewhere: usize,
}

impl Catalogue {
    const NOTICES: usize = 100;

    /// Puts each of the fleet's names into the zone that is nearest above it. Of two zones or names that are the same the first
    /// counts.
    pub(crate) fn new(zones: &[Arc<ZoneFile>], names: &[(Name, RegionSetId)]) -> Self {
        let mut by_apex = HashMap::default();
        for (index, zone) in zones.iter().enumerate() {
            by_apex.entry(zone.apex.clone()).or_insert(index);
        }
        let mut depths: Vec<_> = by_apex.keys().map(|apex| name::ancestors(apex.wire()).count()).collect();
        depths.sort_unstable_by(|one, other| other.cmp(one));
        depths.dedup();
        let zones = zones.iter().enumerate().map(|(index, file)| Zone::new(index, file.clone())).collect();
        let mut catalogue = Self { zones, by_apex, depths, kept_back: Vec::new(), elsewhere: 0 };
        catalogue.nest();
        let mut notices = Notices::up_to(Self::NOTICES);
        let mut kept_back = Vec::new();
        for (name, region_set) in names {
            match catalogue.index(name.wire()) {
                Some(index) => {
                    if let Err(notice) = catalogue.zones[index].add(name, *region_set) {
                        kept_back.push((name, notice));
                    }
                }
                None => catalogue.elsewhere += 1,
            }
        }
        // Now that all are there: an alias that leads to the fleet is as good as the fleet's own word.
        for (name, notice) in kept_back {
            if !catalogue.leads_to_fleet(name.wire()) {
                notices.push(notice);
            }
        }
        catalogue.kept_back = notices.into_vec();
        catalogue.zones.iter_mut().for_each(|zone| zone.fleet.shrink_to_fit());
        catalogue
    }

    /// The zone with the longest name that is `name`, in canonical wire form, or above it. Neither allocates nor locks.
    pub(crate) fn zone(&self, name: &[u8]) -> Option<&Zone> {
        self.index(name).map(|index| &self.zones[index])
    }

    /// As [`zone`](Self::zone), but above `name` only: who answers for the DS records of an apex (RFC 4035 §3.1.4.1).
    pub(crate) fn zone_above(&self, name: &[u8]) -> Option<&Zone> {
        self.zone(name::parent(name)?)
    }

    /// All zones, in the order given.
    #[cfg(test)]
    pub(crate) fn zones(&self) -> &[Zone] {
        &self.zones
    }

    /// Makes each zone's apex, and the names between, names that exist in the zone above it, also where that does not delegate
    /// it: who asks there, for DS say, must not be told that there is nothing (RFC 8020).
    fn nest(&mut self) {
        for apex in self.zones.iter().map(|zone| zone.apex.clone()).collect::<Vec<_>>() {
            let above = name::parent(apex.wire()).and_then(|above| self.index(above));
            if let Some(above) = above {
                self.zones[above].pave(apex.wire());
            }
        }
    }

    /// Whether `name` is an alias of a name that the fleet answers for.
    fn leads_to_fleet(&self, name: &[u8]) -> bool {
        let find = |name| match self.zone(name)?.find(name) {
            Found::Node { node, .. } => Some(node),
            Found::Delegated { .. } | Found::Missing { .. } => None,
        };
        let alias = find(name).and_then(|node| node.set(RecordType::CNAME));
        alias.and_then(|alias| find(&alias.data[0])).is_some_and(|node| node.fleet.is_some())
    }

    fn index(&self, name: &[u8]) -> Option<usize> {
        let labels = name::ancestors(name).count();
        let mut above = self.depths.iter().filter_map(|depth| name::ancestors(name).nth(labels.checked_sub(*depth)?));
        above.find_map(|apex| self.by_apex.get(apex).copied())
    }
}

impl Zone {
    fn new(index: usize, file: Arc<ZoneFile>) -> Self {
        let apex = file.place(file.apex.wire()).map(|place| place.node);
        let soa: RecordSet =
            apex.and_then(|node| node.set(RecordType::SOA)).expect("a zone file was refused without it").clone();
        let negative_ttl = soa.data.iter().map(|data| rdata::soa_minimum(data)).fold(soa.ttl, u32::min);
        Self { apex: file.apex.clone(), soa, negative_ttl, index, file, fleet: HashMap::default() }
    }

    /// Lets the fleet answer for `name`, unless the operator does; then says where.
    fn add(&mut self, name: &Name, region_set: RegionSetId) -> Result<(), Notice> {
        let file = &self.file;
        let wire = name.wire();
        let kept_back = match file.find(wire) {
            Found::Delegated { cut, .. } => {
                let text = format!("`{name}` is not answered by the fleet: its name is delegated here");
                file.notice(cut, RecordType::NS, text)
            }
            Found::Node { node, wildcard: None } => {
                let own = [RecordType::CNAME, RecordType::A, RecordType::AAAA];
                own.into_iter().find(|own| node.set(*own).is_some()).and_then(|own| {
                    let text = format!("`{name}` is not answered by the fleet: it has this {own} record");
                    file.notice(wire, own, text)
                })
            }
            Found::Node { .. } | Found::Missing { .. } => None,
        };
        if let Some(notice) = kept_back {
            return Err(notice);
        }
        if let Some(above) = name::parent(wire) {
            self.pave(above);
        }
        let known = self.fleet.entry(name.clone()).or_default();
        *known = known.or(Some(region_set));
        Ok(())
    }
}

impl Zone {
    /// Makes a name below the apex, and those between, names that exist.
    fn pave(&mut self, name: &[u8]) {
        if matches!(self.file.find(name), Found::Delegated { .. }) {
            return;
        }
        for name in name::ancestors(name).take_while(|name| name.len() > self.apex.wire().len()) {
            if self.fleet.contains_key(name) || self.file.place(name).is_some() {
                break;
            }
            self.fleet.insert(Name::from_canonical(name), None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::file::tests::zone;
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn names(texts: &[&str]) -> Vec<(Name, RegionSetId)> {
        texts.iter().zip(1..).map(|(text, region_set)| (name(text), RegionSetId(region_set))).collect()
    }

    fn zone_of(apex: &str) -> Arc<ZoneFile> {
        let text = "@ 600 SOA ns admin 1 2 3 4 300\n@ 600 NS ns\nns 600 A 192.0.2.1".to_owned();
        Arc::new(ZoneFile::parse(Path::new("zone"), &name(apex), |_| Ok(text.clone())).unwrap())
    }

    #[test]
    fn the_longest_apex_is_the_zone() {
        let zones = ["example.com", "sub.example.com", "a.b.c.example.org", "example.com"].map(zone_of);
        let catalogue = Catalogue::new(&zones, &[]);
        for (asked, zone, above) in [
            ("example.com", Some(0), None),
            ("www.example.com", Some(0), Some(0)),
            ("sub.example.com", Some(1), Some(0)),
            ("a.b.sub.example.com", Some(1), Some(1)),
            ("c.example.org", None, None),
            ("a.b.c.example.org", Some(2), None),
            ("com", None, None),
            (".", None, None),
        ] {
            let asked = name(asked);
            assert_eq!(catalogue.zone(asked.wire()).map(|zone| zone.index), zone, "{asked}");
            assert_eq!(catalogue.zone_above(asked.wire()).map(|zone| zone.index), above, "{asked}");
        }
        assert!(Catalogue::new(&[zone_of(".")], &[]).zone(b"\0").is_some());
        assert_eq!(catalogue.zones()[0].negative_ttl, 300);
    }

    #[test]
    fn a_zone_within_another_is_no_hole_in_it() {
        let zones = ["example.com", "c.b.example.com"].map(zone_of);
        let catalogue = Catalogue::new(&zones, &[]);
        for asked in ["b.example.com", "c.b.example.com"] {
            let found = catalogue.zones()[0].find(name(asked).wire());
            assert!(matches!(found, Found::Node { node, wildcard: None } if node.sets.is_empty()), "{asked}");
        }
        assert!(matches!(catalogue.zones()[0].find(name("a.b.example.com").wire()), Found::Missing { .. }));
    }

    #[test]
    fn the_fleets_names_stand_beside_the_operators() {
        let file = Arc::new(zone(
            "@ TXT apex\nown A 192.0.2.1\nalias CNAME own\nwww CNAME text\ntext TXT here\nsub NS ns.net.\n\
             *.wild A 192.0.2.1\n*.wild TXT x",
        ));
        let asked = [
            "example.com",
            "own.example.com",
            "alias.example.com",
            "text.example.com",
            "www.example.com",
            "sub.example.com",
            "x.sub.example.com",
            "a.b.pages.example.com",
            "b.pages.example.com",
            "site.wild.example.com",
            "site.wild.example.com",
            "example.org",
        ];
        let catalogue = Catalogue::new(&[file], &names(&asked));
        let zone = &catalogue.zones()[0];
        for (asked, fleet, sets) in [
            ("example.com", Some(1), 3),
            ("own.example.com", None, 1),
            ("alias.example.com", None, 1),
            ("text.example.com", Some(4), 1),
            ("www.example.com", None, 1),
            ("a.b.pages.example.com", Some(8), 0),
            ("b.pages.example.com", Some(9), 0),
            ("pages.example.com", None, 0),
            ("site.wild.example.com", Some(10), 0),
        ] {
            let node = zone.node(name(asked).wire()).unwrap();
            assert_eq!((node.fleet.map(|fence| fence.0), node.sets.len()), (fleet, sets), "{asked}");
            assert_eq!(zone.find(name(asked).wire()), Found::Node { node, wildcard: None }, "{asked}");
        }
        assert!(matches!(zone.find(name("x.sub.example.com").wire()), Found::Delegated { .. }));
        assert!(matches!(zone.find(name("c.pages.example.com").wire()), Found::Missing { .. }));
        // The fleet's name is one that exists: the wildcard stands in beside it, not below it.
        assert!(matches!(zone.find(name("other.wild.example.com").wire()), Found::Node { wildcard: Some(_), .. }));
        assert!(matches!(zone.find(name("x.site.wild.example.com").wire()), Found::Missing { .. }));
        assert_eq!(catalogue.elsewhere, 1);
        let kept_back: Vec<_> = catalogue.kept_back.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(kept_back.join("\n"));
    }
}
