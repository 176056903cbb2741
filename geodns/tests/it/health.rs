//! From how edges are to who is named.

use std::net::Ipv6Addr;
use std::num::NonZeroU32;
use std::time::Duration;

use serde_json::json;
use verge_geodns::Config;
use verge_geodns::config::{HealthConfig, ProbePolicy, Scheme};

use super::fake_edge::FakeEdge;
use super::query::query;
use super::tls::Authority;
use super::world::{World, until};

/// Probes many times a second.
pub(super) fn quick() -> HealthConfig {
    let three = NonZeroU32::MIN.saturating_add(2);
    let policy = ProbePolicy {
        interval: Duration::from_millis(20),
        timeout: Duration::from_secs(1),
        retry: Duration::from_millis(10),
        fall: three,
        rise: three,
    };
    HealthConfig { policy, lag_after: Duration::from_secs(1), ..HealthConfig::default() }
}

/// Three edges that are asked how they are, the nearest to the client first.
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
        world.origin.publish("demo/live");
        let fleet = Self { world, edges };
        for edge in 0..3 {
            fleet.tell(edge, |_| {});
        }
        fleet.world.synced().await;
        fleet.names(&[0, 1]).await;
        fleet
    }

    /// Has the origin say of an edge what it is, and more.
    fn tell(&self, edge: usize, more: impl FnOnce(&mut serde_json::Value)) {
        let places = ["50.11,8.68", "51.51,-0.13", "40.71,-74.01"];
        let mut row = self.edges[edge].row(places[edge]);
        more(&mut row);
        self.world.origin.edge(self.edges[edge].name, row);
    }

    /// Who is named, and the time to live.
    async fn named(&self) -> (Vec<usize>, Option<u32>) {
        let answer = self.world.udp(&query("demo.example.com A").subnet("192.0.2.0/24")).await;
        let of = |address| self.edges.iter().position(|edge| edge.address.ip() == address).unwrap();
        (answer.addresses().into_iter().map(of).collect(), answer.ttl())
    }

    /// Waits until exactly these are named.
    async fn names(&self, edges: &[usize]) {
        until(&format!("{edges:?} to be named"), async || self.named().await.0 == edges).await;
    }

    /// What is said of the probes of an edge.
    async fn probed(&self, edge: usize) -> String {
        let explanation = self.world.explain("192.0.2.1".parse().unwrap(), "demo.example.com").await;
        let ranked = explanation.a.edges.into_iter().find(|ranked| ranked.edge.as_str() == self.edges[edge].name);
        ranked.unwrap().probes.concat()
    }

    /// Takes everything down.
    async fn stop(mut self) {
        self.world.stop().await;
        for edge in &mut self.edges {
            edge.go_away().await;
        }
    }
}

/// What is said in between holds for less long.
#[tokio::test]
async fn one_that_dies_is_shaky_and_then_gone() {
    let mut fleet = Fleet::start(|config| {
        // So slowly that what is between can be seen.
        config.health.policy.fall = 40.try_into().unwrap();
        config.health.policy.retry = Duration::from_millis(20);
    })
    .await;
    until("it to be relied on", async || fleet.named().await == (vec![0, 1], Some(60))).await;
    fleet.edges[0].go_away().await;
    let mut course = vec![(vec![0, 1], Some(60))];
    until("it to be gone", async || {
        let named = fleet.named().await;
        if course.last() != Some(&named) {
            course.push(named.clone());
        }
        !named.0.contains(&0)
    })
    .await;
    assert_eq!(course, [(vec![0, 1], Some(60)), (vec![0, 1], Some(30)), (vec![1, 2], Some(60))]);
    fleet.stop().await;
}

