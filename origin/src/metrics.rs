//! What the origin counts.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// The origin's metrics. None is labelled by anything a stranger can choose.
#[derive(Default)]
pub(crate) struct Metrics {
    pub(crate) blobs_kept: Counter,
    pub(crate) blob_bytes_kept: Counter,
    pub(crate) blobs_sent: Counter,
    pub(crate) blobs_corrupt: Counter,
    pub(crate) encodings_made: Counter,
    pub(crate) releases: Counter,
    pub(crate) moves: Counter,
    pub(crate) conflicts: Counter,
    pub(crate) followers: Gauge,
    pub(crate) reports: Counter,
}

impl Metrics {
    /// Puts them into a registry, under `verge_origin_`.
    pub(crate) fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("verge_origin");
        let mut counter = |name: &str, help: &str, metric: &Counter| registry.register(name, help, metric.clone());
        counter("blobs_kept", "Blobs taken from pushes", &self.blobs_kept);
        counter("blob_bytes_kept", "Bytes of blobs taken from pushes", &self.blob_bytes_kept);
        counter("blobs_sent", "Blobs sent to edges", &self.blobs_sent);
        counter("blobs_corrupt", "Blobs found bad at rest", &self.blobs_corrupt);
        counter("encodings_made", "Encodings made for releases", &self.encodings_made);
        counter("releases", "Releases made", &self.releases);
        counter("moves", "Channels moved, by releases and rollbacks", &self.moves);
        counter("conflicts", "Moves refused because another came first", &self.conflicts);
        counter("reports", "Reports heard from edges", &self.reports);
        registry.register("followers", "Connections that follow the change feed", self.followers.clone());
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
