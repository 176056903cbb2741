//! An edge without its origin, and with a failing or corrupt disk.

use std::time::Duration;

use verge_edge::Config;
use verge_test_kit::{FakeOrigin, TOKEN, in_time, noise, release, until};

use super::world::World;

#[tokio::test]
async fn edge_restarted_without_its_origin_serves_from_disk_and_says_since_when() {
    let mut world = World::start().await;
    let big = noise(0, 700_000);
    let site = release(&[("index.html", b"<h1>hi".as_slice()), ("big.bin", &big)]);
    world.wait_until_served(world.origin.publish("demo/live", 1, &site, &[])).await;
    world.wait_for_blobs_on_disk(4).await;
    world.origin.go_offline().await;
    let mut world = world.restart_after(Duration::from_hours(1)).await;

    assert_eq!(world.read("/").await, (200, "<h1>hi".to_owned()));
    until("readers are sent to the edge", async || world.health().await.0 == 200).await;
    // It says since when it has seen no origin.
    let health = world.health().await.1;
    assert_eq!(health["catching_up"], false);
    let last_seen = health["origin_last_seen_seconds"].as_u64().unwrap();
    assert!((3600..4000).contains(&last_seen), "{last_seen}");
    let response = world.get("demo.localhost", "/big.bin").send().await.unwrap();
    assert_eq!(response.headers()["cache-status"], "test-1; hit; detail=disk");
    assert_eq!(response.bytes().await.unwrap(), big);

    // It continues when the origin is back.
    world.origin.go_online().await;
    world.wait_until_served(world.origin.publish("demo/live", 2, &release(&[("index.html", "<h1>ho")]), &[])).await;
    assert_eq!(world.read("/").await, (200, "<h1>ho".to_owned()));
    world.stop().await;
}

/// A release with more segments in its redirect rules than limits allow, and a password.
fn with_too_many_rules(text: &str) -> verge_test_kit::TestRelease {
    let mut beyond = release(&[("index.html", text), ("staff/x.txt", "secret")]);
    let deep = "/a".repeat(120);
    let rules: Vec<_> = (0..4000)
        .map(|number| serde_json::json!({ "from": format!("/{number}{deep}"), "to": "/", "status": 301 }))
        .collect();
    let mut rules = serde_json::json!({ "redirects": rules, "passwords": [{ "for": "/staff/*", "users": [] }] });
    beyond.manifest.rules = serde_json::from_value(rules.take()).unwrap();
    // Not all of them are read: one more is beyond the limit for sure.
    let last = beyond.manifest.rules.redirects.last().unwrap().clone();
    beyond.manifest.rules.redirects.extend([last.clone(), last]);
    beyond
}

#[tokio::test]
async fn manifest_with_rules_beyond_limits_is_refused_and_the_release_before_it_stays() {
    let world = World::start().await;
    world.wait_until_served(world.origin.publish("demo/live", 1, &release(&[("index.html", "one")]), &[])).await;
    world.origin.publish("demo/live", 2, &with_too_many_rules("two"), &[]);
    let mut applied = world.edge.applied();
    let lags =
        applied.wait_for(|applied| applied.lagging.iter().any(|lag| lag.reason.contains("more than 400000 segments")));
    in_time("the lag with its reason", lags).await.unwrap();
    assert_eq!(world.read("/").await, (200, "one".to_owned()));
    // Nor does a restart end in a loop.
    let world = world.restart().await;
    until("the release before it is served", async || world.read("/").await == (200, "one".to_owned())).await;
    world.wait_until_served(world.origin.publish("demo/live", 3, &release(&[("index.html", "three")]), &[])).await;
    assert_eq!(world.read("/").await, (200, "three".to_owned()));
    world.stop().await;
}

#[tokio::test]
async fn edge_that_never_reached_an_origin_is_unhealthy_and_answers_503() {
    let mut origin = FakeOrigin::start().await;
    origin.go_offline().await;
    let world = World::with_origin(origin, Config::DISK_CACHE).await;
    let (status, health) = world.health().await;
    assert_eq!((status, &health["applied"], &health["edge"]), (503, &serde_json::Value::Null, &"test-1".into()));
    let healthz = world.reader.get(format!("http://{}/healthz", world.edge.private_addr())).send().await.unwrap();
    assert_eq!(healthz.status(), 503);
    // Whether there is a site is not known, so a 404 would be wrong.
    let response = world.get("demo.localhost", "/").send().await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(
        (&response.headers()["retry-after"], &response.headers()["cache-control"]),
        (&"1".parse().unwrap(), &"no-store".parse().unwrap())
    );
    // Likewise for any other host.
    assert_eq!(world.get("elsewhere.example", "/").send().await.unwrap().status(), 503);
    world.stop().await;
}

#[tokio::test]
async fn edge_with_only_pending_channels_is_unhealthy() {
    let world = World::start().await;
    let position = world.origin.point_channel("demo/live", 1, release(&[("index.html", "hi")]).id(), &[]);
    let mut applied = world.edge.applied();
    in_time("the row", applied.wait_for(|applied| applied.position == Some(position))).await.unwrap();
    assert_eq!(world.health().await.0, 503);
    let response = world.get("demo.localhost", "/").send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    assert_eq!(world.get("other.localhost", "/").send().await.unwrap().status(), 404);
    world.origin.add_release(&release(&[("index.html", "hi")]));
    world.wait_until_served(position).await;
    assert_eq!((world.health().await.0, world.read("/").await.0), (200, 200));
    world.stop().await;
}

