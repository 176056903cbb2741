//! What an edge does without its origin, and with a disk that lies.

use verge_edge::Config;

use super::fake_origin::FakeOrigin;
use super::release::{noise, release};
use super::world::{World, until};

#[tokio::test]
async fn boots_and_serves_with_the_origin_gone() {
    let mut world = World::start().await;
    let big = noise(700_000);
    let site = release(&[("index.html", b"<h1>hi".as_slice()), ("big.bin", &big)]);
    world.served(world.origin.publish("demo/live", 1, &site, &[])).await;
    world.on_disk(4).await;
    world.origin.go_away().await;
    let mut world = world.restart().await;

    let (status, health) = world.health().await;
    assert_eq!(
        (status, &health["applied"], &health["origin_last_seen_seconds"]),
        (200, &1.into(), &serde_json::Value::Null)
    );
    assert_eq!(world.read("/").await, (200, "<h1>hi".to_owned()));
    let answer = world.get("demo.localhost", "/big.bin").send().await.unwrap();
    assert_eq!(answer.headers()["cache-status"], "test-1; hit; detail=disk");
    assert_eq!(answer.bytes().await.unwrap(), big);

    // It takes up where it was when the origin is back.
    world.origin.come_back().await;
    world.served(world.origin.publish("demo/live", 2, &release(&[("index.html", "<h1>ho")]), &[])).await;
    assert_eq!(world.read("/").await, (200, "<h1>ho".to_owned()));
    world.stop().await;
}

#[tokio::test]
async fn an_edge_that_never_heard_an_origin_says_so() {
    let mut origin = FakeOrigin::start().await;
    origin.go_away().await;
    let world = World::after(origin, Config::DISK_CACHE).await;
    let (status, health) = world.health().await;
    assert_eq!((status, &health["applied"], &health["edge"]), (503, &serde_json::Value::Null, &"test-1".into()));
    let healthz = world.reader.get(format!("http://{}/healthz", world.edge.private_addr())).send().await.unwrap();
    assert_eq!(healthz.status(), 503);
    // Whether there is a site is not known, so nobody may conclude that there is none.
    let answer = world.get("demo.localhost", "/").send().await.unwrap();
    assert_eq!(answer.status(), 503);
    assert_eq!(
        (&answer.headers()["retry-after"], &answer.headers()["cache-control"]),
        (&"1".parse().unwrap(), &"no-store".parse().unwrap())
    );
    // Nor is it known whose any other host is.
    assert_eq!(world.get("elsewhere.example", "/").send().await.unwrap().status(), 503);
    world.stop().await;
}

#[tokio::test]
async fn an_edge_that_serves_none_of_what_it_was_told_says_so() {
    let world = World::start().await;
    let position = world.origin.point("demo/live", 1, release(&[("index.html", "hi")]).id(), &[]);
    let mut applied = world.edge.applied();
    super::world::patiently("the row", applied.wait_for(|applied| applied.position == Some(position))).await.unwrap();
    assert_eq!(world.health().await.0, 503);
    let answer = world.get("demo.localhost", "/").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (503, &"1".parse().unwrap()));
    assert_eq!(world.get("other.localhost", "/").send().await.unwrap().status(), 404);
    world.origin.hold(&release(&[("index.html", "hi")]));
    world.served(position).await;
    assert_eq!((world.health().await.0, world.read("/").await.0), (200, 200));
    world.stop().await;
}

#[tokio::test]
async fn without_a_disk_it_serves_all_the_same() {
    let world = World::start().await;
    // What is in the making has nowhere to go, so nothing can be kept.
    std::fs::remove_dir(world.folder.path().join("temporary")).unwrap();
    world.served(world.origin.publish("demo/live", 1, &release(&[("index.html", "hi")]), &[])).await;
    assert_eq!(world.read("/").await, (200, "hi".to_owned()));
    assert!(world.blob_files().is_empty());
    until("the report", async || world.origin.data().reports.last().is_some_and(|report| report.applied.seq.0 == 1))
        .await;
    world.stop().await;
}

