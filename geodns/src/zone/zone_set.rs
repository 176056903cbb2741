//! All zones, each with the names in it that the fleet answers for.

use std::collections::BTreeSet;
use std::sync::Arc;

use foldhash::HashMap;

use crate::dns::name::{self, Name};
use crate::dns::record::RecordType;
use crate::fleet::RegionSetId;

use super::diagnostics::{Diagnostic, DiagnosticList};
use super::lookup::Lookup;
use super::zone_data::{Zone, ZoneFile};

/// The zones that are served. Zone files are shared between zone sets; only the fleet's names are added anew.
#[derive(Debug)]
pub(crate) struct ZoneSet {
    zones: Vec<Zone>,
    by_apex: HashMap<Name, usize>,
    /// The label counts of all apexes, highest first: no others need be tried.
    depths: Vec<usize>,
    /// Names of sites that the fleet does not answer for, because of records in the zone file. At most a hundred warnings; a
    /// last one counts the rest.
    pub(crate) shadowed: Vec<Diagnostic>,
    /// How many names of sites are in none of the zones: other name servers must answer for them.
    pub(crate) outside_zones: usize,
    /// The region sets of the names that the fleet answers for.
    pub(crate) region_sets: BTreeSet<RegionSetId>,
}

impl ZoneSet {
    const MAX_WARNINGS: usize = 100;

    /// Adds each of `names` to the closest zone above it. Of two equal zones or names, the first counts.
    pub(crate) fn new(zones: &[Arc<ZoneFile>], names: &[(Name, RegionSetId)]) -> Self {
        let mut by_apex = HashMap::default();
        for (index, zone) in zones.iter().enumerate() {
            by_apex.entry(zone.apex.clone()).or_insert(index);
        }
        let mut depths: Vec<_> = by_apex.keys().map(|apex| name::ancestors(apex.wire()).count()).collect();
        depths.sort_unstable_by(|one, other| other.cmp(one));
        depths.dedup();
        let zones = zones.iter().enumerate().map(|(index, file)| Zone::new(index, file.clone())).collect();
        let mut zone_set =
            Self { zones, by_apex, depths, shadowed: Vec::new(), outside_zones: 0, region_sets: BTreeSet::new() };
        zone_set.nest();
        let mut warnings = DiagnosticList::up_to(Self::MAX_WARNINGS);
        let mut shadowed = Vec::new();
        for (name, region_set) in names {
            match zone_set.index(name.wire()) {
                Some(index) => match zone_set.zones[index].add(name, *region_set) {
                    Ok(()) => _ = zone_set.region_sets.insert(*region_set),
                    Err(warning) => shadowed.push((name, warning)),
                },
                None => zone_set.outside_zones += 1,
            }
        }
        // Only now are all names there: a CNAME record to a name that the fleet answers for needs no warning.
        for (name, warning) in shadowed {
            if !zone_set.is_alias_of_fleet(name.wire()) {
                warnings.push(warning);
            }
        }
        zone_set.shadowed = warnings.into_vec();
        zone_set.zones.iter_mut().for_each(Zone::shrink_to_fit);
        zone_set
    }

    /// Adds the names that stand for hosts of releases, see [`release_hosts`](super::release_hosts), each to the closest zone above it.
    #[must_use]
    pub(crate) fn with_release_hosts(mut self, names: &[(Name, RegionSetId)]) -> Self {
        for (name, region_set) in names {
            if let Some(index) = self.index(name.wire()) {
                self.zones[index].add_release_hosts(name, *region_set);
                self.region_sets.insert(*region_set);
            }
        }
        self.zones.iter_mut().for_each(Zone::shrink_to_fit);
        self
    }

    /// Adds the TXT records of challenges, each to the closest zone above its name.
    #[must_use]
    pub(crate) fn with_challenges<'a>(
        mut self,
        challenges: impl Iterator<Item = (Name, &'a BTreeSet<String>)>,
    ) -> Self {
        for (name, texts) in challenges {
            if let Some(index) = self.index(name.wire()) {
                self.zones[index].add_challenge(&name, texts);
            }
        }
        self
    }

    /// The zone with the longest apex that is `name`, in canonical wire form, or above it. Neither allocates nor locks.
    pub(crate) fn zone(&self, name: &[u8]) -> Option<&Zone> {
        self.index(name).map(|index| &self.zones[index])
    }

    /// As [`zone`](Self::zone), but strictly above `name`: the parent zone, which answers for the DS records of an apex (RFC 4035
    /// §3.1.4.1).
    pub(crate) fn zone_above(&self, name: &[u8]) -> Option<&Zone> {
        self.zone(name::parent(name)?)
    }

    /// All zones, in the order given.
    #[cfg(test)]
    pub(crate) fn zones(&self) -> &[Zone] {
        &self.zones
    }

