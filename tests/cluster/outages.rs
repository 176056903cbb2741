//! Origins and edges that stop and start again.

use reqwest::StatusCode;
use verge_tests::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edge_restarted_without_origin_serves_all_files() {
    let mut world = World::start(2).await;
    let big = "0123456789abcdef".repeat(40_000);
    world.push("demo", &[("index.html", "first"), ("big.txt", &big), ("404.html", "not here")]).await;
    world.until_prefetched(0).await;
    world.stop_origin().await;
    world.stop_edge(0).await;
    world.start_edge(0).await;
    for (path, status, body) in [
        ("/", StatusCode::OK, "first"),
        ("/big.txt", StatusCode::OK, &big),
        ("/nothing", StatusCode::NOT_FOUND, "not here"),
    ] {
        let response = world.get(0, "demo", path).await;
        assert_eq!(response.status, status, "{path}");
        assert_eq!(response.text(), body, "{path}");
    }

    // After the origin has started again, pushes reach every edge.
    world.start_origin().await;
    let pushed = world.push("demo", &[("index.html", "second")]).await;
    assert_eq!(pushed.rollout.released.release.0, 2);
    world.until_caught_up().await;
    for edge in world.edges() {
        assert_eq!(world.get(edge, "demo", "/").await.text(), "second");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn edge_restarted_after_releases_catches_up() {
    let mut world = World::start(2).await;
    world.push("demo", &[("index.html", "first")]).await;
    world.stop_edge(1).await;
    for text in ["second", "third"] {
        world.push("demo", &[("index.html", text)]).await;
    }
    world.push("other", &[("index.html", "another site")]).await;
    world.start_edge(1).await;
    world.until_caught_up().await;
    assert_eq!(world.get(1, "demo", "/").await.text(), "third");
    assert_eq!(world.get(1, "other", "/").await.text(), "another site");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn site_without_release_is_not_found() {
    let world = World::start(1).await;
    let response = world.get(0, "demo", "/").await;
    assert_eq!(response.status, StatusCode::NOT_FOUND);
    assert!(!response.text().contains("demo"));
    world.push("demo", &[("index.html", "first")]).await;
    assert_eq!(world.get(0, "demo", "/").await.text(), "first");
    assert_eq!(world.get(0, "other", "/").await.status, StatusCode::NOT_FOUND);
    world.stop().await;
}
