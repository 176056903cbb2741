//! Metrics of following the feed.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

/// Metrics of following the feed. Clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct FollowMetrics {
    /// Rows whose values could not be parsed.
    pub(crate) refused_rows: Counter,
    /// Keys of kinds that this version does not know.
    pub(crate) unknown_keys: Gauge,
    /// Failed writes of the state file.
    pub(crate) save_failures: Counter,
}
