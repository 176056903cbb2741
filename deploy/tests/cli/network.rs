//! A push over links that break, to origins that misbehave.

use std::collections::BTreeSet;
use std::time::Duration;

use verge::client::{Client, Token};
use verge::output::Manner;
use verge::push::{Push, PushError, Pushed};
use verge::scan::Options;
use verge::upload::Patience;
use verge::{Exit, Output};
use verge_protocol::api::Provenance;
use verge_protocol::{BLOB_MAX, ChannelName, Digest};

use crate::origin::{Early, Origin};
use crate::proxy::Proxy;
use crate::world::{TOKEN, World};

/// Bytes that do not compress, different for each `seed`.
fn noise(seed: u64, length: usize) -> Vec<u8> {
    (0..length.div_ceil(Digest::LEN) as u64)
        .flat_map(|at| *Digest::of(&[seed.to_le_bytes(), at.to_le_bytes()].concat()).as_bytes())
        .take(length)
        .collect()
}

fn with_noise(world: &World, files: u64) {
    for at in 0..files {
        world.write(&format!("dist/{at}.bin"), noise(at, 200_000));
    }
}

/// Asks again so soon that no test waits for it.
const EAGER: Patience = Patience { rounds: 12, pause: Duration::from_millis(1) };

/// Pushes with another patience than the command has.
async fn push(world: &World, origin: &str, patience: Patience) -> Result<Pushed, PushError> {
    let client = Client::new(origin.parse().unwrap(), &Token::new(TOKEN)).unwrap();
    let push = Push {
        client: &client,
        site: &"app".parse().unwrap(),
        channel: &ChannelName::live(),
        folder: &world.path().join("dist"),
        options: Options::default(),
        provenance: Provenance::default(),
        wait: true,
        patience,
    };
    push.run(&Output::new(std::io::sink(), std::io::sink(), Manner::default())).await
}

fn each_arrived_once(origin: &Origin) -> bool {
    let received = origin.memory().received.clone();
    received.iter().collect::<BTreeSet<_>>().len() == received.len()
}

#[tokio::test]
async fn large_trees_travel_in_packs_and_each_blob_once() {
    let world = World::new().await;
    with_noise(&world, 30);
    world.write("dist/large.bin", noise(99, BLOB_MAX * 3 + 1));
    world.verge(&["push"]).await.ended(Exit::Success);
    assert_eq!(world.origin.memory().received.len(), 2 + 30 + 4);
    assert!(each_arrived_once(&world.origin));
    assert!(world.origin.memory().faults.uploads > 1);
}

#[tokio::test]
async fn an_origin_that_breaks_off_every_second_upload_gets_it_all_in_the_end() {
    let world = World::new().await;
    with_noise(&world, 30);
    world.origin.memory().faults.cut_after = Some(2);
    let line = world.verge(&["push", "--json"]).await.ended(Exit::Success).json();
    assert!(each_arrived_once(&world.origin), "what has arrived is never sent again");
    assert!(line["sent_bytes"].as_u64() > line["bytes"].as_u64(), "what was in flight was sent again: {line}");
}

#[tokio::test]
async fn a_link_that_cuts_every_connection_carries_it_all_in_the_end() {
    let world = World::new().await;
    with_noise(&world, 30);
    let proxy = Proxy::cutting_after(&world.origin.url, 700_000).await;
    world.verge_at(&proxy.url, &["push"]).await.ended(Exit::Success);
    assert!(proxy.cuts() > 3, "only {} cuts", proxy.cuts());
    assert_eq!(world.origin.memory().received.iter().collect::<BTreeSet<_>>().len(), 32);
}

#[tokio::test]
async fn a_cut_on_the_first_requests_costs_no_more_than_asking_again() {
    let world = World::new().await;
    world.origin.memory().faults.closes = true;
    // The build is named, the site is created, the build is named again: each is cut once.
    let proxy = Proxy::cutting(&world.origin.url, |number| if [1, 3, 5].contains(&number) { 0 } else { 1 << 20 }).await;
    push(&world, &proxy.url, EAGER).await.unwrap();
    assert_eq!(proxy.cuts(), 3);
    let requests = world.origin.memory().requests.clone();
    assert_eq!(requests.iter().filter(|request| request.starts_with("PUT")).count(), 1, "{requests:?}");
}

#[tokio::test]
async fn an_origin_that_is_away_when_it_is_to_publish_is_waited_for() {
    let world = World::new().await;
    world.verge(&["push"]).await.ended(Exit::Success);
    world.origin.memory().requests.clear();
    world.origin.memory().faults.closes = true;
    let proxy = Proxy::away_after_the_first(&world.origin.url).await;
    push(&world, &proxy.url, EAGER).await.unwrap();
    assert_eq!(
        world.origin.memory().requests,
        ["POST /v1/sites/app/builds?channel=live", "POST /v1/sites/app/releases"]
    );
}

