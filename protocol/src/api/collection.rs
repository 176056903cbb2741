//! Bodies of the calls that collect what is not needed.

use serde::{Deserialize, Serialize};

use crate::name::SiteName;
use crate::release::ReleaseNumber;

/// What a collection would delete, or has deleted: `GET` and `POST /v1/collection`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Collected {
    /// The releases that are not kept any longer.
    pub releases: Vec<EndedRelease>,
    /// How many builds that were not used for a day.
    pub builds: u64,
    /// How many blobs that nothing needs. Before a collection, those of encodings and manifests are not counted.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The collection takes longer than the origin lets the client wait, and continues; the other fields say nothing then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_running: bool,
}

/// A release that is not kept any longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedRelease {
    /// Its site.
    pub site: SiteName,
    /// Its number.
    pub release: ReleaseNumber,
}
