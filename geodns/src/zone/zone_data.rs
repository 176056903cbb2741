//! The data of a zone: the records of its file, and the names of sites.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use foldhash::HashMap;

use crate::dns::name::{self, Name};
use crate::dns::record::{self, RecordSet, RecordType};
use crate::fleet::RegionSetId;

use super::challenges;
use super::diagnostics::{self, Diagnostic, Position};
use super::lookup::{Lookup, NameEntry, ZoneNode, lookup};
use super::release_hosts;

/// A zone as its operator wrote it. It has passed all checks.
#[derive(Debug)]
pub(crate) struct ZoneFile {
    /// The name of the zone.
    pub(crate) apex: Name,
    /// The zone file and those it includes, in the order in which they were opened: when one changes, the zone does.
    pub(crate) files: Vec<Arc<Path>>,
    /// At most a hundred; a last one counts the rest.
    pub(crate) warnings: Vec<Diagnostic>,
    /// Every name that exists, empty non-terminals too (RFC 8020 §2).
    pub(super) names: HashMap<Name, NodeRecords>,
}

/// The records of a name that exists.
#[derive(Debug, Default)]
pub(super) struct NodeRecords {
    /// None at an empty non-terminal.
    pub(super) sets: Box<[RecordSet]>,
    /// Where the first record of each set is.
    pub(super) positions: Box<[Position]>,
    /// The length of the zone cut that the name is at or below, which its wire form ends with; 0 if the zone is authoritative.
    pub(super) cut: u8,
}

impl ZoneFile {
    /// Looks up `name`, which is the apex or below.
    pub(super) fn lookup(&self, name: &[u8]) -> Lookup<'_> {
        lookup(self.apex.wire(), name, |name| self.entry(name))
    }

    /// The entry of exactly this name.
    pub(super) fn entry(&self, name: &[u8]) -> Option<NameEntry<'_>> {
        let (name, records) = self.names.get_key_value(name)?;
        let node = ZoneNode { sets: &records.sets, fleet: None };
        Some(NameEntry { name: name.wire(), node, cut: records.cut.into() })
    }

    /// A diagnostic about the record set of a type, at the position of its first record.
    fn diagnostic(&self, name: &[u8], record_type: RecordType, message: String) -> Option<Diagnostic> {
        let records = self.names.get(name)?;
        let index = records.sets.iter().position(|set| set.record_type == record_type)?;
        Some(diagnostics::diagnostic(&self.files, records.positions[index], message, None))
    }
}

/// A zone with the names that the fleet answers for.
#[derive(Debug)]
pub(crate) struct Zone {
    /// The name of the zone.
    pub(crate) apex: Name,
    /// Its SOA record.
    pub(crate) soa: RecordSet,
    /// How long resolvers may cache a negative answer, in seconds: the lower of the TTL and the MINIMUM of the SOA record (RFC 2308
    /// §5).
    pub(crate) negative_ttl: u32,
    /// Its index among the configured zones.
    pub(crate) index: usize,
    file: Arc<ZoneFile>,
    /// Names that the fleet answers for; `None` at empty non-terminals above those.
    fleet: HashMap<Name, Option<RegionSetId>>,
    /// The names that stand for hosts of releases, see [`release_hosts`].
    releases: HashMap<Name, RegionSetId>,
    /// TXT records at names of challenges, see [`challenges`].
    challenges: HashMap<Name, RecordSet>,
}

impl Zone {
    pub(super) fn new(index: usize, file: Arc<ZoneFile>) -> Self {
        let apex = file.entry(file.apex.wire()).map(|entry| entry.node);
        let soa =
            apex.and_then(|node| node.set(RecordType::SOA)).expect("a zone file without an SOA is rejected").clone();
        let negative_ttl = soa.data.iter().map(|data| record::soa_minimum(data)).fold(soa.ttl, u32::min);
        Self {
            apex: file.apex.clone(),
            soa,
            negative_ttl,
            index,
            file,
            fleet: HashMap::default(),
            releases: HashMap::default(),
            challenges: HashMap::default(),
        }
    }

