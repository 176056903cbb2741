//! What a push and a rollback show of the edges, and what they wait for.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use verge::Exit;
use verge_protocol::api::{Edge, LaggingEdge, Progress};
use verge_protocol::canary::{CanaryPlan, ResponseCounts};
use verge_protocol::{EdgeName, ReleaseNumber, Timestamp};

use crate::world::World;

fn edge(name: &str) -> EdgeName {
    name.parse().unwrap()
}

fn lagging(name: &str, away: bool) -> LaggingEdge {
    let last_seen = away.then_some(Timestamp(0));
    LaggingEdge { edge: edge(name), reason: "the disk is full".into(), away, last_seen }
}

/// An origin that prepares: one edge fetches, one has everything, one is slow.
async fn preparing() -> World {
    let world = World::new().await;
    let edges = ["fra-1", "nyc-1", "sgp-1"].map(edge).to_vec();
    let fetching = |name, done, problem: Option<&str>| Progress::Fetching {
        edge: edge(name),
        done,
        total: 9_800_000,
        problem: problem.map(str::to_owned),
    };
    let prepared = |name, done| Progress::Prepared { edge: edge(name), done, total: 3 };
    world.origin.memory().preparation = vec![
        Progress::Preparing { release: ReleaseNumber(1), edges },
        fetching("fra-1", 3_100_000, None),
        prepared("nyc-1", 1),
        fetching("fra-1", 6_100_000, None),
        fetching("sgp-1", 0, Some("no route to the origin")),
        prepared("fra-1", 2),
    ];
    world.origin.memory().elapsed_ms = 84;
    world
}

#[tokio::test]
async fn each_change_of_an_edge_is_a_line_without_terminal() {
    let world = preparing().await;
    let ran = world.verge(&["push"]).await.ended(Exit::Success);
    insta::assert_snapshot!("messages_of_a_rollout", ran.stderr);
    world.write("dist/app.js", "2");
    let ran = world.verge(&["push", "--quiet"]).await.ended(Exit::Success);
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("http://app.localhost:8080/\n", ""));
}

#[tokio::test]
async fn json_stream_has_a_line_for_each_event_and_ends_with_the_result() {
    let world = preparing().await;
    let ran = world.verge(&["push", "--json=stream"]).await.ended(Exit::Success);
    let lines: Vec<serde_json::Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let (result, events) = lines.split_last().unwrap();
    let kinds: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    let expected = "encoding preparing fetching prepared fetching fetching prepared released confirmed confirmed confirmed \
        finished";
    assert_eq!(kinds.join(" "), expected.split_whitespace().collect::<Vec<_>>().join(" "));
    assert_eq!((&result["release"], &result["edges"]["elapsed_ms"]), (&"v1".into(), &84.into()));
    world.verge(&["rollback", "--to", "v1", "--json"]).await.ended(Exit::Success).json();
}

#[tokio::test]
async fn push_without_wait_ends_when_the_channel_has_moved() {
    let world = preparing().await;
    let ran = world.verge(&["push", "--no-wait"]).await.ended(Exit::Success);
    assert!(ran.stderr.contains("  nyc-1: prepared\n") && !ran.stderr.contains("live"), "{}", ran.stderr);
    assert!(ran.stdout.starts_with("app v1 is live\n") && !ran.stdout.contains("edges"), "{}", ran.stdout);
}

#[tokio::test]
async fn away_edge_is_named_and_fails_only_strict() {
    let world = World::new().await;
    world.origin.memory().faults.lagging = vec![lagging("syd-1", true)];
    let ran = world.verge(&["push"]).await.ended(Exit::Success);
    let warning = "warning: syd-1 does not serve v1: away for 1 h, which fails nothing\n";
    assert!(ran.stderr.contains(warning), "{}", ran.stderr);
    assert!(ran.stderr.contains("✓ live on 3/3 edges\n"), "{}", ran.stderr);
    assert!(ran.stdout.contains("✓ sgp-1  ✗ syd-1 (away)\n"), "{}", ran.stdout);
    let ran = world.verge(&["push", "--wait=strict"]).await.ended(Exit::Lagging);
    assert!(ran.stderr.contains("warning: syd-1 does not serve v1: away for 1 h\n"), "{}", ran.stderr);
}

