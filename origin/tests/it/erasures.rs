//! Erasures: what is removed, what is refused, and what stays.

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use verge_protocol::api::{BlobsRequest, ErasurePlan, LogEntry, LogEvent, PurgeProgress};
use verge_protocol::pack::{Decoder, Frame};

use super::test_origin::{TestBuild, TestOrigin, build, digest, error, ok};

impl TestOrigin {
    async fn post_erasure(&self, site: &str, target: Value) -> Response {
        self.request(Method::POST, &format!("/v1/sites/{site}/erasures")).json(&target).send().await.unwrap()
    }

    async fn erase(&self, site: &str, path: &str) {
        let body = json!({ "path": path, "author": "ann", "message": "a leak" });
        let response = self.post_erasure(site, body).await;
        assert_eq!(response.status(), StatusCode::OK);
        let text = response.text().await.unwrap();
        let last: PurgeProgress = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert!(matches!(last, PurgeProgress::Finished { .. }), "{text}");
    }

    /// Whether the origin sends the blob of a text.
    async fn has(&self, text: &str) -> bool {
        let token = self.edge_token("fra-1").await;
        let request = BlobsRequest { digests: vec![digest(text)] };
        let response = self.request_as(&token, Method::POST, "/v1/blobs").json(&request).send().await.unwrap();
        let mut decoder = Decoder::default();
        decoder.push(&response.bytes().await.unwrap());
        matches!(decoder.next_frame().unwrap(), Some(Frame::Blob(_)))
    }

    /// The status and code of an attempt to move the live channel of `demo` to a release.
    async fn rollback(&self, release: &str) -> (u16, String) {
        let site: verge_protocol::api::Site = self.get("/v1/sites/demo").await;
        let body = json!({ "release": release, "expected": site.channels[0].epoch });
        let response = self.request(Method::POST, "/v1/sites/demo/channels/live").json(&body).send().await.unwrap();
        if response.status().is_success() {
            return (200, response.text().await.unwrap());
        }
        let (status, body) = error(response).await;
        (status, body.code)
    }

    async fn create(&self, site: &str, pushed: &TestBuild) -> Response {
        self.post_build(site, serde_json::to_vec(&pushed.build).unwrap()).await
    }
}

/// A site whose first two releases had other secrets at a path, and whose third has none.
async fn with_secrets() -> TestOrigin {
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    origin.push("demo", &build(&[("index.html", "v1"), ("keys.json", "first secret"), ("copy.txt", "shared")])).await;
    origin.push("demo", &build(&[("index.html", "v2"), ("keys.json", "second secret"), ("copy.txt", "shared")])).await;
    origin.push("demo", &build(&[("index.html", "v3"), ("copy.txt", "shared")])).await;
    origin
}

#[tokio::test]
async fn erased_bytes_are_gone_and_can_neither_be_pushed_nor_released_again() {
    let origin = with_secrets().await;
    let body = json!({ "path": "keys.json" });
    let plan = origin.request(Method::POST, "/v1/sites/demo/erasures/plan").json(&body).send().await.unwrap();
    let plan: ErasurePlan = ok(plan).await;
    assert_eq!((plan.contents.len(), plan.removed_bytes, plan.kept_bytes), (2, 25, 0));
    assert!(origin.has("first secret").await, "a plan changes nothing");
    origin.erase("demo", "keys.json").await;
    let has = [origin.has("first secret").await, origin.has("second secret").await, origin.has("shared").await];
    assert_eq!(has, [false, false, true]);
    let origin = origin.restart().await;
    for secret in ["first secret", "second secret"] {
        let again = build(&[("index.html", "v4"), ("elsewhere.txt", secret)]);
        let (status, body) = error(origin.create("demo", &again).await).await;
        assert_eq!((status, body.code.as_str()), (422, "erased"));
        assert!(body.message.contains("`elsewhere.txt`") && body.message.contains("`keys.json`"), "{}", body.message);
    }
    for release in ["v1", "v2"] {
        assert_eq!(origin.rollback(release).await, (409, "erased".to_owned()));
    }
    origin.push("demo", &build(&[("index.html", "v5"), ("copy.txt", "shared")])).await;
    assert_eq!(origin.rollback("v3").await.0, 200);
    // Erasing again is no error: it confirms.
    origin.erase("demo", "keys.json").await;
    let log: Vec<LogEntry> = origin.get("/v1/sites/demo/log").await;
    let erased = log
        .iter()
        .filter(|entry| matches!(&entry.event, LogEvent::Erased { path, .. } if path.as_str() == "keys.json"));
    assert_eq!(erased.map(|entry| entry.author.as_deref()).collect::<Vec<_>>(), [Some("ann"), Some("ann")]);
    origin.stop().await;
}

#[tokio::test]
async fn bytes_that_a_channel_serves_are_not_erased() {
    let origin = with_secrets().await;
    let (status, body) = error(origin.post_erasure("demo", json!({ "path": "copy.txt" })).await).await;
    assert_eq!((status, body.code.as_str()), (409, "in_use"));
    assert_eq!(body.message, "channel live serves these bytes at `copy.txt`");
    let (status, body) = error(origin.post_erasure("demo", json!({ "path": "nowhere" })).await).await;
    assert_eq!((status, body.code.as_str()), (404, "nothing_to_erase"));
    let (status, body) = error(origin.post_erasure("nope", json!({ "path": "copy.txt" })).await).await;
    assert_eq!((status, body.code.as_str()), (404, "unknown_site"));
    assert!(origin.has("shared").await);
    origin.stop().await;
}

#[tokio::test]
async fn bytes_that_another_site_has_stay_in_the_store() {
    let origin = with_secrets().await;
    origin.create_site("news").await;
    let news = build(&[("index.html", "news"), ("notes.txt", "first secret")]);
    origin.push("news", &news).await;
    origin.erase("demo", "keys.json").await;
    assert_eq!([origin.has("first secret").await, origin.has("second secret").await], [true, false]);
    assert!(origin.create("news", &news).await.status().is_success(), "the other site may push them");
    assert_eq!(error(origin.create("demo", &news).await).await.0, 422);
    origin.stop().await;
}

#[tokio::test]
async fn release_is_erased_as_far_as_no_other_release_has_its_files() {
    let origin = with_secrets().await;
    let response = origin.post_erasure("demo", json!({ "release": "v1" })).await;
    assert_eq!(response.status(), StatusCode::OK);
    response.text().await.unwrap();
    let has = ["v1", "first secret", "second secret", "shared", "v2"];
    let mut kept = Vec::new();
    for text in has {
        if origin.has(text).await {
            kept.push(text);
        }
    }
    assert_eq!(kept, ["second secret", "shared", "v2"]);
    assert_eq!((origin.rollback("v1").await.0, origin.rollback("v2").await.0), (409, 200));
    origin.stop().await;
}
