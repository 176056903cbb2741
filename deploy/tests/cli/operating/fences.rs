//! Sites that are kept to where no edge is left.

use axum::http::StatusCode;
use axum::routing::{delete, get};
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use verge::Exit;

use super::World;
use crate::world::{TOKEN, verge};

const ABANDONED: &str = "\
warning: no edge is left for demo, which is kept to eu: its readers get no address
hint: `verge sites fence demo REGION` keeps them to another region, `verge sites fence demo --none` to none
";

#[tokio::test]
async fn whoever_takes_the_last_edge_of_a_fence_is_told() {
    let world = World::new().await;
    for typed in [
        "edges add fra-1 --address 192.0.2.1 --at Frankfurt",
        "edges add nyc-1 --address 192.0.2.2 --place 40.71,-74.01 --region eu",
        "sites fence demo eu",
        "edges remove fra-1",
    ] {
        let ran = world.verge(typed).await.ended(Exit::Success);
        assert!(!ran.stderr.contains("warning"), "{typed}: an edge is left: {}", ran.stderr);
    }
    for typed in [
        "edges set nyc-1 --region us",
        "status",
        "status --json",
        "edges",
        "edges add nyc-1 --address 192.0.2.2 --at Boston",
    ] {
        let ran = world.verge(typed).await.ended(Exit::Success);
        assert!(ran.stderr.ends_with(ABANDONED), "{typed}: {}", ran.stderr);
        assert!(!ran.stdout.contains("warning"), "{typed}: {}", ran.stdout);
    }
    let back = world.verge("edges set nyc-1 --region eu").await.ended(Exit::Success);
    assert_eq!(back.stderr, "");
    let forced = world.verge("edges force nyc-1 down").await.ended(Exit::Success);
    assert_eq!(forced.stderr, ABANDONED, "no probe will bring it back");
    world.verge("edges force nyc-1 auto").await.ended(Exit::Success);
    let removed = world.verge("edges remove nyc-1 --quiet").await.ended(Exit::Success);
    assert_eq!(removed.stderr, ABANDONED);
    world.verge("sites fence demo --none").await.ended(Exit::Success);
    assert_eq!(world.verge("status").await.ended(Exit::Success).stderr, "");
    world.stop().await;
}

#[tokio::test]
async fn what_was_asked_is_done_though_the_origin_falls_silent_after_it() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let refusal = json!({ "code": "broken", "message": "the disk is full" });
    let router = Router::new()
        .route("/v1/edges/fra-1", delete(async || StatusCode::NO_CONTENT))
        .route("/v1/status", get(async || (StatusCode::INTERNAL_SERVER_ERROR, Json(refusal))));
    let mut task = JoinSet::new();
    task.spawn(async move { axum::serve(listener, router).await.unwrap() });
    let folder = tempfile::tempdir().unwrap();
    let removed = verge(folder.path(), &url, TOKEN, &["edges", "remove", "fra-1"]).await.ended(Exit::Success);
    assert!(removed.stdout.starts_with("fra-1 is removed") && removed.stderr.is_empty(), "{}", removed.stderr);
}
