//! Metrics of the origin.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The origin's metrics. None has a label whose value a client can choose.
#[derive(Default)]
pub(crate) struct Metrics {
    pub(crate) blobs_stored: Counter,
    pub(crate) blob_bytes_stored: Counter,
    pub(crate) blobs_sent: Counter,
    pub(crate) blobs_corrupt: Counter,
    pub(crate) encodings_created: Counter,
    pub(crate) releases_created: Counter,
    pub(crate) channel_moves: Counter,
    pub(crate) channel_conflicts: Counter,
    pub(crate) edge_reports: Counter,
    pub(crate) feed_subscribers: Gauge,
}

impl Metrics {
    /// Registers all metrics under the prefix `verge_origin_`.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("verge_origin");
        let mut counter = |name: &str, help: &str, metric: &Counter| registry.register(name, help, metric.clone());
        counter("blobs_stored", "Blobs received from pushes and stored", &self.blobs_stored);
        counter("blob_bytes_stored", "Bytes of blobs received from pushes and stored", &self.blob_bytes_stored);
        counter("blobs_sent", "Blobs sent to edges", &self.blobs_sent);
        counter("blobs_corrupt", "Blobs found corrupt or missing on disk", &self.blobs_corrupt);
        counter("encodings_created", "Encodings created for releases", &self.encodings_created);
        counter("releases_created", "Releases created", &self.releases_created);
        counter("channel_moves", "Channel moves, by releases and rollbacks", &self.channel_moves);
        counter("channel_conflicts", "Channel moves refused because another came first", &self.channel_conflicts);
        counter("edge_reports", "Reports received from edges", &self.edge_reports);
        registry.register("feed_subscribers", "Open subscriptions to the change feed", self.feed_subscribers.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metric_names() {
        let mut registry = Registry::default();
        Metrics::default().register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        insta::assert_snapshot!(text);
    }
}
