//! Pushes over unreliable links, to origins that misbehave.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use verge::client::{Client, Token};
use verge::output::OutputOptions;
use verge::push::{Push, PushError, Pushed};
use verge::rollout::Wait;
use verge::scan::Options;
use verge::upload::RetryPolicy;
use verge::{Exit, Output};
use verge_protocol::api::Provenance;
use verge_protocol::{BLOB_MAX, ChannelName};
use verge_test_kit::{Link, Proxy, noise};

use crate::origin::Origin;
use crate::world::{TOKEN, World};

fn with_noise(world: &World, files: u64) {
    for at in 0..files {
        world.write(&format!("dist/{at}.bin"), noise(at, 200_000));
    }
}

/// A proxy in front of the origin.
async fn proxy(world: &World, link: Link) -> Proxy {
    Proxy::start(world.origin.url.strip_prefix("http://").unwrap().parse().unwrap(), link).await
}

/// Retries without noticeable pauses.
pub(crate) const EAGER: RetryPolicy = RetryPolicy { max_attempts: 12, initial_pause: Duration::from_millis(1) };

pub(crate) fn client(origin: &str) -> Client {
    Client::new(origin.parse().unwrap(), &Token::new(TOKEN)).unwrap()
}

/// Pushes with another retry policy than the command.
pub(crate) async fn push(world: &World, origin: &str, retry: RetryPolicy) -> Result<Pushed, PushError> {
    let push = Push {
        client: &client(origin),
        site: &"app".parse().unwrap(),
        channel: &ChannelName::live(),
        lifetime: None,
        dir: &world.path().join("dist"),
        options: Options::default(),
        provenance: Provenance::default(),
        canary: None,
        wait: Wait::All,
        retry,
    };
    push.run(&Output::new(std::io::sink(), std::io::sink(), OutputOptions::default())).await
}

fn each_blob_arrived_once(origin: &Origin) -> bool {
    let received = origin.memory().received.clone();
    received.iter().collect::<BTreeSet<_>>().len() == received.len()
}

#[tokio::test]
async fn large_build_is_sent_in_packs_and_each_blob_once() {
    let world = World::new().await;
    with_noise(&world, 30);
    world.write("dist/large.bin", noise(99, BLOB_MAX * 3 + 1));
    world.verge(&["push"]).await.ended(Exit::Success);
    assert_eq!(world.origin.memory().received.len(), 2 + 30 + 4);
    assert!(each_blob_arrived_once(&world.origin));
    assert!(world.origin.memory().faults.uploads > 1);
}

#[tokio::test]
async fn upload_completes_if_origin_aborts_every_second_pack() {
    let world = World::new().await;
    with_noise(&world, 30);
    world.origin.memory().faults.cut_after = Some(2);
    let line = world.verge(&["push", "--json"]).await.ended(Exit::Success).json();
    assert!(each_blob_arrived_once(&world.origin), "what has arrived is never sent again");
    assert!(line["sent_bytes"].as_u64() > line["bytes"].as_u64(), "what was in flight was sent again: {line}");
}

#[tokio::test]
async fn upload_completes_over_link_that_cuts_every_connection() {
    let world = World::new().await;
    with_noise(&world, 30);
    let proxy = proxy(&world, Link::good().cut_after(|_| 700_000)).await;
    world.verge_at(&proxy.url(), &["push"]).await.ended(Exit::Success);
    assert!(proxy.cuts() > 3, "only {} cuts", proxy.cuts());
    assert_eq!(world.origin.memory().received.iter().collect::<BTreeSet<_>>().len(), 32);
}

#[tokio::test]
async fn first_requests_are_retried_after_a_lost_connection() {
    let world = World::new().await;
    world.origin.memory().faults.closes = true;
    // Creating the site and registering the build: each is cut once.
    let link = Link::good().cut_after(|number| if [1, 3].contains(&number) { 0 } else { 1 << 20 });
    let proxy = proxy(&world, link).await;
    push(&world, &proxy.url(), EAGER).await.unwrap();
    assert_eq!(proxy.cuts(), 2);
    let requests = world.origin.memory().requests.clone();
    assert_eq!(requests.iter().filter(|request| request.starts_with("PUT")).count(), 1, "{requests:?}");
}

#[tokio::test]
async fn release_is_retried_while_origin_is_unreachable() {
    let world = World::new().await;
    world.verge(&["push"]).await.ended(Exit::Success);
    world.origin.memory().requests.clear();
    world.origin.memory().faults.is_old = true;
    world.origin.memory().faults.closes = true;
    let proxy = proxy(&world, Link::good().away_after(2, Duration::from_millis(50))).await;
    push(&world, &proxy.url(), EAGER).await.unwrap();
    assert_eq!(
        world.origin.memory().requests,
        ["PUT /v1/sites/app", "POST /v1/sites/app/builds?channel=live", "POST /v1/sites/app/releases"]
    );
}

