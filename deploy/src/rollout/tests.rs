//! Tests of the module as a whole: events in, outcome out.

use futures_util::stream;
use verge_protocol::api::{ErrorBody, LaggingEdge, Progress};
use verge_protocol::{Digest, EdgeName, ReleaseNumber, Seq};

use super::tracker::Tracker;
use super::*;
use crate::client::ClientError;
use crate::exit::Exit;
use crate::output::{Output, OutputOptions};

fn edge(name: &str) -> EdgeName {
    name.parse().unwrap()
}

fn released() -> Progress {
    let manifest = Digest::of(b"m");
    Progress::Released { release: ReleaseNumber(2), manifest, epoch: Seq(9), url: "http://a".into(), warnings: vec![] }
}

fn confirmed(name: &str, done: u64, total: u64) -> Progress {
    Progress::Confirmed { edge: edge(name), done, total, elapsed_ms: 4 }
}

fn lagging(name: &str, away: bool) -> LaggingEdge {
    LaggingEdge { edge: edge(name), reason: "slow".into(), away, last_seen: None }
}

fn failed() -> Progress {
    Progress::Failed(ErrorBody { code: "storage".into(), message: "the disk is full".into(), hint: None })
}

async fn run(events: Vec<Progress>, wait: Wait) -> Result<Rollout, ClientError> {
    let output = Output::new(std::io::sink(), std::io::sink(), OutputOptions::default());
    let mut tracker = Tracker::new(wait, &output);
    let outcome = tracker.follow(stream::iter(events.into_iter().map(Ok))).await;
    outcome.or_else(|error| tracker.interrupted(error.to_string()).ok_or(error))
}

#[tokio::test]
async fn rollout_confirmed_by_every_edge_succeeds() {
    let events = vec![
        Progress::Encoding { done: 1, total: 1 },
        Progress::Unknown,
        Progress::Preparing { release: ReleaseNumber(2), edges: vec![edge("a")] },
        Progress::Fetching { edge: edge("a"), done: 1, total: 2, problem: None },
        Progress::Prepared { edge: edge("a"), done: 1, total: 1 },
        released(),
        confirmed("a", 1, 1),
        Progress::Finished { confirmed: vec![edge("a")], lagging: vec![], elapsed_ms: 4 },
    ];
    let rollout = run(events, Wait::All).await.unwrap();
    assert_eq!(rollout.confirmations.confirmed, [edge("a")]);
    assert_eq!(rollout.confirmations.to_string(), "live on 1/1 edge in 4 ms");
    assert_eq!(rollout.exit(), Exit::Success);
}

#[tokio::test]
async fn rollout_without_wait_ends_at_the_release_and_not_before() {
    let preparing = Progress::Preparing { release: ReleaseNumber(2), edges: vec![edge("a")] };
    let rollout = run(vec![preparing.clone(), released(), failed()], Wait::No).await.unwrap();
    assert_eq!((rollout.exit(), rollout.interruption, rollout.edges_are_known), (Exit::Success, None, false));
    assert!(run(vec![preparing], Wait::No).await.is_err());
}

#[tokio::test]
async fn failure_before_the_release_is_an_error_and_after_it_an_interruption() {
    assert!(matches!(run(vec![failed()], Wait::All).await, Err(ClientError::Refused { status: None, .. })));
    assert!(matches!(run(vec![], Wait::All).await, Err(ClientError::ConnectionLost { .. })));
    let lost = run(vec![released(), confirmed("a", 1, 2)], Wait::All).await.unwrap();
    assert_eq!((lost.exit(), lost.confirmations.confirmed.len()), (Exit::Lagging, 1));
    let failed = run(vec![released(), failed()], Wait::All).await.unwrap();
    assert_eq!(failed.interruption.as_deref(), Some("the disk is full"));
}

