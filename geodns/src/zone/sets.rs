//! Records gathered to sets, and sets to names.

use std::collections::HashSet;

use crate::dns::name::Name;
use crate::dns::record::{RecordSet, RecordType};

use super::read::Written;
use super::report::{Position, Report};

/// What a record takes besides its data: a pointer to its owner, type, class, TTL and length.
const RECORD: usize = 12;

/// The most bytes of a set: with header, question and OPT record it fits into a message.
const SET_MAX: usize = 65_000;

/// All that a zone file says about a name.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) name: Name,
    /// At least one, in the order of types.
    pub(super) sets: Vec<DraftSet>,
}

#[derive(Debug)]
pub(super) struct DraftSet {
    pub(super) records: RecordSet,
    /// Where each record stands.
    pub(super) at: Vec<Position>,
}

impl Draft {
    pub(super) fn set(&self, record_type: RecordType) -> Option<&DraftSet> {
        self.sets.iter().find(|set| set.records.record_type == record_type)
    }
}

/// Gathers records. Those of a set keep the order of the file; duplicates are dropped (RFC 2181 §5), and the lowest TTL is that of
/// the set (§5.2).
pub(super) fn gather(mut records: Vec<Written>, report: &mut Report) -> Vec<Draft> {
    // Stable, so that the order of records in a set stays.
    records.sort_by(|one, other| (&one.owner, one.record_type).cmp(&(&other.owner, other.record_type)));
    let mut drafts: Vec<Draft> = Vec::new();
    let mut records = records.into_iter().peekable();
    while let Some(first) = records.next() {
        let owner = first.owner.clone();
        let mut alike = vec![first];
        while let Some(next) = records.next_if(|next| next.owner == owner && next.record_type == alike[0].record_type) {
            alike.push(next);
        }
        let set = set(alike, report);
        match drafts.last_mut() {
            Some(draft) if draft.name == owner => draft.sets.push(set),
            _ => drafts.push(Draft { name: owner, sets: vec![set] }),
        }
    }
    drafts
}

fn set(records: Vec<Written>, report: &mut Report) -> DraftSet {
    let (owner, record_type, first_ttl) = (records[0].owner.clone(), records[0].record_type, records[0].ttl);
    let ttl = records.iter().map(|record| record.ttl).min().unwrap_or(first_ttl);
    if let Some(other) = records.iter().find(|record| record.ttl != first_ttl) {
        let text = format!(
            "the {record_type} records of `{}` have several TTLs; the lowest, {ttl}, becomes that of all",
            other.owner
        );
        report.warn(other.at, text, Some("records of one name and type are kept together (RFC 2181 §5.2)"));
    }
    let mut seen = HashSet::new();
    let new: Vec<_> = records.iter().map(|record| seen.insert(&*record.data)).collect();
    let (mut data, mut at) = (Vec::with_capacity(records.len()), Vec::with_capacity(records.len()));
    for (record, new) in records.into_iter().zip(new) {
        if new {
            data.push(record.data);
            at.push(record.at);
        } else {
            report.warn(record.at, format!("this {record_type} record of `{}` is there already", record.owner), None);
        }
    }
    let bytes: usize = data.iter().map(|data| RECORD + data.len()).sum();
    if bytes > SET_MAX {
        let text = format!("the {record_type} records of `{owner}` take {bytes} bytes: no message holds them all");
        report.fault(at[0], text, Some("a message has at most 65,535 bytes, and a set is sent whole or not at all"));
    }
    DraftSet { records: RecordSet { record_type, ttl, data }, at }
}