#[tokio::test]
async fn one_that_comes_back_is_named_again_but_not_yet_relied_on() {
    let mut fleet = Fleet::start(|_| {}).await;
    fleet.edges[0].go_away().await;
    fleet.names(&[1, 2]).await;
    fleet.edges[0].come_back().await;
    fleet.tell(0, |_| {});
    fleet.names(&[0, 1]).await;
    assert_eq!(fleet.named().await.1, Some(30));
    fleet.edges[0].serves(false);
    fleet.names(&[1, 2]).await;
    fleet.edges[0].serves(true);
    fleet.names(&[0, 1]).await;
    fleet.stop().await;
}

/// It listens, it answers, and no reader would take what it shows.
#[tokio::test]
async fn one_whose_certificate_is_not_good_is_down() {
    let (authority, host) = (Authority::new("Edges"), "health.example");
    let secure = async |name| FakeEdge::over(Some(authority.certify(host)), name).await;
    let mut fleet = Fleet::of([secure("fra").await, secure("lon").await, secure("nyc").await], |config| {
        config.health.scheme = Scheme::Https;
        config.health.host = Some(host.parse().unwrap());
        config.health.ca = Some(authority.pem().into());
    })
    .await;
    for edge in 0..3 {
        until("it to be probed", async || fleet.probed(edge).await.contains("up: answered in")).await;
    }
    for (tls, why) in [
        (Some(authority.certify("other.example")), "its certificate is not for health.example"),
        (Some(Authority::new("Others").certify(host)), "its certificate is by an authority not known here"),
        (None, "does not speak TLS"),
    ] {
        fleet.edges[0].go_away().await;
        fleet.edges[0].tls = tls;
        fleet.edges[0].come_back().await;
        fleet.names(&[1, 2]).await;
        until(why, async || fleet.probed(0).await.contains(why)).await;

        fleet.edges[0].go_away().await;
        fleet.edges[0].tls = Some(authority.certify(host));
        fleet.edges[0].come_back().await;
        fleet.names(&[0, 1]).await;
    }
    fleet.stop().await;
}

/// Though another answers in its place: an address that was given to somebody else.
#[tokio::test]
async fn another_edge_at_its_address_is_not_taken_for_it() {
    let fleet = Fleet::start(|_| {}).await;
    let port = fleet.edges[2].address.port();
    let other = fleet.edges[2].address.ip();
    fleet.tell(0, |row| {
        row["addresses"] = json!([other]);
        row["port"] = json!(port);
    });
    fleet.names(&[1, 2]).await;
    fleet.stop().await;
}

#[tokio::test]
async fn one_that_drains_is_left_out_at_once() {
    // Long before it could be taken for down.
    let fleet = Fleet::start(|config| config.health.policy.fall = 1_000_000.try_into().unwrap()).await;
    fleet.edges[0].drains(true);
    fleet.names(&[1, 2]).await;
    fleet.edges[1].drains(true);
    fleet.names(&[2]).await;
    // Better one that is about to end than nobody.
    fleet.edges[2].drains(true);
    fleet.names(&[0, 1]).await;
    fleet.edges[2].drains(false);
    fleet.names(&[2]).await;
    fleet.stop().await;
}

