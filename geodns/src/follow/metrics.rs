//! Metrics of following the feed.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
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
    /// Why the last write of the state file failed; none if it succeeded.
    pub(crate) save_failure: Arc<ArcSwapOption<String>>,
}
