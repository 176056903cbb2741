//! Channels other than `live`: how long they exist, and their deletion.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions as _, Connection as _};
use verge_daemon::Clock;
use verge_origin::Config;
use verge_protocol::api::{
    Channel, CreateRelease, ErrorBody, LogEntry, LogEvent, MoveChannel, Problem, Progress, Provenance, Release, Site,
    Status,
};
use verge_protocol::feed::{FeedEvent, FeedMessage};
use verge_protocol::report::EdgeReport;
use verge_protocol::state::{ChannelState, ParsedRow};
use verge_protocol::{Position, ReleaseNumber, Seq, Timestamp};
use verge_test_kit::until;

use super::test_origin::{TestBuild, TestOrigin, build, error, packed, progress};

const HOUR: u64 = 3600;

fn released(events: &[Progress]) -> (ReleaseNumber, Seq) {
    let released = events.iter().find_map(|event| match event {
        Progress::Released { release, epoch, .. } => Some((*release, *epoch)),
        _ => None,
    });
    released.unwrap_or_else(|| panic!("no release: {events:?}"))
}

/// Has what ends by time end as soon as the clock shows it.
pub(super) fn end_at_once(config: &mut Config) {
    config.expiry_check_interval = Duration::from_millis(10);
    // No edge is waited for that would tell its time.
    config.rollout_timing.live = Duration::ZERO;
}

async fn start() -> TestOrigin {
    let origin = TestOrigin::start_with(end_at_once).await;
    origin.create_site("demo").await;
    origin
}

/// Pushes to a channel, which is expected at this epoch.
async fn push(
    origin: &TestOrigin,
    channel: &str,
    pushed: &TestBuild,
    expected: Option<Seq>,
    expires_seconds: Option<u64>,
) -> Vec<Progress> {
    let created = origin.create_build("demo", &pushed.build).await;
    origin.post_pack("demo", &created, packed(&pushed.blobs)).await;
    let request = CreateRelease {
        build: created.build,
        channel: channel.parse().unwrap(),
        expected,
        provenance: Provenance::default(),
        idempotency_key: None,
        expires_seconds,
        canary: None,
    };
    progress(origin.request(Method::POST, "/v1/sites/demo/releases").json(&request).send().await.unwrap()).await
}

async fn channel(origin: &TestOrigin, name: &str) -> Option<Channel> {
    let site: Site = origin.get("/v1/sites/demo").await;
    site.channels.into_iter().find(|channel| channel.name.as_str() == name)
}

/// Hours from now until the channel ends.
async fn hours_left(origin: &TestOrigin, name: &str) -> Option<u64> {
    let expires = channel(origin, name).await.unwrap().expires?;
    Some((expires.0 - origin.clock.now().0) / 1000 / HOUR)
}

fn advance(origin: &TestOrigin, hours: u64) {
    origin.clock.advance(Duration::from_hours(hours));
}

#[tokio::test]
async fn channel_is_deleted_when_its_time_since_the_last_move_has_ended() {
    let origin = start().await;
    let (_, first) = released(&push(&origin, "pr-12", &build(&[("index.html", "one")]), None, Some(24 * HOUR)).await);
    assert_eq!(hours_left(&origin, "pr-12").await, Some(24));
    advance(&origin, 23);
    let (_, second) = released(&push(&origin, "pr-12", &build(&[("index.html", "two")]), Some(first), None).await);
    assert_eq!(hours_left(&origin, "pr-12").await, Some(24), "a push begins the time anew");
    advance(&origin, 23);
    let back = MoveChannel { release: ReleaseNumber(1), expected: Some(second), idempotency_key: None, author: None };
    let moved = origin.request(Method::POST, "/v1/sites/demo/channels/pr-12").json(&back).send().await.unwrap();
    let (_, third) = released(&progress(moved).await);
    assert_eq!(hours_left(&origin, "pr-12").await, Some(24), "so does a rollback");
    advance(&origin, 23);
    // Other channels are none of its business.
    push(&origin, "pr-13", &build(&[("index.html", "other")]), None, Some(HOUR)).await;
    advance(&origin, 1);
    until("the channels to be deleted", async || {
        channel(&origin, "pr-12").await.is_none() && channel(&origin, "pr-13").await.is_none()
    })
    .await;
    let mut feed = origin.subscribe(&origin.edge_token("fra-1").await, None).await;
    let mut tombstones = Vec::new();
    while let Some(FeedMessage { event: FeedEvent::Row(row), .. }) = feed.next().await {
        // Beside those of the rollouts.
        if row.value.is_none() && row.key.starts_with("channel/") {
            assert!(row.seq > third);
            tombstones.push(row.key);
        }
    }
    tombstones.sort();
    assert_eq!(tombstones, ["channel/demo/pr-12", "channel/demo/pr-13"]);
    origin.stop().await;
}

