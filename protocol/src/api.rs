//! Bodies of the origin's HTTP API. docs/API.md lists the routes.

mod operating;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::fleet::EdgeState;
use crate::name::{BuildId, ChannelName, EdgeName, Region, SiteName};
use crate::position::{Position, Seq};
use crate::release::ReleaseNumber;
use crate::report::Lag;
use crate::timestamp::Timestamp;

pub use self::operating::{
    Domain, DomainRequest, EdgeSettings, ForceEdge, IssuedToken, NameServer, Proof, SiteRegions,
};

/// Every answer that is not a success.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// Stable, for programs: `unknown_site`.
    pub code: String,
    /// One sentence for a person, naming the thing.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What the origin takes at most. Said with every build, so that a client need not run into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Files in a build.
    pub files: u64,
    /// Bytes in one file.
    pub file_bytes: u64,
    /// Bytes of all files of a build.
    pub build_bytes: u64,
    /// Bytes of one pack as it travels.
    pub pack_bytes: u64,
}

/// Answer to `POST /v1/sites/{site}/builds?channel=…`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildCreated {
    /// Names the build in what follows.
    pub build: BuildId,
    /// What the origin takes at most.
    pub limits: Limits,
    /// Blobs that this site does not hold yet, each once.
    pub missing: Vec<Digest>,
    /// What the channel points at now; `None` before its first release.
    pub current: Option<ChannelHead>,
    /// How the build differs from that.
    pub changes: BuildDiff,
}

/// What a channel points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelHead {
    /// The release.
    pub release: ReleaseNumber,
    /// To be named when moving the channel on: if it has moved meanwhile, nothing happens.
    pub epoch: Seq,
    /// How many files the release has.
    pub files: u64,
}

/// How two sets of files differ, in numbers of paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BuildDiff {
    /// Only in the new one.
    pub added: u64,
    /// In both, with other bytes.
    pub changed: u64,
    /// Only in the old one.
    pub removed: u64,
    /// In both, with the same bytes.
    pub unchanged: u64,
}

/// Answer to `POST /v1/sites/{site}/builds/{build}/blobs`, whose body is a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobsStored {
    /// How many blobs of the pack are now kept.
    pub stored: u64,
}

/// `POST /v1/blobs`, by an edge: the answer is a pack of these, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobsRequest {
    /// The blobs; at most [`BlobsRequest::MAX`].
    pub digests: Vec<Digest>,
}

impl BlobsRequest {
    /// The most blobs that may be asked for at once.
    pub const MAX: usize = 256;
}

/// `POST /v1/sites/{site}/releases`: makes a release of a build and moves a channel to it. Answered by a stream of
/// [`Progress`], one JSON object a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateRelease {
    /// The build; all its blobs must be there.
    pub build: BuildId,
    /// The channel to move.
    pub channel: ChannelName,
    /// The channel's epoch as the client knows it; `None`: it must not exist yet.
    pub expected: Option<Seq>,
    /// Where it came from.
    #[serde(default)]
    pub provenance: Provenance,
}

/// Where a release came from. Free text, shown and never interpreted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Provenance {
    /// Who pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The git commit that was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// `POST /v1/sites/{site}/channels/{channel}`: moves a channel to a release that exists, older or newer. Answered by a stream
/// of [`Progress`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveChannel {
    /// The release.
    pub release: ReleaseNumber,
    /// The channel's epoch as the client knows it; `None`: it must not exist yet.
    pub expected: Option<Seq>,
}

/// How publishing goes on. The last one is `Finished` or `Failed`; a stream without either was cut, and `verge status` tells
/// how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Progress {
    /// Encodings are being made.
    Encoding {
        /// Files done.
        done: u64,
        /// Files to do.
        total: u64,
    },
    /// The channel points at the release; edges are being told.
    Released {
        /// The release.
        release: ReleaseNumber,
        /// Its manifest.
        manifest: Digest,
        /// The channel's new epoch.
        epoch: Seq,
        /// Where the channel is served.
        url: String,
        /// What a person should know, e.g. a name that looks fingerprinted but was reused.
        #[serde(default)]
        warnings: Vec<String>,
    },
    /// One more edge serves it.
    Confirmed {
        /// The edge.
        edge: EdgeName,
        /// Edges that serve it.
        done: u64,
        /// Live edges.
        total: u64,
    },
    /// It is over.
    Finished {
        /// Edges that serve it.
        confirmed: Vec<EdgeName>,
        /// Live edges that do not, and why.
        lagging: Vec<LaggingEdge>,
    },
    /// It went wrong. Unless `Released` came before, the channel is where it was.
    Failed(ErrorBody),
    /// Something from a newer origin, to be passed over.
    #[serde(other)]
    Unknown,
}