#[tokio::test]
async fn edge_with_an_unwritable_disk_serves_from_memory() {
    let world = World::start().await;
    // Files cannot be written without this directory.
    std::fs::remove_dir(world.directory.path().join("temporary")).unwrap();
    world.origin.publish("demo/live", 1, &release(&[("index.html", "hi")]), &[]);
    until("the page", async || world.read("/").await == (200, "hi".to_owned())).await;
    assert!(world.blob_files().is_empty());
    // It does not confirm what it would lose with a restart.
    until("the report", async || {
        let reports = world.origin.reports();
        let Some(report) = reports.last() else { return false };
        let reason = "files cannot be written to disk: No such file or directory";
        report.applied.seq.0 == 1 && report.lagging.first().is_some_and(|lag| lag.reason.contains(reason))
    })
    .await;
    world.stop().await;
}

#[tokio::test]
async fn prefetching_with_an_unwritable_disk_starts_when_it_can_be_written() {
    let world = World::start().await;
    let temporary = world.directory.path().join("temporary");
    std::fs::remove_dir(&temporary).unwrap();
    let site = release(&[("a.txt", "a"), ("b.txt", "b"), ("c.txt", "c")]);
    let position = world.origin.publish("demo/live", 1, &site, &[]);
    let mut applied = world.edge.applied();
    in_time("the row", applied.wait_for(|applied| applied.position == Some(position))).await.unwrap();
    // Long enough for a retry, if what failed was the origin.
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(world.origin.requested().is_empty());
    std::fs::create_dir(&temporary).unwrap();
    world.wait_until_served(position).await;
    for blob in &site.blobs {
        assert_eq!(world.origin.requests(blob.digest()), 1);
    }
    let manifest = world.directory.path().join("manifests").join(site.id().to_string());
    assert!(manifest.exists());
    world.stop().await;
}

#[tokio::test]
async fn lagging_channel_after_a_restart_serves_its_old_release() {
    let mut world = World::start().await;
    world.wait_until_served(world.origin.publish("demo/live", 1, &release(&[("index.html", "one")]), &[])).await;
    world.wait_for_blobs_on_disk(1).await;
    let next = release(&[("index.html", "two")]);
    let position = world.origin.point_channel("demo/live", 2, next.id(), &[]);
    until("the report", async || world.origin.reports().last().is_some_and(|report| report.applied == position)).await;
    world.origin.go_offline().await;
    let world = world.restart().await;
    assert_eq!(world.read("/").await, (200, "one".to_owned()));
    assert_eq!(world.health().await.1["pending"], 1);
    world.stop().await;
}

#[tokio::test]
async fn corrupt_blob_on_disk_is_quarantined_and_fetched_again() {
    let world = World::start().await;
    world.wait_until_served(world.origin.publish("demo/live", 1, &release(&[("index.html", "truth")]), &[])).await;
    world.wait_for_blobs_on_disk(1).await;
    let world = world.restart().await;
    let path = world.blob_files().remove(0);
    std::fs::write(&path, "trash").unwrap();

    let response = world.get("demo.localhost", "/").send().await.unwrap();
    assert_eq!(response.headers()["cache-status"], "test-1; fwd=miss; stored");
    assert_eq!(response.text().await.unwrap(), "truth");
    assert_eq!(world.metric("verge_edge_corrupt_files_total").await, Some(1.0));
    let quarantined = format!("quarantine/blob-{}", path.file_name().unwrap().to_str().unwrap());
    assert_eq!(std::fs::read(world.directory.path().join(quarantined)).unwrap(), b"trash");
    until("the blob to be on disk again", async || std::fs::read(&path).is_ok_and(|bytes| bytes == b"truth")).await;
    world.stop().await;
}

/// Asserts that an edge with the origins `first` and the world's origin serves the sites of the latter.
async fn assert_fails_over_from(first: &str) {
    let world = World::start().await;
    world.wait_until_served(world.origin.publish("demo/live", 1, &release(&[("index.html", "hi")]), &[])).await;
    let directory = tempfile::tempdir().unwrap();
    let token = verge_daemon::Secret::new(TOKEN);
    let mut config = Config::new("b".parse().unwrap(), first.parse().unwrap(), token, directory.path().to_owned());
    config.origins.push(world.origin.url().parse().unwrap());
    let edge = verge_edge::Edge::bind(config).await.unwrap();
    let mut applied = edge.applied();
    in_time("the second origin", applied.wait_for(|applied| applied.position.is_some())).await.unwrap();
    let url = format!("http://{}/", edge.public_addr());
    until("the page", async || {
        let response = world.reader.get(&url).header("host", "demo.localhost").send().await.unwrap();
        response.text().await.unwrap() == "hi"
    })
    .await;
    edge.shutdown().await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn unreachable_first_origin_is_skipped() {
    assert_fails_over_from("http://127.0.0.1:9").await;
}

#[tokio::test]
async fn first_origin_whose_feed_only_resets_is_skipped() {
    let mut useless = FakeOrigin::start().await;
    useless.misbehave(|faults| faults.resets = true);
    assert_fails_over_from(&useless.url()).await;
    useless.go_offline().await;
}