#[tokio::test]
async fn upload_is_retried_while_origin_is_unavailable() {
    let world = World::new().await;
    // A pack, and the request for what is still missing.
    world.origin.memory().faults.unavailable = 2;
    world.verge(&["push"]).await.ended(Exit::Success);
    assert_eq!(world.origin.memory().faults.unavailable, 0);
    assert_eq!(world.origin.memory().received.len(), 2);
}

#[tokio::test]
async fn blobs_lost_by_the_origin_are_sent_again() {
    let world = World::new().await;
    world.origin.memory().faults.loses_blobs = true;
    world.verge(&["push"]).await.ended(Exit::Success);
    assert_eq!(world.origin.memory().received.len(), 4);
}

#[tokio::test]
async fn upload_without_progress_fails_after_max_attempts() {
    let world = World::new().await;
    let retry = RetryPolicy { max_attempts: 3, ..EAGER };
    world.origin.memory().faults.forgetful = true;
    let error = push(&world, &world.origin.url, retry).await.unwrap_err();
    assert_eq!(error.to_string(), "the origin stored 2 blobs fewer than were sent");
    assert_eq!(world.origin.memory().faults.uploads, 3);
    world.origin.memory().faults.cut_after = Some(1);
    world.origin.memory().faults.uploads = 0;
    assert!(matches!(push(&world, &world.origin.url, retry).await, Err(PushError::Upload(_))));
}

#[tokio::test]
async fn push_that_lost_a_race_names_the_current_release() {
    let world = World::new().await;
    world.origin.memory().faults.overtaken = true;
    let ran = world.verge(&["push"]).await.ended(Exit::Conflict);
    let error = "error: another push came first: live now points at v1 (Bob: mine)\nhint: run the command again to replace that release\n";
    assert!(ran.stderr.ends_with(error), "{}", ran.stderr);
    assert_eq!(world.origin.memory().sites[&"app".parse().unwrap()].releases.len(), 1);
}

#[tokio::test]
async fn unreachable_origin_is_not_retried() {
    let world = World::new().await;
    let ran = world.verge_at("http://127.0.0.1:9", &["push"]).await.ended(Exit::Unreachable);
    assert!(!ran.stderr.contains("retrying"), "{}", ran.stderr);
    assert!(ran.stderr.contains("error: cannot reach the origin at http://127.0.0.1:9: "), "{}", ran.stderr);
    assert!(
        ran.stderr.contains("\nhint: check that the origin is running and that VERGE_ORIGIN is its URL"),
        "{}",
        ran.stderr
    );
}

#[tokio::test]
async fn name_below_localhost_resolves_to_loopback() {
    let world = World::new().await;
    let url = world.origin.url.replace("127.0.0.1", "origin.localhost");
    world.verge_at(&url, &["status"]).await.ended(Exit::Success);
}

#[tokio::test]
async fn forbidden_request_has_hint() {
    let world = World::new().await;
    world.origin.memory().faults.forbidden = true;
    let ran = world.verge(&["push"]).await.ended(Exit::NotAllowed);
    assert!(ran.stderr.contains("error: this token does not allow that\nhint: use a token"), "{}", ran.stderr);
}

#[tokio::test]
async fn response_of_another_server_is_unexpected() {
    let world = World::new().await;
    let ran = world.verge_at(&format!("{}/elsewhere", world.origin.url), &["status"]).await.ended(Exit::Failure);
    assert!(ran.stderr.contains(": status 404"), "{}", ran.stderr);
}

#[tokio::test]
async fn answer_without_end_is_refused() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let chunk = bytes::Bytes::from_static(&[b' '; 8192]);
    let endless = move || {
        let chunks = futures_util::stream::repeat(chunk.clone()).map(Ok::<_, std::convert::Infallible>);
        async { axum::body::Body::from_stream(chunks) }
    };
    let mut server = tokio::task::JoinSet::new();
    server.spawn(async { axum::serve(listener, axum::Router::new().fallback(endless)).await.unwrap() });
    let world = World::new().await;
    let ran = world.verge_at(&origin, &["sites"]).await.ended(Exit::Failure);
    let expected = format!("error: unexpected response from {origin}: more than 67108864 bytes");
    assert!(ran.stderr.contains(&expected), "{}", ran.stderr);
}
