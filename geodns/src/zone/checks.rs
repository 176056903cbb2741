//! The rules that the records of a zone must keep together.

use crate::dns::name::{self, Name};
use crate::dns::record::{self, RecordType};

use super::diagnostics::{Diagnostics, Position};
use super::lookup::Lookup;
use super::rrsets::OwnerRrsets;
use super::zone_data::ZoneFile;

/// Checks each name on its own.
pub(super) fn names(owners: &[OwnerRrsets], apex: &Name, diagnostics: &mut Diagnostics) {
    for owner in owners {
        if diagnostics.is_full() {
            break;
        }
        soa(owner, apex, diagnostics);
        cname(owner, apex, diagnostics);
        wildcard_delegation(owner, diagnostics);
        if repeats_zone_name(&owner.name, apex) {
            let at = owner.sets[0].positions[0];
            let message = format!("`{}` contains the zone name twice", owner.name);
            diagnostics.warn(at, message, Some(TRAILING_DOT));
        }
    }
}

/// Checks that no record is missing. To be called only if every record could be read.
pub(super) fn completeness(owners: &[OwnerRrsets], apex: &Name, diagnostics: &mut Diagnostics) {
    let owner = owners.iter().find(|owner| owner.name == *apex);
    let Some(soa) = owner.and_then(|owner| owner.set(RecordType::SOA)) else {
        return diagnostics.zone_error(format!("`{apex}` has no SOA record"), Some(SOA_HINT));
    };
    if owner.and_then(|owner| owner.set(RecordType::NS)).is_none() {
        let hint = "add an NS record for each name server of the zone: `@ NS ns1`";
        diagnostics.error(soa.positions[0], format!("`{apex}` has no NS record"), Some(hint));
    }
    for owner in owners {
        let delegated = owner.name != *apex && owner.set(RecordType::NS).is_some();
        if let Some(set) = owner.set(RecordType::DS).filter(|_| !delegated) {
            let message = format!("`{}` has a DS record but no delegation", owner.name);
            let hint = "DS records belong beside the NS records of a delegation (RFC 4035 §2.4)";
            diagnostics.error(set.positions[0], message, Some(hint));
        }
    }
}

/// A record whose data names another name of the zone.
pub(super) struct Reference {
    owner: Name,
    record_type: RecordType,
    target: Name,
    at: Position,
}

/// The references whose targets are checked.
pub(super) fn references(owners: &[OwnerRrsets], apex: &Name) -> Vec<Reference> {
    let referring = [RecordType::NS, RecordType::MX, RecordType::SRV, RecordType::CNAME];
    let mut references = Vec::new();
    for owner in owners {
        for set in owner.sets.iter().filter(|set| referring.contains(&set.records.record_type)) {
            let record_type = set.records.record_type;
            for (data, &at) in set.records.data.iter().zip(&set.positions) {
                let target = record::target(record_type, data).map(Name::from_canonical);
                let target = target.filter(|target| target.is_within(apex));
                references.extend(target.map(|target| Reference {
                    owner: owner.name.clone(),
                    record_type,
                    target,
                    at,
                }));
            }
        }
    }
    references
}

/// Checks what is at the targets of `references`.
pub(super) fn targets(references: &[Reference], zone: &ZoneFile, diagnostics: &mut Diagnostics) {
    for reference in references {
        if diagnostics.is_full() {
            break;
        }
        target(reference, zone, diagnostics);
    }
}

const SOA_HINT: &str = "begin the zone with its SOA record: `@ SOA <primary server> <mailbox> <serial> 2h 15m 2w 5m`";
const TRAILING_DOT: &str = "a name without a trailing dot is relative to $ORIGIN";

fn soa(owner: &OwnerRrsets, apex: &Name, diagnostics: &mut Diagnostics) {
    let Some(set) = owner.set(RecordType::SOA) else { return };
    if owner.name != *apex {
        let message = format!("`{}` has an SOA record, but the top of the zone is `{apex}`", owner.name);
        diagnostics.error(set.positions[0], message, Some(TRAILING_DOT));
    } else if let [first, second, ..] = *set.positions {
        let message = format!("multiple SOA records: the first is at {}", diagnostics.location(first));
        diagnostics.error(second, message, None);
    }
}

