//! Erased contents: gone from disk, and 410 whatever release has them.

use verge_protocol::state::Inherited;
use verge_protocol::{Digest, Timestamp};
use verge_test_kit::{TestRelease, release, until};

use super::world::World;

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn first() -> TestRelease {
    release(&[("index.html", "v1"), ("assets/a.js", "a"), ("assets/b.js", "b")])
}

#[tokio::test]
async fn erased_content_leaves_disk_and_memory_and_is_answered_with_410_whatever_release_has_it() {
    let world = World::start().await;
    world.wait_until_served(world.origin.publish("demo/live", 1, &first(), &[])).await;
    let second = release(&[("index.html", "v2")]);
    let inherits = [Inherited::new(first().id(), Timestamp(1))];
    world.wait_until_served(world.origin.publish("demo/live", 2, &second, &inherits)).await;
    world.wait_for_blobs_on_disk(4).await;
    assert_eq!(world.read("/assets/a.js").await, (200, "a".into()));
    let (_, position) = world.origin.erase("demo", "assets/a.js", digest("a"), &[digest("a")]);
    world.wait_until_served(position).await;
    until("the purge", async || world.edge.applied().borrow().purging.is_empty()).await;
    assert!(!world.is_stored(digest("a")) && world.is_stored(digest("b")));
    assert_eq!(world.read("/assets/a.js").await.0, 404, "the path is purged");
    // An origin refuses that: the release that had it is live again.
    let requests = world.origin.requests(digest("a"));
    world.wait_until_served(world.origin.publish("demo/live", 1, &first(), &[])).await;
    let response = world.get("demo.localhost", "/assets/a.js").send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["cache-control"]), (410, &"no-store".parse().unwrap()));
    assert_eq!(world.read("/assets/b.js").await, (200, "b".into()));
    let world = world.restart().await;
    assert_eq!((world.read("/assets/a.js").await.0, world.read("/").await), (410, (200, "v1".into())));
    assert_eq!(world.origin.requests(digest("a")), requests, "it is not fetched again");
    let (_, health) = world.health().await;
    assert_eq!(health["missing_blobs"], 0);
    world.stop().await;
}

#[tokio::test]
async fn content_erased_from_one_site_is_served_by_another() {
    let world = World::start().await;
    let mut other = release(&[("index.html", "news"), ("notes.txt", "a")]);
    other.manifest.site = "news".parse().unwrap();
    world.origin.publish("news/live", 1, &other, &[]);
    world.wait_until_served(world.origin.publish("demo/live", 1, &first(), &[])).await;
    world.wait_for_blobs_on_disk(4).await;
    let (_, position) = world.origin.erase("demo", "assets/a.js", digest("a"), &[]);
    world.wait_until_served(position).await;
    until("the purge", async || world.edge.applied().borrow().purging.is_empty()).await;
    assert_eq!(world.read("/assets/a.js").await.0, 410);
    let response = world.get("news.localhost", "/notes.txt").send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.text().await.unwrap()), (200, "a".into()));
    world.stop().await;
}
