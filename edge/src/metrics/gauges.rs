//! Levels that are read when somebody looks.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

/// The levels of an edge at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Levels {
    /// Bytes of blobs in memory.
    pub(crate) memory_bytes: u64,
    /// Bytes of blobs and manifests on disk.
    pub(crate) disk_bytes: u64,
    /// The feed's generation.
    pub(crate) generation: u64,
    /// The last row that is applied, or lags.
    pub(crate) applied: u64,
    /// Channels that serve an older release than they should.
    pub(crate) lagging: u64,
    /// Keys that this version cannot read.
    pub(crate) unknown_keys: u64,
    /// Seconds since an origin was heard; `None` when none was since the start.
    pub(crate) origin_last_seen_seconds: Option<f64>,
}

/// Shows the levels that the function tells at the moment it is asked.
pub(crate) struct Gauges<F>(pub(crate) F);

impl<F> fmt::Debug for Gauges<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Gauges")
    }
}

impl<F: Fn() -> Levels + Send + Sync + 'static> Collector for Gauges<F> {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let levels = (self.0)();
        let mut show = |name: &str, help: &str, value: f64| {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric)
        };
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; these levels stay far below 2^53")]
        let number = |level: u64| level as f64;
        show("verge_edge_memory_bytes", "Bytes of blobs in memory", number(levels.memory_bytes))?;
        show("verge_edge_disk_bytes", "Bytes of blobs and manifests on disk", number(levels.disk_bytes))?;
        show("verge_edge_feed_generation", "The generation of the origin's state", number(levels.generation))?;
        show("verge_edge_feed_applied", "The last row that is applied, or lags", number(levels.applied))?;
        show("verge_edge_lagging_channels", "Channels that serve an older release", number(levels.lagging))?;
        show("verge_edge_unknown_keys", "Keys that this version cannot read", number(levels.unknown_keys))?;
        show(
            "verge_edge_origin_last_seen_seconds",
            "Seconds since an origin was heard; +Inf if not since the start",
            levels.origin_last_seen_seconds.unwrap_or(f64::INFINITY),
        )
    }
}
