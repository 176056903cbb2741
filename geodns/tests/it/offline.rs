//! Static stability: whatever goes away, answers are as they were.

use serde_json::json;
use verge_geodns::GeoDns;
use verge_geodns::config::AllDown;

use super::chance::Chance;
use super::health::quick;
use super::query::{Query, query};
use super::world::{World, end, udp, until};

/// A question as anybody may ask it.
fn random_question(chance: &mut Chance) -> Query {
    let names = [
        "demo.example.com",
        "example.com",
        "shop.empty.example.com",
        "site-3.example.com",
        "pr-1--site-7.example.com",
        "fenced.example.com",
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
    let question = query(&format!("{} {}", chance.one_of(&names), chance.one_of(&types)));
    let question = question.id(u16::from(chance.byte()) << 8 | u16::from(chance.byte()));
    match chance.below(8) {
        0 => question,
        1 => question.edns(u16::try_from(chance.below(4096)).unwrap()),
        2 | 3 => question.subnet(&format!("2{:03x}:{:x}:{:x}::/48", chance.below(4096), chance.byte(), chance.byte())),
        _ => question.subnet(&format!("{}.{}.{}.0/24", chance.below(224), chance.byte(), chance.byte())),
    }
}

/// A fleet of a dozen, with weights, regions and fences, and two dozen sites.
async fn populous() -> World {
    let world = World::start().await;
    let mut chance = Chance::new(1);
    for edge in 0..12 {
        let (latitude, longitude) = (i64::from(chance.byte()) % 60, i64::from(chance.byte()) % 180);
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
        world.origin.publish(&format!("site-{site}/live"));
        world.origin.publish(&format!("site-{site}/pr-1"));
    }
    world.origin.publish("fenced/live");
    world.origin.region_set("fenced", &["as"]);
    world.origin.region_set("site-3", &["eu", "na"]);
    world.synced().await;
    world
}

/// What is answered to two thousand questions, byte by byte.
async fn answers(node: &GeoDns) -> Vec<Vec<u8>> {
    let mut chance = Chance::new(7);
    let mut answers = Vec::new();
    for _ in 0..2_000 {
        answers.push(udp(node.dns_addr(), &random_question(&mut chance)).await.bytes);
    }
    answers
}

#[tokio::test]
async fn two_nodes_answer_alike() {
    let world = populous().await;
    let another = world.another(|_| {}).await;
    world.synced_at(another.dns_addr()).await;
    world.synced().await;
    let (ours, theirs) = (answers(&world.name_server).await, answers(&another).await);
    let unlike = ours.iter().zip(&theirs).filter(|(ours, theirs)| ours != theirs).count();
    assert_eq!(unlike, 0);
    // And not for want of anything to say.
    let mut distinct: Vec<&[u8]> = ours.iter().map(|answer| &answer[2..]).collect();
    distinct.sort_unstable();
    distinct.dedup();
    assert!(distinct.len() > 500, "{}", distinct.len());
    end(another).await;
    world.stop().await;
}

#[tokio::test]
async fn after_a_restart_without_an_origin_answers_are_the_same() {
    let mut world = populous().await;
    let before = answers(&world.name_server).await;
    world.origin.go_away().await;
    assert!(answers(&world.name_server).await == before, "while it runs");
    let world = world.restart().await;
    assert!(answers(&world.name_server).await == before, "from the first question on");
    world.stop().await;
}

#[tokio::test]
async fn without_a_probe_that_succeeds_all_count_as_up() {
    for (all_down, expected) in [(AllDown::AsIfUp, ["127.0.3.1", "127.0.3.2"].as_slice()), (AllDown::Nothing, &[])] {
        let world = World::empty(|config| {
            config.health = quick();
            config.answers.all_down = all_down;
        })
        .await;
        for (edge, last, place) in [("fra", 1, "50.11,8.68"), ("nyc", 2, "40.71,-74.01"), ("sin", 3, "1.29,103.85")] {
            world.origin.edge(edge, json!({ "addresses": [format!("127.0.3.{last}")], "port": 1, "location": place }));
        }
        world.origin.publish("demo/live");
        world.synced().await;
        until("all to be down", async || {
            let up = async |edge, last| {
                world.metric(&format!(r#"verge_dns_edge_up{{edge="{edge}",address="127.0.3.{last}"}}"#)).await
            };
            up("fra", 1).await == Some(0.0) && up("nyc", 2).await == Some(0.0) && up("sin", 3).await == Some(0.0)
        })
        .await;
        assert_eq!(world.metric("verge_dns_isolated").await, Some(1.0));
        until("that to be answered by", async || world.edges_for("demo.example.com", "192.0.2.0/24").await == expected)
            .await;
        if expected.is_empty() {
            assert_eq!(world.answer_text("demo.example.com A").await, "NOERROR aa ^ @ 60 SOA");
        }
        // A node that starts now, with no origin and no edge in reach, names the nearest all the same.
        let mut world = world;
        world.origin.go_away().await;
        let world = world.restart().await;
        assert_eq!(world.edges_for("demo.example.com", "192.0.2.0/24").await, expected);
        world.stop().await;
    }
}

#[tokio::test]
async fn a_data_folder_that_is_gone_stops_nothing() {
    let world = World::start().await;
    let before = world.answer_text("demo.example.com A").await;
    // At once, whatever is being written there, and so that it cannot be made anew.
    let data = world.folder.path().join("data");
    std::fs::rename(&data, data.with_file_name("taken away")).unwrap();
    std::fs::write(&data, "in the way").unwrap();
    world.origin.publish("another/live");
    world.synced().await;
    assert_eq!(world.answer_text("demo.example.com A").await, before);
    assert_eq!(world.answer_text("another.example.com A").await, before.replace("demo", "another"));
    until("it to be counted", async || world.metric("verge_dns_save_failures_total").await >= Some(1.0)).await;
    world.stop().await;
}

/// Before it was told anything, a name server knows what its zone files have, and denies nothing else.
#[tokio::test]
async fn the_very_first_start_denies_no_site() {
    let world = World::start().await;
    let nowhere = "http://127.0.0.1:1".parse().unwrap();
    let node = world.another(|config| config.origins = vec![nowhere]).await;
    assert_eq!(udp(node.dns_addr(), &query("demo.example.com A")).await.told(), "SERVFAIL");
    assert_eq!(udp(node.dns_addr(), &query("www.example.com A")).await.told(), "NOERROR aa = www 3600 A 192.0.2.80");
    // A site may be at the zone's own name, at one that has other records, and where a wildcard stands in.
    for (question, told) in [
        ("example.com A", "SERVFAIL"),
        ("example.com AAAA", "SERVFAIL"),
        ("huge.example.com A", "SERVFAIL"),
        ("anything.wild.example.com TXT", "SERVFAIL"),
    ] {
        assert_eq!(udp(node.dns_addr(), &query(question)).await.told(), told, "{question}");
    }
    assert!(udp(node.dns_addr(), &query("huge.example.com MX")).await.told().starts_with("NOERROR aa"));
    let health = reqwest::get(format!("http://{}/healthz", node.private_addr())).await.unwrap();
    assert_eq!(health.status(), 503);
    assert!(health.text().await.unwrap().contains("no origin has told yet"));
    end(node).await;
    world.stop().await;
}
