//! A page that a reader loads.

use verge_protocol::host::HostLabel;
use verge_protocol::{Digest, Generation};

/// A page that is being loaded.
pub(crate) struct Page {
    /// The edge that gave it.
    pub(crate) from: usize,
    pub(crate) label: HostLabel,
    pub(crate) manifest: Digest,
    /// That of the origin of which the edge had its row.
    pub(crate) generation: Option<Generation>,
    /// Those that are not loaded yet.
    pub(crate) chunks: Vec<String>,
}
