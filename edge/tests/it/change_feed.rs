//! From the change feed to what readers see.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use verge_protocol::state::Inherited;
use verge_test_kit::{in_time, noise, release, until};

use super::world::World;

#[tokio::test]
async fn channel_without_its_manifest_does_not_delay_others() {
    let world = World::start().await;
    let missing = release(&[("index.html", "b1")]);
    world.origin.point_channel("b/live", 1, missing.id(), &[]);
    let position = world.origin.publish("a/live", 1, &release(&[("index.html", "a1")]), &[]);
    let mut applied = world.edge.applied();
    let reason = "404 Not Found";
    let seen = applied.wait_for(|applied| {
        applied.position == Some(position) && applied.lagging.iter().any(|lagging| lagging.reason.contains(reason))
    });
    in_time("the lag to be visible", seen).await.unwrap();
    until("a to be served", async || world.get("a.localhost", "/").send().await.unwrap().status() == 200).await;
    assert_eq!(world.get("b.localhost", "/").send().await.unwrap().status(), 503);
    let lags = applied.wait_for(|applied| applied.lagging.len() == 1);
    in_time("a to be held", lags).await.unwrap();
    assert_eq!(world.health().await.1["pending"], 1);
    until("the report", async || {
        world.origin.reports().last().is_some_and(|report| {
            report.applied == position && report.lagging.iter().any(|lag| lag.site.as_str() == "b" && lag.seq.0 == 1)
        })
    })
    .await;

    world.origin.add_release(&missing);
    world.wait_until_served(position).await;
    assert_eq!(world.get("b.localhost", "/").send().await.unwrap().text().await.unwrap(), "b1");
    until("the report", async || world.origin.reports().last().is_some_and(|report| report.lagging.is_empty())).await;
    world.stop().await;
}

#[tokio::test]
async fn restored_origin_replaces_the_table_and_takes_no_site_down() {
    let mut world = World::start().await;
    let site = release(&[("index.html", "hi")]);
    world.origin.publish("a/live", 1, &site, &[]);
    world.wait_until_served(world.origin.publish("b/live", 1, &site, &[])).await;
    let position = world.origin.restore(|key| key.starts_with("channel/a/")).await;
    world.wait_until_served(position).await;
    assert_eq!(world.get("a.localhost", "/").send().await.unwrap().status(), 200);
    assert_eq!(world.get("b.localhost", "/").send().await.unwrap().status(), 200, "the origin may have lost it");
    until("the report", async || {
        world.origin.reports().last().is_some_and(|report| report.orphans == ["channel/b/live"])
    })
    .await;
    let mut world = world.restart().await;
    assert_eq!(world.get("b.localhost", "/").send().await.unwrap().status(), 200);
    let position = world.origin.write("channel/b/live", |_| None);
    world.wait_until_served(position).await;
    assert_eq!(world.get("b.localhost", "/").send().await.unwrap().status(), 404);
    until("the report", async || world.origin.reports().last().is_some_and(|report| report.orphans.is_empty())).await;
    world.origin.go_offline().await;
    world.stop().await;
}

#[tokio::test]
async fn removed_channel_is_404_and_unknown_key_is_ignored() {
    let world = World::start().await;
    world.origin.publish("demo/pr-1", 1, &release(&[("index.html", "preview")]), &[]);
    world.wait_until_served(world.origin.write("future/key", |_| Some(1.into()))).await;
    assert_eq!(world.get("pr-1--demo.localhost", "/").send().await.unwrap().text().await.unwrap(), "preview");
    assert_eq!(world.get("demo.localhost", "/").send().await.unwrap().status(), 404);
    assert_eq!(world.metric("verge_edge_unknown_rows").await, Some(1.0));
    world.wait_until_served(world.origin.write("channel/demo/pr-1", |_| None)).await;
    assert_eq!(world.get("pr-1--demo.localhost", "/").send().await.unwrap().status(), 404);
    world.stop().await;
}

