//! Zone cuts: where the authority of a zone ends (RFC 1034 §4.2, RFC 2181 §6).

use std::collections::HashSet;

use crate::dns::name::{self, Name};
use crate::dns::record::RecordType;

use super::diagnostics::Diagnostics;
use super::rrsets::OwnerRrsets;

/// The names below the apex that have NS records.
pub(super) struct Cuts {
    names: HashSet<Name>,
    apex_length: usize,
}

impl Cuts {
    pub(super) fn of(owners: &[OwnerRrsets], apex: &Name) -> Self {
        let cuts = owners.iter().filter(|owner| owner.name != *apex && owner.set(RecordType::NS).is_some());
        Self { names: cuts.map(|owner| owner.name.clone()).collect(), apex_length: apex.wire().len() }
    }

    /// The length of the topmost cut that `name` is at or below; 0 if there is none.
    pub(super) fn above(&self, name: &Name) -> u8 {
        let below_apex = name::ancestors(name.wire()).take_while(|name| name.len() > self.apex_length);
        let cut = below_apex.filter(|name| self.names.contains(*name)).last();
        cut.and_then(|cut| u8::try_from(cut.len()).ok()).unwrap_or(0)
    }

    /// Warns of occluded records, which are in no response: at a cut all but NS and DS belong to the child zone, and below it only
    /// addresses are used, as glue.
    pub(super) fn warn_of_occluded(&self, owner: &OwnerRrsets, diagnostics: &mut Diagnostics) {
        let cut = usize::from(self.above(&owner.name));
        if cut == 0 {
            return;
        }
        let is_at_cut = cut == owner.name.wire().len();
        for set in &owner.sets {
            let record_type = set.records.record_type;
            let is_served = match record_type {
                RecordType::NS | RecordType::DS => is_at_cut,
                record_type => record_type == RecordType::A || record_type == RecordType::AAAA,
            };
            if !is_served {
                let message = format!("the {record_type} record of `{}` is never served", owner.name);
                diagnostics.warn(set.positions[0], message, Some("NS records delegate this name, or one above it"));
            }
        }
    }
}
