//! Erasing contents of a site for good.

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::name::ChannelName;
use crate::path::SitePath;
use crate::release::ReleaseNumber;

/// Body of `POST /v1/sites/{site}/erasures`, and of `…/erasures/plan`, which changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EraseRequest {
    /// What.
    #[serde(flatten)]
    pub target: EraseTarget,
    /// Who erases.
    #[serde(default)]
    pub author: Option<String>,
    /// Why.
    #[serde(default)]
    pub message: Option<String>,
}

/// What is erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EraseTarget {
    /// All bytes that a release of the site ever had at this path, but for those that a channel serves elsewhere.
    Path(SitePath),
    /// All bytes that only this release of the site has.
    Release(ReleaseNumber),
}

/// What an erasure removes, as of now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasurePlan {
    /// The contents, by digest.
    pub contents: Vec<ErasedContent>,
    /// The contents that stay, since a channel serves them at another path.
    #[serde(default)]
    pub in_use: Vec<ContentInUse>,
    /// Bytes that are removed from the store, encodings included.
    pub removed_bytes: u64,
    /// Bytes that stay in the store, because other files, or other sites, have them too.
    pub kept_bytes: u64,
}

/// A content that was at the path of an erasure, and that a channel serves at another one, or is about to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentInUse {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// The channel, the first by name if there are several.
    pub channel: ChannelName,
    /// A path at which the channel serves it.
    pub path: SitePath,
}

/// A content to be erased, or that was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedContent {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Where releases of the site have it. All these paths are gone.
    pub paths: Vec<SitePath>,
    /// The releases that have it. A channel cannot be moved to them any more.
    pub releases: Vec<ReleaseNumber>,
}
