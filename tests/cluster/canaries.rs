//! Releases that are tried on one edge first.

use reqwest::StatusCode;
use verge::push::PushError;
use verge_protocol::canary::CanaryPlan;
use verge_test_kit::until;
use verge_tests::World;

const BEFORE: [(&str, &str); 2] =
    [("index.html", "<script src=/assets/a-0b1c2d3e.js></script>"), ("assets/a-0b1c2d3e.js", "let a")];

/// Sends what browsers send for a script of the page that they show.
const SCRIPT: [(&str, &str); 2] = [("sec-fetch-dest", "script"), ("sec-fetch-site", "same-origin")];

async fn releases(world: &World) -> Vec<String> {
    let mut releases = Vec::new();
    for edge in world.edges() {
        releases.push(world.get(edge, "demo", "/").await.header("verge-release").to_owned());
    }
    releases
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_that_lacks_its_own_script_is_taken_back_from_its_canary_edges() {
    let world = World::start(3).await;
    world.push("demo", &BEFORE).await;
    let after = [
        ("index.html", "<script src=/assets/b-9f8e7d6c.js></script>"),
        ("assets/lazy-1a2b3c4d.js", "let lazy"),
        ("assets/other-5e6f7a8b.js", "let other"),
    ];
    let canary = CanaryPlan { edges: "1".parse().unwrap(), seconds: 600 };
    let push = world.push_with_canary("demo", &after, canary);
    let readers = async {
        until("one edge to serve the release", async || {
            let mut releases = releases(&world).await;
            releases.sort();
            releases == ["v1", "v1", "v2"]
        })
        .await;
        let canary = releases(&world).await.iter().position(|release| release == "v2").unwrap();
        // Chunks of both releases are at every edge.
        for edge in world.edges() {
            for chunk in ["/assets/a-0b1c2d3e.js", "/assets/lazy-1a2b3c4d.js"] {
                assert_eq!(world.get(edge, "demo", chunk).await.status, StatusCode::OK, "{edge} {chunk}");
            }
        }
        for _ in 0..5 {
            let missing = world.get_with(canary, "demo", "/assets/b-9f8e7d6c.js", &SCRIPT).await.unwrap();
            assert_eq!(missing.status, StatusCode::NOT_FOUND);
        }
    };
    let (pushed, ()) = tokio::join!(push, readers);
    let error = pushed.unwrap_err();
    assert!(matches!(error, PushError::Rollout(_)), "{error:?}");
    let seen = "v2 of demo was not made live: on its canary edges, 5 of ";
    assert!(error.to_string().starts_with(seen), "{error}");
    assert!(error.to_string().contains("scripts and styles that its own pages name and lack"), "{error}");
    until("the edge to go back", async || releases(&world).await == ["v1", "v1", "v1"]).await;
    // Tabs that were opened meanwhile find their chunks.
    for edge in world.edges() {
        assert_eq!(world.get(edge, "demo", "/assets/lazy-1a2b3c4d.js").await.status, StatusCode::OK, "{edge}");
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_that_is_good_on_its_canary_edges_goes_live_on_all() {
    let world = World::start(3).await;
    world.push("demo", &BEFORE).await;
    let canary = CanaryPlan { edges: "50%".parse().unwrap(), seconds: 1 };
    let after = [("index.html", "two"), ("assets/a-0b1c2d3e.js", "let a")];
    let pushed = world.push_with_canary("demo", &after, canary).await.unwrap();
    assert_eq!(pushed.rollout.released.release.to_string(), "v2");
    assert_eq!(releases(&world).await, ["v2", "v2", "v2"]);
    world.stop().await;
}