/// A CNAME record is alone at its name (RFC 1034 §3.6.2, RFC 2181 §10.1).
fn cname(owner: &OwnerRrsets, apex: &Name, diagnostics: &mut Diagnostics) {
    let Some(set) = owner.set(RecordType::CNAME) else { return };
    if owner.name == *apex {
        let hint = "use A and AAAA records, or make the name a domain of a site, so that edges answer for it";
        let message = "the top of the zone cannot have a CNAME record (RFC 1034 §3.6.2)";
        diagnostics.error(set.positions[0], message, Some(hint));
        return;
    }
    if let [first, second, ..] = *set.positions {
        let first = diagnostics.location(first);
        let message = format!("`{}` has multiple CNAME records: the first is at {first}", owner.name);
        diagnostics.error(second, message, Some("a name has at most one CNAME record (RFC 2181 §10.1)"));
    }
    if let Some(other) = owner.sets.iter().find(|other| other.records.record_type != RecordType::CNAME) {
        let (record_type, location) = (other.records.record_type, diagnostics.location(other.positions[0]));
        let message = format!("`{}` has a CNAME record and other data: {record_type} at {location}", owner.name);
        let hint = "a name with a CNAME record has no other records (RFC 1034 §3.6.2)";
        diagnostics.error(set.positions[0], message, Some(hint));
    }
}

fn wildcard_delegation(owner: &OwnerRrsets, diagnostics: &mut Diagnostics) {
    let servers = owner.set(RecordType::NS).filter(|_| owner.name.wire().starts_with(b"\x01*"));
    if let Some(set) = servers {
        let message = format!("the wildcard `{}` cannot have NS records (RFC 4592 §4.2)", owner.name);
        diagnostics.error(set.positions[0], message, None);
    }
}

fn target(Reference { owner, record_type, target, at }: &Reference, zone: &ZoneFile, diagnostics: &mut Diagnostics) {
    if repeats_zone_name(target, &zone.apex) {
        let message = format!("the {record_type} target `{target}` contains the zone name twice");
        diagnostics.warn(*at, message, Some(TRAILING_DOT));
    }
    if *record_type == RecordType::CNAME {
        return;
    }
    let (sets, delegated) = match zone.lookup(target.wire()) {
        // Below a cut only addresses matter, as glue.
        Lookup::Delegation { .. } => (zone.entry(target.wire()).map_or(&[][..], |entry| entry.node.sets), true),
        Lookup::Node { node, .. } => (node.sets, false),
        Lookup::NxDomain { .. } => (&[][..], false),
    };
    let has = |record_type| sets.iter().any(|set| set.record_type == record_type);
    if has(RecordType::CNAME) {
        let message = format!("the {record_type} target `{target}` is a CNAME");
        diagnostics.warn(*at, message, Some("many resolvers do not follow it (RFC 2181 §10.3)"));
    } else if *record_type == RecordType::NS && !has(RecordType::A) && !has(RecordType::AAAA) {
        let message = format!("the name server `{target}` has no address records (A or AAAA)");
        if !delegated {
            let hint = "add its addresses; the name of a site does not do, since edges are not name servers";
            diagnostics.error(*at, message, Some(hint));
        } else if target.is_within(owner) && *owner != zone.apex {
            let hint = "add its addresses as glue: resolvers cannot find a name server by asking it (RFC 9471 §2.1)";
            diagnostics.error(*at, message, Some(hint));
        } else {
            diagnostics.warn(*at, message, Some("resolvers must look them up in another zone (RFC 9471 §2.2)"));
        }
    }
}

/// Whether a trailing dot seems to be missing: `www.example.com.example.com.`.
fn repeats_zone_name(name: &Name, apex: &Name) -> bool {
    let apex = apex.wire();
    let once = &apex[..apex.len() - 1];
    let twice = |name: &[u8]| name.len() == 2 * once.len() + 1 && name.starts_with(once) && name.ends_with(apex);
    !once.is_empty() && name::ancestors(name.wire()).any(twice)
}
