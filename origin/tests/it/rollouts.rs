//! Rollouts: prepare, switch, confirm; restarts in between, and requests that are repeated.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use verge_daemon::Tasks;
use verge_origin::Timing;
use verge_protocol::api::{BuildCreated, CreateRelease, Problem, Progress, Provenance, Release, Site, Status};
use verge_protocol::canary::{CanaryPlan, ResponseCounts};
use verge_protocol::feed::FeedEvent;
use verge_protocol::host::HostLabel;
use verge_protocol::report::{CanaryCounts, EdgeReport, Preparation};
use verge_protocol::state::ParsedRow;
use verge_protocol::{Build, EdgeName, HtmlPaths, Position, ReleaseNumber, Seq, Timestamp};
use verge_test_kit::{on_small_disk, until};

use super::full_disk::{self, DISK, runtime};
use super::test_origin::{Feed, TestBuild, TestOrigin, build, error, packed, progress};

/// What an edge does with a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Mode {
    /// Reports that it is prepared.
    Prepares,
    /// Reports that it fetches and gets no further.
    Stuck(&'static str),
    /// Like `Prepares`, and, as an edge of a canary, that so many of 100 responses were not found.
    ServesCanary(u64),
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
        Self::start_with(origin, name, token, mode).await
    }

    async fn start_with(origin: &TestOrigin, name: &str, token: String, mode: Mode) -> Self {
        let mode = watch::Sender::new(mode);
        let feed = origin.subscribe(&token, None).await;
        let report = origin.request_as(&token, Method::POST, "/v1/edges/report");
        let report: ReportRequest = Arc::new(move |body| report.try_clone().unwrap().json(&body));
        let task = Tasks::default().spawn("fake edge", follow(name.parse().unwrap(), feed, report, mode.subscribe()));
        Self { mode, task }
    }

    fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }
}

/// Makes the request of a report.
type ReportRequest = Arc<dyn Fn(EdgeReport) -> reqwest::RequestBuilder + Send + Sync>;

