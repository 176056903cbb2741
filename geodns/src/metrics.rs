//! The metrics of a name server. Label values are bounded: zones and edges are the operator's, record types and response codes a
//! fixed list.

mod edge_counters;
mod gauges;
mod queries;

use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

pub(crate) use self::edge_counters::EdgeCounters;
pub(crate) use self::gauges::GaugeCollector;
pub(crate) use self::queries::QueryCounters;
use self::queries::{Queries, QueryCollector};
use crate::follow::FollowMetrics;
use crate::watched_files::ZoneCounters;

/// The metrics of one name server. Clones share them.
#[derive(Clone)]
pub(crate) struct Metrics {
    queries: Queries,
    edges: EdgeCounters,
    /// Failed requests to origins.
    pub(crate) origin_failures: Counter,
    /// What is counted about zones.
    pub(crate) zones: ZoneCounters,
    /// Failed loads of the location database. The previous one stays in use.
    pub(crate) database_failures: Counter,
    /// Metrics of following the feed.
    pub(crate) follow: FollowMetrics,
}

impl Metrics {
    /// Registers the metrics, with the prefix `verge_dns_`. `zones` are the names of the zones, in their order.
    pub(crate) fn new(registry: &mut Registry, zones: Vec<String>) -> Self {
        let edges = EdgeCounters::default();
        let queries = Queries::new(zones);
        registry.register_collector(Box::new(QueryCollector { queries: queries.clone(), edges: edges.clone() }));
        let registry = registry.sub_registry_with_prefix("verge_dns");
        let metrics = Self {
            queries,
            edges,
            origin_failures: Counter::default(),
            zones: ZoneCounters::default(),
            database_failures: Counter::default(),
            follow: FollowMetrics::default(),
        };
        let mut counter = |name: &str, help: &str, counter: &Counter| registry.register(name, help, counter.clone());
        counter("origin_failures", "Failed requests to origins", &metrics.origin_failures);
        counter("refused_rows", "Invalid rows of the feed", &metrics.follow.refused_rows);
        counter("zone_failures", "Failed loads of zone files", &metrics.zones.failures);
        counter("zone_copy_failures", "Failed writes of copies of zone files", &metrics.zones.copy_failures);
        counter("database_failures", "Failed loads of the location database", &metrics.database_failures);
        counter("save_failures", "Failed writes of the state file", &metrics.follow.save_failures);
        registry.register(
            "unknown_keys",
            "Keys of the feed of kinds that this version does not know",
            metrics.follow.unknown_keys.clone(),
        );
        metrics
    }

    /// The query counters of one thread, or of all TCP connections. Kept for the lifetime of the process.
    pub(crate) fn counts(&self) -> Arc<QueryCounters> {
        self.queries.counts()
    }

    /// The counters of answers by edge.
    pub(crate) fn edges(&self) -> &EdgeCounters {
        &self.edges
    }
}