    /// Makes each apex, and the names above it, names that exist in the parent zone, also if that does not delegate it: a query to
    /// the parent, say for DS, must not get NXDOMAIN (RFC 8020).
    fn nest(&mut self) {
        for apex in self.zones.iter().map(|zone| zone.apex.clone()).collect::<Vec<_>>() {
            let above = name::parent(apex.wire()).and_then(|above| self.index(above));
            if let Some(above) = above {
                self.zones[above].add_empty(apex.wire());
            }
        }
    }

    /// Whether `name` is an alias of a name that the fleet answers for.
    fn is_alias_of_fleet(&self, name: &[u8]) -> bool {
        let node = |name| match self.zone(name)?.lookup(name) {
            Lookup::Node { node, .. } => Some(node),
            Lookup::Delegation { .. } | Lookup::NxDomain { .. } => None,
        };
        let alias = node(name).and_then(|node| node.set(RecordType::CNAME));
        alias.and_then(|alias| node(&alias.data[0])).is_some_and(|node| node.fleet.is_some())
    }

    fn index(&self, name: &[u8]) -> Option<usize> {
        let labels = name::ancestors(name).count();
        let mut above = self.depths.iter().filter_map(|depth| name::ancestors(name).nth(labels.checked_sub(*depth)?));
        above.find_map(|apex| self.by_apex.get(apex).copied())
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::zone::test_support::zone;

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
    fn challenges_are_answered_with_text_records_and_hide_nothing() {
        let file = Arc::new(zone(
            "*.wild A 192.0.2.1\n_acme-challenge TXT own\n_acme-challenge.alias CNAME other\nsub NS ns.net.",
        ));
        let texts = BTreeSet::from(["text".to_owned()]);
        let names = ["", ".deep.er", ".alias", ".sub", ".x.wild"]
            .map(|below| name(&format!("_acme-challenge{below}.example.com")));
        let zone_set = ZoneSet::new(&[file], &[]).with_challenges(names.iter().map(|name| (name.clone(), &texts)));
        let zone = &zone_set.zones()[0];
        let records = names.each_ref().map(|name| zone.challenge(name.wire()).map(|set| set.data.len()));
        assert_eq!(records, [Some(2), Some(1), None, None, Some(1)]);
        let exists = |text| matches!(zone.lookup(name(text).wire()), Lookup::Node { .. });
        assert!(exists("_acme-challenge.deep.er.example.com") && exists("er.example.com"));
        let node = zone.lookup(name("x.wild.example.com").wire());
        assert!(matches!(node, Lookup::Node { wildcard: Some(_), .. }), "{node:?}");
        assert!(exists("_acme-challenge.x.wild.example.com"));
    }

    #[test]
    fn zone_of_a_name_is_the_one_with_the_longest_apex() {
        let zones = ["example.com", "sub.example.com", "a.b.c.example.org", "example.com"].map(zone_of);
        let zone_set = ZoneSet::new(&zones, &[]);
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
            assert_eq!(zone_set.zone(asked.wire()).map(|zone| zone.index), zone, "{asked}");
            assert_eq!(zone_set.zone_above(asked.wire()).map(|zone| zone.index), above, "{asked}");
        }
        assert!(ZoneSet::new(&[zone_of(".")], &[]).zone(b"\0").is_some());
        assert_eq!(zone_set.zones()[0].negative_ttl, 300);
    }

    #[test]
    fn apex_of_a_child_zone_exists_in_the_parent() {
        let zones = ["example.com", "c.b.example.com"].map(zone_of);
        let zone_set = ZoneSet::new(&zones, &[]);
        for asked in ["b.example.com", "c.b.example.com"] {
            let found = zone_set.zones()[0].lookup(name(asked).wire());
            assert!(matches!(found, Lookup::Node { node, wildcard: None } if node.sets.is_empty()), "{asked}");
        }
        assert!(matches!(zone_set.zones()[0].lookup(name("a.b.example.com").wire()), Lookup::NxDomain { .. }));
    }

    #[test]
    fn names_of_sites_are_added_unless_the_zone_file_has_records() {
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
        let zone_set = ZoneSet::new(&[file], &names(&asked));
        let zone = &zone_set.zones()[0];
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
            assert_eq!((node.fleet.map(|region_set| region_set.0), node.sets.len()), (fleet, sets), "{asked}");
            assert_eq!(zone.lookup(name(asked).wire()), Lookup::Node { node, wildcard: None }, "{asked}");
        }
        assert!(matches!(zone.lookup(name("x.sub.example.com").wire()), Lookup::Delegation { .. }));
        assert!(matches!(zone.lookup(name("c.pages.example.com").wire()), Lookup::NxDomain { .. }));
        // A site's name exists: wildcard synthesis applies beside it, not below it (RFC 4592 §3.3.1).
        assert!(matches!(zone.lookup(name("other.wild.example.com").wire()), Lookup::Node { wildcard: Some(_), .. }));
        assert!(matches!(zone.lookup(name("x.site.wild.example.com").wire()), Lookup::NxDomain { .. }));
        assert_eq!(zone_set.outside_zones, 1);
        let shadowed: Vec<_> = zone_set.shadowed.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(shadowed.join("\n"));
    }
}