#[tokio::test]
async fn one_that_is_behind_is_left_out_while_enough_are_not() {
    let fleet = Fleet::start(|_| {}).await;
    fleet.edges[1].is_at(50);
    fleet.edges[2].is_at(50);
    fleet.names(&[1, 2]).await;
    // Two are behind one: never fewer than two are left.
    fleet.edges[2].is_at(100);
    fleet.names(&[0, 1]).await;
    let lagging = r#"verge_dns_edge_lagging{edge="lon",address=""#;
    let lagging = format!(r#"{lagging}{}"}}"#, fleet.edges[1].address.ip());
    assert_eq!(fleet.world.metric(&lagging).await, Some(1.0));
    // It catches up.
    for edge in 0..2 {
        fleet.edges[edge].is_at(100);
    }
    until("nobody to be behind", async || fleet.world.metric(&lagging).await == Some(0.0)).await;
    fleet.names(&[0, 1]).await;
    fleet.stop().await;
}

#[tokio::test]
async fn the_operators_word_goes_before_that_of_probes() {
    let mut fleet = Fleet::start(|_| {}).await;
    fleet.tell(0, |row| row["force"] = json!("down"));
    fleet.names(&[1, 2]).await;
    fleet.tell(0, |row| row["force"] = json!("auto"));
    fleet.names(&[0, 1]).await;
    fleet.edges[0].go_away().await;
    fleet.names(&[1, 2]).await;
    fleet.tell(0, |row| row["force"] = json!("up"));
    fleet.names(&[0, 1]).await;
    // Nobody is named who was said to be down, even if nobody else is left.
    for edge in 0..3 {
        fleet.tell(edge, |row| row["force"] = json!("down"));
    }
    until("nobody to be named", async || fleet.named().await.0.is_empty()).await;
    assert_eq!(fleet.world.answer_text("demo.example.com A").await, "NOERROR aa ^ @ 60 SOA");
    fleet.stop().await;
}

#[tokio::test]
async fn an_edge_that_is_taken_away_is_not_named() {
    let fleet = Fleet::start(|_| {}).await;
    fleet.world.origin.write("edge/lon", None);
    fleet.names(&[0, 2]).await;
    fleet.tell(1, |_| {});
    fleet.names(&[0, 1]).await;
    fleet.stop().await;
}

#[tokio::test]
async fn a_fence_is_kept_whatever_happens() {
    let mut fleet = Fleet::start(|_| {}).await;
    fleet.tell(0, |row| row["regions"] = json!(["eu", "de"]));
    fleet.tell(1, |row| row["regions"] = json!(["eu"]));
    fleet.world.origin.region_set("demo", &["eu"]);
    fleet.world.synced().await;
    fleet.names(&[0, 1]).await;
    fleet.world.origin.region_set("demo", &["de"]);
    fleet.names(&[0]).await;
    // The only one inside is down: it is named all the same, and nobody else.
    fleet.edges[0].go_away().await;
    let up = format!(r#"verge_dns_edge_up{{edge="fra",address="{}"}}"#, fleet.edges[0].address.ip());
    until("it to be down", async || fleet.world.metric(&up).await == Some(0.0)).await;
    fleet.names(&[0]).await;
    fleet.world.origin.region_set("demo", &[]);
    fleet.names(&[1, 2]).await;
    fleet.stop().await;
}

/// Nobody is at the other address, and nothing that is sent there leaves the machine: a link-local address without a link.
#[tokio::test]
async fn an_edge_whose_ipv6_is_dead_leaves_aaaa_only() {
    let fleet = Fleet::start(|_| {}).await;
    let nowhere: Ipv6Addr = "fe80::dead".parse().unwrap();
    let one = fleet.edges[0].address.ip();
    // Everybody has an IPv6 address; only those of the second and third are up, because the operator says so.
    fleet.tell(0, |row| row["addresses"] = json!([one, nowhere]));
    for (edge, address) in [(1, "fe80::1"), (2, "fe80::2")] {
        let four = fleet.edges[edge].address.ip();
        fleet.tell(edge, |row| {
            row["addresses"] = json!([four, address]);
            row["force"] = json!("up");
        });
    }
    fleet.world.synced().await;
    until("it to leave", async || {
        fleet.world.edges_for("demo.example.com", "2001:db8:1::/48").await == ["fe80::1", "fe80::2"]
    })
    .await;
    fleet.names(&[0, 1]).await;
    // One without any never empties AAAA.
    for edge in 1..3 {
        fleet.tell(edge, |_| {});
    }
    fleet.world.synced().await;
    until("the last to be named", async || {
        fleet.world.edges_for("demo.example.com", "2001:db8:1::/48").await == ["fe80::dead"]
    })
    .await;
    fleet.stop().await;
}
