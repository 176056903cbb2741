//! What an edge tells the origin: the only arrow back. Soft state, said again on every change and every few seconds.

use serde::{Deserialize, Serialize};

use crate::name::{ChannelName, SiteName};
use crate::position::{Position, Seq};

/// How often an edge reports when nothing changed, in seconds.
pub const REPORT_SECONDS: u64 = 5;

/// An edge not heard for this many seconds is not live.
pub const LIVE_SECONDS: u64 = 15;

/// `POST /v1/edges/report`, by an edge with its own token; the token says which edge it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeReport {
    /// Where readers reach this very edge, e.g. `http://203.0.113.7`.
    pub url: Option<String>,
    /// Every row up to here is applied, or named in `lagging`.
    pub applied: Position,
    /// Channels whose last row is not applied yet.
    #[serde(default)]
    pub lagging: Vec<Lag>,
    /// It is about to end: nobody need wait for it any more.
    #[serde(default)]
    pub draining: bool,
    /// The edge's version of Verge.
    pub version: String,
}

/// A channel that an edge serves an older release of, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lag {
    /// The site.
    pub site: SiteName,
    /// Its channel.
    pub channel: ChannelName,
    /// The row that is not applied.
    pub seq: Seq,
    /// Why, for a person to read.
    pub reason: String,
}

impl EdgeReport {
    /// Whether the edge serves what the row `seq` of a channel says, or something newer.
    pub fn confirms(&self, at: Position, site: &SiteName, channel: &ChannelName) -> bool {
        self.applied.includes(at) && !self.lagging.iter().any(|lag| lag.site == *site && lag.channel == *channel)
    }
}
