//! Hosts of releases and previews.

use reqwest::Response;
use serde_json::json;
use verge_protocol::state::Inherited;
use verge_protocol::{Digest, Position, Timestamp};
use verge_test_kit::{TestRelease, release, until};

use super::world::World;

fn add_release(world: &World, number: u64, release: &TestRelease) -> Position {
    world.origin.add_release(release);
    add_row(world, number, release)
}

fn add_row(world: &World, number: u64, release: &TestRelease) -> Position {
    world.origin.write(&format!("release/demo/v{number}"), |_| Some(json!({ "manifest": release.id() })))
}

fn host(manifest: Digest) -> String {
    format!("{}--demo.localhost", manifest.prefix())
}

fn robots(response: &Response) -> Option<&str> {
    response.headers().get("x-robots-tag").map(|value| value.to_str().unwrap())
}

/// Status, release and body.
async fn read(world: &World, host: &str, path: &str) -> (u16, Option<String>, String) {
    let response = world.get(host, path).send().await.unwrap();
    assert_eq!(robots(&response), Some("noindex"), "{host}{path}");
    let number = response.headers().get("verge-release").map(|value| value.to_str().unwrap().to_owned());
    (response.status().as_u16(), number, response.text().await.unwrap())
}

#[tokio::test]
async fn only_the_host_of_a_site_and_its_domains_are_indexed() {
    let world = World::start().await;
    let site = release(&[("index.html", "hi"), ("404.html", "lost")]);
    world.origin.publish("demo/live", 1, &site, &[]);
    world.origin.publish("demo/pr-12", 1, &site, &[]);
    world.wait_until_served(world.origin.domain("www.shop.example", "demo")).await;
    let pending = release(&[("index.html", "soon")]);
    world.origin.point_channel("demo/soon", 2, pending.id(), &[]);
    let last = add_release(&world, 1, &site);
    until("the rows to be applied", async || world.edge.applied().borrow().position >= Some(last)).await;
    let release_host = host(site.id());
    for (host, path, status, expected) in [
        ("demo.localhost", "/", 200, None),
        ("demo.localhost", "/none", 404, None),
        ("www.shop.example", "/", 200, None),
        ("pr-12--demo.localhost", "/", 200, Some("noindex")),
        ("pr-12--demo.localhost", "/none", 404, Some("noindex")),
        ("pr-12--demo.localhost", "/%", 404, Some("noindex")),
        ("pr-12--demo.localhost", "//", 308, Some("noindex")),
        ("pr-12--demo.localhost", "/.well-known/verge/health", 200, Some("noindex")),
        ("soon--demo.localhost", "/", 503, Some("noindex")),
        ("pr-13--demo.localhost", "/", 404, Some("noindex")),
        ("elsewhere.example", "/", 404, Some("noindex")),
        ("elsewhere.example", "/.well-known/verge/health", 200, Some("noindex")),
        ("not a host", "/", 400, Some("noindex")),
        (&release_host, "/", 200, Some("noindex")),
        (&release_host, "/none", 404, Some("noindex")),
        (&release_host, "//", 308, Some("noindex")),
        (&release_host, "/.well-known/verge/health", 200, Some("noindex")),
    ] {
        let response = world.unredirected(host, path).await;
        assert_eq!((response.status().as_u16(), robots(&response)), (status, expected), "{host}{path}");
    }
    for host in ["pr-12--demo.localhost", &release_host] {
        for (field, value, status) in [
            ("if-none-match", "*", 304),
            ("if-match", "\"x\"", 412),
            ("range", "bytes=0-0", 206),
            ("range", "bytes=9-", 416),
            ("expect", "x", 417),
            ("transfer-encoding", "chunked", 400),
            ("content-length", "1", 413),
        ] {
            let head = format!("GET / HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{field}: {value}\r\n\r\n");
            let response = world.raw(head).await;
            assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{host} {field}: {response}");
            assert!(response.contains("\r\nx-robots-tag: noindex\r\n"), "{host} {field}: {response}");
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn release_host_serves_exactly_its_release_while_it_exists() {
    let world = World::start().await;
    let old = release(&[("index.html", "old"), ("assets/old-1.js", "1")]);
    let new = release(&[("index.html", "new"), ("assets/new-2.js", "2")]);
    add_release(&world, 1, &old);
    add_release(&world, 2, &new);
    let inherits = Inherited::new(old.id(), Timestamp(u64::MAX));
    world.wait_until_served(world.origin.publish("demo/live", 2, &new, &[inherits])).await;
    let text = |text: &str| text.to_owned();
    let (old_host, new_host) = (host(old.id()), host(new.id()));
    assert_eq!(read(&world, &old_host, "/").await, (200, Some(text("v1")), text("old")));
    assert_eq!(read(&world, &new_host, "/").await, (200, Some(text("v2")), text("new")));
    assert_eq!(read(&world, &new_host, "/assets/new-2.js").await.0, 200);
    assert_eq!(read(&world, &new_host, "/assets/old-1.js").await.0, 404, "a channel inherits, a release does not");
    assert_eq!(read(&world, &old_host.to_uppercase(), "/").await.0, 200);
    world.wait_until_served(world.origin.write("release/demo/v1", |_| None)).await;
    assert_eq!(read(&world, &old_host, "/").await.0, 404);
    world.stop().await;
}

#[tokio::test]
async fn unknown_release_is_not_found_without_a_request_to_the_origin() {
    let world = World::start().await;
    let known = release(&[("index.html", "hi")]);
    world.wait_until_served(add_release(&world, 1, &known)).await;
    let stored = release(&[("index.html", "of another site, or not released")]);
    world.origin.add_release(&stored);
    for host in [
        host(stored.id()),
        format!("{}--other.localhost", known.id().prefix()),
        format!("{}--demo.localhost", &known.id().prefix()[..15]),
        format!("x.{}--demo.localhost", known.id().prefix()),
    ] {
        assert_eq!(read(&world, &host, "/").await.0, 404, "{host}");
    }
    assert_eq!(world.origin.requested_manifests(), []);
    world.stop().await;
}

#[tokio::test]
async fn release_is_loaded_once_when_it_is_first_requested_and_not_before() {
    let world = World::start().await;
    let releases: Vec<TestRelease> =
        (0..50).map(|number| release(&[("index.html", format!("release {number}"))])).collect();
    let mut last = None;
    for (number, release) in (1..).zip(&releases) {
        last = Some(add_release(&world, number, release));
    }
    world.wait_until_served(last.unwrap()).await;
    assert_eq!((world.origin.requested_manifests(), world.blob_files().len()), (vec![], 0));
    let host = host(releases[7].id());
    let requests = (0..20).map(|_| read(&world, &host, "/"));
    for (status, number, body) in futures_util::future::join_all(requests).await {
        assert_eq!((status, number.as_deref(), body.as_str()), (200, Some("v8"), "release 7"));
    }
    assert_eq!(world.origin.requested_manifests(), [releases[7].id()]);
    world.wait_for_blobs_on_disk(1).await;
    assert_eq!(world.blob_files().len(), 1);
    world.stop().await;
}

#[tokio::test]
async fn loaded_release_is_served_after_a_restart_without_the_origin_and_others_are_unavailable() {
    let world = World::start().await;
    let (read_before, unread) = (release(&[("index.html", "read")]), release(&[("index.html", "unread")]));
    add_release(&world, 1, &read_before);
    world.wait_until_served(add_release(&world, 2, &unread)).await;
    assert_eq!(read(&world, &host(read_before.id()), "/").await.0, 200);
    world.wait_for_blobs_on_disk(1).await;
    let mut world = world;
    world.origin.go_offline().await;
    let mut world = world.restart().await;
    assert_eq!(read(&world, &host(read_before.id()), "/").await.0, 200);
    let response = world.get(&host(unread.id()), "/").send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"5".parse().unwrap()));
    world.origin.go_online().await;
    until("the release to be served", async || read(&world, &host(unread.id()), "/").await.0 == 200).await;
    world.stop().await;
}

#[tokio::test]
async fn releases_are_saved_when_they_change_and_requested_again_if_their_file_is_damaged() {
    let world = World::start().await;
    let known = release(&[("index.html", "hi")]);
    world.wait_until_served(add_release(&world, 1, &known)).await;
    let file = world.directory.path().join("releases.json");
    let saved = std::fs::metadata(&file).unwrap();
    world.wait_until_served(world.origin.publish("demo/live", 1, &known, &[])).await;
    assert_eq!(std::fs::metadata(&file).unwrap().modified().unwrap(), saved.modified().unwrap());
    let state = std::fs::read_to_string(world.directory.path().join("state.json")).unwrap();
    assert!(!state.contains("release/demo"), "{state}");
    let world = world.restart().await;
    assert_eq!(read(&world, &host(known.id()), "/").await.0, 200);

    let mut bytes = std::fs::read(&file).unwrap();
    bytes[40] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    let world = world.restart().await;
    until("the release to be served", async || read(&world, &host(known.id()), "/").await.0 == 200).await;
    world.stop().await;
}

#[tokio::test]
async fn erased_content_is_gone_at_hosts_of_releases_loaded_before_and_after_the_erasure_and_a_restart() {
    let mut world = World::start().await;
    let content = Digest::of(b"a");
    let loaded = release(&[("index.html", "v1"), ("assets/a.js", "a")]);
    let not_loaded = release(&[("index.html", "v2"), ("notes.txt", "a")]);
    add_release(&world, 1, &loaded);
    world.wait_until_served(add_release(&world, 2, &not_loaded)).await;
    let (loaded_host, other_host) = (host(loaded.id()), host(not_loaded.id()));
    assert_eq!(read(&world, &loaded_host, "/assets/a.js").await.0, 200);
    world.wait_for_blobs_on_disk(1).await;
    let (_, position) = world.origin.erase("demo", "assets/a.js", content, &[content]);
    world.wait_until_served(position).await;
    until("the purge", async || world.edge.applied().borrow().purging.is_empty()).await;
    assert!(!world.is_stored(content));
    for restarted in [false, true] {
        for (host, path) in [(&loaded_host, "/assets/a.js"), (&other_host, "/notes.txt")] {
            assert_eq!(read(&world, host, path).await.0, 410, "{host}{path}, restarted: {restarted}");
            assert_eq!(read(&world, host, "/").await.0, 200, "{host}, restarted: {restarted}");
        }
        world.wait_for_blobs_on_disk(2).await;
        world.origin.go_offline().await;
        world = world.restart().await;
    }
    assert_eq!(world.origin.requests(content), 1);
    world.stop().await;
}
