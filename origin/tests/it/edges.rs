//! The feed, manifests, blobs and reports of edges.

use reqwest::{Method, StatusCode};
use verge_origin::Timing;
use verge_protocol::api::{BlobsRequest, Edge, Progress, TokenOwner};
use verge_protocol::feed::{FeedEvent, FeedMessage};
use verge_protocol::host::HostLabel;
use verge_protocol::pack::{Decoder, Frame};
use verge_protocol::report::{EdgeReport, LIST_MAX, Lag, Preparation};
use verge_protocol::state::ParsedRow;
use verge_protocol::{Coding, EdgeName, Lifetime, Manifest, Seq, compression};

use super::test_origin::{TestOrigin, build, digest, error};

#[tokio::test]
async fn a_subscription_starts_with_the_table_and_continues_with_each_write() {
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    origin.push("demo", &build(&[("index.html", "one")])).await;
    origin.push("demo", &build(&[("index.html", "two")])).await;
    let token = origin.edge_token("fra-1").await;

    let mut feed = origin.subscribe(&token, None).await;
    let first = feed.row().await;
    assert_eq!((first.key.as_str(), first.seq.0), ("channel/demo/live", 7), "the table, not its history");
    let second = feed.caught_up().await;
    assert_eq!(second.position.to_string(), "1-8");
    origin.push("demo", &build(&[("index.html", "three")])).await;
    let rollout = feed.row().await;
    assert_eq!((rollout.key.as_str(), rollout.seq.0), ("rollout/demo/live", 10));
    let third = feed.next().await.unwrap();
    assert_eq!(third.at.position.to_string(), "1-11");
    let FeedMessage { at: at_third, event: FeedEvent::Row(third) } = third else { panic!("{third:?}") };
    assert_eq!(third.seq.0, 11);
    let ended = feed.row().await;
    assert_eq!((ended.key.as_str(), ended.seq.0, ended.value), ("rollout/demo/live", 12, None));
    let Ok(ParsedRow::Channel(_, state)) = third.parse() else { panic!("{third:?}") };
    assert_eq!(state.unwrap().inherits.len(), 2, "the releases of the last day are inherited");

    let mut resumed = origin.subscribe(&token, Some(second)).await;
    assert_eq!(resumed.row().await.seq.0, 11);
    let at_end = resumed.caught_up().await;
    assert_eq!(at_end.position.to_string(), "1-12");
    let mut from_third = origin.subscribe(&token, Some(at_third)).await;
    assert_eq!((from_third.row().await.seq.0, from_third.caught_up().await), (12, at_end));
    let mut up_to_date = origin.subscribe(&token, Some(at_end)).await;
    assert_eq!(up_to_date.caught_up().await, at_end);
    origin.stop().await;
    assert_eq!(feed.next().await, None, "a drained origin ends the feed");
}

#[tokio::test]
async fn an_edge_downloads_manifests_and_blobs() {
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    let page = "<p>the quick brown fox jumps over the lazy dog</p>\n".repeat(50);
    origin.push("demo", &build(&[("index.html", &page), ("assets/a-0b1c2d3e.js", "let a")])).await;
    let token = origin.edge_token("fra-1").await;
    let mut feed = origin.subscribe(&token, None).await;
    let Ok(ParsedRow::Channel(_, state)) = feed.row().await.parse() else { panic!("a channel comes first") };
    let id = state.unwrap().manifest;

    let answer = origin.request_as(&token, Method::GET, &format!("/v1/manifests/{id}")).send().await.unwrap();
    let bytes = compression::decompress(&answer.bytes().await.unwrap(), 1 << 20).unwrap();
    let manifest = Manifest::verify(id, &bytes).unwrap();
    let index = &manifest.files["index.html"];
    assert_eq!((index.media_type.as_str(), index.lifetime), ("text/html; charset=utf-8", Lifetime::Revalidate));
    assert_eq!(manifest.files["assets/a-0b1c2d3e.js"].lifetime, Lifetime::Immutable);
    let br = &index.encodings[&Coding::Br];
    assert!(br.size() < index.identity.size());

    let request = BlobsRequest { digests: vec![br.digest(), digest("never stored"), index.identity.digest()] };
    let answer = origin.request_as(&token, Method::POST, "/v1/blobs").json(&request).send().await.unwrap();
    let mut decoder = Decoder::default();
    decoder.push(&answer.bytes().await.unwrap());
    let frames: Vec<Frame> = std::iter::from_fn(|| decoder.next_frame().unwrap()).collect();
    decoder.finish().unwrap();
    assert!(matches!(&frames[0], Frame::Blob(blob) if blob.digest() == br.digest()));
    assert_eq!(frames[1], Frame::Missing(digest("never stored")));
    assert!(matches!(&frames[2], Frame::Blob(blob) if blob.bytes() == page.as_bytes()));

    let unknown = format!("/v1/manifests/{}", digest("none"));
    let answer = origin.request_as(&token, Method::GET, &unknown).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    origin.stop().await;
}