#[tokio::test]
async fn channel_without_a_time_or_with_zero_seconds_stays() {
    let origin = start().await;
    push(&origin, "staging", &build(&[("index.html", "a")]), None, None).await;
    let (_, epoch) = released(&push(&origin, "pr-1", &build(&[("index.html", "a")]), None, Some(HOUR)).await);
    push(&origin, "pr-1", &build(&[("index.html", "b")]), Some(epoch), Some(0)).await;
    push(&origin, "pr-2", &build(&[("index.html", "c")]), None, Some(HOUR)).await;
    advance(&origin, 1000);
    until("the channel to be deleted", async || channel(&origin, "pr-2").await.is_none()).await;
    for name in ["staging", "pr-1"] {
        assert_eq!(channel(&origin, name).await.unwrap().expires, None, "{name}");
    }
    origin.stop().await;
}

#[tokio::test]
async fn failed_push_does_not_change_how_long_a_channel_exists() {
    let origin = start().await;
    let (_, epoch) = released(&push(&origin, "pr-1", &build(&[("index.html", "a")]), None, Some(48 * HOUR)).await);
    advance(&origin, 24);
    let created = origin.create_build("demo", &build(&[("index.html", "a")]).build).await;
    for (expected, expires_seconds, channel, code) in [
        (Some(Seq(epoch.0 + 1)), Some(HOUR), "pr-1", "conflict"),
        (Some(epoch), Some(u64::MAX), "pr-1", "invalid_expiry"),
        (None, Some(HOUR), "live", "invalid_expiry"),
    ] {
        let request = CreateRelease {
            build: created.build.clone(),
            channel: channel.parse().unwrap(),
            expected,
            provenance: Provenance::default(),
            idempotency_key: None,
            expires_seconds,
            canary: None,
        };
        let answer = origin.request(Method::POST, "/v1/sites/demo/releases").json(&request).send().await.unwrap();
        assert_eq!(error(answer).await.1.code, code);
    }
    assert_eq!(hours_left(&origin, "pr-1").await, Some(24));
    origin.stop().await;
}

/// The number of releases that each channel inherits.
async fn inherited(origin: &TestOrigin, token: &str) -> BTreeMap<String, usize> {
    let mut feed = origin.subscribe(token, None).await;
    let mut inherited = BTreeMap::new();
    while let Some(FeedMessage { event: FeedEvent::Row(row), .. }) = feed.next().await {
        if let Ok(ParsedRow::Channel(label, Some(state))) = row.parse() {
            inherited.insert(format!("{}/{}", label.site, label.channel), state.inherits.len());
        }
    }
    inherited
}

#[tokio::test]
async fn clock_that_jumps_ahead_of_those_of_edges_ends_neither_inheritance_nor_channels() {
    let origin = start().await;
    let token = origin.edge_token("fra-1").await;
    let began = origin.clock.now();
    let edge_at = async |hour: u64| {
        let time = Some(began.after(Duration::from_hours(hour)));
        let report = EdgeReport { time, ..EdgeReport::new(Position::default(), "0.1.0") };
        origin.request_as(&token, Method::POST, "/v1/edges/report").json(&report).send().await.unwrap();
    };
    origin.create_site("other").await;
    for text in ["one", "two"] {
        origin.push("other", &build(&[("index.html", text)])).await;
    }
    push(&origin, "pr-24", &build(&[("index.html", "one")]), None, Some(24 * HOUR)).await;
    push(&origin, "pr-30", &build(&[("index.html", "one")]), None, Some(30 * HOUR)).await;
    advance(&origin, 1);
    edge_at(1).await;
    for text in ["one", "two"] {
        origin.push("demo", &build(&[("index.html", text)])).await;
    }

    advance(&origin, 30);
    origin.push("demo", &build(&[("index.html", "three")])).await;
    let problems = origin.get::<Status>("/v1/status").await.problems;
    assert!(matches!(problems[0], Problem::ClockAhead { seconds } if seconds.div_ceil(HOUR) == 30), "{problems:?}");
    let pr_24 = channel(&origin, "pr-24").await;
    assert!(pr_24.is_some_and(|pr_24| pr_24.expires < Some(origin.clock.now())));
    edge_at(24).await;
    until("what ends at hour 24 to end", async || {
        inherited(&origin, &token).await["other/live"] == 0 && channel(&origin, "pr-24").await.is_none()
    })
    .await;
    assert_eq!(inherited(&origin, &token).await["demo/live"], 2, "until hour 25, and after the jump");
    assert!(channel(&origin, "pr-30").await.is_some());

    edge_at(31).await;
    until("the rest to end", async || {
        inherited(&origin, &token).await["demo/live"] == 1 && channel(&origin, "pr-30").await.is_none()
    })
    .await;
    assert_eq!(origin.get::<Status>("/v1/status").await.problems, []);
    origin.stop().await;
}