    /// Looks up `name`, the canonical wire form of the apex or of a name below. Neither allocates nor locks.
    pub(crate) fn lookup<'a>(&'a self, name: &[u8]) -> Lookup<'a> {
        if let Some((standing, region_set)) = self.release(name) {
            let node = ZoneNode { sets: &[], fleet: Some(region_set) };
            return Lookup::Node { node, wildcard: Some(standing.wire()) };
        }
        lookup(self.apex.wire(), name, |name| self.entry(name))
    }

    /// What is at exactly this name, also below a zone cut: for glue and additional records.
    pub(crate) fn node(&self, name: &[u8]) -> Option<ZoneNode<'_>> {
        self.entry(name).map(|entry| entry.node)
    }

    fn entry(&self, name: &[u8]) -> Option<NameEntry<'_>> {
        let from_file = self.file.entry(name);
        match self.fleet.get_key_value(name) {
            Some((name, fleet)) => {
                let sets = from_file.map_or(&[][..], |entry| entry.node.sets);
                Some(NameEntry { name: name.wire(), node: ZoneNode { sets, fleet: *fleet }, cut: 0 })
            }
            None => from_file.or_else(|| {
                let (name, _) = self.challenges.get_key_value(name)?;
                Some(NameEntry { name: name.wire(), node: ZoneNode { sets: &[], fleet: None }, cut: 0 })
            }),
        }
    }

    /// The entry that stands for `name`, if it is the host of a release and has no entry of its own.
    fn release(&self, name: &[u8]) -> Option<(&Name, RegionSetId)> {
        if !release_hosts::is_release_host(name) {
            return None;
        }
        let mut buffer = [0; Name::MAX];
        let standing = release_hosts::standing_name(name, &mut buffer);
        let (standing, region_set) = self.releases.get_key_value(standing)?;
        self.entry(name).is_none().then_some((standing, *region_set))
    }

    /// Lets the fleet answer for the names that `standing` stands for, unless the zone file delegates them.
    pub(super) fn add_release_hosts(&mut self, standing: &Name, region_set: RegionSetId) {
        if !matches!(self.file.lookup(standing.wire()), Lookup::Delegation { .. }) {
            self.releases.insert(standing.clone(), region_set);
        }
    }

    /// The TXT records at `name`, if there are some besides those of the zone file.
    pub(crate) fn challenge(&self, name: &[u8]) -> Option<&RecordSet> {
        self.challenges.get(name)
    }

    /// Adds TXT records at `name`, unless the zone file delegates it or has an alias there.
    pub(super) fn add_challenge(&mut self, name: &Name, texts: &BTreeSet<String>) {
        let (node, wildcard) = match self.file.lookup(name.wire()) {
            Lookup::Delegation { .. } => return,
            Lookup::Node { node, wildcard: None } if node.set(RecordType::CNAME).is_some() => return,
            Lookup::Node { node, wildcard } => (Some(node), wildcard),
            Lookup::NxDomain { .. } => (None, None),
        };
        let records = challenges::records(node.filter(|_| wildcard.is_none()), texts);
        if records.data.is_empty() {
            return;
        }
        // The names above exist too (RFC 8020), but must not end what a wildcard has for them.
        if let Some(above) = name::parent(name.wire()).filter(|_| wildcard.is_none()) {
            self.add_empty(above);
        }
        self.challenges.insert(name.clone(), records);
    }

    /// Lets the fleet answer for `name`, unless the zone file does: the error says which record does.
    pub(super) fn add(&mut self, name: &Name, region_set: RegionSetId) -> Result<(), Diagnostic> {
        let file = &self.file;
        let wire = name.wire();
        let shadowed = match file.lookup(wire) {
            Lookup::Delegation { cut, .. } => {
                let message = format!("`{name}` is not answered with edges: this NS record delegates it");
                file.diagnostic(cut, RecordType::NS, message)
            }
            Lookup::Node { node, wildcard: None } => {
                let own = [RecordType::CNAME, RecordType::A, RecordType::AAAA];
                own.into_iter().find(|own| node.set(*own).is_some()).and_then(|own| {
                    let message = format!("`{name}` is not answered with edges: it has this {own} record");
                    file.diagnostic(wire, own, message)
                })
            }
            Lookup::Node { .. } | Lookup::NxDomain { .. } => None,
        };
        if let Some(diagnostic) = shadowed {
            return Err(diagnostic);
        }
        if let Some(above) = name::parent(wire) {
            self.add_empty(above);
        }
        let entry = self.fleet.entry(name.clone()).or_default();
        *entry = entry.or(Some(region_set));
        Ok(())
    }

    /// Makes a name below the apex, and those between the two, names that exist.
    pub(super) fn add_empty(&mut self, name: &[u8]) {
        if matches!(self.file.lookup(name), Lookup::Delegation { .. }) {
            return;
        }
        for name in name::ancestors(name).take_while(|name| name.len() > self.apex.wire().len()) {
            if self.fleet.contains_key(name) || self.file.entry(name).is_some() {
                break;
            }
            self.fleet.insert(Name::from_canonical(name), None);
        }
    }

    pub(super) fn shrink_to_fit(&mut self) {
        self.fleet.shrink_to_fit();
        self.releases.shrink_to_fit();
    }
}