#[tokio::test]
async fn share_of_the_edges_is_enough_if_wanted() {
    let world = World::new().await;
    world.origin.memory().faults.lagging = vec![lagging("syd-1", false)];
    let line = world.verge(&["push", "--wait=75%", "--json"]).await.ended(Exit::Success).json();
    assert_eq!((&line["edges"]["total"], &line["edges"]["lagging"]), (&4.into(), &serde_json::json!([])));
    let ran = world.verge(&["push", "--wait=76%"]).await.ended(Exit::Lagging);
    assert!(ran.stderr.contains("\nlive on 3/4 edges\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("warning: syd-1 does not serve v1 yet: the disk is full\n"), "{}", ran.stderr);
    world.verge(&["rollback", "--to", "v1", "--wait=75%"]).await.ended(Exit::Success);
}

/// A server that answers as an edge does, or says that it is another.
struct HttpEdge {
    url: String,
    hosts: Arc<Mutex<Vec<String>>>,
    _task: JoinSet<()>,
}

impl HttpEdge {
    async fn start(name: &'static str, release: &'static str) -> Self {
        Self::answering(StatusCode::OK, [("verge-edge", name), ("verge-release", release)]).await
    }

    /// Answers every request with this status and these headers.
    async fn answering<const N: usize>(status: StatusCode, headers: [(&'static str, &'static str); N]) -> Self {
        let hosts: Arc<Mutex<Vec<String>>> = Arc::default();
        let recorded = Arc::clone(&hosts);
        let answer = async move |request: Request| -> Response {
            let host = request.headers()["host"].to_str().unwrap();
            recorded.lock().unwrap().push(format!("{} {} {host}", request.method(), request.uri()));
            (status, headers).into_response()
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, Router::new().fallback(answer)).await.unwrap() });
        Self { url, hosts, _task: task }
    }
}

fn with_url(name: &str, url: &str) -> Edge {
    Edge {
        name: edge(name),
        url: Some(url.to_owned()),
        live: true,
        draining: false,
        last_seen: None,
        applied: None,
        lagging: vec![],
        lagging_omitted: 0,
        preparations: vec![],
        purging: vec![],
        purging_omitted: 0,
        version: None,
        state: None,
        has_token: true,
    }
}

#[tokio::test]
async fn edges_are_asked_which_release_they_serve() {
    let world = World::new().await;
    let (right, other) = (HttpEdge::start("fra-1", "v1").await, HttpEdge::start("elsewhere", "v9").await);
    world.origin.memory().edges = vec![
        with_url("fra-1", &right.url),
        with_url("nyc-1", &other.url),
        with_url("sgp-1", "http://127.0.0.1:9"),
        with_url("syd-1", &right.url),
    ];
    let ran = world.verge(&["push"]).await.ended(Exit::Success);
    let edges = "✓ fra-1 (seen)  ✓ nyc-1 (not reachable from here)  ✓ sgp-1 (not reachable from here)\n";
    assert!(ran.stdout.contains(edges), "{}", ran.stdout);
    assert_eq!(*right.hosts.lock().unwrap(), ["HEAD / app.localhost:8080"], "only edges that have confirmed are asked");
    let line = world.verge(&["push", "--json"]).await.ended(Exit::Success).json();
    assert_eq!(
        line["checked"][0],
        serde_json::json!({ "edge": "fra-1", "reached": true, "status": 200, "release": "v1" })
    );
    assert_eq!(
        line["checked"][1],
        serde_json::json!({ "edge": "nyc-1", "reached": false, "status": null, "release": null })
    );
    world.origin.memory().edges[1].url = Some("file:///etc/passwd".to_owned());
    world.verge(&["push"]).await.ended(Exit::Success);
}

#[tokio::test]
async fn edge_that_answers_with_another_release_is_named_and_sets_exit_code() {
    let world = World::new().await;
    let stale = HttpEdge::start("fra-1", "v7").await;
    world.origin.memory().edges = vec![with_url("fra-1", &stale.url)];
    let ran = world.verge(&["push"]).await.ended(Exit::Lagging);
    assert!(ran.stderr.contains("warning: fra-1 has confirmed v1, but answers with v7\n"), "{}", ran.stderr);
    assert!(ran.stdout.contains("✓ fra-1 (serves v7)  ✓ nyc-1"), "{}", ran.stdout);
    world.verge(&["rollback", "--to", "v1", "--quiet"]).await.ended(Exit::Lagging);
    world.verge(&["rollback", "--to", "v1", "--no-wait"]).await.ended(Exit::Success);
}

