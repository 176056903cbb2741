//! Bodies of the origin's HTTP API. docs/API.md lists the routes.

mod admin;
mod certificate;
mod collection;
mod domain;
mod domain_finding;
mod erasure;
mod host;
mod join;
mod log;
mod pending_purge;
mod problem;
mod progress;
mod purge;
mod secrets;
mod token;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::canary::CanaryPlan;
use crate::digest::Digest;
use crate::fleet::EdgeState;
use crate::https::SiteHttps;
use crate::key_pin::KeyPin;
use crate::name::{BuildId, ChannelName, EdgeName, IdempotencyKey, Region, SiteName};
use crate::position::{Position, Seq};
use crate::release::ReleaseNumber;
use crate::report::{Lag, Preparation, PurgeLag};
use crate::timestamp::Timestamp;

pub use self::admin::{EdgeSettings, ForceEdge, IssuedToken, NameServer, SiteRegions};
pub use self::certificate::{Certificate, CertificateEdges, RekeyRequest};
pub use self::collection::{Collected, EndedRelease};
pub use self::domain::{Delegation, Domain, DomainRequest, Proof};
pub use self::domain_finding::{DomainFinding, DomainStep, FindingKind};
pub use self::erasure::{ContentInUse, EraseRequest, EraseTarget, ErasedContent, ErasurePlan};
pub use self::host::Host;
pub use self::join::{IssuedJoinSecret, JOIN_CODE_SECONDS, JoinRequest, Joined};
pub use self::log::{LogEntry, LogEvent, MoveKind};
pub use self::pending_purge::PendingPurge;
pub use self::problem::Problem;
pub use self::progress::{LaggingEdge, Progress};
pub use self::purge::{PurgeProgress, PurgeRequest};
pub use self::secrets::{SECRETS_MAX, SealedSecret, SecretsAnswer, SecretsRequest};
pub use self::token::TokenOwner;

/// The body of every error response.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// A stable code, for programs: `unknown_site`.
    pub code: String,
    /// A message for a person, naming the thing and what was expected.
    pub message: String,
    /// What an API caller can do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// Limits of the origin. Sent with every build, so that a client can check them first.
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
    /// The id of the build in later calls.
    pub build: BuildId,
    /// The limits of the origin.
    pub limits: Limits,
    /// Blobs that this site does not hold yet, each once.
    pub missing: Vec<Digest>,
    /// The release that the channel points at; `None` before its first release.
    pub current: Option<ChannelHead>,
    /// How the build differs from that release.
    pub changes: BuildDiff,
    /// Whether that release serves exactly this build: a release of it would change nothing for readers. `None`: an older origin does
    /// not tell.
    #[serde(default)]
    pub unchanged: Option<bool>,
}

/// The release that a channel points at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelHead {
    /// The release.
    pub release: ReleaseNumber,
    /// To send as `expected` when moving the channel: if it has moved meanwhile, the move is refused.
    pub epoch: Seq,
    /// The number of files of the release.
    pub files: u64,
}

/// How two sets of files differ, in numbers of paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BuildDiff {
    /// Paths only in the new one.
    pub added: u64,
    /// Paths in both, with other bytes.
    pub changed: u64,
    /// Paths only in the old one.
    pub removed: u64,
    /// Paths in both, with the same bytes.
    pub unchanged: u64,
}

/// Answer to `POST /v1/sites/{site}/builds/{build}/blobs`, whose body is a pack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobsStored {
    /// The number of blobs of the pack that are now stored.
    pub stored: u64,
}

/// `POST /v1/blobs`, by an edge. The answer is a pack of these blobs, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobsRequest {
    /// The blobs; at most [`BlobsRequest::MAX`].
    pub digests: Vec<Digest>,
}

impl BlobsRequest {
    /// The most blobs in one request.
    pub const MAX: usize = 256;
}

/// `POST /v1/sites/{site}/releases`: creates a release of a build and moves a channel to it. The answer is a stream of [`Progress`], one
/// JSON object a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateRelease {
    /// The build, all of whose blobs the site must hold.
    pub build: BuildId,
    /// The channel to move.
    pub channel: ChannelName,
    /// The channel's epoch as the client knows it; `None`: the channel must not exist yet.
    pub expected: Option<Seq>,
    /// Where the release came from.
    #[serde(default)]
    pub provenance: Provenance,
    /// Names this attempt. A request with the same key creates no second release and does not move the channel again: it is answered
    /// with the progress, or the outcome, of the first one. `None`: a client that does not repeat requests.
    #[serde(default)]
    pub idempotency_key: Option<IdempotencyKey>,
    /// The channel is deleted this many seconds after the last write that moved it; 0: never. `None`: as the last push to the channel
    /// said. An error for `live`, unless it is 0 or `None`.
    #[serde(default)]
    pub expires_seconds: Option<u64>,
    /// How the release is tried on a few edges first; `None`: it goes live on all edges at once.
    #[serde(default)]
    pub canary: Option<CanaryPlan>,
}

impl CreateRelease {
    /// The largest `expires_seconds`: ten years.
    pub const EXPIRES_SECONDS_MAX: u64 = 10 * 365 * 86_400;
}