#[tokio::test]
async fn without_a_disk_nothing_is_fetched_ahead_over_and_over() {
    let world = World::start().await;
    std::fs::remove_dir(world.folder.path().join("temporary")).unwrap();
    let site = release(&[("a.txt", "a"), ("b.txt", "b"), ("c.txt", "c")]);
    world.served(world.origin.publish("demo/live", 1, &site, &[])).await;
    until("the blobs to be asked for", async || !world.origin.data().asked.is_empty()).await;
    // Long enough for several more rounds, had the first been taken for one that is worth repeating.
    tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    for blob in &site.blobs {
        assert_eq!(world.origin.asked(blob.digest()), 1);
    }
    world.stop().await;
}

#[tokio::test]
async fn a_lagging_channel_serves_its_old_release_after_a_restart() {
    let mut world = World::start().await;
    world.served(world.origin.publish("demo/live", 1, &release(&[("index.html", "one")]), &[])).await;
    world.on_disk(1).await;
    let next = release(&[("index.html", "two")]);
    let position = world.origin.point("demo/live", 2, next.id(), &[]);
    until("the report", async || world.origin.data().reports.last().is_some_and(|report| report.applied == position))
        .await;
    world.origin.go_away().await;
    let world = world.restart().await;
    assert_eq!(world.read("/").await, (200, "one".to_owned()));
    assert_eq!(world.health().await.1["pending"], 1);
    world.stop().await;
}

#[tokio::test]
async fn a_flipped_byte_on_disk_is_never_served() {
    let world = World::start().await;
    world.served(world.origin.publish("demo/live", 1, &release(&[("index.html", "truth")]), &[])).await;
    world.on_disk(1).await;
    let world = world.restart().await;
    let path = world.blob_files().remove(0);
    std::fs::write(&path, "trash").unwrap();

    let answer = world.get("demo.localhost", "/").send().await.unwrap();
    assert_eq!(answer.headers()["cache-status"], "test-1; fwd=miss; stored");
    assert_eq!(answer.text().await.unwrap(), "truth");
    assert_eq!(world.metric("verge_edge_corrupt_total").await, Some(1.0));
    let aside = format!("quarantine/blob-{}", path.file_name().unwrap().to_str().unwrap());
    assert_eq!(std::fs::read(world.folder.path().join(aside)).unwrap(), b"trash");
    until("the blob to be kept again", async || std::fs::read(&path).is_ok_and(|bytes| bytes == b"truth")).await;
    world.stop().await;
}

/// An edge of `first`, or else of the world's origin, serves what that has.
async fn serves_with(first: &str) {
    let world = World::start().await;
    world.served(world.origin.publish("demo/live", 1, &release(&[("index.html", "hi")]), &[])).await;
    let folder = tempfile::tempdir().unwrap();
    let token = verge_daemon::Secret::new(super::fake_origin::TOKEN);
    let mut config = Config::new("b".parse().unwrap(), first.parse().unwrap(), token, folder.path().to_owned());
    config.origins.push(world.origin.url().parse().unwrap());
    let edge = verge_edge::Edge::bind(config).await.unwrap();
    let mut applied = edge.applied();
    super::world::patiently("the second origin", applied.wait_for(|applied| applied.position.is_some())).await.unwrap();
    let url = format!("http://{}/", edge.public_addr());
    until("the page", async || {
        let answer = world.reader.get(&url).header("host", "demo.localhost").send().await.unwrap();
        answer.text().await.unwrap() == "hi"
    })
    .await;
    edge.shutdown().await.unwrap();
    world.stop().await;
}

#[tokio::test]
async fn a_second_origin_takes_over() {
    serves_with("http://127.0.0.1:9").await;
}

#[tokio::test]
async fn an_origin_that_opens_its_feed_and_is_of_no_use_is_left() {
    let mut useless = FakeOrigin::start().await;
    useless.data().resetting = true;
    serves_with(&useless.url()).await;
    useless.go_away().await;
}
