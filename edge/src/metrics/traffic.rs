//! The request counters of one site.

use std::sync::OnceLock;

use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use verge_protocol::SiteName;

use super::canary::CanaryCounters;

/// Where the first blob of a response came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CacheResult {
    /// The memory tier, or the response needs no blob.
    Memory,
    /// The disk tier.
    Disk,
    /// An origin.
    Origin,
    /// A built-in response, without a blob.
    None,
}

impl CacheResult {
    const LABELS: [&'static str; 4] = ["memory", "disk", "origin", "none"];

    /// Its name in metrics and logs.
    pub(crate) fn name(self) -> &'static str {
        Self::LABELS[self as usize]
    }
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

/// Counts the requests of one site, or those without a site. A series is created by its first request; from then on counting is
/// one atomic addition.
pub(crate) struct Traffic {
    site: String,
    requests: Family<RequestLabels, Counter>,
    counters: [[OnceLock<Counter>; CacheResult::LABELS.len()]; STATUS_LABELS.len()],
    bytes: Counter,
    /// Counted besides while a canary runs.
    canary: Option<CanaryCounters>,
}

impl Traffic {
    pub(super) fn new(
        site: Option<&SiteName>,
        requests: &Family<RequestLabels, Counter>,
        bytes: &Family<SiteLabels, Counter>,
    ) -> Self {
        let site = site.map(ToString::to_string).unwrap_or_default();
        let bytes = bytes.get_or_create_owned(&SiteLabels { site: site.clone() });
        Self { site, requests: requests.clone(), counters: Default::default(), bytes, canary: None }
    }

    /// The site. Empty: requests without a site.
    pub(crate) fn site(&self) -> &str {
        &self.site
    }

    /// The counters of the same site, which count for a canary besides.
    pub(crate) fn with_canary(&self, canary: CanaryCounters) -> Self {
        let Self { site, requests, counters, bytes, .. } = self;
        Self {
            site: site.clone(),
            requests: requests.clone(),
            counters: counters.clone(),
            bytes: bytes.clone(),
            canary: Some(canary),
        }
    }

    /// Counts a script or style that a page of the site has requested and that its release does not have. The response is counted
    /// besides.
    pub(crate) fn count_missing_asset(&self) {
        if let Some(canary) = &self.canary {
            canary.count_missing_asset();
        }
    }

    /// Counts a response.
    pub(crate) fn count_response(&self, status: StatusCode, cache: CacheResult) {
        let class = match status.as_u16() {
            ..300 => 0,
            300..400 => 1,
            400..500 => 2,
            _ => 3,
        };
        let counter = self.counters[class][cache as usize].get_or_init(|| {
            let (status, cache) = (STATUS_LABELS[class], cache.name());
            self.requests.get_or_create_owned(&RequestLabels { site: self.site.clone(), status, cache })
        });
        counter.inc();
        if let Some(canary) = &self.canary {
            canary.count_response(status);
        }
    }

    /// Counts body bytes as the connection takes them.
    pub(crate) fn count_sent(&self, bytes: usize) {
        self.bytes.inc_by(bytes as u64);
    }
}
