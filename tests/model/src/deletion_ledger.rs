//! The channels that were deleted, and what must not be served since.
//!
//! An edge that has applied a deletion does not serve the channel until it is created anew. What an edge served before the deletion says
//! nothing of the channel that was created since.

use std::collections::{BTreeMap, BTreeSet};

use verge_edge::model::ServedTable;
use verge_protocol::host::HostLabel;
use verge_protocol::report::EdgeReport;
use verge_protocol::{Generation, Position, Seq};

use crate::database::Database;

#[derive(Default)]
pub(crate) struct DeletionLedger {
    /// The write that last deleted each channel.
    last: BTreeMap<HostLabel, Seq>,
    /// The channels that were not created anew.
    gone: BTreeSet<HostLabel>,
    /// The edges that have applied the deletion of one.
    applied: BTreeSet<(usize, HostLabel)>,
}

impl DeletionLedger {
    /// A channel was deleted by the write `seq`.
    pub(crate) fn deleted(&mut self, label: &HostLabel, seq: Seq) {
        self.last.insert(label.clone(), seq);
        self.gone.insert(label.clone());
    }

    /// A channel was moved, and exists.
    pub(crate) fn created(&mut self, label: &HostLabel) {
        self.gone.remove(label);
        self.applied.retain(|(_, of)| of != label);
    }

    /// The origin was restored from a copy.
    pub(crate) fn restored(&mut self, database: &Database) {
        self.last = database.deletions().clone();
        self.gone = self.last.keys().filter(|label| database.channel(label).is_none()).cloned().collect();
        self.applied.clear();
    }

    /// An edge has lost what it had saved.
    pub(crate) fn forget(&mut self, edge: usize) {
        self.applied.retain(|(of, _)| *of != edge);
    }

    /// An edge reports to an origin in this generation. Returns whether it has applied a deletion of which that was not known.
    pub(crate) fn reported(&mut self, edge: usize, report: &EdgeReport, generation: Generation) -> bool {
        let is_applied = |label: &&HostLabel| {
            let seq = self.last[*label];
            report.not_saving.is_none() && report.applied.includes(Position { generation, seq })
        };
        let applied: Vec<HostLabel> = self.gone.iter().filter(is_applied).cloned().collect();
        let before = self.applied.len();
        self.applied.extend(applied.into_iter().map(|label| (edge, label)));
        self.applied.len() > before
    }

    /// Whether what was served at an epoch was served since the last deletion of the channel, by an origin in this generation.
    pub(crate) fn is_since(&self, label: &HostLabel, shown: (Generation, Seq), generation: Generation) -> bool {
        self.last.get(label).is_none_or(|last| shown.0 == generation && shown.1 > *last)
    }

    /// Whether the channel was deleted since the write `seq`.
    pub(crate) fn is_deleted_since(&self, label: &HostLabel, seq: Seq) -> bool {
        self.last.get(label).is_some_and(|last| *last > seq)
    }

    /// A channel that does not exist any more and that an edge serves; `edge`: only if it has applied the deletion.
    pub(crate) fn violation(&self, edge: Option<usize>, table: &ServedTable) -> Option<&HostLabel> {
        let is_due = |label: &HostLabel| edge.is_none_or(|edge| self.applied.contains(&(edge, label.clone())));
        self.gone.iter().find(|label| is_due(label) && table.release(label).is_some())
    }
}
