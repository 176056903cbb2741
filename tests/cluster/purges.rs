//! Purges on a whole cluster.

use std::path::PathBuf;

use reqwest::StatusCode;
use verge::Output;
use verge::output::OutputOptions;
use verge::purge::{Purge, Purged};
use verge_protocol::Digest;
use verge_protocol::api::PurgeRequest;
use verge_protocol::report::ServedPath;
use verge_tests::World;

const OLD_CHUNK: &str = "assets/lazy-4e5f6a7b.js";
const FIRST: [(&str, &str); 2] = [("index.html", "first"), (OLD_CHUNK, "a secret")];
const SECOND: [(&str, &str); 2] = [("index.html", "second"), ("assets/lazy-2a3b4c5d.js", "lazy, second")];

async fn purge(world: &World, scope: &str) -> Purged {
    let (client, site) = (world.client(), "demo".parse().unwrap());
    let request = PurgeRequest { scope: scope.parse().unwrap(), author: None, message: None };
    let purge = Purge { client: &client, site: &site, request };
    purge.run(&Output::new(std::io::sink(), std::io::sink(), OutputOptions::default())).await.unwrap()
}

async fn old_chunk(world: &World, edge: usize) -> StatusCode {
    world.get(edge, "demo", &format!("/{OLD_CHUNK}")).await.status
}

fn blob_on_edge(world: &World, edge: usize, text: &str) -> PathBuf {
    let name = Digest::of(text.as_bytes()).to_string();
    world.edge_data_dir(edge).join("blobs").join(&name[..2]).join(name)
}

async fn with_two_releases(edges: usize) -> World {
    let world = World::start(edges).await;
    world.push("demo", &FIRST).await;
    world.push("demo", &SECOND).await;
    for edge in world.edges() {
        world.until_prefetched(edge).await;
        assert_eq!(old_chunk(&world, edge).await, StatusCode::OK);
    }
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purged_bytes_are_not_served_after_the_confirmation() {
    let world = with_two_releases(3).await;
    let purged = purge(&world, OLD_CHUNK).await;
    for edge in world.edges() {
        assert_eq!(old_chunk(&world, edge).await, StatusCode::NOT_FOUND);
        assert_eq!(world.get(edge, "demo", "/").await.text(), "second");
    }
    assert_eq!((purged.confirmed.len(), purged.lagging.len()), (3, 0));
    for edge in &purged.confirmed {
        let serves = edge.proof.as_ref().unwrap().serves;
        assert_eq!(serves, Some(ServedPath { status: 404, digest: None }), "{}", edge.edge);
    }
    // They are back only when a release that has them is live again, and stay for its tabs after that.
    world.push("demo", &FIRST).await;
    assert_eq!(old_chunk(&world, 0).await, StatusCode::OK);
    world.push("demo", &SECOND).await;
    assert_eq!(old_chunk(&world, 0).await, StatusCode::OK);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purge_replaces_bad_blobs_on_every_edge_and_says_so() {
    let world = with_two_releases(2).await;
    std::fs::write(blob_on_edge(&world, 1, "second"), "sec0nd").unwrap();
    let purged = purge(&world, "*").await;
    let found = purged.confirmed.iter().map(|edge| {
        let proof = edge.proof.as_ref().unwrap();
        (proof.files, proof.bad, proof.replaced)
    });
    assert_eq!(found.collect::<Vec<_>>(), [(2, 0, 0), (2, 1, 1)]);
    assert_eq!(std::fs::read(blob_on_edge(&world, 1, "second")).unwrap(), b"second");
    assert_eq!(world.get(1, "demo", "/").await.text(), "second");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edge_that_was_away_applies_a_purge_before_it_reports_itself_caught_up() {
    let mut world = with_two_releases(2).await;
    world.stop_edge(1).await;
    std::fs::write(blob_on_edge(&world, 1, "second"), "sec0nd").unwrap();
    let purged = purge(&world, "*").await;
    assert_eq!((purged.confirmed.len(), purged.total()), (1, 1), "an edge that has stopped is not waited for");
    world.start_edge(1).await;
    world.until_caught_up().await;
    assert_eq!(old_chunk(&world, 1).await, StatusCode::NOT_FOUND);
    assert_eq!(std::fs::read(blob_on_edge(&world, 1, "second")).unwrap(), b"second");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purge_survives_a_restart_of_the_origin_and_of_an_edge() {
    let mut world = with_two_releases(1).await;
    purge(&world, OLD_CHUNK).await;
    world.stop_origin().await;
    world.stop_edge(0).await;
    world.start_edge(0).await;
    assert_eq!(old_chunk(&world, 0).await, StatusCode::NOT_FOUND);
    world.start_origin().await;
    world.until_caught_up().await;
    world.push("demo", &[("index.html", "third")]).await;
    assert_eq!(old_chunk(&world, 0).await, StatusCode::NOT_FOUND);
    assert_eq!(world.get(0, "demo", "/assets/lazy-2a3b4c5d.js").await.text(), "lazy, second");
    world.stop().await;
}