/// A live edge that does not serve what it should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaggingEdge {
    /// The edge.
    pub edge: EdgeName,
    /// Why, for a person to read.
    pub reason: String,
}

/// Answer to `GET /v1/sites?after=NAME&limit=N`: sites in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SitePage {
    /// The sites of this page.
    pub sites: Vec<Site>,
    /// To be passed as `after` for the next page; `None` on the last one.
    #[serde(default)]
    pub next: Option<SiteName>,
}

/// `GET /v1/sites/{site}`; `GET /v1/sites` answers pages of these ([`SitePage`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// Its name.
    pub name: SiteName,
    /// When it was created.
    pub created: Timestamp,
    /// Where `live` is served.
    pub url: String,
    /// Its channels.
    pub channels: Vec<Channel>,
    /// The regions its readers are kept to; none: anywhere.
    #[serde(default)]
    pub regions: BTreeSet<Region>,
}

/// A channel of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Its name.
    pub name: ChannelName,
    /// What it points at.
    pub release: ReleaseNumber,
    /// The release that a rollback goes back to: the newest older one that this channel has pointed at and that serves something
    /// else. `None` in a [`SitePage`]; only `GET /v1/sites/{site}` looks it up.
    #[serde(default)]
    pub previous: Option<ReleaseNumber>,
    /// The write that last moved it.
    pub epoch: Seq,
    /// When that was.
    pub moved: Timestamp,
    /// Where it is served.
    pub url: String,
}

/// `GET /v1/sites/{site}/releases` answers a list of these, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its number.
    pub number: ReleaseNumber,
    /// Its manifest.
    pub manifest: Digest,
    /// How many files it has.
    pub files: u64,
    /// Bytes of all its files, as built.
    pub bytes: u64,
    /// When it was made.
    pub created: Timestamp,
    /// Where it came from.
    pub provenance: Provenance,
    /// Channels that point at it.
    pub channels: Vec<ChannelName>,
}

/// `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The last write.
    pub position: Position,
    /// The origin's version of Verge.
    pub version: String,
}

/// An edge as the origin knows it. `GET /v1/edges` answers a list of these, by name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// Its name.
    pub name: EdgeName,
    /// Where readers reach this very edge, if it said.
    pub url: Option<String>,
    /// Whether it was heard within the last [`crate::report::LIVE_SECONDS`], and has not said that it shuts down.
    pub live: bool,
    /// Whether it said, when it was last heard, that it shuts down.
    #[serde(default)]
    pub draining: bool,
    /// When it was last heard; `None`: not since the origin started.
    pub last_seen: Option<Timestamp>,
    /// How far it has followed.
    pub applied: Option<Position>,
    /// What it lags behind with.
    #[serde(default)]
    pub lagging: Vec<Lag>,
    /// Its version of Verge.
    pub version: Option<String>,
    /// How readers are sent to it; `None` until that was said.
    #[serde(default)]
    pub state: Option<EdgeState>,
    /// Whether a token of it works.
    #[serde(default)]
    pub has_token: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_one_flat_object_a_line() {
        let edge: EdgeName = "fra-1".parse().unwrap();
        let lines: Vec<String> = [
            Progress::Encoding { done: 1, total: 2 },
            Progress::Confirmed { edge: edge.clone(), done: 1, total: 3 },
            Progress::Finished {
                confirmed: vec![edge.clone()],
                lagging: vec![LaggingEdge { edge, reason: "slow".into() }],
            },
            Progress::Failed(ErrorBody { code: "missing_blobs".into(), message: "…".into(), hint: None }),
        ]
        .iter()
        .map(|progress| serde_json::to_string(progress).unwrap())
        .collect();
        insta::assert_snapshot!(lines.join("\n"));
        let newer: Progress = serde_json::from_str(r#"{"event":"warming","done":1}"#).unwrap();
        assert_eq!(newer, Progress::Unknown);
    }
}
