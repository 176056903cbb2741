//! Damaged rows in the database: each hides itself, and nothing else.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::json;
use sqlx::{Connection as _, SqliteConnection};
use verge_protocol::api::{Domain, Edge, Problem, Progress, SitePage, Status};
use verge_protocol::feed::{FeedEvent, FeedMessage};

use super::test_origin::{TestOrigin, build, error, ok};

async fn database(data: &Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite://{}", data.join("origin.db").display())).await.unwrap()
}

/// Two sites of two releases each, one with a region restriction, an edge and a second channel.
async fn filled() -> (TestOrigin, String) {
    let origin = TestOrigin::start().await;
    let settings = json!({ "addresses": ["192.0.2.1"], "port": 80, "weight": 1, "regions": ["eu"], "location": null });
    assert!(origin.put("/v1/edges/fra-1", settings).await.status().is_success());
    for site in ["demo", "news"] {
        origin.create_site(site).await;
        for text in ["one", "two"] {
            origin.push(site, &build(&[("index.html", text)])).await;
        }
    }
    assert!(origin.put("/v1/sites/demo/regions", json!({ "regions": ["eu"] })).await.status().is_success());
    let token = origin.edge_token("fra-1").await;
    (origin, token)
}

/// The keys of a snapshot, and whether it is complete.
async fn snapshot(origin: &TestOrigin, token: &str) -> (BTreeSet<String>, bool) {
    let mut feed = origin.subscribe(token, None).await;
    let mut keys = BTreeSet::new();
    loop {
        let FeedMessage { event, .. } = feed.next().await.unwrap();
        match event {
            FeedEvent::Row(row) => drop(keys.insert(row.key)),
            FeedEvent::CaughtUp { complete } => return (keys, complete),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn damaged_row_hides_only_itself_and_is_named() {
    let (origin, token) = filled().await;
    let (all, complete) = snapshot(&origin, &token).await;
    assert!(complete && all.len() == 6, "{all:?}");
    let (mut origin, sound) = origin.back_up().await;
    let damages = [
        "update state set value = 'odd' where key = $1",
        "update state set value = replace(value, '\"', '''') where key = $1",
        // One bit of a number, of a name and of the key.
        "update state set value = replace(value, ':4', ':5') || ' ' where key = $1",
        "update state set key = replace(key, 'e', 'd') where key = $1",
        "update state set seq = 'four' where key = $1",
        "update state set value = x'00ff' where key = $1",
        // Texts that are no UTF-8: a flipped top bit.
        "update state set value = cast(x'7bff7d' as text) where key = $1",
        "update state set key = cast(cast(key as blob) || x'ff' as text) where key = $1",
        "update history set digest = 'f' || substr(digest, 2) || '' where seq = (select seq from state where key = $1)",
    ];
    // Tombstones of ended rollouts hold no value to be damaged.
    for key in all.iter().filter(|key| !key.starts_with("rollout/")) {
        for damage in damages {
            origin = origin
                .restore_with(&sound, async |data| {
                    let mut database = database(data).await;
                    sqlx::query(damage).bind(key).execute(&mut database).await.unwrap();
                    database.close().await.unwrap();
                })
                .await;
            let (keys, complete) = snapshot(&origin, &token).await;
            let others: BTreeSet<String> = all.iter().filter(|other| *other != key).cloned().collect();
            // A digest of the history is part of the checksum of two rows.
            let is_history = damage.contains("history");
            if !is_history {
                assert_eq!((&keys, complete), (&others, false), "{damage} {key}");
            }
            let status: Status = origin.get("/v1/status").await;
            // A damaged key has other letters, or cannot be shown at all.
            let names = |named: &String| named.len() == key.len() || named == "(unreadable key)";
            let is_named = status
                .problems
                .iter()
                .any(|problem| matches!(problem, Problem::DamagedRows { keys } if keys.iter().any(names)));
            assert!(is_named, "{damage} {key}: {:?}", status.problems);
            assert!(origin.health().await.1.contains("damaged rows"));
            // All the rest works, also of the site that has the row.
            let page: SitePage = origin.get("/v1/sites").await;
            assert_eq!(page.sites.len(), 2, "{damage} {key}");
            let others = page.sites.iter().filter(|site| !key.contains(site.name.as_str()));
            assert!(others.clone().all(|site| site.channels.len() == 1), "{damage} {key}: {page:?}");
            origin.get::<Vec<Edge>>("/v1/edges").await;
            for site in ["demo", "news"] {
                if key.starts_with("channel") && !damage.contains("value") && key.contains(site) {
                    continue;
                }
                let events = origin.push(site, &build(&[("index.html", &format!("three of {site}"))])).await;
                assert!(matches!(events.last(), Some(Progress::Finished { .. })), "{damage} {key} {site}: {events:?}");
            }
        }
    }
}

#[tokio::test]
async fn served_domain_whose_row_is_damaged_stays_served_and_its_sites() {
    let (origin, token) = filled().await;
    let (origin, sound) = origin.back_up().await;
    let origin = origin
        .restore_with(&sound, async |data| {
            let mut database = database(data).await;
            let insert = "insert into domain (name, site, proof, claimed, proven) values ('shop.example', 'demo', 'x', 'odd', 1)";
            sqlx::query(insert).execute(&mut database).await.unwrap();
            let seq: (i64,) = sqlx::query_as("update counter set seq = seq + 1 returning seq").fetch_one(&mut database).await.unwrap();
            let insert = "insert into state (key, seq, value) values ('domain/shop.example', $1, '{\"site\":\"demo\"}')";
            sqlx::query(insert).bind(seq.0).execute(&mut database).await.unwrap();
            database.close().await.unwrap();
        })
        .await;
    let claim = async |site: &str| origin.put("/v1/domains/shop.example", json!({ "site": site })).await;
    let (status, body) = error(claim("news").await).await;
    assert_eq!((status, body.code.as_str()), (409, "domain_taken"));
    let claimed: Domain = ok(claim("demo").await).await;
    assert!(claimed.proven.is_some(), "{claimed:?}");
    assert!(snapshot(&origin, &token).await.0.contains("domain/shop.example"));
    let domains: Vec<Domain> = origin.get("/v1/domains").await;
    assert_eq!(domains.len(), 1, "the row was restored");
}
