//! Responses to readers before and after a release.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use reqwest::StatusCode;
use verge_protocol::ReleaseNumber;
use verge_protocol::api::{MoveChannel, Progress, Site};
use verge_test_kit::until;
use verge_tests::World;

const FIRST: [(&str, &str); 3] = [
    ("index.html", "<div id=app></div><script src=/assets/index-0a1b2c3d.js></script>first"),
    ("assets/index-0a1b2c3d.js", "import('/assets/lazy-4e5f6a7b.js')"),
    ("assets/lazy-4e5f6a7b.js", "lazy, first"),
];
const SECOND: [(&str, &str); 3] = [
    ("index.html", "<div id=app></div><script src=/assets/index-8c9d0e1f.js></script>second"),
    ("assets/index-8c9d0e1f.js", "import('/assets/lazy-2a3b4c5d.js')"),
    ("assets/lazy-2a3b4c5d.js", "lazy, second"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn push_ends_after_every_edge_serves_the_release() {
    let world = World::start(3).await;
    for (number, release) in [(1, &FIRST), (2, &SECOND)] {
        let pushed = world.push("demo", release).await;
        assert_eq!(pushed.rollout.released.release, ReleaseNumber(number));
        assert_eq!(pushed.rollout.confirmations.confirmed.len(), 3);
        for edge in world.edges() {
            let page = world.get(edge, "demo", "/").await;
            assert_eq!((page.text(), page.header("verge-release")), (release[0].1, format!("v{number}").as_str()));
            assert_eq!(page.header("verge-edge"), format!("edge-{edge}"));
        }
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tab_opened_before_release_finds_its_chunks_for_a_day() {
    let world = World::start(2).await;
    world.push("demo", &FIRST).await;
    world.push("demo", &SECOND).await;
    for edge in world.edges() {
        let old = world.get(edge, "demo", "/assets/lazy-4e5f6a7b.js").await;
        assert_eq!((old.status, old.text()), (StatusCode::OK, "lazy, first"));
        assert_eq!(old.header("cache-control"), "public, max-age=31536000, immutable");
    }

    // After a rollback, the chunks of the second release are still served.
    let site: Site = world.client().get("/v1/sites/demo").await.unwrap();
    let epoch = site.channels[0].epoch;
    let rollback =
        MoveChannel { release: ReleaseNumber(1), expected: Some(epoch), idempotency_key: None, author: None };
    let events =
        world.client().move_channel(&"demo".parse().unwrap(), &"live".parse().unwrap(), &rollback).await.unwrap();
    let events: Vec<Progress> = events.try_collect().await.unwrap();
    assert!(matches!(events.last(), Some(Progress::Finished { confirmed, .. }) if confirmed.len() == 2), "{events:?}");
    for edge in world.edges() {
        assert_eq!(world.get(edge, "demo", "/").await.text(), FIRST[0].1);
        assert_eq!(world.get(edge, "demo", "/assets/lazy-2a3b4c5d.js").await.text(), "lazy, second");
    }

    // They are no longer served a day later, by the origin's clock.
    world.clock.advance(Duration::from_hours(25));
    until("the end of inheritance", async || {
        let expired = world.get(0, "demo", "/assets/lazy-2a3b4c5d.js").await;
        (expired.status, expired.header("cache-control")) == (StatusCode::NOT_FOUND, "no-store")
    })
    .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn missing_chunk_of_single_page_app_is_not_found() {
    let world = World::start(1).await;
    world.push("demo", &FIRST).await;
    let missing = world.get(0, "demo", "/assets/lazy-00000001.js").await;
    assert_eq!((missing.status, missing.header("cache-control")), (StatusCode::NOT_FOUND, "no-store"));
    assert!(!missing.text().contains("first"));
    let route = world.get(0, "demo", "/a/route").await;
    assert_eq!((route.status, route.text()), (StatusCode::OK, FIRST[0].1));
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etags_on_all_edges_are_equal() {
    let world = World::start(3).await;
    let page = format!("<p>{}</p>", "the same everywhere ".repeat(40));
    world.push("demo", &[("index.html", &page), ("about.html", "short")]).await;
    for coding in ["identity", "gzip", "br"] {
        let mut tags = Vec::new();
        for edge in world.edges() {
            let response = world.get_with(edge, "demo", "/", &[("accept-encoding", coding)]).await.unwrap();
            assert_eq!(response.header("vary"), "Accept-Encoding");
            tags.push(response.header("etag").to_owned());
        }
        let headers = [("accept-encoding", coding), ("if-none-match", tags[0].as_str())];
        assert_eq!(world.get_with(2, "demo", "/", &headers).await.unwrap().status, StatusCode::NOT_MODIFIED);
        tags.dedup();
        assert_eq!(tags.len(), 1, "{coding}");
    }
    world.stop().await;
}

/// Each page contains the number of its release, so headers of one release with the body of another would be detected.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn release_switch_under_load_never_mixes_releases() {
    let world = World::start(2).await;
    let release = |number: usize| format!("release v{number} {}", "x".repeat(300_000));
    world.push("demo", &[("index.html", &release(1))]).await;
    let done = AtomicBool::new(false);
    let reader = async |edge: usize| {
        let (mut last, mut pages) = (0, 0);
        while !done.load(Ordering::Relaxed) {
            let page = world.get(edge, "demo", "/").await;
            let release_header = page.header("verge-release");
            assert!(
                page.text().starts_with(&format!("release {release_header} ")),
                "{release_header} with the body {}",
                &page.text()[..12]
            );
            assert_eq!(page.body.len(), release(1).len());
            let number: usize = release_header[1..].parse().unwrap();
            assert!(number >= last, "an edge returned from v{last} to {release_header}");
            (last, pages) = (number, pages + 1);
        }
        pages
    };
    let pusher = async {
        for number in 2..=9 {
            world.push("demo", &[("index.html", &release(number))]).await;
        }
        done.store(true, Ordering::Relaxed);
    };
    let (a, b, c, ()) = tokio::join!(reader(0), reader(0), reader(1), pusher);
    assert!(a > 8 && b > 8 && c > 8, "{a}, {b} and {c} pages");
    world.stop().await;
}
