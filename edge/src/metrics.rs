//! Prometheus metrics. Labels hold only the names of configured sites, so that no request can create a series.

mod canary;
mod gauges;
mod traffic;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use verge_protocol::SiteName;

pub(crate) use canary::CanaryCounters;
pub(crate) use gauges::{GaugeValues, Gauges};
pub(crate) use traffic::{CacheResult, Traffic};

/// The counters of one edge. Clones share them.
#[derive(Clone)]
pub(crate) struct Metrics {
    requests: Family<traffic::RequestLabels, Counter>,
    bytes: Family<traffic::SiteLabels, Counter>,
    sites: Arc<Mutex<HashMap<SiteName, Arc<Traffic>>>>,
    /// Counts requests without a site.
    pub(crate) unrouted: Arc<Traffic>,
    /// Blobs requested from origins.
    pub(crate) upstream_blobs: Counter,
    /// Failed requests to origins.
    pub(crate) upstream_failures: Counter,
    /// Blobs and manifests on disk that did not match their digest.
    pub(crate) corrupt: Counter,
    /// Blobs and manifests evicted from disk.
    pub(crate) evicted: Counter,
    /// Feed rows that were not applied: invalid, or older than what is applied.
    pub(crate) refused_rows: Counter,
    /// Lines of the access log that were dropped.
    pub(crate) access_log_dropped_lines: Counter,
}

impl Metrics {
    /// Registers the counters.
    pub(crate) fn new(registry: &mut Registry) -> Self {
        let requests = Family::<traffic::RequestLabels, Counter>::default();
        let bytes = Family::<traffic::SiteLabels, Counter>::default();
        let counter = |registry: &mut Registry, name: &str, help: &str| {
            let counter = Counter::default();
            registry.register(name, help, counter.clone());
            counter
        };
        registry.register(
            "verge_edge_requests",
            "Responses by site (empty: no site), status class and cache result",
            requests.clone(),
        );
        registry.register("verge_edge_sent_bytes", "Response body bytes sent, by site", bytes.clone());
        let unrouted = Arc::new(Traffic::new(None, &requests, &bytes));
        Self {
            unrouted,
            requests,
            bytes,
            sites: Arc::default(),
            upstream_blobs: counter(registry, "verge_edge_upstream_blobs", "Blobs requested from origins"),
            upstream_failures: counter(registry, "verge_edge_upstream_failures", "Failed requests to origins"),
            corrupt: counter(
                registry,
                "verge_edge_corrupt_files",
                "Blobs and manifests on disk that did not match their digest",
            ),
            evicted: counter(registry, "verge_edge_evicted_files", "Blobs and manifests evicted from disk"),
            refused_rows: counter(
                registry,
                "verge_edge_refused_rows",
                "Feed rows not applied because they are invalid or outdated",
            ),
            access_log_dropped_lines: counter(
                registry,
                "verge_edge_access_log_dropped_lines",
                "Lines of the access log dropped because they could not be written in time",
            ),
        }
    }

    /// The counters of a configured site, shared by its channels and releases.
    pub(crate) fn site(&self, site: &SiteName) -> Arc<Traffic> {
        let mut sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        let traffic = || Arc::new(Traffic::new(Some(site), &self.requests, &self.bytes));
        Arc::clone(sites.entry(site.clone()).or_insert_with(traffic))
    }
}
