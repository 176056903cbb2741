//! Purging paths of a site.

use serde::{Deserialize, Serialize};

use super::{ErrorBody, LaggingEdge};
use crate::name::EdgeName;
use crate::position::Seq;
use crate::purge::PurgeScope;
use crate::report::PurgeProof;

/// Body of `POST /v1/sites/{site}/purges`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PurgeRequest {
    /// The paths.
    pub scope: PurgeScope,
    /// Who purges.
    #[serde(default)]
    pub author: Option<String>,
    /// Why.
    #[serde(default)]
    pub message: Option<String>,
}

/// An event of a purge. They come in the order of the variants; the last one is `Finished` or `Failed`. A purge may be repeated: it is
/// made once more then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum PurgeProgress {
    /// The purge is made, durably; edges carry it out.
    Purging {
        /// The write that made it.
        seq: Seq,
        /// The paths.
        scope: PurgeScope,
        /// The edges that are waited for.
        edges: Vec<EdgeName>,
    },
    /// One more edge has done it.
    Confirmed {
        /// The edge.
        edge: EdgeName,
        /// The number of edges that have done it.
        done: u64,
        /// The number of edges that are waited for.
        total: u64,
        /// Milliseconds from the purge to its report.
        elapsed_ms: u64,
        /// What it has checked; `None` if it started again since.
        #[serde(default)]
        proof: Option<PurgeProof>,
    },
    /// The purge has ended.
    Finished {
        /// Edges that have done it.
        confirmed: Vec<EdgeName>,
        /// Edges of the fleet that have not, or are not known to have, and why.
        lagging: Vec<LaggingEdge>,
        /// Milliseconds from the purge to the last confirmation.
        elapsed_ms: u64,
    },
    /// The request failed. Unless `Purging` came before, nothing was purged. After it: edges carry the erasure out, but the origin still has
    /// erased bytes.
    Failed(ErrorBody),
    /// An event of a newer origin, to be ignored.
    #[serde(other)]
    Unknown,
}
