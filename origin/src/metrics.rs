//! Metrics of the origin.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use verge_protocol::Timestamp;
use verge_protocol::api::Problem;

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
    pub(crate) rollouts_abandoned: Counter,
    pub(crate) edge_reports: Counter,
    pub(crate) feed_subscribers: Gauge,
    /// Sites with a purge that live edges have not done yet.
    pub(crate) pending_purges: Gauge,
    /// The number of problems, by kind.
    problems: Family<[(&'static str, &'static str); 1], Gauge>,
    /// Requests with a token that is well formed and unknown.
    unknown_tokens: Counter,
    /// Requests without a valid token or join code from an address that has sent too many.
    pub(crate) failures_limited: Counter,
    /// When the last one came.
    unknown_token_last: AtomicU64,
}

impl Metrics {
    /// Sets the number of problems of each kind.
    pub(crate) fn set_problems(&self, problems: &[Problem]) {
        for kind in Problem::KINDS {
            let count = problems.iter().filter(|problem| problem.kind() == kind).count();
            self.problems.get_or_create(&[("kind", kind)]).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Counts a request with a token that is well formed and unknown.
    pub(crate) fn count_unknown_token(&self, now: Timestamp) {
        self.unknown_tokens.inc();
        self.unknown_token_last.store(now.0, Ordering::Relaxed);
    }

    /// The problem that such requests are; `None` if there were none in this time.
    pub(crate) fn unknown_tokens(&self, now: Timestamp, within: Duration) -> Option<Problem> {
        let (requests, last) = (self.unknown_tokens.get(), self.unknown_token_last.load(Ordering::Relaxed));
        let last = Timestamp(last);
        (requests > 0 && last.age(now) < within).then_some(Problem::UnknownTokens { requests, last })
    }

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
        counter(
            "rollouts_abandoned",
            "Releases that were not made live because edges could not prepare them",
            &self.rollouts_abandoned,
        );
        counter("edge_reports", "Reports received from edges", &self.edge_reports);
        counter("unknown_tokens", "Requests with a token that this origin does not know", &self.unknown_tokens);
        counter(
            "failures_limited",
            "Requests without a valid token or join code that were answered 429",
            &self.failures_limited,
        );
        registry.register("problems", "Problems that need an operator, by kind", self.problems.clone());
        self.set_problems(&[]);
        registry.register(
            "pending_purges",
            "Sites with a purge that live edges have not done yet",
            self.pending_purges.clone(),
        );
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
        // Labels are in no particular order.
        let unlabelled: Vec<&str> = text.lines().filter(|line| !line.contains('{')).collect();
        insta::assert_snapshot!(unlabelled.join("\n"));
    }
}
