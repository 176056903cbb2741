//! Pushes of what the channel serves already.

use verge::Exit;
use verge_protocol::ReleaseNumber;
use verge_protocol::api::{LaggingEdge, Progress};

use crate::origin::Early;
use crate::world::World;

async fn pushed_once() -> World {
    let world = World::new().await;
    world.verge(&["push"]).await.ended(Exit::Success);
    world
}

#[tokio::test]
async fn unchanged_push_says_so_and_makes_no_release() {
    let world = pushed_once().await;
    let ran = world.verge(&["push"]).await.ended(Exit::Success);
    assert!(ran.stdout.starts_with("app v1 has exactly these files: nothing to release\n"), "{}", ran.stdout);
    assert!(ran.stdout.contains("\n  edges  ✓ fra-1  ✓ nyc-1  ✓ sgp-1\n"), "{}", ran.stdout);
    let line = world.verge(&["push", "--json"]).await.ended(Exit::Success).json();
    assert_eq!((&line["new_release"], &line["release"], &line["epoch"]), (&false.into(), &"v1".into(), &1.into()));
    assert_eq!(line["url"], "http://app.localhost:8080/");
    assert_eq!(world.verge(&["push", "--quiet"]).await.ended(Exit::Success).stdout, "http://app.localhost:8080/\n");
    assert_eq!(world.origin.memory().keys.len(), 1);
}

#[tokio::test]
async fn push_that_changes_only_rules_is_a_release() {
    let world = pushed_once().await;
    for (file, text) in [("_headers", "/*\n  X-A: 1\n"), ("_redirects", "/a /b 301\n"), ("_headers", "/*\n  X-A: 2\n")]
    {
        world.write(&format!("dist/{file}"), text);
        let line = world.verge(&["push", "--json"]).await.ended(Exit::Success).json();
        assert_eq!((&line["new_release"], &line["changed"]), (&true.into(), &0.into()), "{file}");
    }
}

#[tokio::test]
async fn unchanged_push_is_released_with_force() {
    let world = pushed_once().await;
    let line = world.verge(&["push", "--force", "--json"]).await.ended(Exit::Success).json();
    assert_eq!((&line["new_release"], &line["release"]), (&true.into(), &"v2".into()));
}

#[tokio::test]
async fn unchanged_push_uploads_what_the_origin_has_lost() {
    let world = pushed_once().await;
    world.origin.memory().sites.get_mut(&"app".parse().unwrap()).unwrap().blobs.clear();
    let ran = world.verge(&["push"]).await.ended(Exit::Success);
    assert!(ran.stderr.contains("✓ uploaded 25 B"), "{}", ran.stderr);
    assert!(ran.stdout.starts_with("app v1 has exactly these files: nothing to release\n"), "{}", ran.stdout);
    let memory = world.origin.memory();
    assert_eq!((memory.received.len(), memory.keys.len()), (4, 1));
}

#[tokio::test]
async fn unchanged_push_succeeds_once_the_edges_have_caught_up() {
    let world = World::new().await;
    let slow = LaggingEdge { edge: "syd-1".parse().unwrap(), reason: "slow".into(), away: false, last_seen: None };
    world.origin.memory().faults.lagging = vec![slow];
    for _ in 0..2 {
        world.verge(&["push"]).await.ended(Exit::Lagging);
    }
    world.origin.memory().faults.lagging.clear();
    world.origin.memory().faults.ends_early = [Early::AfterReleased].into();
    let ran = world.verge(&["push"]).await.ended(Exit::Success);
    assert!(ran.stderr.contains("✓ live on 3/3 edges\n"), "{}", ran.stderr);
    assert_eq!(world.origin.memory().keys.len(), 1);
}

#[tokio::test]
async fn unchanged_push_without_wait_asks_nothing_of_edges() {
    let world = pushed_once().await;
    world.origin.memory().requests.clear();
    let ran = world.verge(&["push", "--no-wait"]).await.ended(Exit::Success);
    assert!(!ran.stdout.contains("edges"), "{}", ran.stdout);
    assert!(!world.origin.memory().requests.iter().any(|request| request.ends_with("/rollout")));
}

#[tokio::test]
async fn older_origin_releases_an_unchanged_build_again() {
    let world = pushed_once().await;
    world.origin.memory().faults.is_old = true;
    let line = world.verge(&["push", "--json"]).await.ended(Exit::Success).json();
    assert_eq!((&line["new_release"], &line["release"]), (&true.into(), &"v2".into()));
}

#[tokio::test]
async fn unchanged_push_during_another_rollout_is_a_conflict() {
    let world = pushed_once().await;
    let preparing = Progress::Preparing { release: ReleaseNumber(9), edges: vec!["fra-1".parse().unwrap()] };
    world.origin.memory().preparation = vec![preparing];
    let ran = world.verge(&["push"]).await.ended(Exit::Conflict);
    assert!(ran.stderr.contains("error: another push came first: v9 is on its way\nhint: run"), "{}", ran.stderr);
}