#[tokio::test]
async fn clock_that_is_set_back_delays_the_end_of_a_channel() {
    // The clock of the first push is ahead; that of the next process is not.
    let mut origin = start().await;
    advance(&origin, 1000);
    push(&origin, "pr-1", &build(&[("index.html", "a")]), None, Some(HOUR)).await;
    push(&origin, "pr-2", &build(&[("index.html", "b")]), None, Some(2 * HOUR)).await;
    origin.clock = Clock::manual(Timestamp(1_000));
    let origin = origin.restart().await;
    advance(&origin, 1000);
    assert_eq!(hours_left(&origin, "pr-1").await, Some(1));
    advance(&origin, 1);
    until("the channel to be deleted", async || channel(&origin, "pr-1").await.is_none()).await;
    assert!(channel(&origin, "pr-2").await.is_some());
    origin.stop().await;
}

#[tokio::test]
async fn deleted_channel_is_gone_and_a_push_creates_it_anew_without_its_past() {
    let origin = start().await;
    let (_, first) = released(&push(&origin, "pr-1", &build(&[("index.html", "one")]), None, Some(HOUR)).await);
    let (_, second) = released(&push(&origin, "pr-1", &build(&[("index.html", "two")]), Some(first), None).await);
    let delete = async |channel: &str, expected: u64| {
        origin.delete(&format!("/v1/sites/demo/channels/{channel}?expected={expected}")).await
    };
    for (channel, expected, status, code) in [
        ("pr-1", first.0, 409, "conflict"),
        ("pr-9", second.0, 404, "unknown_channel"),
        ("live", second.0, 400, "live_channel"),
    ] {
        let (found, body): (u16, ErrorBody) = error(delete(channel, expected).await).await;
        assert_eq!((found, body.code.as_str()), (status, code));
        assert!(body.hint.is_some());
    }
    assert_eq!(delete("pr-1", second.0).await.status(), 204);
    assert!(channel(&origin, "pr-1").await.is_none());
    assert_eq!(error(delete("pr-1", second.0).await).await.1.code, "unknown_channel");

    let origin = origin.restart().await;
    let mut feed = origin.subscribe(&origin.edge_token("fra-1").await, None).await;
    let (_, third) = released(&push(&origin, "pr-1", &build(&[("index.html", "three")]), None, None).await);
    let pr = channel(&origin, "pr-1").await.unwrap();
    assert_eq!((pr.release, pr.previous, pr.expires), (ReleaseNumber(3), None, None));
    let state = loop {
        let FeedMessage { event, .. } = feed.next().await.unwrap();
        let FeedEvent::Row(row) = event else { continue };
        if let Ok(ParsedRow::Channel(_, Some(state))) = row.parse() {
            break state;
        }
    };
    let ChannelState { epoch, inherits, .. } = state;
    assert_eq!((epoch, inherits), (third, vec![]));
    origin.stop().await;
}

#[tokio::test]
async fn log_tells_who_moved_and_deleted_channels_and_which_expired() {
    let origin = start().await;
    let pages = ["one", "two"].map(|text| build(&[("index.html", text)]));
    let (_, first) = released(&push(&origin, "pr-1", &pages[0], None, None).await);
    let (_, second) = released(&push(&origin, "pr-1", &pages[1], Some(first), None).await);
    let to = |release, expected| MoveChannel {
        release: ReleaseNumber(release),
        expected,
        idempotency_key: None,
        author: Some("Ann".to_owned()),
    };
    let moved = async |channel: &str, to: MoveChannel| {
        let path = format!("/v1/sites/demo/channels/{channel}");
        released(&progress(origin.request(Method::POST, &path).json(&to).send().await.unwrap()).await).1
    };
    let third = moved("pr-1", to(1, Some(second))).await;
    moved("live", to(2, None)).await;
    let deleted = origin.delete(&format!("/v1/sites/demo/channels/pr-1?expected={third}&author=Bob%20B")).await;
    assert_eq!(deleted.status(), 204);
    push(&origin, "pr-1", &build(&[("index.html", "three")]), None, Some(HOUR)).await;
    advance(&origin, 1);
    until("the channel to expire", async || channel(&origin, "pr-1").await.is_none()).await;

    let log: Vec<LogEntry> = origin.get("/v1/sites/demo/log").await;
    let shown = |entry: &LogEntry| {
        let who = entry.author.as_deref().unwrap_or("nobody");
        match &entry.event {
            LogEvent::Moved { channel, release, from, kind, .. } => {
                format!("{who}: {kind:?} of {channel} from {from:?} to {release}")
            }
            LogEvent::Deleted { channel, from, expired } => {
                format!("{who}: deleted {channel} at {from:?}, expired {expired}")
            }
            event => format!("{event:?}"),
        }
    };
    insta::assert_debug_snapshot!(log.iter().map(shown).collect::<Vec<_>>());
    origin.stop().await;
}

