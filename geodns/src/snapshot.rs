//! Everything that answers depend on, as one immutable value that is replaced as a whole.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use crate::dns::record::RecordSet;
use crate::fleet::Fleet;
use crate::geo::GeoLocator;
use crate::https_names::HttpsNames;
use crate::zone::ZoneSet;

/// The state that answers are computed from.
#[derive(Clone)]
pub(crate) struct Snapshot {
    /// The zones, with the names of sites.
    pub(crate) zone_set: Arc<ZoneSet>,
    /// The names with HTTPS records.
    pub(crate) https_names: Arc<HttpsNames>,
    /// The CAA records of names that are answered from the fleet, if it is known who may issue certificates.
    pub(crate) caa: Option<Arc<RecordSet>>,
    /// The edges.
    pub(crate) fleet: Arc<Fleet>,
    /// The counter of each edge, in the order of the fleet.
    pub(crate) edge_counters: Arc<[Arc<AtomicU64>]>,
    /// The locations of clients.
    pub(crate) locator: Arc<GeoLocator>,
    /// Whether a complete fleet state was ever received. Until then the names of sites are unknown.
    pub(crate) fleet_is_known: bool,
    /// The name of this name server (RFC 5001).
    pub(crate) name_server: Box<str>,
}
