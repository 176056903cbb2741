//! Origins that were restored from an older copy, or replaced, while subscribers are ahead.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;
use verge_protocol::Checkpoint;
use verge_protocol::api::{Problem, Progress, RemoveOrphans, Status};
use verge_protocol::feed::{FeedEvent, FeedMessage, Reset};
use verge_protocol::report::EdgeReport;

use super::test_origin::{TestOrigin, build, error, ok};

async fn push(origin: &TestOrigin, text: &str) -> Vec<Progress> {
    origin.push("demo", &build(&[("index.html", text)])).await
}

/// An origin with one release, in a copy, and a second one, which an edge has read.
async fn ahead() -> (TestOrigin, std::path::PathBuf, String, Checkpoint, Checkpoint) {
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    let token = origin.edge_token("fra-1").await;
    push(&origin, "one").await;
    let early = origin.subscribe(&token, None).await.caught_up().await;
    let (origin, copy) = origin.back_up().await;
    push(&origin, "two").await;
    let late = origin.subscribe(&token, None).await.caught_up().await;
    (origin, copy, token, early, late)
}

async fn reset(origin: &TestOrigin, token: &str, since: Checkpoint) -> Option<Reset> {
    match origin.subscribe(token, Some(since)).await.next().await.unwrap().event {
        FeedEvent::Reset(reset) => Some(reset),
        _ => None,
    }
}

async fn problems(origin: &TestOrigin) -> Vec<Problem> {
    origin.get::<Status>("/v1/status").await.problems
}

#[tokio::test]
async fn subscriber_ahead_of_a_restored_origin_starts_over_in_a_new_generation() {
    let (origin, copy, token, early, late) = Box::pin(ahead()).await;
    assert_eq!((reset(&origin, &token, early).await, reset(&origin, &token, late).await), (None, None));
    let origin = origin.restore(Some(&copy)).await;
    let mut tailing = origin.subscribe(&token, Some(early)).await;
    tailing.caught_up().await;
    assert_eq!(problems(&origin).await, []);

    assert_eq!(reset(&origin, &token, late).await, Some(Reset::Diverged));
    let after = origin.get::<Status>("/v1/status").await.position;
    assert_eq!(after.to_string(), "2-4");
    let FeedMessage { event, .. } = tailing.next().await.unwrap();
    assert_eq!(event, FeedEvent::Reset(Reset::Compacted), "what it has read is part of this history");
    // The others change nothing any more.
    assert_eq!(reset(&origin, &token, late).await, Some(Reset::Diverged));
    assert_eq!(reset(&origin, &token, early).await, Some(Reset::Compacted));
    assert_eq!(origin.get::<Status>("/v1/status").await.position, after);

    let [Problem::Diverged { subscriber, seen, had, .. }] = &problems(&origin).await[..] else { panic!() };
    assert_eq!((subscriber.as_str(), *seen, *had), ("edge fra-1", late.position, early.position));
    let (status, text) = origin.health().await;
    assert!(
        status == 200 && text.starts_with("degraded: edge fra-1 had read writes, up to 1-8, that"),
        "{status} {text}"
    );
    let origin = origin.restart().await;
    assert_eq!(problems(&origin).await.len(), 1, "also after a restart");
    origin.clock.advance(Duration::from_hours(25));
    assert_eq!(problems(&origin).await, [], "for a day");

    let progress = push(&origin, "another two").await;
    assert!(matches!(progress.last(), Some(Progress::Finished { .. })), "{progress:?}");
    let now = origin.subscribe(&token, None).await.caught_up().await;
    assert_eq!(now.position.to_string(), "2-8");
    assert_ne!(now.history, late.history);
    assert_eq!(reset(&origin, &token, now).await, None);
}

#[tokio::test]
async fn restored_origin_that_has_caught_up_in_number_is_detected() {
    let (origin, copy, token, early, late) = Box::pin(ahead()).await;
    let origin = origin.restore(Some(&copy)).await;
    push(&origin, "another two").await;
    let other = origin.subscribe(&token, None).await.caught_up().await;
    assert_eq!(other.position, late.position);
    push(&origin, "another three").await;
    assert_eq!(reset(&origin, &token, late).await, Some(Reset::Diverged));
    assert_eq!(reset(&origin, &token, early).await, Some(Reset::Compacted));
    assert_eq!(reset(&origin, &token, other).await, Some(Reset::Compacted));
    assert_eq!(origin.get::<Status>("/v1/status").await.position.to_string(), "2-12");
}

#[tokio::test]
async fn origin_with_an_empty_directory_knows_no_token_and_takes_a_generation_beyond_the_lost_one() {
    let (origin, _, token, _, late) = Box::pin(ahead()).await;
    let origin = origin.restore(None).await;
    let refused = origin.request_as(&token, Method::GET, "/v1/changes").send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    assert!(matches!(problems(&origin).await[..], [Problem::UnknownTokens { requests: 1, .. }]));
    let token = origin.edge_token("fra-1").await;
    // Twice: the number of a lost generation is never used again.
    let far = Checkpoint { position: "70-1".parse().unwrap(), ..late };
    for (since, generation) in [(late, "2-0"), (far, "71-0")] {
        assert_eq!(reset(&origin, &token, since).await, Some(Reset::Diverged));
        assert_eq!(origin.get::<Status>("/v1/status").await.position.to_string(), generation);
        // The next one must wait: each costs every subscriber a snapshot.
        let next = Checkpoint { position: "90-1".parse().unwrap(), ..late };
        assert_eq!(origin.subscribe(&token, Some(next)).await.next().await, None, "the feed ends");
        assert_eq!(origin.get::<Status>("/v1/status").await.position.to_string(), generation);
        origin.clock.advance(Duration::from_secs(30));
    }
    // No origin has ever chosen this one.
    let nonsense = Checkpoint { position: "9223372036854775807-1".parse().unwrap(), ..late };
    assert_eq!(reset(&origin, &token, nonsense).await, Some(Reset::Diverged));
    assert_eq!(origin.get::<Status>("/v1/status").await.position.to_string(), "71-0");
}

#[tokio::test]
async fn orphans_that_edges_report_are_listed_and_can_be_removed() {
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    push(&origin, "one").await;
    let token = origin.edge_token("fra-1").await;
    let orphans = vec!["channel/news/live".to_owned(), "domain/news.example".to_owned()];
    let report = EdgeReport { orphans: orphans.clone(), ..EdgeReport::new("1-1".parse().unwrap(), "0") };
    let answer = origin.request_as(&token, Method::POST, "/v1/edges/report").json(&report).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    let edges = vec!["fra-1".parse().unwrap()];
    assert_eq!(problems(&origin).await, [Problem::Orphans { keys: orphans.clone(), edges }]);

    let mut feed = origin.subscribe(&token, None).await;
    feed.caught_up().await;
    let remove = async |keys: &[&str]| {
        origin.request(Method::POST, "/v1/orphans/remove").json(&json!({ "keys": keys })).send().await.unwrap()
    };
    assert_eq!(error(remove(&["channel/news/live\u{1b}[2J"]).await).await.1.code, "invalid_body");
    let removed: RemoveOrphans =
        ok(remove(&["channel/news/live", "channel/demo/live", "domain/news.example"]).await).await;
    assert_eq!(removed.keys, orphans, "the origin has the other one");
    for (key, seq) in orphans.iter().zip(5..) {
        let row = feed.row().await;
        assert_eq!((&row.key, row.seq.0, row.value.is_none()), (key, seq, true));
    }
    // The edge has not dropped them yet, but they are known now.
    assert_eq!(problems(&origin).await, []);
}