async fn follow(name: EdgeName, mut feed: Feed, request: ReportRequest, mut mode: watch::Receiver<Mode>) {
    let mut applied = Position::default();
    let mut preparation: Option<Preparation> = None;
    let mut is_canary = false;
    loop {
        tokio::select! {
            message = feed.next() => {
                let Some(message) = message else { return };
                applied = message.at.position;
                if let FeedEvent::Row(row) = message.event
                    && let Ok(ParsedRow::Rollout(HostLabel { site, channel }, state)) = row.parse()
                {
                    is_canary = state.iter().flat_map(|state| &state.canary).any(|canary| canary.edges.contains(&name));
                    preparation = state.map(|state| Preparation {
                        site, channel, manifest: state.manifest, done: 1, total: 2, prepared: false, problem: None,
                    });
                }
            }
            _ = mode.changed() => {}
            () = tokio::time::sleep(Duration::from_secs(1)) => {}
        }
        let mut canaries = Vec::new();
        if let Some(preparation) = &mut preparation {
            let mode = mode.borrow_and_update().clone();
            preparation.prepared = !matches!(mode, Mode::Stuck(_));
            if let Mode::ServesCanary(not_found) = mode
                && is_canary
            {
                let Preparation { site, channel, manifest, .. } = preparation.clone();
                let counts = ResponseCounts { responses: 100, not_found, ..ResponseCounts::default() };
                canaries.push(CanaryCounts { site, channel, manifest, counts });
            }
            preparation.problem = match mode {
                Mode::Stuck(problem) if !problem.is_empty() => Some(problem.to_owned()),
                _ => None,
            };
        }
        let preparations = Some(preparation.iter().cloned().collect());
        // An origin that stops refuses it.
        let _ = request(EdgeReport { preparations, canaries, ..EdgeReport::new(applied, "0.1.0") }).send().await;
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
    publish_with(origin, created, expected, key, None).await
}

/// The same, with a canary.
async fn publish_with(
    origin: &TestOrigin,
    created: &BuildCreated,
    expected: Option<Seq>,
    key: &str,
    canary: Option<CanaryPlan>,
) -> Response {
    let request = CreateRelease {
        build: created.build.clone(),
        channel: "live".parse().unwrap(),
        expected,
        provenance: Provenance::default(),
        idempotency_key: Some(key.parse().unwrap()),
        expires_seconds: None,
        canary,
    };
    origin.request(Method::POST, "/v1/sites/demo/releases").json(&request).send().await.unwrap()
}

/// Reads a progress stream until it tells that edges prepare.
async fn until_preparing(response: &mut Response) {
    until_event(response, "preparing").await;
}

/// Reads a progress stream until it has this event.
async fn until_event(response: &mut Response, event: &str) {
    assert_eq!(response.status(), StatusCode::OK);
    let mut text = String::new();
    while !text.contains(&format!("\"event\":\"{event}\"")) {
        text += std::str::from_utf8(&response.chunk().await.unwrap().unwrap()).unwrap();
    }
}

/// What becomes of the channel that moves now.
async fn watch_rollout(origin: &TestOrigin) -> Response {
    origin.request(Method::GET, "/v1/sites/demo/channels/live/rollout").send().await.unwrap()
}

/// The code and message of the error that ends the progress.
fn failed(events: &[Progress]) -> (&str, &str) {
    let Some(Progress::Failed(body)) = events.last() else { panic!("{events:?}") };
    (&body.code, &body.message)
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
    let watched = watch_rollout(&origin).await;
    assert_eq!(live(&origin).await, None, "nothing is live before it is prepared");

    edge.set(Mode::Prepares);
    for stream in [first, second, watched] {
        let events = progress(stream).await;
        assert_eq!(released(&events), Some((ReleaseNumber(1), Seq(3))));
        assert_eq!(finished(&events), (vec!["fra-1".to_owned()], vec![]));
    }
    let again = progress(publish(&origin, &created, None, "key-1").await).await;
    assert_eq!((released(&again), finished(&again).0.len()), (Some((ReleaseNumber(1), Seq(3))), 1));
    let watched = watch_rollout(&origin).await;
    assert_eq!(released(&progress(watched).await), Some((ReleaseNumber(1), Seq(3))));
    let (status, late) = error(publish(&origin, &created, None, "key-2").await).await;
    assert_eq!((status, late.code.as_str()), (409, "conflict"));
    assert_eq!(release_numbers(&origin).await, [1]);
}

#[tokio::test]
async fn rollout_is_resumed_after_a_restart() {
    let origin = patient().await;
    let token = origin.edge_token("fra-1").await;
    let edge = FakeEdge::start_with(&origin, "fra-1", token.clone(), Mode::Stuck("")).await;
    let created = upload(&origin, &build(&[("index.html", "one")])).await;
    let mut push = publish(&origin, &created, None, "key-1").await;
    until_preparing(&mut push).await;
    drop(edge);
    let origin = origin.restart().await;
    assert_eq!((live(&origin).await, release_numbers(&origin).await), (None, vec![1]));
    let _edge = FakeEdge::start_with(&origin, "fra-1", token, Mode::Prepares).await;
    let events = progress(publish(&origin, &created, None, "key-1").await).await;
    assert_eq!(released(&events).unwrap().0, ReleaseNumber(1));
    assert_eq!(finished(&events), (vec!["fra-1".to_owned()], vec![]));
    assert_eq!((live(&origin).await, release_numbers(&origin).await), (Some(1), vec![1]));
}

#[tokio::test]
async fn rollout_that_began_long_before_a_restart_is_abandoned() {
    let origin = patient().await;
    let token = origin.edge_token("fra-1").await;
    let edge = FakeEdge::start_with(&origin, "fra-1", token.clone(), Mode::Stuck("")).await;
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
    let _edge = FakeEdge::start_with(&origin, "fra-1", token, Mode::Prepares).await;
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
    let reason = "2 of 2 live edges are not prepared: a: the disk is full; b: the disk is full";
    let message = format!("v2 of demo was not made live: {reason}");
    assert_eq!(failed(&events), ("rollout_abandoned", message.as_str()));
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
    let _edge = FakeEdge::start_with(&origin, "fra-1", token, Mode::Prepares).await;
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
        let events = progress(watch_rollout(&origin).await).await;
        finished(&events).1 == [unseen("configured", "*"), unseen("no-report", "*")]
    })
    .await;
}

#[tokio::test]
async fn build_of_the_files_that_are_live_is_reported_as_unchanged() {
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    let files = build(&[("index.html", "one"), ("a.css", "p{}")]);
    assert_eq!(origin.create_build("demo", &files.build).await.unchanged, Some(false));
    origin.push("demo", &files).await;
    assert_eq!(origin.create_build("demo", &files.build).await.unchanged, Some(true));
    let mut other = files.build.clone();
    other.fallback = verge_protocol::Fallback::SinglePage { path: "index.html".parse().unwrap() };
    assert_eq!(origin.create_build("demo", &other).await.unchanged, Some(false), "another fallback");
    assert_eq!(origin.create_build("demo", &build(&[("index.html", "one")]).build).await.unchanged, Some(false));
}

/// A change of a build.
type Change = fn(&mut Build);

