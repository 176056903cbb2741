//! Join codes, and what ends when a token does.

use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use verge_daemon::sealing::EdgeKey;
use verge_protocol::api::{IssuedJoinSecret, JOIN_CODE_SECONDS, JoinRequest, Joined, SecretsRequest, TokenOwner};
use verge_protocol::{JoinSecret, feed::FeedMessage};

use super::test_origin::{TestOrigin, error, ok};

const EDGE: &str = "/v1/edges/fra-1";

/// Configures the edge.
async fn add_edge(origin: &TestOrigin) {
    let settings = json!({ "addresses": ["192.0.2.1"], "port": 8080, "location": null, "regions": [], "weight": 1 });
    assert!(origin.put(EDGE, settings).await.status().is_success());
}

async fn code(origin: &TestOrigin, of: &str) -> IssuedJoinSecret {
    ok(origin.request(Method::POST, &format!("{of}/join-code")).send().await.unwrap()).await
}

/// Sends a join code as a machine does that has no token.
async fn join(origin: &TestOrigin, secret: &JoinSecret, key: Option<&EdgeKey>) -> reqwest::Response {
    let request = JoinRequest { secret: secret.clone(), public_key: key.map(EdgeKey::public) };
    let url = format!("http://{}/v1/join", origin.daemon.addr());
    reqwest::Client::new().post(url).json(&request).send().await.unwrap()
}

#[tokio::test]
async fn edge_exchanges_its_code_for_a_token_and_is_bound_to_its_key() {
    let origin = TestOrigin::start().await;
    add_edge(&origin).await;
    let (key, other) = (EdgeKey::generate(), EdgeKey::generate());
    let issued = code(&origin, EDGE).await;
    let joined: Joined = ok(join(&origin, &issued.secret, Some(&key)).await).await;
    assert_eq!(joined.owner, TokenOwner::Edge("fra-1".parse().unwrap()));
    assert_eq!((joined.base_domain.as_str(), joined.edge.unwrap().port), ("localhost", 8080));
    let secrets = async |key: &EdgeKey| {
        let request = SecretsRequest { public_key: key.public(), secrets: Vec::new() };
        origin.request_as(&joined.token, Method::POST, "/v1/secrets").json(&request).send().await.unwrap()
    };
    assert!(secrets(&key).await.status().is_success());
    let other = error(secrets(&other).await).await.1;
    assert_eq!(other.code, "other_key");
    assert!(
        other.message.contains("write the token of `verge edges token fra-1` to its `token_file`"),
        "{}",
        other.message
    );
    origin.stop().await;
}

#[tokio::test]
async fn used_expired_and_replaced_codes_are_refused_and_change_nothing() {
    let origin = TestOrigin::start().await;
    add_edge(&origin).await;
    let (key, other) = (EdgeKey::generate(), EdgeKey::generate());
    let refused = async |secret: &JoinSecret, key: Option<&EdgeKey>| {
        let (status, body) = error(join(&origin, secret, key).await).await;
        (status, body.code)
    };
    let (replaced, issued) = (code(&origin, EDGE).await, code(&origin, EDGE).await);
    assert_eq!(refused(&replaced.secret, Some(&key)).await, (404, "unknown_join_code".to_owned()));
    assert_eq!(refused(&issued.secret, None).await, (400, "invalid_key".to_owned()));
    let first: Joined = ok(join(&origin, &issued.secret, Some(&key)).await).await;
    assert_eq!(refused(&issued.secret, Some(&other)).await, (409, "join_code_used".to_owned()));
    assert!(origin.request_as(&first.token, Method::GET, "/v1/token").send().await.unwrap().status().is_success());
    // The answer was lost.
    let again: Joined = ok(join(&origin, &issued.secret, Some(&key)).await).await;
    assert_eq!(origin.request_as(&first.token, Method::GET, "/v1/token").send().await.unwrap().status(), 401);
    origin.clock.advance(Duration::from_secs(JOIN_CODE_SECONDS));
    assert_eq!(refused(&issued.secret, Some(&key)).await, (410, "join_code_expired".to_owned()));
    assert!(origin.request_as(&again.token, Method::GET, "/v1/token").send().await.unwrap().status().is_success());

    let issued = code(&origin, EDGE).await;
    origin.delete(EDGE).await;
    assert_eq!(refused(&issued.secret, Some(&key)).await, (404, "unknown_join_code".to_owned()));
    let issued = code(&origin, "/v1/name-servers/ns-1").await;
    let joined: Joined = ok(join(&origin, &issued.secret, None).await).await;
    assert_eq!(joined.owner, TokenOwner::NameServer("ns-1".parse().unwrap()));
    assert_eq!(refused(&issued.secret, None).await, (409, "join_code_used".to_owned()));
    origin.stop().await;
}

#[tokio::test]
async fn edge_that_was_never_added_gets_no_code() {
    let origin = TestOrigin::start().await;
    let refused = async || {
        let answer = origin.request(Method::POST, &format!("{EDGE}/join-code")).send().await.unwrap();
        let (status, body) = error(answer).await;
        (status, body.code, body.message)
    };
    let unknown = (404, "unknown_edge".to_owned(), "there is no edge `fra-1`".to_owned());
    assert_eq!(refused().await, unknown);
    add_edge(&origin).await;
    code(&origin, EDGE).await;
    origin.delete(EDGE).await;
    assert_eq!(refused().await, unknown, "it was removed");
    // One that has a token, but no settings.
    origin.edge_token("fra-1").await;
    code(&origin, EDGE).await;
    origin.stop().await;
}

#[tokio::test]
async fn secret_of_a_code_is_stored_as_its_digest_only() {
    let origin = TestOrigin::start().await;
    add_edge(&origin).await;
    let secret = code(&origin, EDGE).await.secret.to_string();
    let directory = origin.directory.path().join("origin");
    for file in ["origin.db", "origin.db-wal"] {
        let bytes = std::fs::read(directory.join(file)).unwrap();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()), "{file}");
    }
    origin.stop().await;
}

/// Sooner than the next heartbeat, and although writes follow one another.
#[tokio::test]
async fn feed_ends_at_once_when_its_token_stops_working() {
    let origin = TestOrigin::start().await;
    let name_server = "/v1/name-servers/ns-1";
    for how in ["removed", "joined again", "new token", "name server removed"] {
        let token = if how == "name server removed" {
            origin.name_server_token("ns-1").await
        } else {
            origin.edge_token("fra-1").await
        };
        let mut feed = origin.subscribe(&token, None).await;
        let other = origin.edge_token("nyc-1").await;
        let mut others = origin.subscribe(&other, None).await;
        feed.caught_up().await;
        others.caught_up().await;
        match how {
            "removed" => assert!(origin.delete(EDGE).await.status().is_success()),
            "joined again" => {
                let issued = code(&origin, EDGE).await;
                let key = EdgeKey::generate();
                let _: Joined = ok(join(&origin, &issued.secret, Some(&key)).await).await;
            }
            "new token" => drop(origin.edge_token("fra-1").await),
            _ => assert!(origin.delete(name_server).await.status().is_success()),
        }
        let ended = tokio::time::timeout(Duration::from_secs(3), feed.next()).await;
        assert_eq!(ended, Ok(None), "{how}");
        let site = format!("s-{}", how.replace(' ', "-"));
        origin.create_site(&site).await;
        origin.push(&site, &super::test_origin::build(&[("index.html", "hi")])).await;
        assert!(matches!(others.next().await, Some(FeedMessage { .. })), "the feed of the other edge goes on");
    }
    origin.stop().await;
}
