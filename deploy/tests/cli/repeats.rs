//! Requests that move a channel, whose responses are lost.

use verge::failure::Failure;
use verge::upload::RetryPolicy;
use verge::{Exit, Output};
use verge_protocol::{ChannelName, ReleaseNumber};

use crate::network::{EAGER, client, push};
use crate::origin::{Early, Memory};
use crate::world::World;

/// As often as a request is sent at most.
const ALWAYS: usize = 5;

/// Gives up after as many requests.
const BRIEF: RetryPolicy = RetryPolicy { max_attempts: 3, ..EAGER };

fn releases(memory: &Memory) -> usize {
    memory.sites[&"app".parse().unwrap()].releases.len()
}

/// Rolls back to `v1` with another retry policy than the command.
async fn roll_back(world: &World, retry: RetryPolicy) -> Result<verge::rollback::RolledBack, Failure> {
    let rollback = verge::rollback::Rollback {
        author: None,
        client: &client(&world.origin.url),
        site: &"app".parse().unwrap(),
        channel: &ChannelName::live(),
        to: Some(ReleaseNumber(1)),
        wait: verge::rollout::Wait::All,
        retry,
    };
    let output = Output::new(std::io::sink(), std::io::sink(), verge::output::OutputOptions::default());
    rollback.run(&output).await.map_err(Failure::from)
}

async fn with_two_releases() -> World {
    let world = World::new().await;
    for text in ["1", "2"] {
        world.write("dist/app.js", text);
        world.verge(&["push"]).await.ended(Exit::Success);
    }
    world.origin.memory().keys.clear();
    world
}

#[tokio::test]
async fn push_whose_response_is_lost_is_repeated_with_the_same_key_and_releases_once() {
    for early in [Early::AtTheGateway, Early::BeforeReleased, Early::Garbled, Early::AfterReleased] {
        let world = World::new().await;
        world.origin.memory().faults.ends_early = [early, early].into();
        let ran = world.verge(&["push", "--json"]).await.ended(Exit::Success);
        assert_eq!(ran.json()["edges"]["confirmed"].as_array().unwrap().len(), 3);
        assert_eq!(ran.stderr.matches("; retrying\n").count(), 1, "{}", ran.stderr);
        let memory = world.origin.memory();
        assert_eq!(releases(&memory), 1);
        let keys: Vec<&str> = memory.keys.iter().map(|key| key.as_ref().unwrap().as_str()).collect();
        assert_eq!(keys, [keys[0]; 3]);
        assert!(keys[0].len() == 32 && keys[0].bytes().all(|digit| digit.is_ascii_hexdigit()), "{keys:?}");
    }
}

#[tokio::test]
async fn each_push_has_a_key_of_its_own() {
    let world = with_two_releases().await;
    world.write("dist/app.js", "3");
    world.verge(&["push"]).await.ended(Exit::Success);
    world.verge(&["rollback"]).await.ended(Exit::Success);
    let memory = world.origin.memory();
    assert!(memory.keys.len() == 2 && memory.keys[0] != memory.keys[1], "{:?}", memory.keys);
}

#[tokio::test]
async fn rollback_whose_response_is_lost_is_repeated_and_moves_once() {
    for early in [Early::AtTheGateway, Early::BeforeReleased] {
        let world = with_two_releases().await;
        world.origin.memory().faults.ends_early = [early].into();
        let line = world.verge(&["rollback", "--json"]).await.ended(Exit::Success).json();
        assert_eq!((&line["release"], &line["epoch"]), (&"v1".into(), &3.into()));
        assert_eq!(world.origin.memory().epoch, 3);
    }
}

#[tokio::test]
async fn older_origin_never_releases_twice_and_the_release_is_found() {
    let world = with_two_releases().await;
    world.write("dist/app.js", "3");
    world.origin.memory().faults.is_old = true;
    world.origin.memory().faults.ends_early = [Early::BeforeReleased].into();
    let ran = world.verge(&["push", "--json", "--author", "Ann"]).await.ended(Exit::Lagging);
    assert_eq!((&ran.json()["release"], &ran.json()["epoch"]), (&"v3".into(), &3.into()));
    assert!(ran.stderr.contains("warning: v3 is released, but the state of the edges is unknown: "), "{}", ran.stderr);
    assert_eq!(releases(&world.origin.memory()), 3);
    world.origin.memory().faults.ends_early = [Early::BeforeReleased].into();
    let ran = world.verge(&["rollback", "--no-wait", "--json"]).await.ended(Exit::Success);
    assert_eq!((&ran.json()["release"], &ran.json()["epoch"]), (&"v2".into(), &4.into()));
}