#[tokio::test]
async fn reports_confirm_a_release_edge_by_edge() {
    let origin = TestOrigin::start_with(|config| config.rollout_timing = Timing::default()).await;
    origin.create_site("demo").await;
    let (a, b) = (origin.edge_token("a").await, origin.edge_token("b").await);
    let send = async |token: &str, report: EdgeReport| {
        let answer = origin.request_as(token, Method::POST, "/v1/edges/report").json(&report).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    };
    let report = async |token: &str, applied: &str| {
        send(token, EdgeReport::new(applied.parse().unwrap(), "0.1.0")).await;
    };
    report(&a, "1-0").await;
    report(&b, "1-0").await;
    let pushed = build(&[("index.html", "one")]);
    let push = origin.push("demo", &pushed);
    let mut feed = origin.subscribe(&a, None).await;
    feed.caught_up().await;
    let confirm = async {
        let Ok(ParsedRow::Rollout(label, Some(rollout))) = feed.row().await.parse() else { panic!() };
        for (token, prepared) in [(&a, false), (&b, true), (&a, true)] {
            let HostLabel { site, channel } = label.clone();
            let manifest = rollout.manifest;
            let preparation = Preparation { site, channel, manifest, done: 7, total: 9, prepared, problem: None };
            let preparations = Some(vec![preparation]);
            send(token, EdgeReport { preparations, ..EdgeReport::new("1-2".parse().unwrap(), "0.1.0") }).await;
        }
        let channel = feed.row().await;
        assert_eq!((channel.key.as_str(), channel.seq.0), ("channel/demo/live", 3));
        report(&b, "1-3").await;
        report(&a, "1-3").await;
    };
    let (events, ()) = tokio::join!(push, confirm);
    let edges: Vec<String> = events
        .iter()
        .filter_map(|event| match event {
            Progress::Preparing { edges, .. } => Some(format!("preparing {edges:?}")),
            Progress::Fetching { edge, done, total, .. } => Some(format!("{edge} fetched {done} of {total}")),
            Progress::Prepared { edge, done, total } => Some(format!("{edge} prepared {done}/{total}")),
            Progress::Confirmed { edge, done, total, .. } => Some(format!("{edge} confirmed {done}/{total}")),
            _ => None,
        })
        .collect();
    let expected = [
        "preparing [a, b]",
        "a fetched 7 of 9",
        "b prepared 1/2",
        "a prepared 2/2",
        "b confirmed 1/2",
        "a confirmed 2/2",
    ];
    assert_eq!(edges, expected);
    let edges: Vec<Edge> = origin.get("/v1/edges").await;
    assert!(edges.iter().all(|edge| edge.live && edge.applied.unwrap().to_string() == "1-3"));
    origin.stop().await;
}

#[tokio::test]
async fn report_of_more_lagging_channels_than_it_lists_is_cut_and_confirms_none_of_them() {
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    let token = origin.edge_token("fra-1").await;
    let send = async |lagging: u64| {
        let demo =
            Lag { site: "demo".parse().unwrap(), channel: "live".parse().unwrap(), seq: Seq(3), reason: "slow".into() };
        let other = |number: u64| Lag { site: format!("site-{number}").parse().unwrap(), seq: Seq(4), ..demo.clone() };
        let mut report = EdgeReport::new("1-3".parse().unwrap(), "0.1.0");
        // It is not waited for while others prepare.
        report.preparations = None;
        report.lagging = (1..lagging).map(other).chain([demo.clone()]).collect();
        origin.request_as(&token, Method::POST, "/v1/edges/report").json(&report).send().await.unwrap()
    };
    assert_eq!(send(20_000).await.status(), StatusCode::NO_CONTENT);
    let edges: Vec<Edge> = origin.get("/v1/edges").await;
    assert_eq!((edges[0].live, edges[0].lagging.len(), edges[0].lagging_omitted), (true, LIST_MAX, 19_000));
    let events = origin.push("demo", &build(&[("index.html", "one")])).await;
    let Some(Progress::Finished { confirmed, lagging, .. }) = events.last() else { panic!("{events:?}") };
    assert_eq!((confirmed.len(), lagging[0].reason.as_str()), (0, "it lags with 20000 channels"));

    assert_eq!(send(100_000).await.status(), StatusCode::PAYLOAD_TOO_LARGE);
    origin.stop().await;
}

