//! What a name server counts. Nothing is labelled by what a stranger can choose: zones and edges are the operator's, types and
//! codes are a fixed few.

mod levels;
mod queries;

use std::collections::HashMap;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;
use verge_protocol::EdgeName;

pub(crate) use self::levels::Levels;
pub(crate) use self::queries::Counts;
use self::queries::Queries;
use crate::follow::FollowCounts;

/// The metrics of one node. Clones share them.
#[derive(Clone)]
pub(crate) struct Metrics {
    queries: Queries,
    edges: EdgeCounts,
    /// Requests to origins that failed.
    pub(crate) origin_failures: Counter,
    /// Times that zones could not be loaded, and what was there went on being served.
    pub(crate) zone_failures: Counter,
    /// The same of the database of places.
    pub(crate) database_failures: Counter,
    /// What following counts.
    pub(crate) follow: FollowCounts,
}

/// How often each edge was named first. An edge keeps its counter for as long as the process lives.
#[derive(Clone, Default)]
pub(crate) struct EdgeCounts(Arc<Mutex<HashMap<EdgeName, Arc<AtomicU64>>>>);

impl EdgeCounts {
    /// Where an edge is counted.
    pub(crate) fn of(&self, edge: &EdgeName) -> Arc<AtomicU64> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(counts.entry(edge.clone()).or_default())
    }
}

impl Metrics {
    /// Puts them into a registry, under `verge_dns_`. `zones` are the names of the zones, in their order.
    pub(crate) fn new(registry: &mut Registry, zones: Vec<String>) -> Self {
        let edges = EdgeCounts::default();
        let queries = Queries::new(zones);
        registry.register_collector(Box::new(queries::Shown { queries: queries.clone(), edges: edges.clone() }));
        let registry = registry.sub_registry_with_prefix("verge_dns");
        let metrics = Self {
            queries,
            edges,
            origin_failures: Counter::default(),
            zone_failures: Counter::default(),
            database_failures: Counter::default(),
            follow: FollowCounts::default(),
        };
        let mut counter = |name: &str, help: &str, counter: &Counter| registry.register(name, help, counter.clone());
        counter("origin_failures", "Requests to origins that failed", &metrics.origin_failures);
        counter("refused_rows", "Rows of the feed that could not be read", &metrics.follow.refused_rows);
        counter("zone_failures", "Times that a zone could not be read anew", &metrics.zone_failures);
        counter("database_failures", "Times that the database of places could not be read", &metrics.database_failures);
        counter("save_failures", "Times that the state could not be saved", &metrics.follow.failed_saves);
        registry.register(
            "unknown_keys",
            "Keys of the feed that this version cannot read",
            metrics.follow.unknown_keys.clone(),
        );
        metrics
    }

    /// Where one thread, or all connections over TCP, count their queries. Kept for as long as the process lives.
    pub(crate) fn counts(&self) -> Arc<Counts> {
        self.queries.counts()
    }

    /// Where the queries that named an edge are counted.
    pub(crate) fn edges(&self) -> &EdgeCounts {
        &self.edges
    }
}
