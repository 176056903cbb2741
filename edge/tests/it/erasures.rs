//! Erased contents: gone from disk, and 410 whatever release has them.

use verge_edge::AppliedState;
use verge_protocol::state::Inherited;
use verge_protocol::{Digest, Timestamp};
use verge_test_kit::{TestRelease, in_time, release, until};

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

#[tokio::test]
async fn blob_that_is_in_flight_when_it_is_erased_is_not_stored() {
    let world = World::start().await;
    world.origin.close_gate();
    world.origin.publish("demo/live", 1, &first(), &[]);
    let mut applied = world.edge.applied();
    in_time("the release", applied.wait_for(|applied| applied.served == 1)).await.unwrap();
    let reader = world.read("/assets/a.js");
    let erasure = async {
        until("both requests", async || world.origin.requests(digest("a")) == 2).await;
        let (_, position) = world.origin.erase("demo", "assets/a.js", digest("a"), &[digest("a")]);
        let mut applied = world.edge.applied();
        let is_done = |applied: &AppliedState| applied.position >= Some(position) && applied.purging.is_empty();
        in_time("the purge", applied.wait_for(is_done)).await.unwrap();
        world.origin.open_gate();
    };
    let _ = tokio::join!(reader, erasure);
    world.wait_for_blobs_on_disk(2).await;
    // The edge stops when the fetch has ended.
    let world = world.restart().await;
    assert!(!world.is_stored(digest("a")) && world.is_stored(digest("b")));
    world.stop().await;
}

#[tokio::test]
async fn erasure_is_done_once_the_disk_deletes_the_blob() {
    let world = World::start().await;
    world.wait_until_served(world.origin.publish("demo/live", 1, &first(), &[])).await;
    let second = release(&[("index.html", "v2")]);
    world.wait_until_served(world.origin.publish("demo/live", 2, &second, &[])).await;
    world.wait_for_blobs_on_disk(4).await;
    // A file cannot be deleted where a directory is.
    let name = digest("a").to_string();
    let path = world.directory.path().join("blobs").join(&name[..2]).join(name);
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    world.origin.erase("demo", "assets/a.js", digest("a"), &[digest("a")]);
    let mut applied = world.edge.applied();
    let has_failed = |applied: &AppliedState| {
        let mut purging = applied.purging.iter();
        purging.any(|lag| lag.reason.starts_with("failed to delete the erased blob"))
    };
    in_time("the failure", applied.wait_for(has_failed)).await.unwrap();
    assert!(applied.borrow().purged.is_empty());
    std::fs::remove_dir(&path).unwrap();
    in_time("the purge", applied.wait_for(|applied| applied.purging.is_empty())).await.unwrap();
    world.stop().await;
}
