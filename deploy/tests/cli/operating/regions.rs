//! Sites that are restricted to regions without an available edge.

use axum::http::StatusCode;
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use verge::Exit;

use super::world::World;
use crate::world::{TOKEN, verge};

const UNSERVED: &str = "\
warning: no edge is available for demo, which is restricted to eu: DNS returns no address
hint: use `verge sites regions demo REGION` to change the regions, or `verge sites regions demo --none` to allow all
";

#[tokio::test]
async fn change_that_leaves_a_site_without_edges_has_warning() {
    let world = World::new().await;
    for typed in [
        "edges add fra-1 --address 192.0.2.1 --at Frankfurt",
        "edges add nyc-1 --address 192.0.2.2 --location 40.71,-74.01 --region eu",
        "sites regions demo eu",
        "edges remove fra-1 --yes",
    ] {
        let ran = world.verge(typed).await.ended(Exit::Success);
        assert!(!ran.stderr.contains("no edge is available"), "{typed}: an edge is available: {}", ran.stderr);
    }
    for typed in [
        "edges set nyc-1 --region us",
        "status",
        "status --json",
        "edges",
        "edges add nyc-1 --address 192.0.2.2 --at Boston",
    ] {
        let ran = world.verge(typed).await.ended(Exit::Success);
        assert!(ran.stderr.ends_with(UNSERVED), "{typed}: {}", ran.stderr);
        assert!(!ran.stdout.contains("warning"), "{typed}: {}", ran.stdout);
    }
    let back = world.verge("edges set nyc-1 --region eu").await.ended(Exit::Success);
    assert_eq!(back.stderr, "");
    let forced = world.verge("edges force nyc-1 down --yes").await.ended(Exit::Success);
    assert_eq!(forced.stderr, UNSERVED, "health checks do not override it");
    world.verge("edges force nyc-1 auto").await.ended(Exit::Success);
    let removed = world.verge("edges remove nyc-1 --quiet --yes").await.ended(Exit::Success);
    assert_eq!(removed.stderr, UNSERVED);
    world.verge("sites regions demo --none").await.ended(Exit::Success);
    assert_eq!(world.verge("status").await.ended(Exit::Success).stderr, "no edges registered yet\n");
    world.stop().await;
}

#[tokio::test]
async fn command_succeeds_if_the_check_after_it_fails() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let refusal = json!({ "code": "broken", "message": "the disk is full" });
    let router = Router::new()
        .route("/v1/edges/fra-1", delete(async || StatusCode::NO_CONTENT))
        .route("/v1/edges", get(async || (StatusCode::INTERNAL_SERVER_ERROR, Json(refusal))));
    let mut task = JoinSet::new();
    task.spawn(async move { axum::serve(listener, router).await.unwrap() });
    let dir = tempfile::tempdir().unwrap();
    let removed = verge(dir.path(), &url, TOKEN, &["edges", "remove", "fra-1", "--yes"]).await.ended(Exit::Success);
    assert!(removed.stdout.starts_with("removed fra-1") && removed.stderr.is_empty(), "{}", removed.stderr);
}
