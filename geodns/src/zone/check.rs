//! What the records of a zone must be to each other.

use crate::dns::name::{self, Name};
use crate::dns::rdata;
use crate::dns::record::RecordType;

use super::file::ZoneFile;
use super::find::Found;
use super::report::{Position, Report};
use super::sets::Draft;

/// Checks what can be seen at each name by itself.
pub(super) fn names(drafts: &[Draft], apex: &Name, report: &mut Report) {
    for draft in drafts {
        if report.is_full() {
            break;
        }
        start_of_authority(draft, apex, report);
        alias(draft, apex, report);
        delegation(draft, report);
        if is_doubled(&draft.name, apex) {
            let at = draft.sets[0].at[0];
            report.warn(at, format!("`{}` has the zone's name in it twice", draft.name), Some(LAST_DOT));
        }
    }
}

/// Checks that nothing is missing. Where records were refused, what they would have been is not missed.
pub(super) fn completeness(drafts: &[Draft], apex: &Name, report: &mut Report) {
    let draft = drafts.iter().find(|draft| draft.name == *apex);
    let Some(soa) = draft.and_then(|draft| draft.set(RecordType::SOA)) else {
        return report.fault_of_zone(format!("there is no SOA record of `{apex}`"), Some(SOA_HINT));
    };
    if draft.and_then(|draft| draft.set(RecordType::NS)).is_none() {
        let text = format!("there is no NS record of `{apex}`, which names the servers of the zone");
        report.fault(soa.at[0], text, Some("name every server that answers for the zone: `@ NS ns1`"));
    }
    for draft in drafts {
        let delegated = draft.name != *apex && draft.set(RecordType::NS).is_some();
        if let Some(set) = draft.set(RecordType::DS).filter(|_| !delegated) {
            let text = format!("a DS record of `{}`, which is not delegated", draft.name);
            report.fault(set.at[0], text, Some("DS records stand beside the NS records of a name (RFC 4035 §2.4)"));
        }
    }
}

/// A record that leads to a name in the zone.
pub(super) struct Lead {
    owner: Name,
    record_type: RecordType,
    target: Name,
    at: Position,
}

/// The records whose targets are worth a look.
pub(super) fn leads(drafts: &[Draft], apex: &Name) -> Vec<Lead> {
    let leading = [RecordType::NS, RecordType::MX, RecordType::SRV, RecordType::CNAME];
    let mut leads = Vec::new();
    for draft in drafts {
        for set in draft.sets.iter().filter(|set| leading.contains(&set.records.record_type)) {
            let record_type = set.records.record_type;
            for (data, &at) in set.records.data.iter().zip(&set.at) {
                let target = rdata::target(record_type, data).map(Name::from_canonical);
                let target = target.filter(|target| target.is_within(apex));
                leads.extend(target.map(|target| Lead { owner: draft.name.clone(), record_type, target, at }));
            }
        }
    }
    leads
}

/// Checks the names that records lead to.
pub(super) fn targets(leads: &[Lead], zone: &ZoneFile, report: &mut Report) {
    for lead in leads {
        if report.is_full() {
            break;
        }
        target(lead, zone, report);
    }
}

const SOA_HINT: &str = "it is the first record of a zone: `@ SOA <primary server> <mailbox> <serial> 2h 15m 2w 5m`";
const LAST_DOT: &str = "a name that does not end in a dot is below $ORIGIN";

fn start_of_authority(draft: &Draft, apex: &Name, report: &mut Report) {
    let Some(set) = draft.set(RecordType::SOA) else { return };
    if draft.name != *apex {
        report.fault(set.at[0], format!("an SOA record of `{}`: the zone is `{apex}`", draft.name), Some(LAST_DOT));
    } else if let [first, second, ..] = *set.at {
        report.fault(second, format!("a second SOA record; the first is at {}", report.place(first)), None);
    }
}

/// A CNAME record is alone at its name (RFC 1034 §3.6.2, RFC 2181 §10.1).
fn alias(draft: &Draft, apex: &Name, report: &mut Report) {
    let Some(set) = draft.set(RecordType::CNAME) else { return };
    if draft.name == *apex {
        let hint = "give A and AAAA records, or make the name a site's domain, which the fleet answers for";
        report.fault(set.at[0], "a zone's own name cannot have a CNAME record (RFC 1034 §3.6.2)", Some(hint));
        return;
    }
    if let [first, second, ..] = *set.at {
        let text = format!("a second CNAME record of `{}`; the first is at {}", draft.name, report.place(first));
        report.fault(second, text, Some("a name has one CNAME record at most (RFC 2181 §10.1)"));
    }
    if let Some(other) = draft.sets.iter().find(|other| other.records.record_type != RecordType::CNAME) {
        let (kind, place) = (other.records.record_type, report.place(other.at[0]));
        let text = format!("`{}` has a CNAME record, and at {place} one of type {kind}", draft.name);
        report.fault(set.at[0], text, Some("a name with a CNAME record has no others (RFC 1034 §3.6.2)"));
    }
}

fn delegation(draft: &Draft, report: &mut Report) {
    let servers = draft.set(RecordType::NS).filter(|_| draft.name.wire().starts_with(b"\x01*"));
    if let Some(set) = servers {
        report.fault(set.at[0], "a wildcard cannot be delegated (RFC 4592 §4.2)", None);
    }
}

fn target(Lead { owner, record_type, target, at }: &Lead, zone: &ZoneFile, report: &mut Report) {
    if is_doubled(target, &zone.apex) {
        let text = format!("`{target}`, which this {record_type} record leads to, has the zone's name in it twice");
        report.warn(*at, text, Some(LAST_DOT));
    }
    if *record_type == RecordType::CNAME {
        return;
    }
    let (sets, delegated) = match zone.find(target.wire()) {
        // What is below a cut is looked at for its addresses only.
        Found::Delegated { .. } => (zone.place(target.wire()).map_or(&[][..], |place| place.node.sets), true),
        Found::Node { node, .. } => (node.sets, false),
        Found::Missing { .. } => (&[][..], false),
    };
    let has = |record_type| sets.iter().any(|set| set.record_type == record_type);
    if has(RecordType::CNAME) {
        let text = format!("`{target}`, which this {record_type} record leads to, has a CNAME record");
        report.warn(*at, text, Some("many resolvers do not follow it (RFC 2181 §10.3)"));
    } else if *record_type == RecordType::NS && !has(RecordType::A) && !has(RecordType::AAAA) {
        let text = format!("the name server `{target}` has neither an A nor an AAAA record here");
        if !delegated {
            let hint = "give its addresses; a site's name will not do, edges are not name servers";
            report.fault(*at, text, Some(hint));
        } else if target.is_within(owner) && *owner != zone.apex {
            let hint = "no resolver can find a server by asking it: give its addresses as glue (RFC 9471 §2.1)";
            report.fault(*at, text, Some(hint));
        } else {
            report.warn(*at, text, Some("resolvers have to ask another zone for them (RFC 9471 §2.2)"));
        }
    }
}

/// Whether the last dot seems forgotten: `www.example.com.example.com.`.
fn is_doubled(name: &Name, apex: &Name) -> bool {
    let apex = apex.wire();
    let once = &apex[..apex.len() - 1];
    let twice = |name: &[u8]| name.len() == 2 * once.len() + 1 && name.starts_with(once) && name.ends_with(apex);
    !once.is_empty() && name::ancestors(name.wire()).any(twice)
}
