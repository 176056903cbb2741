//! What the operator wants of answers.

use super::Picked;

/// What the operator wants of answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How many edges an answer names if there are so many: from 1 to [`Picked::MOST`].
    pub answers: usize,
    /// How long resolvers may keep an answer, in seconds.
    pub ttl: u32,
    /// The same for an answer that names a shaky address.
    pub shaky_ttl: u32,
    /// Whom to name when no edge is up.
    pub all_down: AllDown,
}

impl Default for Policy {
    fn default() -> Self {
        Self { answers: 2, ttl: 60, shaky_ttl: 30, all_down: AllDown::AsIfUp }
    }
}

/// Whom to name when no edge is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllDown {
    /// Everybody, as if all were up: it is likelier that the probes fail than that every edge does.
    AsIfUp,
    /// Nobody.
    Nothing,
}

impl Policy {
    /// The same with a number of answers that there can be.
    pub(super) fn within_limits(self) -> Self {
        Self { answers: self.answers.clamp(1, Picked::MOST), ..self }
    }
}