#[tokio::test]
async fn lagging_edge_sets_exit_code_and_away_edge_only_if_strict() {
    let ended = |away| {
        let (confirmed, lagging) = (vec![edge("a")], vec![lagging("b", away)]);
        vec![released(), Progress::Finished { confirmed, lagging, elapsed_ms: 4 }]
    };
    assert_eq!(run(ended(false), Wait::All).await.unwrap().exit(), Exit::Lagging);
    assert_eq!(run(ended(true), Wait::All).await.unwrap().exit(), Exit::Success);
    assert_eq!(run(ended(true), Wait::Strict).await.unwrap().exit(), Exit::Lagging);
    assert_eq!(run(ended(true), Wait::Share(100)).await.unwrap().exit(), Exit::Success);
}

#[tokio::test]
async fn share_ends_as_soon_as_it_is_reached() {
    let preparing = Progress::Preparing { release: ReleaseNumber(2), edges: ["a", "b", "c"].map(edge).to_vec() };
    let two_of_three = vec![preparing, released(), confirmed("a", 1, 3), confirmed("b", 2, 3)];
    let rollout = run(two_of_three.clone(), Wait::Share(60)).await.unwrap();
    assert_eq!((rollout.exit(), &rollout.interruption), (Exit::Success, &None));
    assert_eq!((&rollout.confirmations.pending, rollout.confirmations.total), (&vec![edge("c")], 3));
    let rollout = run(two_of_three.clone(), Wait::Share(90)).await.unwrap();
    assert!(rollout.interruption.is_some(), "it waits for more");
    let (confirmed, lagging) = (["a", "b"].map(edge).to_vec(), vec![lagging("c", false)]);
    let finished = Progress::Finished { confirmed, lagging, elapsed_ms: 4 };
    let rollout = run([two_of_three, vec![finished]].concat(), Wait::Share(90)).await.unwrap();
    assert_eq!((rollout.exit(), rollout.interruption), (Exit::Lagging, None));
}

#[tokio::test]
async fn events_of_a_repeated_request_are_taken() {
    let output = Output::new(std::io::sink(), std::io::sink(), OutputOptions::default());
    let mut tracker = Tracker::new(Wait::All, &output);
    let preparing = Progress::Preparing { release: ReleaseNumber(2), edges: vec![edge("a"), edge("b")] };
    let prepared = |name, done| Progress::Prepared { edge: edge(name), done, total: 2 };
    let finished = Progress::Finished { confirmed: vec![edge("a"), edge("b")], lagging: vec![], elapsed_ms: 4 };
    let parts = [
        (vec![preparing.clone(), prepared("a", 1)], true),
        (vec![preparing.clone(), prepared("a", 1)], false),
        (vec![preparing, prepared("a", 1), prepared("b", 2), released(), confirmed("a", 1, 2)], true),
    ];
    for (events, advances) in parts {
        assert!(tracker.follow(stream::iter(events.into_iter().map(Ok))).await.is_err());
        assert_eq!(tracker.has_advanced(), advances);
    }
    let last = vec![released(), confirmed("a", 1, 2), confirmed("b", 2, 2), finished];
    let rollout = tracker.follow(stream::iter(last.into_iter().map(Ok))).await.unwrap();
    assert_eq!((rollout.exit(), rollout.confirmations.confirmed.len()), (Exit::Success, 2));
}

#[tokio::test]
async fn edge_that_answers_with_another_release_sets_exit_code() {
    let events = vec![released(), Progress::Finished { confirmed: vec![edge("a")], lagging: vec![], elapsed_ms: 4 }];
    let mut rollout = run(events, Wait::All).await.unwrap();
    let check = |release: Option<u64>| EdgeCheck {
        edge: edge("a"),
        reached: release.is_some(),
        status: release.map(|_| 200),
        release: release.map(ReleaseNumber),
    };
    for (release, exit) in [(None, Exit::Success), (Some(2), Exit::Success), (Some(1), Exit::Lagging)] {
        rollout.checked = vec![check(release)];
        assert_eq!(rollout.exit(), exit, "{release:?}");
    }
}