#[tokio::test]
async fn inherited_files_are_served_until_the_origin_ends_it_whatever_the_clock_says() {
    let world = World::start().await;
    let one = release(&[("index.html", "1"), ("assets/app-11111111.js", "one")]);
    let two = release(&[("index.html", "2"), ("assets/app-22222222.js", "two")]);
    world.wait_until_served(world.origin.publish("demo/live", 1, &one, &[])).await;
    let expiry = world.clock.now().after(Duration::from_hours(24));
    let inherits = [Inherited::new(one.id(), expiry)];
    world.wait_until_served(world.origin.publish("demo/live", 2, &two, &inherits)).await;
    assert_eq!(world.read("/").await.1, "2");
    assert_eq!(world.read("/assets/app-11111111.js").await, (200, "one".to_owned()));
    assert_eq!(world.read("/assets/app-22222222.js").await, (200, "two".to_owned()));
    world.clock.advance(Duration::from_hours(25));
    let world = world.restart().await;
    assert_eq!(world.read("/assets/app-11111111.js").await, (200, "one".to_owned()));
    let requested = world.origin.requested().len();
    world.wait_until_served(world.origin.point_channel("demo/live", 2, two.id(), &[])).await;
    assert_eq!(world.read("/assets/app-11111111.js").await.0, 404);
    assert_eq!(world.origin.requested().len(), requested);
    world.stop().await;
}

#[tokio::test]
async fn responses_during_releases_never_mix_two_releases() {
    let world = Arc::new(World::start().await);
    let big = noise(0, 600_000);
    let files = |version: u8| {
        let mut bytes = big.clone();
        bytes[0] = version;
        bytes[599_999] = version;
        release(&[("big.bin", bytes)])
    };
    world.wait_until_served(world.origin.publish("demo/live", 1, &files(1), &[])).await;
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let (world, done) = (Arc::clone(&world), Arc::clone(&done));
            world.edge.tasks().spawn("test reader", async move {
                let mut seen = 0;
                while !done.load(Ordering::SeqCst) || seen == 0 {
                    let response = world.get("demo.localhost", "/big.bin").send().await.unwrap();
                    assert_eq!(response.status(), 200);
                    let release: u8 = response.headers()["verge-release"].to_str().unwrap()[1..].parse().unwrap();
                    let etag = response.headers()["etag"].to_str().unwrap().trim_matches('"').to_owned();
                    let body = response.bytes().await.unwrap();
                    assert_eq!((body[0] + 1, body[599_999] + 1), (release % 2 + 1, release % 2 + 1));
                    assert_eq!(verge_protocol::Digest::of(&body).to_string(), etag);
                    seen += 1;
                }
            })
        })
        .collect();
    for number in 2..12_u8 {
        let position = world.origin.publish("demo/live", number.into(), &files(number % 2), &[]);
        world.wait_until_served(position).await;
    }
    done.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap().unwrap();
    }
    Arc::into_inner(world).unwrap().stop().await;
}

#[tokio::test]
async fn draining_edge_says_so_and_keeps_serving_and_following() {
    let mut world = World::start().await;
    world.wait_until_served(world.origin.publish("demo/live", 1, &release(&[("index.html", b"hi")]), &[])).await;
    assert_eq!(world.health().await.1["draining"], false);
    world.edge.start_draining().await;
    let (code, health) = world.health().await;
    assert_eq!((code, &health["draining"]), (200, &true.into()));
    assert_eq!(world.read("/").await, (200, "hi".to_owned()));
    // It still follows the feed.
    world.wait_until_served(world.origin.publish("demo/live", 2, &release(&[("index.html", b"ho")]), &[])).await;
    assert_eq!(world.read("/").await, (200, "ho".to_owned()));
    assert!(!world.origin.reports().iter().any(|report| report.draining), "the origin learns it only at shutdown");
    world = world.restart().await;
    assert_eq!(world.health().await.1["draining"], false);
    world.stop().await;
}

#[tokio::test]
async fn shutdown_waits_for_a_download() {
    let world = World::start().await;
    let big = noise(0, 8 << 20);
    world.wait_until_served(world.origin.publish("demo/live", 1, &release(&[("big.bin", &big)]), &[])).await;
    let mut response = world.get("demo.localhost", "/big.bin").send().await.unwrap();
    let mut body = response.chunk().await.unwrap().unwrap().to_vec();
    let (tasks, address) = (world.edge.tasks(), world.edge.public_addr());
    let World { edge, mut origin, directory, .. } = world;
    let read = async {
        tasks.draining().cancelled().await;
        until("the listener to close", async || tokio::net::TcpStream::connect(address).await.is_err()).await;
        while let Some(chunk) = response.chunk().await.unwrap() {
            body.extend_from_slice(&chunk);
        }
    };
    let (ended, ()) = tokio::join!(edge.shutdown(), read);
    assert_eq!(ended, Ok(()));
    assert!(body == big, "{} bytes", body.len());
    assert!(tasks.running().is_empty());
    origin.go_offline().await;
    drop(directory);
}