#[tokio::test]
async fn a_report_with_the_token_of_another_edge_is_refused() {
    let origin = TestOrigin::start().await;
    let token = origin.edge_token("fra-2").await;
    let report = async |sender: Option<&str>| {
        let report = EdgeReport {
            edge: sender.map(|name| name.parse().unwrap()),
            ..EdgeReport::new("1-0".parse().unwrap(), "0.1.0")
        };
        origin.request_as(&token, Method::POST, "/v1/edges/report").json(&report).send().await.unwrap()
    };
    let refused = report(Some("fra-1")).await;
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    let (_, body) = error(refused).await;
    assert_eq!(body.code, "wrong_token");
    assert_eq!(body.message, "the token belongs to edge fra-2, but the report is from edge fra-1");
    let live = async || origin.get::<Vec<Edge>>("/v1/edges").await.iter().any(|edge| edge.live);
    assert!(!live().await, "no edge is taken for live");
    for sender in [Some("fra-2"), None] {
        assert_eq!(report(sender).await.status(), StatusCode::NO_CONTENT, "{sender:?}");
    }
    assert!(live().await);
    origin.stop().await;
}

#[tokio::test]
async fn owner_of_a_token_is_returned_to_its_bearer() {
    let origin = TestOrigin::start().await;
    let (edge, name_server) = (origin.edge_token("fra-1").await, origin.name_server_token("ns-1").await);
    let admin = origin.daemon.admin_token().expose().to_owned();
    for (token, owner) in [
        (&edge, TokenOwner::Edge("fra-1".parse().unwrap())),
        (&name_server, TokenOwner::NameServer("ns-1".parse().unwrap())),
        (&admin, TokenOwner::Admin),
    ] {
        let answer = origin.request_as(token, Method::GET, "/v1/token").send().await.unwrap();
        assert_eq!(answer.json::<TokenOwner>().await.unwrap(), owner);
    }
    origin.stop().await;
}

#[tokio::test]
async fn waiting_for_edges_ends_with_the_report_that_completes_them() {
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    origin.push("demo", &build(&[("index.html", "one")])).await;
    let edges: [EdgeName; 2] = ["a".parse().unwrap(), "b".parse().unwrap()];
    let tokens = [origin.edge_token("a").await, origin.edge_token("b").await];
    let report = async |token: &str, applied: &str| {
        let applied = applied.parse().unwrap();
        let report = EdgeReport::new(applied, "0.1.0");
        origin.request_as(token, Method::POST, "/v1/edges/report").json(&report).send().await.unwrap();
    };
    origin.daemon.wait_until_caught_up(&[]).await;
    let mut waiting = Box::pin(origin.daemon.wait_until_caught_up(&edges));
    for (token, applied) in [(&tokens[0], "1-3"), (&tokens[1], "1-4")] {
        tokio::select! {
            biased;
            () = &mut waiting => panic!("edge a is behind"),
            () = report(token, applied) => {}
        }
    }
    report(&tokens[0], "1-4").await;
    tokio::time::timeout(std::time::Duration::from_secs(30), &mut waiting).await.unwrap();
    drop(waiting);
    origin.stop().await;
}

/// A write between reading the position and reading the rows must not remove a key from the snapshot: an edge deletes the keys that a
/// snapshot leaves out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_taken_while_channels_move_has_every_key() {
    let origin = TestOrigin::start().await;
    let token = origin.edge_token("a").await;
    for site in ["one", "two"] {
        origin.create_site(site).await;
        origin.push(site, &build(&[("index.html", site)])).await;
    }
    let moving = async {
        for number in 0..15 {
            let text = format!("release {number}");
            origin.push("one", &build(&[("index.html", &text)])).await;
        }
    };
    let reading = async {
        for _ in 0..60 {
            let mut feed = origin.subscribe(&token, None).await;
            let mut keys = std::collections::BTreeSet::new();
            while let Some(FeedMessage { event: FeedEvent::Row(row), .. }) = feed.next().await {
                keys.insert(row.key);
            }
            assert_eq!(keys.len(), 4, "{keys:?}");
        }
    };
    tokio::join!(moving, reading);
    origin.stop().await;
}

#[tokio::test]
async fn feeds_of_a_token_are_few_and_a_new_one_ends_the_oldest() {
    let origin = TestOrigin::start().await;
    let (token, other) = (origin.edge_token("fra-1").await, origin.edge_token("ams-1").await);
    let mut feed_of_other = origin.subscribe(&other, None).await;
    feed_of_other.caught_up().await;
    let mut feeds = Vec::new();
    for _ in 0..9 {
        let mut feed = origin.subscribe(&token, None).await;
        feed.caught_up().await;
        feeds.push(feed);
    }
    assert_eq!(feeds[0].next().await, None);
    origin.create_site("demo").await;
    origin.push("demo", &build(&[("index.html", "one")])).await;
    for feed in feeds[1..].iter_mut().chain([&mut feed_of_other]) {
        feed.row().await;
    }
    drop((feeds, feed_of_other));
    origin.stop().await;
}
