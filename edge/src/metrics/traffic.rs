//! The requests of one site.

use std::sync::OnceLock;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use verge_protocol::SiteName;

/// Where an answer's first byte came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CacheResult {
    /// The memory tier, or no blob was needed.
    Memory,
    /// The disk tier.
    Disk,
    /// An origin.
    Origin,
    /// Nowhere: the answer is the edge's own.
    None,
}

impl CacheResult {
    const LABELS: [&'static str; 4] = ["memory", "disk", "origin", "none"];
}

const STATUS_LABELS: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct RequestLabels {
    site: String,
    status: &'static str,
    cache: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct SiteLabels {
    site: String,
}

/// Counts the requests of one site, or of none. A series comes to be at its first request, and counting costs one atomic
/// addition from then on.
pub(crate) struct Traffic {
    site: String,
    requests: Family<RequestLabels, Counter>,
    seen: [[OnceLock<Counter>; CacheResult::LABELS.len()]; STATUS_LABELS.len()],
    bytes: Counter,
}

impl Traffic {
    pub(super) fn new(
        site: Option<&SiteName>,
        requests: &Family<RequestLabels, Counter>,
        bytes: &Family<SiteLabels, Counter>,
    ) -> Self {
        let site = site.map(ToString::to_string).unwrap_or_default();
        let bytes = bytes.get_or_create_owned(&SiteLabels { site: site.clone() });
        Self { site, requests: requests.clone(), seen: Default::default(), bytes }
    }

    /// Counts an answer.
    pub(crate) fn answered(&self, status: StatusCode, cache: CacheResult) {
        let class = match status.as_u16() {
            ..300 => 0,
            300..400 => 1,
            400..500 => 2,
            _ => 3,
        };
        let counter = self.seen[class][cache as usize].get_or_init(|| {
            let (status, cache) = (STATUS_LABELS[class], CacheResult::LABELS[cache as usize]);
            self.requests.get_or_create_owned(&RequestLabels { site: self.site.clone(), status, cache })
        });
        counter.inc();
    }

    /// Counts bytes of a body as they are handed to the connection.
    pub(crate) fn sent(&self, bytes: usize) {
        self.bytes.inc_by(bytes as u64);
    }
}
