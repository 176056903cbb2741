//! What an edge says of itself to whoever asks, on any host: monitors, name servers, and people.

use serde::{Deserialize, Serialize};

use crate::name::EdgeName;
use crate::position::{Generation, Position, Seq};

/// Where it says so, on its public listener: 200 whenever it can serve, however old what it serves is, else 503.
pub const HEALTH_PATH: &str = "/.well-known/verge/health";

/// The body there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeHealth {
    /// Who answers.
    pub edge: EdgeName,
    /// Of the feed; `None` until the first snapshot.
    pub generation: Option<Generation>,
    /// The last row that is served, or counted in `pending`.
    pub applied: Option<Seq>,
    /// Every row up to here is served: the last before the oldest that is pending. An edge that does not say is taken at its
    /// `applied`.
    #[serde(default)]
    pub served: Option<Seq>,
    /// Channels that serve an older release than they should.
    pub pending: usize,
    /// Seconds since an origin was heard; `None` when none was since the start.
    pub origin_last_seen_seconds: Option<u64>,
    /// It is about to end: readers should go elsewhere.
    #[serde(default)]
    pub draining: bool,
}

impl EdgeHealth {
    /// How far it serves what the origin says; `None` until the first snapshot. What it was told and could not fetch yet does
    /// not count.
    pub fn position(&self) -> Option<Position> {
        Some(Position { generation: self.generation?, seq: self.served.or(self.applied)? })
    }
}
