//! All that an answer depends on, as one value that is swapped whole.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::fleet::Fleet;
use crate::place::Atlas;
use crate::zone::Catalogue;

/// A snapshot. Never changed, only replaced.
#[derive(Clone)]
pub(crate) struct View {
    /// What names there are.
    pub(crate) catalogue: Arc<Catalogue>,
    /// The edges.
    pub(crate) fleet: Arc<Fleet>,
    /// Where each edge is counted, in the order of the fleet.
    pub(crate) named: Arc<[Arc<AtomicU64>]>,
    /// Where clients are.
    pub(crate) atlas: Arc<Atlas>,
    /// Whether a whole table was ever told: until then nobody knows which names sites have.
    pub(crate) told: bool,
    /// The name of this node (RFC 5001).
    pub(crate) node: Box<str>,
}