#[tokio::test]
async fn build_of_the_same_files_with_other_rules_addresses_or_service_workers_is_not_unchanged() {
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    let mut pushed = build(&[("index.html", "one"), ("sw.js", "1")]);
    pushed.build.rules = serde_json::from_value(json!({
        "redirects": [{ "from": "/a", "to": "/b", "status": 301 }],
        "headers": [{ "for": "/*", "headers": [["x-a", "1"]] }],
        "passwords": [{ "for": "/staff/*", "users": [format!("{}:{}", "0".repeat(32), "0".repeat(64))] }],
    }))
    .unwrap();
    pushed.build.html = HtmlPaths::Keep;
    pushed.build.legacy_service_workers = vec!["sw.js".parse().unwrap()];
    origin.push("demo", &pushed).await;
    assert_eq!(origin.create_build("demo", &pushed.build).await.unchanged, Some(true));
    let changes: [(&str, Change); 5] = [
        ("redirects", |build| build.rules.redirects.clear()),
        ("headers", |build| build.rules.headers.clear()),
        ("passwords", |build| build.rules.passwords.clear()),
        ("html", |build| build.html = HtmlPaths::Auto),
        ("service workers", |build| build.legacy_service_workers.clear()),
    ];
    for (name, change) in changes {
        let mut other = pushed.build.clone();
        change(&mut other);
        assert_eq!(origin.create_build("demo", &other).await.unchanged, Some(false), "{name}");
    }
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

async fn abandonment_cannot_be_written(disk: &Path) {
    let origin = TestOrigin::start_with(|config| {
        config.rollout_timing = Timing { stall: Duration::from_secs(1), ..Timing::default() };
    })
    .await;
    origin.create_site("demo").await;
    let edge = FakeEdge::start(&origin, "fra-1", Mode::Prepares).await;
    let (_, epoch) = released(&origin.push("demo", &build(&[("index.html", "one")])).await).unwrap();
    edge.set(Mode::Stuck("the link is slow"));
    let created = upload(&origin, &build(&[("index.html", "two")])).await;
    let mut push = publish(&origin, &created, Some(epoch), "key-2").await;
    until_preparing(&mut push).await;
    full_disk::fill(disk, 0);
    let events = progress(push).await;
    assert!(events.iter().all(|event| matches!(event, Progress::Fetching { .. })), "nothing is definite: {events:?}");
    full_disk::make_room(disk);
    origin.clock.advance(Duration::from_secs(1));
    let events = progress(publish(&origin, &created, Some(epoch), "key-2").await).await;
    assert_eq!((failed(&events).0, released(&events), live(&origin).await), ("rollout_abandoned", None, Some(1)));
    edge.set(Mode::Prepares);
    origin.clock.advance(Duration::from_secs(1));
    let events = progress(publish(&origin, &created, Some(epoch), "key-2").await).await;
    assert_eq!(released(&events).map(|(release, _)| release), Some(ReleaseNumber(2)));
    assert_eq!((live(&origin).await, release_numbers(&origin).await), (Some(2), vec![2, 1]));
    origin.stop().await;
}

#[test]
fn progress_of_an_abandonment_that_cannot_be_written_is_cut_and_a_repeated_request_learns_the_outcome() {
    let name = "it::rollouts::progress_of_an_abandonment_that_cannot_be_written_is_cut_and_a_repeated_request_learns_the_outcome";
    on_small_disk(name, DISK, |disk| runtime().block_on(abandonment_cannot_be_written(disk)));
}

#[tokio::test]
async fn canary_goes_on_after_a_restart_if_enough_edges_are_back_and_is_abandoned_otherwise() {
    for back in [&["a", "b"][..], &["a"], &[]] {
        let origin = TestOrigin::start_with(|config| {
            config.rollout_timing = Timing { stall: Duration::from_secs(3), ..Timing::default() };
        })
        .await;
        origin.create_site("demo").await;
        let tokens = [origin.edge_token("a").await, origin.edge_token("b").await];
        let mut edges = Vec::new();
        for (name, token) in ["a", "b"].into_iter().zip(&tokens) {
            edges.push(FakeEdge::start_with(&origin, name, token.clone(), Mode::ServesCanary(0)).await);
        }
        let (_, epoch) = released(&origin.push("demo", &build(&[("index.html", "one")])).await).unwrap();
        let created = upload(&origin, &build(&[("index.html", "two")])).await;
        let canary = Some(CanaryPlan { edges: "1".parse().unwrap(), seconds: 600 });
        let mut push = publish_with(&origin, &created, Some(epoch), "key-2", canary).await;
        until_event(&mut push, "canary").await;
        drop((edges, push));
        let origin = origin.restart().await;
        let progress_after_restart = watch_rollout(&origin).await;
        let mut edges = Vec::new();
        for (name, token) in back.iter().zip(&tokens) {
            edges.push(FakeEdge::start_with(&origin, name, token.clone(), Mode::ServesCanary(30)).await);
        }
        let events = progress(progress_after_restart).await;
        let reason = match back.len() {
            2 => "on its canary edges, 30 of 100 responses were not found (404); with the release before it, ",
            _ => "the origin was restarted during its canary, and too few edges are left to go on with it",
        };
        let (code, message) = failed(&events);
        assert_eq!(code, "rollout_abandoned");
        assert!(message.starts_with(&format!("v2 of demo was not made live: {reason}")), "{back:?}: {message}");
        assert_eq!(live(&origin).await, Some(1));
        // Some readers have got it: their tabs find its chunks.
        let mut feed = origin.subscribe(&tokens[0], None).await;
        let row = loop {
            let row = feed.row().await;
            if let Ok(ParsedRow::Channel(_, Some(state))) = row.parse() {
                break state;
            }
        };
        assert_eq!(row.inherits.len(), 1, "{row:?}");
    }
}
