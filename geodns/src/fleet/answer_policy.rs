//! The operator's settings for answers.

use super::selected_edges::Selection;

/// The operator's settings for answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Edges per answer, if there are as many: from 1 to [`Selection::MAX`].
    pub answers: usize,
    /// How long resolvers may cache an answer, in seconds.
    pub ttl: u32,
    /// The same for an answer with a suspect address, in seconds.
    pub suspect_ttl: u32,
    /// What to return when no edge is up.
    pub all_down: AllDown,
}

impl Default for Policy {
    fn default() -> Self {
        Self { answers: 2, ttl: 60, suspect_ttl: 30, all_down: AllDown::AsIfUp }
    }
}

/// What to return when no edge is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllDown {
    /// All edges, as if they were up: it is more likely that the probes fail than that every edge does.
    AsIfUp,
    /// No edge.
    Nothing,
}

impl Policy {
    /// The policy with `answers` clamped to what a [`Selection`] can hold.
    pub(super) fn within_limits(self) -> Self {
        Self { answers: self.answers.clamp(1, Selection::MAX), ..self }
    }
}
