//! Origins and edges that go away and come back.

use reqwest::StatusCode;
use verge_tests::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_boots_and_serves_with_the_origin_gone() {
    let mut world = World::start(2).await;
    let big = "0123456789abcdef".repeat(40_000);
    world.push("demo", &[("index.html", "first"), ("big.txt", &big), ("404.html", "not here")]).await;
    world.prefetched(0).await;
    world.stop_origin().await;
    world.stop_edge(0).await;
    world.start_edge(0).await;
    for (path, status, body) in [
        ("/", StatusCode::OK, "first"),
        ("/big.txt", StatusCode::OK, &big),
        ("/nothing", StatusCode::NOT_FOUND, "not here"),
    ] {
        let answer = world.get(0, "demo", path).await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.text(), body, "{path}");
    }

    // The origin comes back, and so does everything else.
    world.start_origin().await;
    let pushed = world.push("demo", &[("index.html", "second")]).await;
    assert_eq!(pushed.rollout.released.release.0, 2);
    world.caught_up().await;
    for edge in world.edges() {
        assert_eq!(world.get(edge, "demo", "/").await.text(), "second");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_that_was_away_catches_up() {
    let mut world = World::start(2).await;
    world.push("demo", &[("index.html", "first")]).await;
    world.stop_edge(1).await;
    for text in ["second", "third"] {
        world.push("demo", &[("index.html", text)]).await;
    }
    world.push("other", &[("index.html", "another site")]).await;
    world.start_edge(1).await;
    world.caught_up().await;
    assert_eq!(world.get(1, "demo", "/").await.text(), "third");
    assert_eq!(world.get(1, "other", "/").await.text(), "another site");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_edge_without_a_release_knows_no_site() {
    let world = World::start(1).await;
    let answer = world.get(0, "demo", "/").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(!answer.text().contains("demo"));
    world.push("demo", &[("index.html", "first")]).await;
    assert_eq!(world.get(0, "demo", "/").await.text(), "first");
    assert_eq!(world.get(0, "other", "/").await.status, StatusCode::NOT_FOUND);
    world.stop().await;
}
