//! Health of edges, from probes to answers.

use std::net::Ipv6Addr;
use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::json;
use verge_geodns::Config;
use verge_geodns::config::{HealthConfig, ProbeScheme, ProbeSettings};
use verge_protocol::explanation::{ProbeFailure, ProbeResult};
use verge_test_kit::until;

use super::fake_edge::FakeEdge;
use super::query::query;
use super::tls::Authority;
use super::world::{World, publish};

/// Probes many times per second.
pub(super) fn quick() -> HealthConfig {
    let three = NonZeroU32::MIN.saturating_add(2);
    let policy = ProbeSettings {
        interval: Duration::from_millis(20),
        timeout: Duration::from_secs(1),
        retry: Duration::from_millis(10),
        fall: three,
        rise: three,
    };
    HealthConfig { probe: policy, lag_after: Duration::from_secs(1), ..HealthConfig::default() }
}

/// Three probed edges, nearest to the client first.
struct Fleet {
    world: World,
    edges: [FakeEdge; 3],
}

impl Fleet {
    async fn start(adjust: impl FnOnce(&mut Config)) -> Self {
        let edges = [FakeEdge::start("fra").await, FakeEdge::start("lon").await, FakeEdge::start("nyc").await];
        Self::of(edges, adjust).await
    }

    async fn of(edges: [FakeEdge; 3], adjust: impl FnOnce(&mut Config)) -> Self {
        let world = World::empty(|config| {
            config.health = quick();
            adjust(config);
        })
        .await;
        publish(&world.origin, "demo/live");
        let fleet = Self { world, edges };
        for edge in 0..3 {
            fleet.write_edge(edge, |_| {});
        }
        fleet.world.synced().await;
        fleet.wait_for_edges(&[0, 1]).await;
        fleet
    }

    /// Writes the row of an edge to the origin, after `adjust`.
    fn write_edge(&self, edge: usize, adjust: impl FnOnce(&mut serde_json::Value)) {
        let locations = ["50.11,8.68", "51.51,-0.13", "40.71,-74.01"];
        let mut row = self.edges[edge].row(locations[edge]);
        adjust(&mut row);
        self.world.origin.edge(self.edges[edge].name, row);
    }

    /// The edges in the answer, and its TTL.
    async fn edges_and_ttl(&self) -> (Vec<usize>, Option<u32>) {
        let answer = self.world.udp(&query("demo.example.com A").subnet("192.0.2.0/24")).await;
        let of = |address| self.edges.iter().position(|edge| edge.address.ip() == address).unwrap();
        (answer.addresses().into_iter().map(of).collect(), answer.ttl())
    }

    /// Waits until exactly these edges are in the answer.
    async fn wait_for_edges(&self, edges: &[usize]) {
        until(&format!("{edges:?} in the answer"), async || self.edges_and_ttl().await.0 == edges).await;
    }

    /// The result of the last probe of an edge.
    async fn last_probe(&self, edge: usize) -> ProbeResult {
        let explanation = self.world.explain("192.0.2.1".parse().unwrap(), "demo.example.com").await;
        let ranked = explanation.a.edges.into_iter().find(|ranked| ranked.edge.as_str() == self.edges[edge].name);
        ranked.unwrap().probes[0].last.clone()
    }

    /// Stops everything.
    async fn stop(mut self) {
        self.world.stop().await;
        for edge in &mut self.edges {
            edge.stop().await;
        }
    }
}

#[tokio::test]
async fn failing_edge_is_suspect_and_then_removed() {
    let mut fleet = Fleet::start(|config| {
        // Slow enough for the state in between to be observed.
        config.health.probe.fall = 40.try_into().unwrap();
        config.health.probe.retry = Duration::from_millis(20);
    })
    .await;
    until("the edge to be no longer suspect", async || fleet.edges_and_ttl().await == (vec![0, 1], Some(60))).await;
    fleet.edges[0].stop().await;
    let mut observed = vec![(vec![0, 1], Some(60))];
    until("the edge to be removed", async || {
        let now = fleet.edges_and_ttl().await;
        if observed.last() != Some(&now) {
            observed.push(now.clone());
        }
        !now.0.contains(&0)
    })
    .await;
    assert_eq!(observed, [(vec![0, 1], Some(60)), (vec![0, 1], Some(30)), (vec![1, 2], Some(60))]);
    fleet.stop().await;
}

