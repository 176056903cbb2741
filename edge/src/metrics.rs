//! What is counted. Labels name configured sites only, so nothing a stranger sends makes a series.

mod gauges;
mod traffic;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use verge_protocol::SiteName;

pub(crate) use gauges::{Gauges, Levels};
pub(crate) use traffic::{CacheResult, Traffic};

/// The counters of one edge. Clones share them.
#[derive(Clone)]
pub(crate) struct Metrics {
    requests: Family<traffic::RequestLabels, Counter>,
    bytes: Family<traffic::SiteLabels, Counter>,
    sites: Arc<Mutex<HashMap<SiteName, Arc<Traffic>>>>,
    /// Requests that reached no site.
    pub(crate) unrouted: Arc<Traffic>,
    /// Blobs asked of origins.
    pub(crate) upstream_blobs: Counter,
    /// Requests to origins that failed, whatever they were for.
    pub(crate) upstream_failures: Counter,
    /// Blobs and manifests on disk that did not match their digests.
    pub(crate) corrupt: Counter,
    /// Blobs dropped from disk to keep the budget.
    pub(crate) evicted: Counter,
    /// Rows that told of something older than what is served.
    pub(crate) refused_rows: Counter,
}

impl Metrics {
    /// Registers everything that is counted.
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
            "Answers by site (empty: no site), status class and cache result",
            requests.clone(),
        );
        registry.register("verge_edge_sent_bytes", "Bytes of bodies handed to connections, by site", bytes.clone());
        let unrouted = Arc::new(Traffic::new(None, &requests, &bytes));
        Self {
            unrouted,
            requests,
            bytes,
            sites: Arc::default(),
            upstream_blobs: counter(registry, "verge_edge_upstream_blobs", "Blobs asked of origins"),
            upstream_failures: counter(registry, "verge_edge_upstream_failures", "Requests to origins that failed"),
            corrupt: counter(registry, "verge_edge_corrupt", "Files on disk that did not match their digests"),
            evicted: counter(registry, "verge_edge_evicted", "Files dropped from disk to keep the budget"),
            refused_rows: counter(registry, "verge_edge_refused_rows", "Rows older than what is served"),
        }
    }

    /// Where the requests of a configured site are counted: one value for all its channels and releases.
    pub(crate) fn site(&self, site: &SiteName) -> Arc<Traffic> {
        let mut sites = self.sites.lock().unwrap_or_else(PoisonError::into_inner);
        let traffic = || Arc::new(Traffic::new(Some(site), &self.requests, &self.bytes));
        Arc::clone(sites.entry(site.clone()).or_insert_with(traffic))
    }
}
