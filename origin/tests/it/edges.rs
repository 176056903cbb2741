//! What edges see.

use reqwest::{Method, StatusCode};
use verge_protocol::api::{BlobsRequest, Progress, Status};
use verge_protocol::feed::{FeedEvent, Reset};
use verge_protocol::pack::{Decoder, Frame};
use verge_protocol::report::EdgeReport;
use verge_protocol::state::Entry;
use verge_protocol::{Coding, Lifetime, Manifest, compression};

use super::world::{World, build, digest, ok};

#[tokio::test]
async fn the_feed_starts_with_the_table_and_goes_on_with_what_is_written() {
    let world = World::start().await;
    world.create_site("demo").await;
    world.push("demo", &build(&[("index.html", "one")])).await;
    world.push("demo", &build(&[("index.html", "two")])).await;
    let token = world.edge_token("fra-1").await;

    let mut feed = world.follow(&token, None).await;
    let first = feed.row().await;
    assert_eq!((first.key.as_str(), first.seq.0), ("channel/demo/live", 2), "the table, not its history");
    let (event, id) = feed.next().await.unwrap();
    assert_eq!((event, id.as_str()), (FeedEvent::CaughtUp("1-2".parse().unwrap()), "1-2"));
    world.push("demo", &build(&[("index.html", "three")])).await;
    let third = feed.row().await;
    assert_eq!(third.seq.0, 3);
    let Ok(Entry::Channel(_, state)) = third.entry() else { panic!("{third:?}") };
    assert_eq!(state.unwrap().inherits.len(), 2, "what was live within a day lives on");

    let mut resumed = world.follow(&token, Some("1-2")).await;
    assert_eq!(resumed.row().await.seq.0, 3);
    let mut nothing_new = world.follow(&token, Some("1-3")).await;
    assert!(matches!(nothing_new.next().await, Some((FeedEvent::CaughtUp(_), _))));
    for (since, reason) in [("1-4", Reset::Ahead), ("2-1", Reset::Generation)] {
        let mut reset = world.follow(&token, Some(since)).await;
        assert_eq!(reset.next().await.map(|(event, _)| event), Some(FeedEvent::Reset(reason)));
        assert_eq!(reset.next().await, None);
    }
    world.stop().await;
    assert_eq!(feed.next().await, None, "a drained origin ends the feed");
}

#[tokio::test]
async fn an_edge_gets_manifests_and_blobs() {
    let world = World::start().await;
    world.create_site("demo").await;
    let page = "<p>the quick brown fox jumps over the lazy dog</p>\n".repeat(50);
    world.push("demo", &build(&[("index.html", &page), ("assets/a-0b1c2d3e.js", "let a")])).await;
    let token = world.edge_token("fra-1").await;
    let mut feed = world.follow(&token, None).await;
    let Ok(Entry::Channel(_, state)) = feed.row().await.entry() else { panic!("a channel comes first") };
    let id = state.unwrap().manifest;

    let answer = world.request_as(&token, Method::GET, &format!("/v1/manifests/{id}")).send().await.unwrap();
    let bytes = compression::decompress(&answer.bytes().await.unwrap(), 1 << 20).unwrap();
    let manifest = Manifest::verify(id, &bytes).unwrap();
    let index = &manifest.files["index.html"];
    assert_eq!((index.media_type.as_str(), index.lifetime), ("text/html; charset=utf-8", Lifetime::Revalidate));
    assert_eq!(manifest.files["assets/a-0b1c2d3e.js"].lifetime, Lifetime::Immutable);
    let br = &index.encodings[&Coding::Br];
    assert!(br.size() < index.identity.size());

    let wanted = BlobsRequest { digests: vec![br.digest(), digest("never stored"), index.identity.digest()] };
    let answer = world.request_as(&token, Method::POST, "/v1/blobs").json(&wanted).send().await.unwrap();
    let mut decoder = Decoder::default();
    decoder.push(&answer.bytes().await.unwrap());
    let frames: Vec<Frame> = std::iter::from_fn(|| decoder.next_frame().unwrap()).collect();
    decoder.finish().unwrap();
    assert!(matches!(&frames[0], Frame::Blob(blob) if blob.digest() == br.digest()));
    assert_eq!(frames[1], Frame::Missing(digest("never stored")));
    assert!(matches!(&frames[2], Frame::Blob(blob) if blob.bytes() == page.as_bytes()));

    let unknown = format!("/v1/manifests/{}", digest("none"));
    let answer = world.request_as(&token, Method::GET, &unknown).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    world.stop().await;
}

#[tokio::test]
async fn reports_confirm_a_release_edge_by_edge() {
    let world = World::start().await;
    world.create_site("demo").await;
    let (a, b) = (world.edge_token("a").await, world.edge_token("b").await);
    let report = async |token: &str, applied: &str| {
        let applied = applied.parse().unwrap();
        let report = EdgeReport { url: None, applied, lagging: vec![], draining: false, version: "0.1.0".into() };
        let answer = world.request_as(token, Method::POST, "/v1/edges/report").json(&report).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    };
    report(&a, "1-0").await;
    report(&b, "1-0").await;
    let pushed = build(&[("index.html", "one")]);
    let push = world.push("demo", &pushed);
    let mut feed = world.follow(&a, None).await;
    let confirm = async {
        while !matches!(feed.next().await, Some((FeedEvent::Row(_), _))) {}
        report(&b, "1-1").await;
        report(&a, "1-1").await;
    };
    let (steps, ()) = tokio::join!(push, confirm);
    let edges: Vec<String> = steps
        .iter()
        .filter_map(|step| match step {
            Progress::Confirmed { edge, done, total } => Some(format!("{edge} {done}/{total}")),
            _ => None,
        })
        .collect();
    assert_eq!(edges, ["b 1/2", "a 2/2"]);
    let status: Status = ok(world.request(Method::GET, "/v1/status").send().await.unwrap()).await;
    assert!(status.edges.iter().all(|edge| edge.live && edge.applied.unwrap().to_string() == "1-1"));
    world.stop().await;
}

/// A write between the mark and the snapshot must not make a key vanish from it: an edge forgets what a snapshot leaves out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_snapshot_taken_while_channels_move_leaves_none_out() {
    let world = World::start().await;
    let token = world.edge_token("a").await;
    for site in ["one", "two"] {
        world.create_site(site).await;
        world.push(site, &build(&[("index.html", site)])).await;
    }
    let moving = async {
        for number in 0..15 {
            let text = format!("release {number}");
            world.push("one", &build(&[("index.html", &text)])).await;
        }
    };
    let reading = async {
        for _ in 0..60 {
            let mut feed = world.follow(&token, None).await;
            let mut keys = std::collections::BTreeSet::new();
            while let Some((FeedEvent::Row(row), _)) = feed.next().await {
                keys.insert(row.key);
            }
            assert_eq!(keys.len(), 2, "{keys:?}");
        }
    };
    tokio::join!(moving, reading);
    world.stop().await;
}
