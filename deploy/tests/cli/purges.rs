//! Purges and the log of a site.

use verge::Exit;
use verge_protocol::api::{LaggingEdge, LogEntry, LogEvent, PurgeProgress};
use verge_protocol::purge::PurgeScope;
use verge_protocol::report::{PurgeProof, ServedPath};
use verge_protocol::{Digest, EdgeName, Seq, Timestamp};

use crate::world::World;

fn edge(name: &str) -> EdgeName {
    name.parse().unwrap()
}

fn proof(bad: u64, serves: Option<ServedPath>) -> PurgeProof {
    PurgeProof { site: "app".parse().unwrap(), seq: Seq(7), files: 3, bytes: 12_300, bad, replaced: bad, serves }
}

fn confirmed(name: &str, done: u64, proof: PurgeProof) -> PurgeProgress {
    PurgeProgress::Confirmed { edge: edge(name), done, total: 3, elapsed_ms: 10 * done, proof: Some(proof) }
}

/// An origin where two edges have done a purge, and others have not.
async fn purging(scope: &str, lagging: Vec<LaggingEdge>) -> World {
    let world = World::new().await;
    world.write("verge.toml", "site = \"app\"\n");
    let scope: PurgeScope = scope.parse().unwrap();
    let is_path = matches!(scope, PurgeScope::Path(_));
    let serves = |digest: Option<&[u8]>| {
        let status = if digest.is_some() { 200 } else { 404 };
        is_path.then(|| ServedPath { status, digest: digest.map(Digest::of) })
    };
    let events = vec![
        PurgeProgress::Purging { seq: Seq(7), scope, edges: ["fra-1", "nyc-1", "sgp-1"].map(edge).to_vec() },
        confirmed("nyc-1", 1, proof(0, serves(None))),
        confirmed("fra-1", 2, proof(1, serves(Some(b"page")))),
        PurgeProgress::Finished { confirmed: ["fra-1", "nyc-1"].map(edge).to_vec(), lagging, elapsed_ms: 20 },
    ];
    world.origin.memory().purge_events = events;
    world
}

fn lagging(away: bool) -> LaggingEdge {
    let reason = "last seen 11 s ago".to_owned();
    LaggingEdge { edge: edge("sgp-1"), reason, away, last_seen: Some(Timestamp(0)) }
}

#[tokio::test]
async fn purge_of_a_path_shows_what_each_edge_serves_there() {
    let world = purging("about.html", vec![lagging(false)]).await;
    let ran = world.verge(&["purge", "/about.html", "-m", "a leak", "--author", "Ann"]).await.ended(Exit::Lagging);
    insta::assert_snapshot!(format!("{}\n---\n{}", ran.stdout, ran.stderr));
    let requests = world.origin.memory().purges.clone();
    assert_eq!(requests[0].scope.to_string(), "about.html");
    assert_eq!((requests[0].author.as_deref(), requests[0].message.as_deref()), (Some("Ann"), Some("a leak")));
}

#[tokio::test]
async fn purge_succeeds_if_only_edges_that_are_away_have_not_done_it() {
    let world = purging("*", vec![lagging(true)]).await;
    let ran = world.verge(&["purge", "--all"]).await.ended(Exit::Success);
    insta::assert_snapshot!(ran.stdout);
    let line = world.verge(&["purge", "--all", "--json"]).await.ended(Exit::Success).json();
    assert_eq!((&line["scope"], &line["seq"], &line["elapsed_ms"]), (&"*".into(), &7.into(), &20.into()));
    assert_eq!(line["confirmed"][0]["proof"]["replaced"], 1);
    assert_eq!(line["lagging"][0]["away"], true);
}

#[tokio::test]
async fn purge_where_nothing_is_served_says_so() {
    let world = purging("nowhere/*", vec![]).await;
    for event in &mut world.origin.memory().purge_events {
        if let PurgeProgress::Confirmed { proof: Some(proof), .. } = event {
            *proof = PurgeProof { files: 0, bytes: 0, bad: 0, replaced: 0, ..proof.clone() };
        }
    }
    let ran = world.verge(&["purge", "nowhere/*"]).await.ended(Exit::Success);
    assert!(ran.stderr.ends_with("no release that is served has a file there\n"), "{}", ran.stderr);
}

#[tokio::test]
async fn purge_whose_progress_ends_early_is_reported_as_made() {
    let world = purging("*", vec![]).await;
    world.origin.memory().purge_events.truncate(2);
    let ran = world.verge(&["purge", "--all"]).await.ended(Exit::Lagging);
    assert!(
        ran.stderr.contains("error: the origin has done it, but the state of the edges is unknown"),
        "{}",
        ran.stderr
    );
    world.origin.memory().purge_events.clear();
    world.verge(&["purge", "--all"]).await.ended(Exit::Unreachable);
}

#[tokio::test]
async fn log_lists_what_was_done() {
    let world = World::new().await;
    world.write("verge.toml", "site = \"app\"\n");
    assert_eq!(world.verge(&["log"]).await.ended(Exit::Success).stderr, "nothing was done to app yet\n");
    let event = LogEvent::Purged { scope: "assets/*".parse().unwrap() };
    let entry = LogEntry { seq: Seq(7), time: Timestamp(0), author: Some("Ann".into()), message: None, event };
    world.origin.memory().log = vec![entry];
    let ran = world.verge(&["log", "--limit", "5"]).await.ended(Exit::Success);
    assert!(ran.stdout.contains("1 h ago  purge assets/*  Ann"), "{}", ran.stdout);
    assert!(world.origin.memory().requests.ends_with(&["GET /v1/sites/app/log?limit=5".to_owned()]));
    assert_eq!(world.verge(&["log", "--json"]).await.ended(Exit::Success).json()[0]["event"], "purged");
}
