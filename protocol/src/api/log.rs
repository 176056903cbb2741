//! The log of a site: what was done to it, and by whom.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::name::ChannelName;
use crate::path::SitePath;
use crate::position::Seq;
use crate::purge::PurgeScope;
use crate::release::ReleaseNumber;
use crate::timestamp::Timestamp;

/// `GET /v1/sites/{site}/log?limit=N` answers a list of these, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// The write.
    pub seq: Seq,
    /// When.
    pub time: Timestamp,
    /// Who, if they said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Why; of a move, the message of the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What.
    #[serde(flatten)]
    pub event: LogEvent,
}

/// What was done to a site.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum LogEvent {
    /// A channel was moved to a release.
    Moved {
        /// The channel.
        channel: ChannelName,
        /// The release.
        release: ReleaseNumber,
        /// The release that the channel pointed at before; `None`: the channel was new.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<ReleaseNumber>,
        /// How.
        kind: MoveKind,
        /// The git commit of the release.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        commit: Option<String>,
    },
    /// A channel was deleted.
    Deleted {
        /// The channel.
        channel: ChannelName,
        /// The release that it pointed at; `None`: it is not known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<ReleaseNumber>,
        /// Its time had ended.
        #[serde(default)]
        expired: bool,
    },
    /// Paths were purged.
    Purged {
        /// The paths.
        scope: PurgeScope,
    },
    /// A content was erased.
    Erased {
        /// A path where the site had it.
        path: SitePath,
        /// Its digest.
        digest: Digest,
    },
    /// An event of a newer origin.
    #[serde(other)]
    Unknown,
}

/// How a channel came to a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MoveKind {
    /// The release was created for it.
    Push,
    /// The channel pointed at it before, and nothing has undone that since.
    Rollback,
    /// It was created for another channel, or was undone by a rollback.
    Promotion,
}
