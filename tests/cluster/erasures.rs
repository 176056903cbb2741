//! Erasures on a whole cluster.

use reqwest::StatusCode;
use verge::Output;
use verge::output::OutputOptions;
use verge::purge::follow;
use verge_protocol::Digest;
use verge_protocol::api::{EraseRequest, EraseTarget};
use verge_tests::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn erased_bytes_are_on_no_disk_after_the_confirmation() {
    let mut world = World::start(3).await;
    let secret = "a secret ".repeat(100);
    world.push("demo", &[("index.html", "first"), ("assets/keys-4e5f6a7b.js", &secret)]).await;
    world.push("demo", &[("index.html", "second")]).await;
    for edge in world.edges() {
        world.until_prefetched(edge).await;
        assert_eq!(world.get(edge, "demo", "/assets/keys-4e5f6a7b.js").await.text(), secret);
    }
    world.stop_edge(2).await;
    let target = EraseTarget::Path("assets/keys-4e5f6a7b.js".parse().unwrap());
    let request = EraseRequest { target, author: None, message: None };
    let output = Output::new(std::io::sink(), std::io::sink(), OutputOptions::default());
    let events = world.client().erase(&"demo".parse().unwrap(), &request).await.unwrap();
    let erased = follow(events, &output, "erasing").await.unwrap();
    assert_eq!((erased.confirmed.len(), erased.lagging.len()), (2, 0));
    world.start_edge(2).await;
    world.until_caught_up().await;
    let name = Digest::of(secret.as_bytes()).to_string();
    let of_edges = world.edges().map(|edge| world.edge_data_dir(edge).join("blobs"));
    for blobs in of_edges.chain([world.folder.path().join("origin/objects/blobs")]) {
        assert!(!blobs.join(&name[..2]).join(&name).exists(), "{}", blobs.display());
    }
    for edge in world.edges() {
        assert_eq!(world.get(edge, "demo", "/assets/keys-4e5f6a7b.js").await.status, StatusCode::NOT_FOUND);
        assert_eq!(world.get(edge, "demo", "/").await.text(), "second");
    }
    // Releases go on, also those that inherit from the one that had it.
    world.push("demo", &[("index.html", "third")]).await;
    let refused = world.try_push(&world.client(), "demo", &[("index.html", "fourth"), ("x.js", &secret)]).await;
    assert!(refused.unwrap_err().to_string().contains("erased"));
    world.stop().await;
}
