//! Pushes and rollbacks.

use reqwest::{Method, StatusCode};
use verge_protocol::api::{BuildDiff, MoveChannel, Progress, Release, Site, Status};
use verge_protocol::pack::Decoder;
use verge_protocol::{Digest, Lifetime, Manifest, ReleaseNumber, Seq, SitePath, compression};

use super::test_origin::{TestOrigin, build, error, ok, packed, progress};

fn released(events: &[Progress]) -> (ReleaseNumber, Seq) {
    events
        .iter()
        .find_map(|event| match event {
            Progress::Released { release, epoch, .. } => Some((*release, *epoch)),
            _ => None,
        })
        .unwrap_or_else(|| panic!("no release: {events:?}"))
}

#[tokio::test]
async fn a_push_creates_a_release_and_an_identical_push_sends_no_blob() {
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    let first = build(&[("index.html", "<h1>one</h1>"), ("a.css", "p{}"), ("copy.css", "p{}")]);

    let created = origin.create_build("demo", &first.build).await;
    assert_eq!(created.missing.len(), 2, "a blob at two paths is missing once");
    assert_eq!(created.current, None);
    let events = origin.push("demo", &first).await;
    assert_eq!(released(&events), (ReleaseNumber(1), Seq(3)));
    assert_eq!(events.last(), Some(&Progress::Finished { confirmed: vec![], lagging: vec![], elapsed_ms: 0 }));

    let again = origin.create_build("demo", &first.build).await;
    assert_eq!(again.missing, []);
    let second = build(&[("index.html", "<h1>two</h1>"), ("a.css", "p{}"), ("b.css", "p{}")]);
    let created = origin.create_build("demo", &second.build).await;
    assert_eq!(created.missing.len(), 1);
    assert_eq!(created.changes, BuildDiff { added: 1, changed: 1, removed: 1, unchanged: 1 });
    assert_eq!(created.current.map(|current| (current.release, current.files)), Some((ReleaseNumber(1), 3)));
    assert_eq!(released(&origin.push("demo", &second).await), (ReleaseNumber(2), Seq(7)));

    let origin = origin.restart().await;
    let releases: Vec<Release> = ok(origin.request(Method::GET, "/v1/sites/demo/releases").send().await.unwrap()).await;
    let numbers: Vec<_> = releases.iter().map(|release| (release.number.0, release.channels.len())).collect();
    assert_eq!(numbers, [(2, 1), (1, 0)]);
    origin.stop().await;
}

#[tokio::test]
async fn blobs_received_before_a_cut_are_stored() {
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    let pushed = build(&[("index.html", "<h1>one</h1>"), ("a.css", "p{}"), ("b.css", "q{}")]);
    let created = origin.create_build("demo", &pushed.build).await;
    let pack = packed(&pushed.blobs);
    let cut = pack.slice(..pack.len() - 60);
    let (status, body) = error(origin.post_pack("demo", &created, cut).await).await;
    assert_eq!((status, body.code.as_str()), (400, "invalid_pack"));
    assert_eq!(body.message, Decoder::default().finish().unwrap_err().to_string(), "the pack is truncated");
    let again = origin.create_build("demo", &pushed.build).await;
    assert_eq!(again.build, created.build);
    assert_eq!(again.missing.len(), 1);
    origin.stop().await;
}

#[tokio::test]
async fn a_rollback_moves_the_channel_and_uploads_nothing() {
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    origin.push("demo", &build(&[("index.html", "one")])).await;
    let (_, epoch) = released(&origin.push("demo", &build(&[("index.html", "two")])).await);

    let move_to = |release, expected| {
        let request = MoveChannel { release: ReleaseNumber(release), expected, idempotency_key: None, author: None };
        origin.request(Method::POST, "/v1/sites/demo/channels/live").json(&request).send()
    };
    let events = progress(move_to(1, Some(epoch)).await.unwrap()).await;
    assert_eq!(released(&events), (ReleaseNumber(1), Seq(10)), "a rollback is a new epoch");
    let (status, body) = error(move_to(2, Some(epoch)).await.unwrap()).await;
    assert_eq!((status, body.code.as_str()), (409, "conflict"));
    let (status, body) = error(move_to(9, Some(Seq(10))).await.unwrap()).await;
    assert_eq!((status, body.code.as_str()), (404, "unknown_release"));
    assert_eq!(body.message, "site `demo` has no release v9");

    let site: Site = ok(origin.request(Method::GET, "/v1/sites/demo").send().await.unwrap()).await;
    assert_eq!(site.channels[0].release, ReleaseNumber(1));
    assert_eq!(site.url, "http://demo.localhost/");
    origin.stop().await;
}