#[tokio::test]
async fn recovered_edge_is_returned_as_suspect() {
    let mut fleet = Fleet::start(|_| {}).await;
    fleet.edges[0].stop().await;
    fleet.wait_for_edges(&[1, 2]).await;
    fleet.edges[0].restart().await;
    fleet.write_edge(0, |_| {});
    fleet.wait_for_edges(&[0, 1]).await;
    assert_eq!(fleet.edges_and_ttl().await.1, Some(30));
    fleet.edges[0].set_serving(false);
    fleet.wait_for_edges(&[1, 2]).await;
    fleet.edges[0].set_serving(true);
    fleet.wait_for_edges(&[0, 1]).await;
    fleet.stop().await;
}

#[tokio::test]
async fn edge_with_an_invalid_certificate_is_down() {
    let (authority, host) = (Authority::new("Edges"), "health.example");
    let secure = async |name| FakeEdge::start_over(Some(authority.certify(host)), name).await;
    let mut fleet = Fleet::of([secure("fra").await, secure("lon").await, secure("nyc").await], |config| {
        config.health.scheme = ProbeScheme::Https;
        config.health.host = Some(host.parse().unwrap());
        config.health.ca = Some(authority.pem().into());
    })
    .await;
    for edge in 0..3 {
        until("a successful probe", async || matches!(fleet.last_probe(edge).await, ProbeResult::Succeeded { .. }))
            .await;
    }
    for (tls, failure) in [
        (Some(authority.certify("other.example")), ProbeFailure::CertificateNameMismatch { expected: host.to_owned() }),
        (Some(Authority::new("Others").certify(host)), ProbeFailure::CertificateUnknownIssuer),
        (None, ProbeFailure::NotTls),
    ] {
        fleet.edges[0].stop().await;
        fleet.edges[0].tls = tls;
        fleet.edges[0].restart().await;
        fleet.wait_for_edges(&[1, 2]).await;
        let failed = ProbeResult::Failed { failure };
        until("the failure", async || fleet.last_probe(0).await == failed).await;

        fleet.edges[0].stop().await;
        fleet.edges[0].tls = Some(authority.certify(host));
        fleet.edges[0].restart().await;
        fleet.wait_for_edges(&[0, 1]).await;
    }
    fleet.stop().await;
}

#[tokio::test]
async fn edge_is_down_when_another_edge_answers_at_its_address() {
    let fleet = Fleet::start(|_| {}).await;
    let port = fleet.edges[2].address.port();
    let other = fleet.edges[2].address.ip();
    fleet.write_edge(0, |row| {
        row["addresses"] = json!([other]);
        row["port"] = json!(port);
    });
    fleet.wait_for_edges(&[1, 2]).await;
    fleet.stop().await;
}

#[tokio::test]
async fn draining_edge_is_removed_after_one_probe() {
    // Long before it could be down.
    let fleet = Fleet::start(|config| config.health.probe.fall = 1_000_000.try_into().unwrap()).await;
    fleet.edges[0].set_draining(true);
    fleet.wait_for_edges(&[1, 2]).await;
    fleet.edges[1].set_draining(true);
    fleet.wait_for_edges(&[2]).await;
    // If all are draining, all are eligible.
    fleet.edges[2].set_draining(true);
    fleet.wait_for_edges(&[0, 1]).await;
    fleet.edges[2].set_draining(false);
    fleet.wait_for_edges(&[2]).await;
    fleet.stop().await;
}

