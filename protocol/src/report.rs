//! An edge's report, the only data that edges send to the origin. Soft state, sent on every change and every few seconds.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::name::{ChannelName, EdgeName, SiteName};
use crate::position::{History, Position, Seq};
use crate::timestamp::Timestamp;

/// Interval of reports when nothing changes, in seconds.
pub const REPORT_SECONDS: u64 = 5;

/// An edge is live for this many seconds after its last report.
pub const LIVE_SECONDS: u64 = 15;

/// A live edge without progress is waited for this many seconds.
pub const STALL_SECONDS: u64 = 10;

/// An edge that was not heard from for this many seconds is away: readers are not sent to it, and no push fails because of it.
pub const AWAY_SECONDS: u64 = 10 * 60;

/// How many orphans a report lists at most.
pub const ORPHANS_MAX: usize = 1000;

/// Whether a text may be a key of the state, of this version or of another: printable ASCII of at most 300 characters.
pub fn is_key(text: &str) -> bool {
    (1..=300).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// Body of `POST /v1/edges/report`; the token identifies the edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeReport {
    /// The name that the edge is configured with; `None`: an edge of an older version. The origin refuses the report if the token is
    /// that of another edge.
    #[serde(default)]
    pub edge: Option<EdgeName>,
    /// The URL of this particular edge, e.g. `http://203.0.113.7`.
    pub url: Option<String>,
    /// Every row up to this position is applied, or listed in `lagging`.
    pub applied: Position,
    /// The digest of all writes up to `applied`, by which an origin that was restored from an older copy knows that the edge has read
    /// others; `None`: an edge of an older version.
    #[serde(default)]
    pub history: Option<History>,
    /// Channels whose latest row is not applied yet.
    #[serde(default)]
    pub lagging: Vec<Lag>,
    /// Releases on their way to a channel, one for each rollout in the feed. `None`: an edge of an older version, which prepares
    /// nothing and is not waited for.
    #[serde(default)]
    pub preparations: Option<Vec<Preparation>>,
    /// The edge's clock when it sent the report.
    #[serde(default)]
    pub time: Option<Timestamp>,
    /// It is shutting down: rollouts do not wait for it.
    #[serde(default)]
    pub draining: bool,
    /// Keys in force of which the origin has neither a row nor a tombstone in its present history: they are from before it was
    /// restored or replaced. At most [`ORPHANS_MAX`], in order.
    #[serde(default)]
    pub orphans: Vec<String>,
    /// Why what it serves is not saved, so that after a restart it would serve less; `None` if it is.
    #[serde(default)]
    pub not_saving: Option<String>,
    /// The edge's version of Verge.
    pub version: String,
}

/// A channel of which an edge serves an older release, or none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lag {
    /// The site.
    pub site: SiteName,
    /// Its channel.
    pub channel: ChannelName,
    /// The write that is not applied.
    pub seq: Seq,
    /// The reason, human-readable.
    pub reason: String,
}

/// How far an edge is with what it needs to serve a release that a channel does not point at yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preparation {
    /// The site.
    pub site: SiteName,
    /// The channel.
    pub channel: ChannelName,
    /// The manifest of the release.
    pub manifest: Digest,
    /// Bytes of its blobs that are verified and on disk.
    pub done: u64,
    /// Bytes of all its blobs; 0 until the manifest has arrived.
    pub total: u64,
    /// Whether the manifest and all blobs are on disk, as far as the disk has room for them.
    pub prepared: bool,
    /// Why it does not progress, for a person to read.
    #[serde(default)]
    pub problem: Option<String>,
}

impl EdgeReport {
    /// The report of an edge that serves everything up to `applied` and has nothing else to say.
    pub fn new(applied: Position, version: impl Into<String>) -> Self {
        Self {
            edge: None,
            url: None,
            applied,
            history: None,
            lagging: Vec::new(),
            preparations: Some(Vec::new()),
            time: None,
            draining: false,
            orphans: Vec::new(),
            not_saving: None,
            version: version.into(),
        }
    }

    /// How far the edge is with a release of the channel; `None` if it has not heard of it yet.
    pub fn preparation(&self, site: &SiteName, channel: &ChannelName, manifest: Digest) -> Option<&Preparation> {
        let mut preparations = self.preparations.iter().flatten();
        preparations.find(|one| one.site == *site && one.channel == *channel && one.manifest == manifest)
    }

    /// Whether the edge serves the channel as of the write `at`, or newer, and will after a restart.
    pub fn confirms(&self, at: Position, site: &SiteName, channel: &ChannelName) -> bool {
        self.applied.includes(at)
            && self.not_saving.is_none()
            && !self.lagging.iter().any(|lag| lag.site == *site && lag.channel == *channel)
    }
}
