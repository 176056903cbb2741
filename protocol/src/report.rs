//! An edge's report, the only data that edges send to the origin. Soft state, sent on every change and every few seconds.

use serde::{Deserialize, Serialize};

use crate::canary::ResponseCounts;
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

/// How many purges a report proves at most.
pub const PURGES_MAX: usize = 16;

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
    /// What readers got from channels of which a release is on trial, since the trial began: from the trial release, or from the one
    /// before it.
    #[serde(default)]
    pub trials: Vec<TrialCounts>,
    /// Sites with a purge that is not done yet.
    #[serde(default)]
    pub purging: Vec<PurgeLag>,
    /// What the last purges have found, at most [`PURGES_MAX`], the latest last. `None`: an edge of an older version, which does not
    /// know purges.
    #[serde(default)]
    pub purged: Option<Vec<PurgeProof>>,
    /// How many bytes of packs it has received since it started, of blobs that are not complete yet too: a number that does not change
    /// tells a stalled line from a slow one.
    #[serde(default)]
    pub received_bytes: u64,
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

/// What readers got from one release of a channel during a trial.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrialCounts {
    /// The site.
    pub site: SiteName,
    /// The channel.
    pub channel: ChannelName,
    /// The manifest of the release that the edge serves.
    pub manifest: Digest,
    /// The responses.
    #[serde(flatten)]
    pub counts: ResponseCounts,
}

/// A purge of a site that an edge has not done yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeLag {
    /// The site.
    pub site: SiteName,
    /// The write that made the oldest purge that is not done.
    pub seq: Seq,
    /// Whether it is being carried out: an edge that is live is not given up then.
    #[serde(default)]
    pub running: bool,
    /// The reason, human-readable.
    pub reason: String,
}

/// What an edge has found of the paths of a purge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeProof {
    /// The site.
    pub site: SiteName,
    /// The write that made the purge.
    pub seq: Seq,
    /// The number of files that it serves at these paths, over all channels and releases.
    pub files: u64,
    /// The bytes of these files that it read from disk and hashed, encodings included.
    pub bytes: u64,
    /// How many blobs on disk did not match their digest.
    pub bad: u64,
    /// How many of them were replaced; the others are not served, and fetched when the origin has them.
    pub replaced: u64,
    /// What it serves at the path, if the purge is of one path.
    #[serde(default)]
    pub serves: Option<ServedPath>,
}

/// What an edge serves at a path of the channel `live` of a site.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServedPath {
    /// The status: 200, 404, or 410 for what was erased. A site's single-page fallback is not a file at the path: 404.
    pub status: u16,
    /// The digest of the file, which is its `ETag`.
    #[serde(default)]
    pub digest: Option<Digest>,
}

/// The longest text in a report, in characters.
const TEXT_MAX: usize = 300;

/// The text without control characters, cut to [`TEXT_MAX`].
fn plain(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).take(TEXT_MAX).collect()
}

impl EdgeReport {
    /// The report with its texts made fit to be logged, stored and shown: an edge's machine may have been taken over.
    #[must_use]
    pub fn with_plain_texts(mut self) -> Self {
        let lagging = self.lagging.iter_mut().map(|lag| &mut lag.reason);
        let preparing = self.preparations.iter_mut().flatten().filter_map(|one| one.problem.as_mut());
        let purging = self.purging.iter_mut().map(|lag| &mut lag.reason);
        let others = [Some(&mut self.version), self.url.as_mut(), self.not_saving.as_mut()].into_iter().flatten();
        for text in lagging.chain(preparing).chain(purging).chain(others) {
            *text = plain(text);
        }
        self
    }

    /// The report of an edge that serves everything up to `applied` and has nothing else to say.
    pub fn new(applied: Position, version: impl Into<String>) -> Self {
        Self {
            edge: None,
            url: None,
            applied,
            history: None,
            lagging: Vec::new(),
            preparations: Some(Vec::new()),
            received_bytes: 0,
            trials: Vec::new(),
            purging: Vec::new(),
            purged: Some(Vec::new()),
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

    /// Whether the edge has done the purge that was made by the write `at`, and has saved what it serves since.
    pub fn has_purged(&self, at: Position, site: &SiteName) -> bool {
        self.purged.is_some()
            && self.not_saving.is_none()
            && self.applied.includes(at)
            && !self.purging.iter().any(|lag| lag.site == *site && lag.seq <= at.seq)
    }

    /// What the edge has found in the purge of the site that was made by the write `seq`; `None` if it started again since.
    pub fn purge_proof(&self, seq: Seq, site: &SiteName) -> Option<&PurgeProof> {
        self.purged.iter().flatten().rev().find(|proof| proof.site == *site && proof.seq == seq)
    }

    /// Whether the edge serves the channel as of the write `at`, or newer, and has saved what it serves.
    pub fn confirms(&self, at: Position, site: &SiteName, channel: &ChannelName) -> bool {
        let has_saved = self.not_saving.is_none();
        has_saved
            && self.applied.includes(at)
            && !self.lagging.iter().any(|lag| lag.site == *site && lag.channel == *channel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_a_report_are_plain_and_short() {
        let mut report = EdgeReport::new("1-7".parse().unwrap(), "0\u{1b}[2J\n");
        report.not_saving = Some("x".repeat(1000));
        let report = report.with_plain_texts();
        assert_eq!((report.version.as_str(), report.not_saving.unwrap().len()), ("0[2J", TEXT_MAX));
    }

    #[test]
    fn edge_has_purged_once_it_has_applied_the_purge_and_lists_none_so_old() {
        let site: SiteName = "demo".parse().unwrap();
        let at = |text: &str| text.parse::<Position>().unwrap();
        let mut report = EdgeReport::new(at("1-7"), "0");
        assert!(report.has_purged(at("1-7"), &site) && !report.has_purged(at("1-8"), &site));
        report.purging.push(PurgeLag { site: site.clone(), seq: Seq(6), running: true, reason: String::new() });
        assert!(!report.has_purged(at("1-7"), &site) && report.has_purged(at("1-5"), &site));
        assert!(report.has_purged(at("1-7"), &"news".parse().unwrap()));
    }

    #[test]
    fn edge_that_does_not_save_what_it_serves_confirms_no_purge() {
        let (site, at) = ("demo".parse().unwrap(), "1-7".parse().unwrap());
        let report = EdgeReport { not_saving: Some("disk full".to_owned()), ..EdgeReport::new(at, "0") };
        assert!(!report.has_purged(at, &site));
    }

    #[test]
    fn report_of_an_older_edge_confirms_no_purge() {
        let text = r#"{"url":null,"applied":"1-7","version":"0"}"#;
        let report: EdgeReport = serde_json::from_str(text).unwrap();
        assert!(!report.has_purged("1-7".parse().unwrap(), &"demo".parse().unwrap()));
    }
}