#[tokio::test]
async fn edge_that_serves_the_release_of_the_next_push_fails_nothing() {
    let world = World::new().await;
    let ahead = HttpEdge::start("fra-1", "v7").await;
    world.origin.memory().edges = vec![with_url("fra-1", &ahead.url)];
    world.origin.memory().faults.replaced_by = Some(ReleaseNumber(7));
    let ran = world.verge(&["push"]).await.ended(Exit::Success);
    assert!(ran.stderr.contains("v1 has been replaced by v7 meanwhile\n"), "{}", ran.stderr);
    let line = world.verge(&["rollback", "--to", "v1", "--json"]).await.ended(Exit::Success).json();
    assert_eq!(line["replaced_by"], "v7");
    // It serves neither.
    world.origin.memory().faults.replaced_by = Some(ReleaseNumber(8));
    world.verge(&["rollback", "--to", "v1"]).await.ended(Exit::Lagging);
}

#[tokio::test]
async fn edge_that_confirms_and_does_not_know_the_host_is_named_and_sets_exit_code() {
    let world = World::new().await;
    let headers = [("verge-edge", "fra-1")];
    let misconfigured = HttpEdge::answering(StatusCode::NOT_FOUND, headers).await;
    world.origin.memory().edges = vec![with_url("fra-1", &misconfigured.url)];
    let ran = world.verge(&["push"]).await.ended(Exit::Lagging);
    let warning = "warning: fra-1 has confirmed v1, but has no site at http://app.localhost:8080/: see `base_domain`";
    assert!(ran.stderr.contains(warning), "{}", ran.stderr);
    // An older edge redirects to HTTPS without naming the release.
    let redirecting = HttpEdge::answering(StatusCode::PERMANENT_REDIRECT, headers).await;
    world.origin.memory().edges = vec![with_url("fra-1", &redirecting.url)];
    let ran = world.verge(&["rollback", "--to", "v1"]).await.ended(Exit::Success);
    assert!(ran.stdout.contains("fra-1 (answers without a release)"), "{}", ran.stdout);
}

#[tokio::test]
async fn edge_that_never_answers_is_shown_as_not_reached() {
    let world = World::new().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    world.origin.memory().edges = vec![with_url("fra-1", &format!("http://{}", silent.local_addr().unwrap()))];
    let line = world.verge(&["push", "--json"]).await.ended(Exit::Success).json();
    assert_eq!(line["checked"][0]["reached"], false);
}

#[tokio::test]
async fn canary_is_that_of_the_command_line_then_of_verge_toml_then_none() {
    use verge_protocol::canary::CanaryShare::{Count, Percent};
    let world = World::new().await;
    let plan = |edges, seconds| Some(CanaryPlan { edges, seconds });
    let mut pushes = 0;
    let mut assert_requested = async |arguments: &[&str], expected: Option<CanaryPlan>| {
        pushes += 1;
        world.write("dist/app.js", pushes.to_string());
        world.verge(&[&["push"], arguments].concat()).await.ended(Exit::Success);
        assert_eq!(world.origin.memory().canaries.last(), Some(&expected), "{arguments:?}");
    };
    assert_requested(&[], None).await;
    assert_requested(&["--canary"], plan(Count(1), 60)).await;
    assert_requested(&["--canary=5%"], plan(Percent(5), 60)).await;
    assert_requested(&["--canary=2", "--canary-seconds=90"], plan(Count(2), 90)).await;
    assert_requested(&["--canary-seconds=90"], plan(Count(1), 90)).await;

    world.write("verge.toml", "site = \"app\"\n[canary]\nedges = \"10%\"\nseconds = 120\n");
    assert_requested(&[], plan(Percent(10), 120)).await;
    assert_requested(&["--canary=3"], plan(Count(3), 120)).await;
    assert_requested(&["--canary-seconds=90"], plan(Percent(10), 90)).await;
    assert_requested(&["--no-canary"], None).await;
    // verge.toml means the live channel.
    assert_requested(&["--channel=staging"], None).await;
    assert_requested(&["--channel=staging", "--canary"], plan(Count(1), 60)).await;
}

#[tokio::test]
async fn push_with_a_canary_warns_if_the_release_went_live_without() {
    const WARNING: &str = "the release went live without a canary";
    let world = World::new().await;
    let ran = world.verge(&["push", "--canary"]).await.ended(Exit::Success);
    assert!(ran.stderr.contains(WARNING), "{}", ran.stderr);

    let counts = ResponseCounts::default();
    let canary = Progress::Canary {
        edges: vec![edge("fra-1")],
        elapsed_ms: 1000,
        duration_ms: 1000,
        canary: counts,
        baseline: counts,
    };
    world.origin.memory().preparation = vec![canary];
    for (text, arguments) in [("2", &["push", "--canary"][..]), ("3", &["push"])] {
        world.write("dist/app.js", text);
        let ran = world.verge(arguments).await.ended(Exit::Success);
        assert!(!ran.stderr.contains(WARNING), "{}", ran.stderr);
        world.origin.memory().preparation.clear();
    }
}
