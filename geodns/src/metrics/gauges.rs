//! Gauges that are computed at each scrape.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio::sync::watch;
use verge_daemon::feed::LastSeen;

use crate::fleet_state::FleetState;
use crate::health::{AddressHealth, HealthTable};
use crate::readiness::{ProblemKind, ReadinessCheck};
use crate::snapshot::Snapshot;

/// What the gauges are computed from.
pub(crate) struct GaugeCollector {
    pub(crate) snapshots: Arc<ArcSwap<Snapshot>>,
    pub(crate) health: watch::Receiver<Arc<HealthTable>>,
    pub(crate) fleet_state: watch::Receiver<Arc<FleetState>>,
    pub(crate) last_seen: LastSeen,
    pub(crate) readiness: ReadinessCheck,
}

impl fmt::Debug for GaugeCollector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("GaugeCollector")
    }
}

impl GaugeCollector {
    fn by_address(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        value: impl Fn(&AddressHealth) -> f64,
    ) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (edge, address, health) in self.health.borrow().addresses() {
            let labels = [("edge", edge.as_str()), ("address", &address.to_string())];
            ConstGauge::new(value(health)).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

impl Collector for GaugeCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let flag = |is: bool| f64::from(u8::from(is));
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; these values stay far below 2^53")]
        let number = |value: u64| value as f64;
        let count = |count: usize| number(u64::try_from(count).unwrap_or(u64::MAX));
        let help = "Whether an address of an edge is up";
        self.by_address(&mut encoder, "verge_dns_edge_up", help, |health| flag(health.condition.up))?;
        let help = "Whether an edge is lagging";
        self.by_address(&mut encoder, "verge_dns_edge_lagging", help, |health| flag(health.condition.lagging))?;
        let help = "Whether an edge is draining";
        self.by_address(&mut encoder, "verge_dns_edge_draining", help, |health| flag(health.condition.draining))?;
        let (problems, help) = (self.readiness.problems(), "Problems that make this name server degraded or not ready");
        let mut metric = encoder.encode_descriptor("verge_dns_problems", help, None, MetricType::Gauge)?;
        for kind in ProblemKind::ALL {
            let of_kind = problems.iter().filter(|problem| problem.kind == kind).count();
            ConstGauge::new(count(of_kind)).encode(metric.encode_family(&[("kind", kind.name())])?)?;
        }
        let snapshot = self.snapshots.load();
        let mut gauge = |name: &str, help: &str, value: f64| {
            ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
        };
        let position = self.fleet_state.borrow().position.unwrap_or_default();
        gauge("verge_dns_isolated", "Whether no edge can be reached", flag(self.health.borrow().isolated))?;
        gauge("verge_dns_feed_generation", "The generation of the feed", number(position.generation.0))?;
        gauge("verge_dns_feed_applied", "The last applied row of the feed", number(position.seq.0))?;
        let last_seen = self.last_seen.elapsed().map_or(f64::INFINITY, |ago| ago.as_secs_f64());
        let help = "Seconds since an origin was last seen; +Inf if none was since the start";
        gauge("verge_dns_origin_last_seen_seconds", help, last_seen)?;
        let help = "Names of sites that records of a zone file shadow";
        gauge("verge_dns_names_shadowed", help, count(snapshot.zone_set.shadowed.len()))?;
        let help = "Names of sites that are in none of the zones";
        gauge("verge_dns_names_outside_zones", help, count(snapshot.zone_set.outside_zones))?;
        let built = snapshot.locator.database().map_or(0.0, |database| number(database.about().built.0 / 1000));
        let help = "The build time of the location database, in seconds since 1970; 0 if there is none";
        gauge("verge_dns_database_built_seconds", help, built)
    }
}