#[tokio::test]
async fn repeated_push_that_another_one_overtook_is_a_conflict() {
    let world = with_two_releases().await;
    world.write("dist/app.js", "3");
    // The first request is lost on its way: an older origin has executed nothing. The same files of another push are not ours.
    world.origin.memory().faults.is_old = true;
    world.origin.memory().faults.unavailable_moves = 1;
    world.origin.memory().faults.overtaken = true;
    let ran = world.verge(&["push"]).await.ended(Exit::Conflict);
    assert!(ran.stderr.contains("another push came first: live now points at v3 (Bob: mine)"), "{}", ran.stderr);
}

#[tokio::test]
async fn repeated_push_does_not_take_a_release_of_the_same_files_with_other_rules_for_its_own() {
    let world = with_two_releases().await;
    world.write("dist/_headers", "/*\n  X-A: 1\n");
    world.origin.memory().faults.unavailable_moves = 1;
    world.origin.memory().faults.overtaken_without_rules = true;
    let ran = world.verge(&["push"]).await.ended(Exit::Conflict);
    assert!(ran.stderr.contains("another push came first: live now points at v3"), "{}", ran.stderr);
}

#[tokio::test]
async fn rollback_and_promotion_survive_a_restart_of_the_origin_before_their_first_response() {
    let world = with_two_releases().await;
    for arguments in [["rollback", "--to", "v1"], ["promote", "v2", "--no-wait"]] {
        world.origin.memory().faults.unavailable_sites = 1;
        world.verge(&arguments).await.ended(Exit::Success);
    }
}

#[tokio::test]
async fn outcome_is_unknown_only_if_repeats_fail_too() {
    for early in [Early::AtTheGateway, Early::BeforeReleased, Early::Garbled] {
        let world = with_two_releases().await;
        world.write("dist/app.js", "3");
        world.origin.memory().faults.ends_early = [early; ALWAYS].into();
        let failure = Failure::from(push(&world, &world.origin.url, BRIEF).await.unwrap_err());
        assert_eq!(failure.exit, Exit::Unreachable);
        assert!(failure.message.starts_with("cannot tell whether live was updated: "), "{}", failure.message);
        assert_eq!(
            failure.hints,
            ["`verge log` says what the origin has done; to run the same command again does no harm"]
        );
        world.origin.memory().faults.ends_early = [early; ALWAYS].into();
        let failure = roll_back(&world, BRIEF).await.unwrap_err();
        assert_eq!(failure.exit, Exit::Unreachable);
        assert_eq!(releases(&world.origin.memory()), 3);
    }
}

#[tokio::test]
async fn edges_are_unknown_only_if_repeats_fail_after_the_release() {
    let world = World::new().await;
    world.origin.memory().faults.ends_early = [Early::AfterReleased; ALWAYS].into();
    let pushed = push(&world, &world.origin.url, BRIEF).await.unwrap();
    assert_eq!(pushed.rollout.exit(), Exit::Lagging);
    world.write("dist/app.js", "2");
    world.origin.memory().faults.ends_early = [Early::FailedAfterReleased].into();
    let ran = world.verge(&["push", "--site", "app"]).await.ended(Exit::Lagging);
    assert!(ran.stderr.contains("is unknown: the disk is\u{fffd}[2J full\n"), "{}", ran.stderr);
}

#[tokio::test]
async fn abandoned_rollout_fails_with_the_message_of_the_origin() {
    let world = World::new().await;
    world.origin.memory().faults.abandons = true;
    let ran = world.verge(&["push"]).await.ended(Exit::Failure);
    let error = "error: 1 of 3 edges prepared v1: the channel is unchanged\nhint: see `verge status` for the edges\n";
    assert!(ran.stderr.ends_with(error), "{}", ran.stderr);
    assert_eq!(world.origin.memory().keys.len(), 1, "it is not repeated");
}