#[tokio::test]
async fn lagging_edge_is_removed_while_enough_edges_are_current() {
    let fleet = Fleet::start(|_| {}).await;
    fleet.edges[1].set_position(50);
    fleet.edges[2].set_position(50);
    fleet.wait_for_edges(&[1, 2]).await;
    // Two lag behind one: never fewer than two are left.
    fleet.edges[2].set_position(100);
    fleet.wait_for_edges(&[0, 1]).await;
    let lagging = r#"verge_dns_edge_lagging{edge="lon",address=""#;
    let lagging = format!(r#"{lagging}{}"}}"#, fleet.edges[1].address.ip());
    assert_eq!(fleet.world.metric(&lagging).await, Some(1.0));
    // The edges catch up.
    for edge in 0..2 {
        fleet.edges[edge].set_position(100);
    }
    until("no edge to lag", async || fleet.world.metric(&lagging).await == Some(0.0)).await;
    fleet.wait_for_edges(&[0, 1]).await;
    fleet.stop().await;
}

#[tokio::test]
async fn forced_state_takes_precedence_over_probes() {
    let mut fleet = Fleet::start(|_| {}).await;
    fleet.write_edge(0, |row| row["force"] = json!("down"));
    fleet.wait_for_edges(&[1, 2]).await;
    fleet.write_edge(0, |row| row["force"] = json!("auto"));
    fleet.wait_for_edges(&[0, 1]).await;
    fleet.edges[0].stop().await;
    fleet.wait_for_edges(&[1, 2]).await;
    fleet.write_edge(0, |row| row["force"] = json!("up"));
    fleet.wait_for_edges(&[0, 1]).await;
    // An edge that is forced down is never returned, even if no other is left.
    for edge in 0..3 {
        fleet.write_edge(edge, |row| row["force"] = json!("down"));
    }
    until("an empty answer", async || fleet.edges_and_ttl().await.0.is_empty()).await;
    assert_eq!(fleet.world.answer_text("demo.example.com A").await, "NOERROR aa ^ @ 60 SOA");
    fleet.stop().await;
}

#[tokio::test]
async fn deleted_edge_is_not_returned() {
    let fleet = Fleet::start(|_| {}).await;
    fleet.world.origin.write("edge/lon", |_| None);
    fleet.wait_for_edges(&[0, 2]).await;
    fleet.write_edge(1, |_| {});
    fleet.wait_for_edges(&[0, 1]).await;
    fleet.stop().await;
}

#[tokio::test]
async fn region_restriction_holds_when_its_only_edge_is_down() {
    let mut fleet = Fleet::start(|_| {}).await;
    fleet.write_edge(0, |row| row["regions"] = json!(["eu", "de"]));
    fleet.write_edge(1, |row| row["regions"] = json!(["eu"]));
    fleet.world.origin.restrict("demo", &["eu"]);
    fleet.world.synced().await;
    fleet.wait_for_edges(&[0, 1]).await;
    fleet.world.origin.restrict("demo", &["de"]);
    fleet.wait_for_edges(&[0]).await;
    // The only edge inside is down: it is still the only one returned.
    fleet.edges[0].stop().await;
    let up = format!(r#"verge_dns_edge_up{{edge="fra",address="{}"}}"#, fleet.edges[0].address.ip());
    until("the edge to be down", async || fleet.world.metric(&up).await == Some(0.0)).await;
    fleet.wait_for_edges(&[0]).await;
    fleet.world.origin.restrict("demo", &[]);
    fleet.wait_for_edges(&[1, 2]).await;
    fleet.stop().await;
}

/// The IPv6 address is link-local without a link: nothing listens there, and nothing that is sent there leaves the machine.
#[tokio::test]
async fn edge_with_unreachable_ipv6_is_removed_from_aaaa_only() {
    let fleet = Fleet::start(|_| {}).await;
    let unreachable: Ipv6Addr = "fe80::dead".parse().unwrap();
    let one = fleet.edges[0].address.ip();
    // Every edge has an IPv6 address. Those of the second and third are up because the edges are forced up.
    fleet.write_edge(0, |row| row["addresses"] = json!([one, unreachable]));
    for (edge, address) in [(1, "fe80::1"), (2, "fe80::2")] {
        let four = fleet.edges[edge].address.ip();
        fleet.write_edge(edge, |row| {
            row["addresses"] = json!([four, address]);
            row["force"] = json!("up");
        });
    }
    fleet.world.synced().await;
    until("the edge to be removed", async || {
        fleet.world.edges_for("demo.example.com", "2001:db8:1::/48").await == ["fe80::1", "fe80::2"]
    })
    .await;
    fleet.wait_for_edges(&[0, 1]).await;
    // The last edge of AAAA is returned even if it is down.
    for edge in 1..3 {
        fleet.write_edge(edge, |_| {});
    }
    fleet.world.synced().await;
    until("the last edge to be returned", async || {
        fleet.world.edges_for("demo.example.com", "2001:db8:1::/48").await == ["fe80::dead"]
    })
    .await;
    fleet.stop().await;
}
