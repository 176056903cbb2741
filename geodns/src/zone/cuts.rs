//! Zone cuts: where the authority of a zone ends (RFC 1034 §4.2, RFC 2181 §6).

use std::collections::HashSet;

use crate::dns::name::{self, Name};
use crate::dns::record::RecordType;

use super::report::Report;
use super::sets::Draft;

/// The names below the apex that have NS records.
pub(super) struct Cuts {
    names: HashSet<Name>,
    apex: usize,
}

impl Cuts {
    pub(super) fn of(drafts: &[Draft], apex: &Name) -> Self {
        let cuts = drafts.iter().filter(|draft| draft.name != *apex && draft.set(RecordType::NS).is_some());
        Self { names: cuts.map(|draft| draft.name.clone()).collect(), apex: apex.wire().len() }
    }

    /// The length of the topmost cut that `name` is at or below; 0 if there is none.
    pub(super) fn above(&self, name: &Name) -> u8 {
        let below_apex = name::ancestors(name.wire()).take_while(|name| name.len() > self.apex);
        let cut = below_apex.filter(|name| self.names.contains(*name)).last();
        cut.and_then(|cut| u8::try_from(cut.len()).ok()).unwrap_or(0)
    }

    /// Warns of records that no answer gives: at a cut all but NS and DS belong to the zone below, and below it only addresses
    /// are of use, as glue.
    pub(super) fn warn_of_hidden(&self, draft: &Draft, report: &mut Report) {
        let cut = usize::from(self.above(&draft.name));
        if cut == 0 {
            return;
        }
        let at_cut = cut == draft.name.wire().len();
        for set in &draft.sets {
            let record_type = set.records.record_type;
            let shown = match record_type {
                RecordType::NS | RecordType::DS => at_cut,
                record_type => record_type == RecordType::A || record_type == RecordType::AAAA,
            };
            if !shown {
                let text = format!("this {record_type} record of `{}` is given in no answer", draft.name);
                report.warn(set.at[0], text, Some("the name is delegated by NS records, at it or above"));
            }
        }
    }
}