#[tokio::test]
async fn request_repeated_after_its_channel_was_deleted_is_refused() {
    let origin = start().await;
    let created = origin.create_build("demo", &build(&[("index.html", "one")]).build).await;
    origin.post_pack("demo", &created, packed(&build(&[("index.html", "one")]).blobs)).await;
    let publish = async |key: &str| {
        let request = CreateRelease {
            build: created.build.clone(),
            channel: "pr-1".parse().unwrap(),
            expected: None,
            provenance: Provenance::default(),
            idempotency_key: Some(key.parse().unwrap()),
            expires_seconds: None,
            canary: None,
        };
        origin.request(Method::POST, "/v1/sites/demo/releases").json(&request).send().await.unwrap()
    };
    let (_, first) = released(&progress(publish("key-1").await).await);
    assert_eq!(released(&progress(publish("key-1").await).await).1, first);
    assert_eq!(origin.delete(&format!("/v1/sites/demo/channels/pr-1?expected={first}")).await.status(), 204);
    let is_refused = async || {
        let (status, body) = error(publish("key-1").await).await;
        assert_eq!((status, body.code.as_str()), (409, "channel_deleted"));
        assert_eq!(body.message, "this request has moved pr-1--demo already, and the channel was deleted since");
        assert!(body.hint.is_some());
    };
    is_refused().await;
    assert_eq!(channel(&origin, "pr-1").await, None);
    let (_, second) = released(&progress(publish("key-2").await).await);
    is_refused().await;
    assert_eq!(channel(&origin, "pr-1").await.unwrap().epoch, second);
    origin.stop().await;
}

#[tokio::test]
async fn release_has_a_url_and_a_row_which_an_origin_of_an_earlier_version_adds_at_its_start() {
    let origin = start().await;
    for text in ["one", "two"] {
        origin.push("demo", &build(&[("index.html", text)])).await;
    }
    let releases: Vec<Release> = origin.get("/v1/sites/demo/releases").await;
    let urls: Vec<&str> = releases.iter().map(|release| release.url.as_deref().unwrap()).collect();
    let expected = |release: &Release| format!("http://{}--demo.localhost/", release.manifest.prefix());
    assert_eq!(urls, [expected(&releases[0]), expected(&releases[1])]);

    let token = origin.edge_token("fra-1").await;
    let rows = async |origin: &TestOrigin| {
        let mut feed = origin.subscribe(&token, None).await.with_releases();
        let mut rows = Vec::new();
        while let Some(FeedMessage { event: FeedEvent::Row(row), .. }) = feed.next().await {
            if let Ok(ParsedRow::Release(_, number, Some(state))) = row.parse() {
                rows.push((number, state.manifest));
            }
        }
        rows.sort();
        rows
    };
    let all: Vec<_> = releases.iter().rev().map(|release| (release.number, release.manifest)).collect();
    assert_eq!(rows(&origin).await, all);
    let (origin, copy) = origin.back_up().await;
    let earlier = async |data: &Path| {
        let options = SqliteConnectOptions::new().filename(data.join("origin.db"));
        let mut database = options.connect().await.unwrap();
        sqlx::query("delete from state where key like 'release/%'").execute(&mut database).await.unwrap();
        database.close().await.unwrap();
    };
    let origin = origin.restore_with(&copy, earlier).await;
    assert_eq!(rows(&origin).await, all);
    let position = origin.get::<Status>("/v1/status").await.position;
    let origin = origin.restart().await;
    assert_eq!(origin.get::<Status>("/v1/status").await.position, position, "once");
    origin.stop().await;
}