/// Where a release came from: free text that is shown and never interpreted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Provenance {
    /// The author of the push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// The reason for the push.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The git commit that was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// `POST /v1/sites/{site}/channels/{channel}`: moves a channel to an existing release, older or newer. The answer is a stream of
/// [`Progress`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveChannel {
    /// The release.
    pub release: ReleaseNumber,
    /// The channel's epoch as the client knows it; `None`: the channel must not exist yet.
    pub expected: Option<Seq>,
    /// As in [`CreateRelease`].
    #[serde(default)]
    pub idempotency_key: Option<IdempotencyKey>,
    /// Who moves it.
    #[serde(default)]
    pub author: Option<String>,
}

/// A site: answer to `GET /v1/sites/{site}`, and part of a [`SitePage`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    /// Its name.
    pub name: SiteName,
    /// When it was created.
    pub created: Timestamp,
    /// The URL at which `live` is served.
    pub url: String,
    /// Its channels.
    pub channels: Vec<Channel>,
    /// Its readers are sent only to edges in one of these regions; none: to any edge.
    #[serde(default)]
    pub regions: BTreeSet<Region>,
    /// How readers reach it over TLS. `PUT /v1/sites/{site}/https` replaces it.
    #[serde(default)]
    pub https: SiteHttps,
}

/// Answer to `GET /v1/sites?after=NAME&limit=N`: sites in the order of their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SitePage {
    /// At most `limit` sites.
    pub sites: Vec<Site>,
    /// If more sites follow: the last name of this page, to send as `after` for the next one.
    #[serde(default)]
    pub next: Option<SiteName>,
}

/// A channel of a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Its name.
    pub name: ChannelName,
    /// The release that it points at.
    pub release: ReleaseNumber,
    /// The release that a rollback moves the channel to: the last one, with other files, that was live before it and was not rolled back;
    /// `None` too if that is no longer known. Only in the answer to `GET /v1/sites/{site}`; always `None` in a [`SitePage`].
    #[serde(default)]
    pub previous: Option<ReleaseNumber>,
    /// The sequence number of the write that last moved it.
    pub epoch: Seq,
    /// When it was last moved.
    pub moved: Timestamp,
    /// When the origin, by its own clock, deletes it, unless it is moved before; `None`: never.
    #[serde(default)]
    pub expires: Option<Timestamp>,
    /// The URL at which it is served.
    pub url: String,
}

/// `GET /v1/sites/{site}/releases` answers a list of these, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Its number.
    pub number: ReleaseNumber,
    /// Its manifest.
    pub manifest: Digest,
    /// The number of its files.
    pub files: u64,
    /// Bytes of all its files, not encoded.
    pub bytes: u64,
    /// When it was created.
    pub created: Timestamp,
    /// Where it came from.
    pub provenance: Provenance,
    /// Channels that point at it.
    pub channels: Vec<ChannelName>,
    /// The URL at which exactly this release is served; `None`: by an origin of an older version.
    #[serde(default)]
    pub url: Option<String>,
}

/// Answer to `GET /v1/status`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The position of the last write.
    pub position: Position,
    /// The origin's version of Verge.
    pub version: String,
    /// What needs an operator, the gravest first.
    #[serde(default)]
    pub problems: Vec<Problem>,
    /// Purges that live edges have not done yet, by site.
    #[serde(default)]
    pub purges: Vec<PendingPurge>,
    /// The pin of the origin's identity key, if it presents that over TLS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<KeyPin>,
}

/// Body of `POST /v1/orphans/remove`: keys that [`Problem::Orphans`] lists, to be served no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveOrphans {
    /// The keys.
    pub keys: Vec<String>,
}

/// An edge as the origin knows it. `GET /v1/edges` answers a list of these, by name: every edge that is configured, has a token, or
/// reported since the origin started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// Its name.
    pub name: EdgeName,
    /// The URL at which readers reach this edge alone, if it reported one.
    pub url: Option<String>,
    /// Whether it reported within the last [`crate::report::LIVE_SECONDS`] and is not draining.
    pub live: bool,
    /// Whether its last report announced that it will stop.
    #[serde(default)]
    pub draining: bool,
    /// When it last reported; `None`: not since the origin started.
    pub last_seen: Option<Timestamp>,
    /// The position up to which it has applied all rows, except those of `lagging`.
    pub applied: Option<Position>,
    /// The channels that it lags with, at most [`crate::report::LIST_MAX`].
    #[serde(default)]
    pub lagging: Vec<Lag>,
    /// How many more there are.
    #[serde(default)]
    pub lagging_omitted: u64,
    /// The releases that it prepares, or has prepared.
    #[serde(default)]
    pub preparations: Vec<Preparation>,
    /// Sites with a purge that it has not done yet, at most [`crate::report::LIST_MAX`].
    #[serde(default)]
    pub purging: Vec<PurgeLag>,
    /// How many more there are.
    #[serde(default)]
    pub purging_omitted: u64,
    /// Its version of Verge.
    pub version: Option<String>,
    /// How readers are sent to it; `None`: it is not configured.
    #[serde(default)]
    pub state: Option<EdgeState>,
    /// Whether it has a valid token.
    #[serde(default)]
    pub has_token: bool,
}
