//! Rollouts: prepare, switch, confirm; restarts in between, and requests that are repeated.

use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use verge_daemon::Tasks;
use verge_origin::Timing;
use verge_protocol::api::{BuildCreated, CreateRelease, Problem, Progress, Provenance, Release, Site, Status};
use verge_protocol::feed::FeedEvent;
use verge_protocol::host::HostLabel;
use verge_protocol::report::{EdgeReport, Preparation};
use verge_protocol::state::ParsedRow;
use verge_protocol::{EdgeName, Position, ReleaseNumber, Seq, Timestamp};
use verge_test_kit::until;

use super::test_origin::{Feed, TestBuild, TestOrigin, build, error, packed, progress};

/// What an edge does with a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mode {
    /// Reports that it is prepared.
    Prepares,
    /// Reports that it fetches and gets no further.
    Stuck(&'static str),
}

/// An edge that follows the feed and reports, without fetching anything.
struct FakeEdge {
    mode: watch::Sender<Mode>,
    task: JoinHandle<Option<()>>,
}

impl Drop for FakeEdge {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl FakeEdge {
    async fn start(origin: &TestOrigin, name: &str, mode: Mode) -> Self {
        let token = origin.edge_token(name).await;
        Self::start_with(origin, token, mode).await
    }

    async fn start_with(origin: &TestOrigin, token: String, mode: Mode) -> Self {
        let mode = watch::Sender::new(mode);
        let feed = origin.subscribe(&token, None).await;
        let report = origin.request_as(&token, Method::POST, "/v1/edges/report");
        let report: ReportRequest = Arc::new(move |body| report.try_clone().unwrap().json(&body));
        let task = Tasks::default().spawn("fake edge", follow(feed, report, mode.subscribe()));
        Self { mode, task }
    }

    fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

/// Makes the request of a report.
type ReportRequest = Arc<dyn Fn(EdgeReport) -> reqwest::RequestBuilder + Send + Sync>;

async fn follow(mut feed: Feed, request: ReportRequest, mut mode: watch::Receiver<Mode>) {
    let mut applied = Position::default();
    let mut preparation: Option<Preparation> = None;
    loop {
        tokio::select! {
            message = feed.next() => {
                let Some(message) = message else { return };
                applied = message.at.position;
                if let FeedEvent::Row(row) = message.event
                    && let Ok(ParsedRow::Rollout(HostLabel { site, channel }, state)) = row.parse()
                {
                    preparation = state.map(|state| Preparation {
                        site, channel, manifest: state.manifest, done: 1, total: 2, prepared: false, problem: None,
                    });
                }
            }
            _ = mode.changed() => {}
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        if let Some(preparation) = &mut preparation {
            let mode = mode.borrow_and_update().clone();
            preparation.prepared = mode == Mode::Prepares;
            preparation.problem = match mode {
                Mode::Stuck(problem) if !problem.is_empty() => Some(problem.to_owned()),
                _ => None,
            };
        }
        let preparations = Some(preparation.iter().cloned().collect());
        // An origin that stops refuses it.
        let _ = request(EdgeReport { preparations, ..EdgeReport::new(applied, "0.1.0") }).send().await;
    }
}

/// Creates a build and uploads its blobs.
async fn upload(origin: &TestOrigin, pushed: &TestBuild) -> BuildCreated {
    let created = origin.create_build("demo", &pushed.build).await;
    let missing: Vec<_> =
        pushed.blobs.iter().filter(|blob| created.missing.contains(&blob.digest())).cloned().collect();
    assert_eq!(origin.post_pack("demo", &created, packed(&missing)).await.status(), StatusCode::OK);
    created
}

/// Requests a release with an idempotency key.
async fn publish(origin: &TestOrigin, created: &BuildCreated, expected: Option<Seq>, key: &str) -> Response {
    let request = CreateRelease {
        build: created.build.clone(),
        channel: "live".parse().unwrap(),
        expected,
        provenance: Provenance::default(),
        idempotency_key: Some(key.parse().unwrap()),
        expires_seconds: None,
        canary: None,
    };
    origin.request(Method::POST, "/v1/sites/demo/releases").json(&request).send().await.unwrap()
}

/// Reads a progress stream until it tells that edges prepare.
async fn until_preparing(response: &mut Response) {
    assert_eq!(response.status(), StatusCode::OK);
    let mut text = String::new();
    while !text.contains("\"preparing\"") {
        text += std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap();
    }
}

fn released(events: &[Progress]) -> Option<(ReleaseNumber, Seq)> {
    events.iter().find_map(|event| match event {
        Progress::Released { release, epoch, .. } => Some((*release, *epoch)),
        _ => None,
    })
}

/// The confirmed edges, and those that are not; `*` marks one that is away.
fn finished(events: &[Progress]) -> (Vec<String>, Vec<String>) {
    let Some(Progress::Finished { confirmed, lagging, .. }) = events.last() else { panic!("{events:?}") };
    let lagging = lagging.iter().map(|lag| format!("{}{}: {}", lag.edge, if lag.away { "*" } else { "" }, lag.reason));
    (confirmed.iter().map(EdgeName::to_string).collect(), lagging.collect())
}

async fn release_numbers(origin: &TestOrigin) -> Vec<u64> {
    let releases: Vec<Release> = origin.get("/v1/sites/demo/releases").await;
    releases.into_iter().map(|release| release.number.0).collect()
}

async fn live(origin: &TestOrigin) -> Option<u64> {
    let site: Site = origin.get("/v1/sites/demo").await;
    site.channels.first().map(|channel| channel.release.0)
}

async fn patient() -> TestOrigin {
    let origin = TestOrigin::start_with(|config| config.rollout_timing = Timing::default()).await;
    origin.create_site("demo").await;
    origin
}

#[tokio::test]
async fn repeated_request_follows_the_first_one_and_releases_once() {
    let origin = patient().await;
    let edge = FakeEdge::start(&origin, "fra-1", Mode::Stuck("")).await;
    let created = upload(&origin, &build(&[("index.html", "one")])).await;
    let mut first = publish(&origin, &created, None, "key-1").await;
    until_preparing(&mut first).await;
    let mut second = publish(&origin, &created, None, "key-1").await;
    until_preparing(&mut second).await;
    let (status, other) = error(publish(&origin, &created, None, "key-2").await).await;
    assert_eq!((status, other.code.as_str()), (409, "channel_busy"));
    let watched = origin.request(Method::GET, "/v1/sites/demo/channels/live/rollout").send().await.unwrap();
    assert_eq!(live(&origin).await, None, "nothing is live before it is prepared");

    edge.set(Mode::Prepares);
    for stream in [first, second, watched] {
        let events = progress(stream).await;
        assert_eq!(released(&events), Some((ReleaseNumber(1), Seq(3))));
        assert_eq!(finished(&events), (vec!["fra-1".to_owned()], vec![]));
    }
    let again = progress(publish(&origin, &created, None, "key-1").await).await;
    assert_eq!((released(&again), finished(&again).0.len()), (Some((ReleaseNumber(1), Seq(3))), 1));
    let watched = origin.request(Method::GET, "/v1/sites/demo/channels/live/rollout").send().await.unwrap();
    assert_eq!(released(&progress(watched).await), Some((ReleaseNumber(1), Seq(3))));
    let (status, late) = error(publish(&origin, &created, None, "key-2").await).await;
    assert_eq!((status, late.code.as_str()), (409, "conflict"));
    assert_eq!(release_numbers(&origin).await, [1]);
}

#[tokio::test]
async fn rollout_is_resumed_after_a_restart() {
    let origin = patient().await;
    let token = origin.edge_token("fra-1").await;
    let edge = FakeEdge::start_with(&origin, token.clone(), Mode::Stuck("")).await;
    let created = upload(&origin, &build(&[("index.html", "one")])).await;
    let mut push = publish(&origin, &created, None, "key-1").await;
    until_preparing(&mut push).await;
    drop(edge);
    let origin = origin.restart().await;
    assert_eq!((live(&origin).await, release_numbers(&origin).await), (None, vec![1]));
    let _edge = FakeEdge::start_with(&origin, token, Mode::Prepares).await;
    let events = progress(publish(&origin, &created, None, "key-1").await).await;
    assert_eq!(released(&events).unwrap().0, ReleaseNumber(1));
    assert_eq!(finished(&events), (vec!["fra-1".to_owned()], vec![]));
    assert_eq!((live(&origin).await, release_numbers(&origin).await), (Some(1), vec![1]));
}

#[tokio::test]
async fn rollout_that_began_long_before_a_restart_is_abandoned() {
    let origin = patient().await;
    let token = origin.edge_token("fra-1").await;
    let edge = FakeEdge::start_with(&origin, token.clone(), Mode::Stuck("")).await;
    let created = upload(&origin, &build(&[("index.html", "one")])).await;
    until_preparing(&mut publish(&origin, &created, None, "key-1").await).await;
    drop(edge);
    origin.clock.advance(Duration::from_mins(11));
    let origin = origin.restart().await;
    let mut feed = origin.subscribe(&token, None).await;
    until("the rollout is deleted", async || {
        let row = feed.next().await.map(|message| message.event);
        matches!(row, Some(FeedEvent::Row(row)) if row.key == "rollout/demo/live" && row.value.is_none())
    })
    .await;
    assert_eq!(live(&origin).await, None);
    // The same push, repeated, releases what was released then.
    let _edge = FakeEdge::start_with(&origin, token, Mode::Prepares).await;
    let events = progress(publish(&origin, &created, None, "key-1").await).await;
    assert_eq!(released(&events).map(|(release, _)| release), Some(ReleaseNumber(1)));
    assert_eq!((live(&origin).await, release_numbers(&origin).await), (Some(1), vec![1]));
}

#[tokio::test]
async fn rollout_that_edges_cannot_prepare_is_abandoned_and_leaves_the_channel() {
    let origin = TestOrigin::start_with(|config| {
        config.rollout_timing = Timing { stall: Duration::from_secs(1), ..Timing::default() };
    })
    .await;
    origin.create_site("demo").await;
    let edges =
        [FakeEdge::start(&origin, "a", Mode::Prepares).await, FakeEdge::start(&origin, "b", Mode::Prepares).await];
    let events = origin.push("demo", &build(&[("index.html", "one")])).await;
    let (_, epoch) = released(&events).unwrap();
    for edge in &edges {
        edge.set(Mode::Stuck("the disk is full"));
    }
    let created = upload(&origin, &build(&[("index.html", "two")])).await;
    let events = progress(publish(&origin, &created, Some(epoch), "key-2").await).await;
    let Some(Progress::Failed(body)) = events.last() else { panic!("{events:?}") };
    assert_eq!(body.code, "rollout_abandoned");
    let reason = "2 of 2 live edges are not prepared: a: the disk is full; b: the disk is full";
    assert_eq!(body.message, format!("v2 of demo was not made live: {reason}"));
    assert_eq!((released(&events), live(&origin).await), (None, Some(1)));
    for edge in &edges {
        edge.set(Mode::Prepares);
    }
    let events = progress(publish(&origin, &created, Some(epoch), "key-2").await).await;
    assert_eq!(released(&events).map(|(release, _)| release), Some(ReleaseNumber(2)));
    assert_eq!((live(&origin).await, release_numbers(&origin).await), (Some(2), vec![2, 1]));
}

#[tokio::test]
async fn push_right_after_a_restart_waits_for_edges_that_were_not_seen_yet() {
    let origin = patient().await;
    let token = origin.edge_token("fra-1").await;
    let origin = origin.restart().await;
    let push = {
        let created = upload(&origin, &build(&[("index.html", "one")])).await;
        let mut push = publish(&origin, &created, None, "key-1").await;
        until_preparing(&mut push).await;
        push
    };
    let _edge = FakeEdge::start_with(&origin, token, Mode::Prepares).await;
    assert_eq!(finished(&progress(push).await), (vec!["fra-1".to_owned()], vec![]));
}

#[tokio::test]
async fn every_edge_of_the_fleet_that_does_not_confirm_is_named() {
    let origin = TestOrigin::start_with(|config| {
        let away = Duration::from_secs(4);
        config.rollout_timing = Timing { stall: Duration::from_millis(500), away, ..Timing::default() };
    })
    .await;
    origin.create_site("demo").await;
    let _live = FakeEdge::start(&origin, "live", Mode::Prepares).await;
    let draining = origin.edge_token("draining").await;
    let report = EdgeReport { draining: true, ..EdgeReport::new(Position::default(), "0.1.0") };
    let sent = origin.request_as(&draining, Method::POST, "/v1/edges/report").json(&report).send().await.unwrap();
    assert_eq!(sent.status(), StatusCode::NO_CONTENT);
    origin.edge_token("no-report").await;
    let settings = json!({ "addresses": ["192.0.2.1"], "port": 80, "weight": 1, "regions": [], "location": null });
    for edge in ["configured", "forced-down"] {
        let settings = if edge == "configured" {
            settings.clone()
        } else {
            json!({ "addresses": ["192.0.2.2"], "port": 80, "weight": 1, "regions": [], "location": null })
        };
        assert!(origin.put(&format!("/v1/edges/{edge}"), settings).await.status().is_success());
    }
    assert!(origin.put("/v1/edges/forced-down/force", json!({ "force": "down" })).await.status().is_success());
    let events = origin.push("demo", &build(&[("index.html", "one")])).await;
    let unseen = |edge: &str, away: &str| format!("{edge}{away}: not seen since the origin started");
    assert_eq!(
        finished(&events),
        (vec!["live".to_owned()], vec![unseen("configured", ""), unseen("no-report", "")]),
        "{events:?}"
    );
    until("the edges without a report are away", async || {
        let events =
            progress(origin.request(Method::GET, "/v1/sites/demo/channels/live/rollout").send().await.unwrap());
        finished(&events.await).1 == [unseen("configured", "*"), unseen("no-report", "*")]
    })
    .await;
}

#[tokio::test]
async fn build_of_the_files_that_are_live_is_told() {
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    let files = build(&[("index.html", "one"), ("a.css", "p{}")]);
    assert!(!origin.create_build("demo", &files.build).await.unchanged);
    origin.push("demo", &files).await;
    assert!(origin.create_build("demo", &files.build).await.unchanged);
    let mut other = files.build.clone();
    other.fallback = verge_protocol::Fallback::SinglePage { path: "index.html".parse().unwrap() };
    assert!(!origin.create_build("demo", &other).await.unchanged, "another fallback");
    assert!(!origin.create_build("demo", &build(&[("index.html", "one")]).build).await.unchanged);
}

#[tokio::test]
async fn clock_of_an_edge_that_differs_is_a_problem() {
    let origin = TestOrigin::start().await;
    let token = origin.edge_token("fra-1").await;
    for (ahead, expected) in [(59_000_i64, None), (90_061_000, Some(90_061)), (-61_000, Some(-61))] {
        origin.clock.advance(Duration::from_hours(1));
        let time = Timestamp(origin.clock.now().0.strict_add_signed(ahead));
        let report = EdgeReport { time: Some(time), ..EdgeReport::new(Position::default(), "0.1.0") };
        origin.request_as(&token, Method::POST, "/v1/edges/report").json(&report).send().await.unwrap();
        let problems = origin.get::<Status>("/v1/status").await.problems;
        let edge: EdgeName = "fra-1".parse().unwrap();
        let (origin_ahead, others): (Vec<Problem>, Vec<Problem>) =
            problems.into_iter().partition(|problem| matches!(problem, Problem::ClockAhead { .. }));
        assert_eq!(origin_ahead.len(), usize::from(expected.is_some_and(|ahead_seconds| ahead_seconds < 0)));
        let expected = expected.map(|ahead_seconds| Problem::ClockDiffers { edge, ahead_seconds });
        assert_eq!(others, expected.into_iter().collect::<Vec<_>>());
    }
}
