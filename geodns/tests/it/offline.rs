//! Static stability: answers stay the same when the origin, the edges or the data directory are gone.

use serde_json::json;
use verge_geodns::GeoDns;
use verge_geodns::config::AllDown;
use verge_test_kit::until;

use super::health::quick;
use super::query::{Query, query};
use super::random::Random;
use super::world::{World, end, publish, udp};

/// A random query.
fn random_query(random: &mut Random) -> Query {
    let names = [
        "demo.example.com",
        "example.com",
        "shop.empty.example.com",
        "site-3.example.com",
        "pr-1--site-7.example.com",
        "restricted.example.com",
        "www.example.com",
        "nowhere.example.com",
        "a.wild.example.com",
        "chain-1.example.com",
        "to-net.example.com",
        "wide.example.com",
        "huge.example.com",
        "ent.example.com",
        "elsewhere.test",
    ];
    let types = ["A", "AAAA", "A", "AAAA", "A", "AAAA", "TXT", "MX", "SOA", "ANY", "TYPE777"];
    let question = query(&format!("{} {}", random.choose(&names), random.choose(&types)));
    let question = question.id(u16::from(random.byte()) << 8 | u16::from(random.byte()));
    match random.below(8) {
        0 => question,
        1 => question.edns(u16::try_from(random.below(4096)).unwrap()),
        2 | 3 => question.subnet(&format!("2{:03x}:{:x}:{:x}::/48", random.below(4096), random.byte(), random.byte())),
        _ => question.subnet(&format!("{}.{}.{}.0/24", random.below(224), random.byte(), random.byte())),
    }
}

/// Twelve edges with weights and regions, and two dozen sites, some with a region restriction.
async fn large_world() -> World {
    let world = World::start().await;
    let mut random = Random::new(1);
    for edge in 0..12 {
        let (latitude, longitude) = (i64::from(random.byte()) % 60, i64::from(random.byte()) % 180);
        let value = json!({
            "addresses": [format!("127.0.2.{edge}"), format!("fe80::2:{edge}")],
            "port": 1,
            "location": format!("{latitude},{}", longitude * 2 - 179),
            "regions": [(["eu", "na", "as"][edge % 3])],
            "weight": 1 + edge % 4,
            "force": "up",
        });
        world.origin.edge(&format!("edge-{edge}"), value);
    }
    for site in 0..12 {
        publish(&world.origin, &format!("site-{site}/live"));
        publish(&world.origin, &format!("site-{site}/pr-1"));
    }
    publish(&world.origin, "restricted/live");
    world.origin.restrict("restricted", &["as"]);
    world.origin.restrict("site-3", &["eu", "na"]);
    world.synced().await;
    world
}

/// The answers to two thousand random queries, as bytes.
async fn answers(name_server: &GeoDns) -> Vec<Vec<u8>> {
    let mut random = Random::new(7);
    let mut answers = Vec::new();
    for _ in 0..2_000 {
        answers.push(udp(name_server.dns_addr(), &random_query(&mut random)).await.bytes);
    }
    answers
}

#[tokio::test]
async fn two_name_servers_give_the_same_answers() {
    let world = large_world().await;
    let another = world.another(|_| {}).await;
    world.synced_at(another.dns_addr()).await;
    world.synced().await;
    let (ours, theirs) = (answers(&world.name_server).await, answers(&another).await);
    let different = ours.iter().zip(&theirs).filter(|(ours, theirs)| ours != theirs).count();
    assert_eq!(different, 0);
    // The answers are diverse.
    let mut distinct: Vec<&[u8]> = ours.iter().map(|answer| &answer[2..]).collect();
    distinct.sort_unstable();
    distinct.dedup();
    assert!(distinct.len() > 500, "{}", distinct.len());
    end(another).await;
    world.stop().await;
}

#[tokio::test]
async fn answers_stay_the_same_after_a_restart_without_an_origin() {
    let mut world = large_world().await;
    let before = answers(&world.name_server).await;
    world.origin.go_offline().await;
    assert!(answers(&world.name_server).await == before, "while it runs");
    let world = world.restart().await;
    assert!(answers(&world.name_server).await == before, "from the first query on");
    world.stop().await;
}