#[tokio::test]
async fn an_origin_that_is_busy_for_a_moment_is_waited_for() {
    let world = World::new().await;
    // A pack, and the question what is missing now.
    world.origin.memory().faults.unavailable = 2;
    world.verge(&["push"]).await.ended(Exit::Success);
    assert_eq!(world.origin.memory().faults.unavailable, 0);
    assert_eq!(world.origin.memory().received.len(), 2);
}

#[tokio::test]
async fn blobs_that_the_origin_lost_are_sent_once_more() {
    let world = World::new().await;
    world.origin.memory().faults.loses_blobs = true;
    world.verge(&["push"]).await.ended(Exit::Success);
    assert_eq!(world.origin.memory().received.len(), 4);
}

#[tokio::test]
async fn an_origin_that_brings_nothing_forward_is_given_up() {
    let world = World::new().await;
    let patience = Patience { rounds: 3, ..EAGER };
    world.origin.memory().faults.forgetful = true;
    let error = push(&world, &world.origin.url, patience).await.unwrap_err();
    assert_eq!(error.to_string(), "the origin took blobs and kept all but 2 of them");
    assert_eq!(world.origin.memory().faults.uploads, 3);
    world.origin.memory().faults.cut_after = Some(1);
    world.origin.memory().faults.uploads = 0;
    assert!(matches!(push(&world, &world.origin.url, patience).await, Err(PushError::Upload(_))));
}

#[tokio::test]
async fn the_loser_of_two_pushes_is_told_who_won() {
    let world = World::new().await;
    world.origin.memory().faults.overtaken = true;
    let ran = world.verge(&["push"]).await.ended(Exit::Conflict);
    let told = "error: another push won: live is v1 now (Bob: mine)\nhint: push again, if yours should come after it\n";
    assert!(ran.stderr.ends_with(told), "{}", ran.stderr);
    assert_eq!(world.origin.memory().sites[&"app".parse().unwrap()].releases.len(), 1);
}

#[tokio::test]
async fn a_stream_that_breaks_off_leaves_no_false_certainty() {
    let world = World::new().await;
    world.origin.memory().faults.ends_early = Some(Early::BeforeReleased);
    let ran = world.verge(&["push"]).await.ended(Exit::Unreachable);
    assert!(ran.stderr.contains("error: it is not known whether live has moved"), "{}", ran.stderr);
    world.origin.memory().faults.ends_early = Some(Early::AfterReleased);
    let ran = world.verge(&["push"]).await.ended(Exit::Lagging);
    assert!(ran.stderr.contains("warning: v2 is released, but how far the edges are is not known"), "{}", ran.stderr);
    world.origin.memory().faults.ends_early = Some(Early::FailedAfterReleased);
    let ran = world.verge(&["push"]).await.ended(Exit::Lagging);
    assert!(ran.stderr.contains("is not known: the disk is\u{fffd}[2J full\n"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_gateways_word_and_a_garbled_stream_leave_it_open_whether_the_channel_moved() {
    let world = World::new().await;
    for _ in 0..2 {
        world.verge(&["push"]).await.ended(Exit::Success);
    }
    for early in [Early::AtTheGateway, Early::Garbled] {
        for arguments in [&["push"][..], &["rollback", "--to", "v1"]] {
            world.origin.memory().faults.ends_early = Some(early);
            let ran = world.verge(arguments).await.ended(Exit::Unreachable);
            assert!(ran.stderr.contains("error: it is not known whether live has moved: "), "{}", ran.stderr);
            assert!(
                ran.stderr.ends_with("hint: `verge releases` tells; if it has not, run it again\n"),
                "{}",
                ran.stderr
            );
        }
    }
}

#[tokio::test]
async fn an_origin_that_is_not_there_is_named_at_once() {
    let world = World::new().await;
    let ran = world.verge_at("http://127.0.0.1:9", &["push"]).await.ended(Exit::Unreachable);
    assert!(!ran.stderr.contains("trying again"), "{}", ran.stderr);
    assert!(ran.stderr.contains("error: cannot reach the origin at http://127.0.0.1:9: "), "{}", ran.stderr);
    assert!(ran.stderr.contains("\nhint: check that it runs and that VERGE_ORIGIN names it"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_name_below_localhost_is_this_machine() {
    let world = World::new().await;
    let url = world.origin.url.replace("127.0.0.1", "origin.localhost");
    world.verge_at(&url, &["status"]).await.ended(Exit::Success);
}

#[tokio::test]
async fn a_token_that_may_not_is_told_so() {
    let world = World::new().await;
    world.origin.memory().faults.forbidden = true;
    let ran = world.verge(&["push"]).await.ended(Exit::NotAllowed);
    assert!(ran.stderr.contains("error: this token does not allow that\nhint: ask for a token"), "{}", ran.stderr);
}

#[tokio::test]
async fn something_else_that_answers_is_no_origin() {
    let world = World::new().await;
    let ran = world.verge_at(&format!("{}/elsewhere", world.origin.url), &["status"]).await.ended(Exit::Failure);
    assert!(ran.stderr.contains("does not answer like an origin of Verge: it answers 404"), "{}", ran.stderr);
}
