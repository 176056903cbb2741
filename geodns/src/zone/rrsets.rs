//! Records grouped into record sets (`RRsets`, RFC 2181 §5), and record sets grouped by owner.

use std::collections::HashSet;

use crate::dns::name::Name;
use crate::dns::record::{RecordSet, RecordType};

use super::diagnostics::{Diagnostics, Position};
use super::text::ParsedRecord;

/// What a record takes besides its data, in bytes: a pointer to its owner, type, class, TTL and length.
const RECORD_OVERHEAD: usize = 12;

/// The most bytes of a record set: with header, question and OPT record it fits into a message.
const MAX_RRSET: usize = 65_000;

/// All records of one owner name.
#[derive(Debug)]
pub(super) struct OwnerRrsets {
    pub(super) name: Name,
    /// At least one, in the order of types.
    pub(super) sets: Vec<ParsedRrset>,
}

/// A record set and where its records are.
#[derive(Debug)]
pub(super) struct ParsedRrset {
    pub(super) records: RecordSet,
    /// One for each record.
    pub(super) positions: Vec<Position>,
}

impl OwnerRrsets {
    pub(super) fn set(&self, record_type: RecordType) -> Option<&ParsedRrset> {
        self.sets.iter().find(|set| set.records.record_type == record_type)
    }
}

/// Groups records. Those of a set keep the order of the file; duplicates are dropped (RFC 2181 §5), and the lowest TTL is that of
/// the set (§5.2).
pub(super) fn group(mut records: Vec<ParsedRecord>, diagnostics: &mut Diagnostics) -> Vec<OwnerRrsets> {
    // A stable sort keeps the order of the records of a set.
    records.sort_by(|one, other| (&one.owner, one.record_type).cmp(&(&other.owner, other.record_type)));
    let mut owners: Vec<OwnerRrsets> = Vec::new();
    let mut records = records.into_iter().peekable();
    while let Some(first) = records.next() {
        let name = first.owner.clone();
        let mut of_set = vec![first];
        while let Some(next) = records.next_if(|next| next.owner == name && next.record_type == of_set[0].record_type) {
            of_set.push(next);
        }
        let set = rrset(of_set, diagnostics);
        match owners.last_mut() {
            Some(owner) if owner.name == name => owner.sets.push(set),
            _ => owners.push(OwnerRrsets { name, sets: vec![set] }),
        }
    }
    owners
}

fn rrset(records: Vec<ParsedRecord>, diagnostics: &mut Diagnostics) -> ParsedRrset {
    let (owner, record_type, first_ttl) = (records[0].owner.clone(), records[0].record_type, records[0].ttl);
    let ttl = records.iter().map(|record| record.ttl).min().unwrap_or(first_ttl);
    if let Some(other) = records.iter().find(|record| record.ttl != first_ttl) {
        let message =
            format!("the {record_type} records of `{owner}` have different TTLs: the lowest, {ttl}, is used for all");
        let hint = "records of the same name and type have the same TTL (RFC 2181 §5.2)";
        diagnostics.warn(other.at, message, Some(hint));
    }
    let mut seen = HashSet::new();
    let is_new: Vec<_> = records.iter().map(|record| seen.insert(&*record.data)).collect();
    let (mut data, mut positions) = (Vec::with_capacity(records.len()), Vec::with_capacity(records.len()));
    for (record, is_new) in records.into_iter().zip(is_new) {
        if is_new {
            data.push(record.data);
            positions.push(record.at);
        } else {
            diagnostics.warn(record.at, format!("duplicate {record_type} record of `{owner}`"), None);
        }
    }
    let bytes: usize = data.iter().map(|data| RECORD_OVERHEAD + data.len()).sum();
    if bytes > MAX_RRSET {
        let message = format!("the {record_type} records of `{owner}` take {bytes} bytes: too many for a DNS message");
        let hint = "a message has at most 65,535 bytes, and all records of a name and type are sent together";
        diagnostics.error(positions[0], message, Some(hint));
    }
    ParsedRrset { records: RecordSet { record_type, ttl, data }, positions }
}
