//! Purges that are not done on all edges, as the status shows them.

use serde::{Deserialize, Serialize};

use crate::name::{EdgeName, SiteName};
use crate::position::Seq;
use crate::timestamp::Timestamp;

/// Purges of a site that edges have not done yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingPurge {
    /// The site.
    pub site: SiteName,
    /// The write that made the oldest of them.
    pub seq: Seq,
    /// When; `None`: it is not known.
    pub since: Option<Timestamp>,
    /// The live edges that have not done it, or a later one of the site.
    pub edges: Vec<EdgeName>,
}
