//! Which edges serve a release.

use std::fmt;

use serde::Serialize;
use verge_protocol::EdgeName;
use verge_protocol::api::LaggingEdge;

use crate::output::human;

/// Which edges serve a release.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Confirmations {
    /// Edges that serve it.
    pub confirmed: Vec<EdgeName>,
    /// Edges that do not serve it, or are not known to, at the end of the rollout, and why.
    pub lagging: Vec<LaggingEdge>,
    /// Edges that had not confirmed when the command stopped waiting.
    pub pending: Vec<EdgeName>,
    /// The number of edges that are waited for: all but those that are away.
    pub total: u64,
    /// Milliseconds from the switch to the last confirmation; 0: unknown.
    pub elapsed_ms: u64,
}

/// `live on 12/12 edges in 84 ms`.
impl fmt::Display for Confirmations {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "live on {}/{}", self.confirmed.len(), human::count(self.total, "edge"))?;
        match self.elapsed_ms {
            0 => Ok(()),
            elapsed => write!(formatter, " in {}", human::milliseconds(elapsed)),
        }
    }
}