#[tokio::test]
async fn all_down_setting_applies_when_every_probe_fails() {
    for (all_down, expected) in [(AllDown::AsIfUp, ["127.0.3.1", "127.0.3.2"].as_slice()), (AllDown::Nothing, &[])] {
        let world = World::empty(|config| {
            config.health = quick();
            config.answers.all_down = all_down;
        })
        .await;
        for (edge, last, location) in [("fra", 1, "50.11,8.68"), ("nyc", 2, "40.71,-74.01"), ("sin", 3, "1.29,103.85")]
        {
            world
                .origin
                .edge(edge, json!({ "addresses": [format!("127.0.3.{last}")], "port": 1, "location": location }));
        }
        publish(&world.origin, "demo/live");
        world.synced().await;
        until("all to be down", async || {
            let up = async |edge, last| {
                world.metric(&format!(r#"verge_dns_edge_up{{edge="{edge}",address="127.0.3.{last}"}}"#)).await
            };
            up("fra", 1).await == Some(0.0) && up("nyc", 2).await == Some(0.0) && up("sin", 3).await == Some(0.0)
        })
        .await;
        assert_eq!(world.metric("verge_dns_isolated").await, Some(1.0));
        until("answers to reflect it", async || world.edges_for("demo.example.com", "192.0.2.0/24").await == expected)
            .await;
        if expected.is_empty() {
            assert_eq!(world.answer_text("demo.example.com A").await, "NOERROR aa ^ @ 60 SOA");
        }
        // So does a name server that starts without a reachable origin or edge.
        let mut world = world;
        world.origin.go_offline().await;
        let world = world.restart().await;
        assert_eq!(world.edges_for("demo.example.com", "192.0.2.0/24").await, expected);
        world.stop().await;
    }
}

#[tokio::test]
async fn missing_data_directory_does_not_affect_answers() {
    let world = World::start().await;
    let before = world.answer_text("demo.example.com A").await;
    // Replaced by a file, so that it cannot be created again.
    let data = world.folder.path().join("data");
    std::fs::rename(&data, data.with_file_name("taken away")).unwrap();
    std::fs::write(&data, "in the way").unwrap();
    publish(&world.origin, "another/live");
    world.synced().await;
    assert_eq!(world.answer_text("demo.example.com A").await, before);
    assert_eq!(world.answer_text("another.example.com A").await, before.replace("demo", "another"));
    until("the failure to be counted", async || world.metric("verge_dns_save_failures_total").await >= Some(1.0)).await;
    assert!(world.health().await.1.contains("\ndegraded: the state is not being saved: "));
    assert_eq!(world.problems("state_not_saved").await, 1);
    std::fs::remove_file(&data).unwrap();
    std::fs::rename(data.with_file_name("taken away"), &data).unwrap();
    until("the state to be saved", async || world.problems("state_not_saved").await == 0).await;
    world.stop().await;
}

/// Until it has received a fleet state, a name server answers only from its zone files, and denies no other name.
#[tokio::test]
async fn first_start_without_an_origin_answers_servfail_for_possible_sites() {
    let world = World::start().await;
    let nowhere = "http://127.0.0.1:1".parse().unwrap();
    let name_server = world.another(|config| config.origins = vec![nowhere]).await;
    assert_eq!(udp(name_server.dns_addr(), &query("demo.example.com A")).await.text(), "SERVFAIL");
    assert_eq!(
        udp(name_server.dns_addr(), &query("www.example.com A")).await.text(),
        "NOERROR aa = www 3600 A 192.0.2.80"
    );
    // A site may be at the apex, at a name that has other records, and at a name that a wildcard covers.
    for (question, expected) in [
        ("example.com A", "SERVFAIL"),
        ("example.com AAAA", "SERVFAIL"),
        ("huge.example.com A", "SERVFAIL"),
        ("anything.wild.example.com TXT", "SERVFAIL"),
    ] {
        assert_eq!(udp(name_server.dns_addr(), &query(question)).await.text(), expected, "{question}");
    }
    assert!(udp(name_server.dns_addr(), &query("huge.example.com MX")).await.text().starts_with("NOERROR aa"));
    let health = reqwest::get(format!("http://{}/healthz", name_server.private_addr())).await.unwrap();
    assert_eq!(health.status(), 503);
    assert!(health.text().await.unwrap().contains("no origin has been reached yet"));
    end(name_server).await;
    world.stop().await;
}