#[tokio::test]
async fn of_two_concurrent_pushes_one_succeeds_and_one_conflicts() {
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    let (one, two) = (build(&[("index.html", "one")]), build(&[("index.html", "two")]));
    for pushed in [&one, &two] {
        let created = origin.create_build("demo", &pushed.build).await;
        assert_eq!(origin.post_pack("demo", &created, packed(&pushed.blobs)).await.status(), StatusCode::OK);
    }
    let (one, two) = (origin.create_build("demo", &one.build).await, origin.create_build("demo", &two.build).await);
    let (a, b) = tokio::join!(origin.publish("demo", &one, None), origin.publish("demo", &two, None));
    let mut winners = 0;
    for answer in [a, b] {
        if answer.status() == StatusCode::CONFLICT {
            let (_, body) = error(answer).await;
            assert!(matches!(body.code.as_str(), "conflict" | "channel_busy"), "{body:?}");
        } else {
            assert_eq!(released(&progress(answer).await), (ReleaseNumber(1), Seq(3)));
            winners += 1;
        }
    }
    assert_eq!(winners, 1);
    let status: Status = ok(origin.request(Method::GET, "/v1/status").send().await.unwrap()).await;
    assert_eq!(status.position.to_string(), "1-4");
    origin.stop().await;
}

#[tokio::test]
async fn a_fingerprinted_path_with_other_bytes_than_before_is_warned_about() {
    const PATH: &str = "assets/a-0b1c2d3e.js";
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    let token = origin.edge_token("fra-1").await;
    let mut pushed = Vec::new();
    for bytes in ["one", "two", "one"] {
        let events = origin.push("demo", &build(&[("index.html", "x"), (PATH, bytes)])).await;
        let (manifest, warnings) = release(&events);
        let file =
            manifest_of(&origin, &token, manifest).await.files.remove(&PATH.parse::<SitePath>().unwrap()).unwrap();
        pushed.push((file.lifetime, file.fingerprinted, warnings));
    }
    let decisions: Vec<(Lifetime, bool)> =
        pushed.iter().map(|(lifetime, inherited, _)| (*lifetime, *inherited)).collect();
    let contradicted = (Lifetime::Revalidate, false);
    assert_eq!(decisions, [(Lifetime::Immutable, true), contradicted, contradicted]);
    let (warnings, none) = (&pushed[1].2, &pushed[2].2);
    assert!(warnings[0].starts_with("assets/a-0b1c2d3e.js looks fingerprinted"), "{warnings:?}");
    assert!(warnings[0].contains("keep them for up to a year. Rename the file"), "{warnings:?}");
    assert!(none.is_empty(), "browsers hold the right bytes: {none:?}");
    origin.stop().await;
}

#[tokio::test]
async fn a_manifest_lists_the_scripts_that_only_earlier_releases_had() {
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    let token = origin.edge_token("fra-1").await;
    let mut listed = Vec::new();
    for files in [
        &[("sw.js", "1"), ("assets/a-0b1c2d3e.js", "1")][..],
        &[("service-worker.js", "2"), ("x.txt", "2")],
        &[("index.html", "3")],
        &[("index.html", "4"), ("sw.js", "4")],
    ] {
        let events = origin.push("demo", &build(files)).await;
        let former = manifest_of(&origin, &token, release(&events).0).await.former_scripts.unwrap();
        listed.push(former.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    }
    assert_eq!(listed, ["", "sw.js", "service-worker.js sw.js", "service-worker.js"]);

    let mut legacy = build(&[("sw.js", "5")]);
    legacy.build.legacy_service_workers = vec!["sw.js".parse().unwrap(), "old/sw.js".parse().unwrap()];
    let events = origin.push("demo", &legacy).await;
    let former = manifest_of(&origin, &token, release(&events).0).await.former_scripts.unwrap();
    assert_eq!(former.iter().map(ToString::to_string).collect::<Vec<_>>(), ["sw.js", "old/sw.js", "service-worker.js"]);
    origin.stop().await;
}

/// The manifest and the warnings of the release that a push created.
pub(super) fn release(events: &[Progress]) -> (Digest, Vec<String>) {
    let released = events.iter().find_map(|event| match event {
        Progress::Released { manifest, warnings, .. } => Some((*manifest, warnings.clone())),
        _ => None,
    });
    released.unwrap()
}

/// A manifest of the origin.
pub(super) async fn manifest_of(origin: &TestOrigin, token: &str, id: Digest) -> Manifest {
    let answer = origin.request_as(token, Method::GET, &format!("/v1/manifests/{id}")).send().await.unwrap();
    let bytes = compression::decompress(&answer.bytes().await.unwrap(), 1 << 20).unwrap();
    Manifest::verify(id, &bytes).unwrap()
}
