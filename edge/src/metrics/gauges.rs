//! Gauges, computed when they are scraped.

use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use verge_protocol::{ChannelName, SiteName};

use crate::readiness::ProblemKind;

/// The gauges of an edge at one moment.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct GaugeValues {
    /// Bytes in the memory cache.
    pub(crate) memory_cache_bytes: u64,
    /// Bytes of blobs and manifests on disk.
    pub(crate) disk_cache_bytes: u64,
    /// The generation of the feed.
    pub(crate) generation: u64,
    /// The sequence number of the last row that is applied, or counted as lagging.
    pub(crate) applied: u64,
    /// Channels that do not serve their latest release yet, or before it is on disk.
    pub(crate) lagging: Vec<(SiteName, ChannelName)>,
    /// Sites with a purge that is not done yet.
    pub(crate) purging: u64,
    /// Feed rows that this version cannot read.
    pub(crate) unknown_rows: u64,
    /// Blobs of live releases that are not on disk.
    pub(crate) missing_blobs: u64,
    /// The number of problems of each kind.
    pub(crate) problems: [(&'static str, u64); ProblemKind::ALL.len()],
    /// Seconds until each certificate that is presented expires, by its name.
    pub(crate) certificate_expiry_seconds: Vec<(String, f64)>,
    /// Seconds since an origin was last seen; `None` if never since startup.
    pub(crate) origin_last_seen_seconds: Option<f64>,
}

/// Exports the values that the function returns.
pub(crate) struct Gauges<F>(pub(crate) F);

impl<F> fmt::Debug for Gauges<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Gauges")
    }
}

impl<F: Fn() -> GaugeValues + Send + Sync + 'static> Collector for Gauges<F> {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let values = (self.0)();
        let mut gauge = |name: &str, help: &str, value: f64| {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric)
        };
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; these values stay far below 2^53")]
        let number = |value: u64| value as f64;
        gauge("verge_edge_memory_cache_bytes", "Bytes of blobs in memory", number(values.memory_cache_bytes))?;
        gauge("verge_edge_disk_cache_bytes", "Bytes of blobs and manifests on disk", number(values.disk_cache_bytes))?;
        gauge("verge_edge_feed_generation", "Generation of the change feed", number(values.generation))?;
        gauge("verge_edge_feed_applied", "Sequence number of the last feed row applied", number(values.applied))?;
        gauge(
            "verge_edge_lagging_channels",
            "Channels that do not serve their latest release yet, or before it is on disk",
            number(values.lagging.len() as u64),
        )?;
        gauge("verge_edge_purging_sites", "Sites with a purge that is not done yet", number(values.purging))?;
        gauge("verge_edge_unknown_rows", "Feed rows that this version cannot read", number(values.unknown_rows))?;
        gauge("verge_edge_missing_blobs", "Blobs of live releases that are not on disk", number(values.missing_blobs))?;
        gauge(
            "verge_edge_origin_last_seen_seconds",
            "Seconds since an origin was last seen; +Inf if never since startup",
            values.origin_last_seen_seconds.unwrap_or(f64::INFINITY),
        )?;
        let help = "1 for each channel that does not serve its latest release yet, or before it is on disk";
        let mut lagging = encoder.encode_descriptor("verge_edge_channel_lagging", help, None, MetricType::Gauge)?;
        for (site, channel) in &values.lagging {
            let labels = [("site", site.as_str()), ("channel", channel.as_str())];
            ConstGauge::new(1.0).encode(lagging.encode_family(&labels)?)?;
        }
        let help = "Seconds until a certificate that is presented expires, negative after that, by the first name it is presented for";
        let mut expiry =
            encoder.encode_descriptor("verge_edge_certificate_expiry_seconds", help, None, MetricType::Gauge)?;
        for (name, seconds) in &values.certificate_expiry_seconds {
            ConstGauge::new(*seconds).encode(expiry.encode_family(&[("name", name.as_str())])?)?;
        }
        let help = "Problems that need an operator, by kind";
        let mut problems = encoder.encode_descriptor("verge_edge_problems", help, None, MetricType::Gauge)?;
        for (kind, count) in values.problems {
            let labels = [("kind", kind)];
            let problem = problems.encode_family(&labels)?;
            ConstGauge::new(number(count)).encode(problem)?;
        }
        Ok(())
    }
}
