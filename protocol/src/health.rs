//! The health page of an edge, for monitors and name servers.

use serde::{Deserialize, Serialize};

use crate::name::EdgeName;
use crate::position::{Generation, Position, Seq};

/// The page's path, on the public listener and any host: 200 if readers may be sent to the edge, however old its data, else 503.
pub const HEALTH_PATH: &str = "/.well-known/verge/health";

/// Body of the health page.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeHealth {
    /// The edge that answers.
    pub edge: EdgeName,
    /// The generation of its feed position; `None` until the first snapshot.
    pub generation: Option<Generation>,
    /// The last write that is served, or counted in `pending`.
    pub applied: Option<Seq>,
    /// Every write up to this one is served: the last before the oldest pending one; 0 if files of live releases are missing and no origin
    /// was seen for a minute. Certificates that have expired do not count as pending. If missing (an older edge), `applied` counts.
    #[serde(default)]
    pub served: Option<Seq>,
    /// The same, but what the edge cannot get does not count as pending either, so that what all edges lack does not hide what this one
    /// alone lacks: releases of which the origin does not have the missing files, and certificates of which it does not have the private
    /// key. If missing (an older edge), this is not known.
    #[serde(default)]
    pub served_of_obtainable: Option<Seq>,
    /// Number of channels that serve an older release than they should.
    pub pending: usize,
    /// Number of blobs of live releases that are not on the edge's disk: for these files it depends on an origin.
    #[serde(default)]
    pub missing_blobs: u64,
    /// Whether it saves what it serves. If not, a restart would serve older releases.
    #[serde(default = "yes")]
    pub saving: bool,
    /// Seconds since an origin was last seen, by this process or an earlier one; `None` if it never was.
    pub origin_last_seen_seconds: Option<u64>,
    /// It started a moment ago and does not know yet what was released meanwhile: readers should be routed to other edges. It answers 503.
    #[serde(default)]
    pub catching_up: bool,
    /// It is shutting down: readers should be routed to other edges.
    #[serde(default)]
    pub draining: bool,
}

/// What an edge is taken to do that does not say otherwise.
fn yes() -> bool {
    true
}

impl EdgeHealth {
    /// The feed position up to which everything is served; `None` until the first snapshot. Rows received but not fetched yet do not
    /// count.
    pub fn position(&self) -> Option<Position> {
        Some(Position { generation: self.generation?, seq: self.served.or(self.applied)? })
    }

    /// The same without regard to what the edge cannot get; `None` also if an older edge does not say.
    pub fn obtainable_position(&self) -> Option<Position> {
        Some(Position { generation: self.generation?, seq: self.served_of_obtainable? })
    }
}
