//! Purges: what is written, who confirms, and the log of a site.

use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde_json::json;
use verge_origin::Timing;
use verge_protocol::api::{LogEntry, PendingPurge, PurgeProgress, Status};
use verge_protocol::feed::FeedEvent;
use verge_protocol::report::{EdgeReport, PurgeLag, PurgeProof};
use verge_protocol::state::{ChannelState, ParsedRow, Row};
use verge_protocol::{Position, Seq};

use super::previews::end_at_once;
use super::test_origin::{TestOrigin, build, error};

/// Two chunks that a build tool named by their content.
const CHUNKS: [(&str, &str); 2] = [("assets/a-0b1c2d3e.js", "a"), ("assets/b-1c2d3e4f.js", "b")];

impl TestOrigin {
    async fn post_purge(&self, scope: &str) -> Response {
        let body = json!({ "scope": scope, "author": "ann", "message": "a leak" });
        self.request(Method::POST, "/v1/sites/demo/purges").json(&body).send().await.unwrap()
    }

    async fn purge(&self, scope: &str) -> Vec<PurgeProgress> {
        let response = self.post_purge(scope).await;
        assert_eq!(response.status(), StatusCode::OK);
        let text = response.text().await.unwrap();
        text.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The rows of the state, by key.
    async fn rows(&self) -> Vec<Row> {
        let token = self.edge_token("rows").await;
        let mut feed = self.subscribe(&token, None).await;
        let mut rows = Vec::new();
        while let Some(message) = feed.next().await {
            match message.event {
                FeedEvent::Row(row) => rows.push(row),
                _ => break,
            }
        }
        assert_eq!(self.delete("/v1/edges/rows").await.status(), StatusCode::NO_CONTENT);
        rows
    }

    async fn live(&self) -> (Row, ChannelState) {
        let row = self.rows().await.into_iter().find(|row| row.key == "channel/demo/live").unwrap();
        let Ok(ParsedRow::Channel(_, Some(state))) = row.parse() else { panic!("{row:?}") };
        (row, state)
    }

    /// What the live channel inherits: the number of releases, and without what.
    async fn without(&self) -> Vec<Vec<String>> {
        let (_, state) = self.live().await;
        state.inherits.iter().map(|one| one.without.iter().map(ToString::to_string).collect()).collect()
    }
}

async fn with_three_releases() -> TestOrigin {
    with_three_releases_at(TestOrigin::start().await).await
}

async fn with_three_releases_at(origin: TestOrigin) -> TestOrigin {
    origin.create_site("demo").await;
    origin.push("demo", &build(&[("index.html", "v1"), CHUNKS[0], CHUNKS[1]])).await;
    origin.push("demo", &build(&[("index.html", "v2"), CHUNKS[0]])).await;
    origin.push("demo", &build(&[("index.html", "v3")])).await;
    origin
}

#[tokio::test]
async fn purge_rewrites_the_rows_of_channels_and_leaves_their_epochs() {
    let origin = with_three_releases().await;
    let (before, state) = origin.live().await;
    assert_eq!(state.inherits.len(), 2);
    let events = origin.purge("assets/a-0b1c2d3e.js").await;
    let PurgeProgress::Purging { seq, .. } = events[0] else { panic!("{events:?}") };
    assert!(matches!(events[1], PurgeProgress::Finished { .. }), "{events:?}");
    let (after, purged) = origin.live().await;
    assert!(seq > before.seq && after.seq > seq);
    assert_eq!((purged.epoch, purged.manifest), (state.epoch, state.manifest));
    let a = || vec!["assets/a-0b1c2d3e.js".to_owned()];
    assert_eq!(origin.without().await, [a(), a()]);
    let origin = origin.restart().await;
    // The release that was live at the time of the purge is inherited whole.
    origin.push("demo", &build(&[("index.html", "v4")])).await;
    assert_eq!(origin.without().await, [vec![], a(), a()]);
    origin.purge("assets/*").await;
    let assets = || vec!["assets/*".to_owned()];
    assert_eq!(origin.without().await, [assets(), assets(), assets()]);
    origin.purge("*").await;
    assert_eq!(origin.without().await, Vec::<Vec<String>>::new());
    origin.push("demo", &build(&[("index.html", "v5")])).await;
    assert_eq!(origin.without().await, [Vec::<String>::new()]);
    let rows = origin.rows().await;
    let row = rows.iter().find(|row| row.key == "purge/demo").unwrap();
    let Ok(ParsedRow::Purge(_, Some(state))) = row.parse() else { panic!("{row:?}") };
    let scopes = state.purges.iter().map(|purge| purge.scope.to_string()).collect::<Vec<_>>();
    assert_eq!(scopes, ["*", "assets/*", "assets/a-0b1c2d3e.js"]);
    assert_eq!(state.newest(), Some(row.seq));
    origin.stop().await;
}

#[tokio::test]
async fn purges_survive_the_end_of_inheritance_of_another_release() {
    let origin = with_three_releases_at(TestOrigin::start_with(end_at_once).await).await;
    origin.clock.advance(Duration::from_hours(12));
    origin.push("demo", &build(&[("index.html", "v4")])).await;
    origin.purge("index.html").await;
    origin.clock.advance(Duration::from_hours(13));
    let origin = origin.restart().await;
    verge_test_kit::until("the end of inheritance", async || origin.without().await.len() == 1).await;
    assert_eq!(origin.without().await, [vec!["index.html".to_owned()]]);
    origin.stop().await;
}

#[tokio::test]
async fn edges_confirm_a_purge_with_what_they_have_found() {
    let origin = TestOrigin::start_with(|config| {
        config.rollout_timing = Timing { stall: Duration::from_secs(2), ..Timing::default() };
    })
    .await;
    origin.create_site("demo").await;
    origin.push("demo", &build(&[("index.html", "v1")])).await;
    let [done, pending, silent] = ["done", "pending", "silent"].map(|name| async { origin.edge_token(name).await });
    let (done, pending, _silent) = (done.await, pending.await, silent.await);
    let mut feed = origin.subscribe(&done, None).await;
    feed.caught_up().await;
    let report = async |token: &str, report: EdgeReport| {
        let response = origin.request_as(token, Method::POST, "/v1/edges/report").json(&report).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
    };
    let edges = async {
        let row = feed.row().await;
        assert_eq!(row.key, "purge/demo");
        let at = Position { seq: Seq(row.seq.0 + 1), generation: "1-0".parse::<Position>().unwrap().generation };
        let site = || "demo".parse().unwrap();
        let reason = "channel live still serves a release from before the purge".to_owned();
        let purging = vec![PurgeLag { site: site(), seq: row.seq, running: false, reason }];
        report(&pending, EdgeReport { purging, ..EdgeReport::new(at, "0") }).await;
        let proof = PurgeProof { site: site(), seq: row.seq, files: 1, bytes: 2, bad: 1, replaced: 1, serves: None };
        report(&done, EdgeReport { purged: Some(vec![proof]), ..EdgeReport::new(at, "0") }).await;
    };
    let (events, ()) = tokio::join!(origin.purge("index.html"), edges);
    let PurgeProgress::Confirmed { edge, done, total, proof: Some(proof), .. } = &events[1] else {
        panic!("{events:?}")
    };
    assert_eq!((edge.as_str(), *done, *total, proof.bad, proof.replaced), ("done", 1, 3, 1, 1));
    let Some(PurgeProgress::Finished { confirmed, lagging, .. }) = events.last() else { panic!("{events:?}") };
    assert_eq!(confirmed.len(), 1);
    let reasons = lagging.iter().map(|lag| (lag.edge.as_str(), lag.reason.as_str(), lag.away)).collect::<Vec<_>>();
    let pending = ("pending", "channel live still serves a release from before the purge", false);
    assert_eq!(reasons, [pending, ("silent", "not seen since the origin started", false)]);
    let shown = origin.get::<Status>("/v1/status").await.purges;
    let PurgeProgress::Purging { seq, .. } = events[0] else { panic!("{events:?}") };
    let (site, since) = ("demo".parse().unwrap(), Some(origin.clock.now()));
    assert_eq!(shown, [PendingPurge { site, seq, since, edges: vec!["pending".parse().unwrap()] }]);
    let metrics = reqwest::get(format!("http://{}/metrics", origin.daemon.private_addr())).await.unwrap();
    assert!(metrics.text().await.unwrap().contains("\nverge_origin_pending_purges 1\n"));
    origin.stop().await;
}

#[tokio::test]
async fn purge_of_an_unknown_site_or_an_invalid_path_is_refused() {
    let origin = TestOrigin::start().await;
    let (status, body) = error(origin.post_purge("*").await).await;
    assert_eq!((status, body.code.as_str()), (404, "unknown_site"));
    origin.create_site("demo").await;
    for scope in ["", "/index.html", "../x", "a//*"] {
        let (status, body) = error(origin.post_purge(scope).await).await;
        assert_eq!((status, body.code.as_str()), (400, "invalid_body"), "{scope}");
    }
    assert!(matches!(origin.purge("*").await.last(), Some(PurgeProgress::Finished { .. })), "a site without a release");
    origin.stop().await;
}

#[tokio::test]
async fn log_lists_moves_and_purges_the_newest_first() {
    let origin = with_three_releases().await;
    origin.purge("assets/*").await;
    let expected = origin.live().await.1.epoch;
    let body = json!({ "release": "v1", "expected": expected });
    let rollback = origin.request(Method::POST, "/v1/sites/demo/channels/live").json(&body).send().await.unwrap();
    rollback.text().await.unwrap();
    let log: Vec<LogEntry> = origin.get("/v1/sites/demo/log").await;
    assert!(log.is_sorted_by(|newer, older| newer.seq > older.seq));
    let mut shown: Vec<serde_json::Value> = log.iter().map(|entry| serde_json::to_value(entry).unwrap()).collect();
    for (place, entry) in shown.iter_mut().enumerate() {
        entry["seq"] = place.into();
    }
    insta::assert_json_snapshot!(shown);
    let last: Vec<LogEntry> = origin.get("/v1/sites/demo/log?limit=2").await;
    assert_eq!(last, log[..2]);
    let (status, body) = error(origin.request(Method::GET, "/v1/sites/demo/log?limit=0").send().await.unwrap()).await;
    assert_eq!((status, body.code.as_str()), (400, "invalid_query"));
    origin.stop().await;
}
