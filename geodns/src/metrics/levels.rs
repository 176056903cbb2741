//! Levels that are read when somebody looks.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio::sync::watch;
use verge_daemon::feed::LastSeen;

use crate::follow::Told;
use crate::health::{AddressHealth, HealthTable};
use crate::view::View;

/// Where the levels of a name server are looked up.
pub(crate) struct Levels {
    pub(crate) views: Arc<ArcSwap<View>>,
    pub(crate) health: watch::Receiver<Arc<HealthTable>>,
    pub(crate) told: watch::Receiver<Arc<Told>>,
    pub(crate) last_seen: LastSeen,
}

impl fmt::Debug for Levels {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Levels")
    }
}

impl Levels {
    fn addresses(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        name: &str,
        help: &str,
        level: impl Fn(&AddressHealth) -> f64,
    ) -> fmt::Result {
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (edge, address, health) in self.health.borrow().addresses() {
            let labels = [("edge", edge.as_str()), ("address", &address.to_string())];
            ConstGauge::new(level(health)).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

impl Collector for Levels {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let flag = |is: bool| f64::from(u8::from(is));
        let help = "Whether an address of an edge answers its probes";
        self.addresses(&mut encoder, "verge_dns_edge_up", help, |health| flag(health.condition.up))?;
        let help = "Whether an edge is behind the others";
        self.addresses(&mut encoder, "verge_dns_edge_lagging", help, |health| flag(health.condition.lagging))?;
        let help = "Whether an edge says that it is about to end";
        self.addresses(&mut encoder, "verge_dns_edge_draining", help, |health| flag(health.condition.draining))?;
        let view = self.views.load();
        let mut show = |name: &str, help: &str, value: f64| {
            ConstGauge::new(value).encode(encoder.encode_descriptor(name, help, None, MetricType::Gauge)?)
        };
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; these levels stay far below 2^53")]
        let number = |level: u64| level as f64;
        let position = self.told.borrow().position.unwrap_or_default();
        show("verge_dns_isolated", "Whether no edge can be reached", flag(self.health.borrow().isolated))?;
        show("verge_dns_feed_generation", "The generation of the origin's state", number(position.generation.0))?;
        show("verge_dns_feed_applied", "The last row that is applied", number(position.seq.0))?;
        let heard = self.last_seen.elapsed().map_or(f64::INFINITY, |ago| ago.as_secs_f64());
        show("verge_dns_heard_seconds", "Seconds since an origin was heard; +Inf if not since the start", heard)?;
        let shadowed = u64::try_from(view.zone_set.shadowed.len()).unwrap_or(u64::MAX);
        show("verge_dns_names_kept_back", "Names of sites that own records of a zone stand in for", number(shadowed))?;
        let outside_zones = u64::try_from(view.zone_set.outside_zones).unwrap_or(u64::MAX);
        show("verge_dns_names_elsewhere", "Names of sites that are in none of the zones", number(outside_zones))?;
        let built = view.atlas.database().map_or(0.0, |database| number(database.about().built.0 / 1000));
        show("verge_dns_database_built_seconds", "When the database of places was made; 0 if there is none", built)
    }
}
