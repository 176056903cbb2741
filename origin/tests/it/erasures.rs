//! Erasures: what is removed, what is refused, and what stays.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use verge_daemon::Tasks;
use verge_origin::Config;
use verge_protocol::api::{BlobsRequest, ErasurePlan, LogEntry, LogEvent, PurgeProgress};
use verge_protocol::pack::{Decoder, Frame};
use verge_test_kit::until;

use super::test_origin::{TestBuild, TestOrigin, build, digest, error, ok, packed};

impl TestOrigin {
    async fn post_erasure(&self, site: &str, target: Value) -> Response {
        self.request(Method::POST, &format!("/v1/sites/{site}/erasures")).json(&target).send().await.unwrap()
    }

    async fn erase(&self, site: &str, path: &str) {
        let last = self.try_erase(site, path).await;
        assert!(matches!(last, PurgeProgress::Finished { .. }), "{last:?}");
    }

    /// The last event of an erasure.
    async fn try_erase(&self, site: &str, path: &str) -> PurgeProgress {
        let body = json!({ "path": path, "author": "ann", "message": "a leak" });
        let response = self.post_erasure(site, body).await;
        assert_eq!(response.status(), StatusCode::OK);
        let text = response.text().await.unwrap();
        serde_json::from_str(text.lines().last().unwrap()).unwrap()
    }

    /// The file of the blob of a text.
    fn object(&self, text: &str) -> PathBuf {
        let name = digest(text).to_string();
        self.directory.path().join("origin/objects/blobs").join(&name[..2]).join(name)
    }

    async fn until_removed(&self, text: &str) {
        until("the blob is removed", async || !self.object(text).exists()).await;
    }

    /// Sends a pack of all blobs of a build, but for its end.
    async fn begin_pack(&self, site: &str, pushed: &TestBuild) -> PackInProgress {
        let created = self.create_build(site, &pushed.build).await;
        let (rest, wait) = oneshot::channel::<()>();
        let pack = packed(&pushed.blobs);
        let (begin, end) = (pack.slice(..pack.len() - 10), pack.slice(pack.len() - 10..));
        let end = async move {
            let _ = wait.await;
            Ok::<_, std::io::Error>(end)
        };
        let body = stream::iter([Ok(begin)]).chain(stream::once(end));
        let path = format!("/v1/sites/{site}/builds/{}/blobs", created.build);
        let request = self.request(Method::POST, &path).body(reqwest::Body::wrap_stream(body));
        let response = Tasks::default().spawn("pack", async move { request.send().await.unwrap().status() });
        PackInProgress { rest, response }
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

/// A pack whose end is not sent yet.
struct PackInProgress {
    rest: oneshot::Sender<()>,
    response: JoinHandle<Option<StatusCode>>,
}

impl PackInProgress {
    async fn end(self) {
        self.rest.send(()).unwrap();
        assert_eq!(self.response.await.unwrap(), Some(StatusCode::OK));
    }
}

/// A site whose first two releases had other secrets at a path, and whose third has none.
async fn with_secrets() -> TestOrigin {
    with_secrets_and(|_| {}).await
}

/// The same, with other settings.
async fn with_secrets_and(change: impl FnOnce(&mut Config)) -> TestOrigin {
    let origin = TestOrigin::start_with(change).await;
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
    let (status, body) = error(origin.post_erasure("demo", json!({ "release": "v9" })).await).await;
    assert_eq!(
        (status, body.code.as_str(), body.message.as_str()),
        (404, "unknown_release", "the site has no release v9")
    );
    let (status, body) = error(origin.post_erasure("nope", json!({ "path": "copy.txt" })).await).await;
    assert_eq!((status, body.code.as_str()), (404, "unknown_site"));
    assert!(origin.has("shared").await);
    origin.stop().await;
}

#[tokio::test]
async fn bytes_that_a_channel_serves_at_another_path_stay_and_the_others_are_erased() {
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    origin.push("demo", &build(&[("keys.json", "secret")])).await;
    origin.push("demo", &build(&[("keys.json", "{}")])).await;
    origin.push("demo", &build(&[("settings.json", "{}")])).await;
    let body = json!({ "path": "keys.json" });
    let plan = origin.request(Method::POST, "/v1/sites/demo/erasures/plan").json(&body).send().await.unwrap();
    let plan: ErasurePlan = ok(plan).await;
    let erased: Vec<_> = plan.contents.iter().map(|content| content.digest).collect();
    let stay: Vec<_> = plan.in_use.iter().map(|content| (content.digest, content.path.as_str())).collect();
    assert_eq!((erased, stay), (vec![digest("secret")], vec![(digest("{}"), "settings.json")]));
    origin.erase("demo", "keys.json").await;
    assert_eq!([origin.has("secret").await, origin.has("{}").await], [false, true]);
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

#[tokio::test]
async fn erasure_is_completed_when_its_client_disconnects() {
    let origin = TestOrigin::start_with(|config| config.expiry_check_interval = Duration::from_hours(1)).await;
    origin.create_site("demo").await;
    let secrets: Vec<(String, String)> = (0..1000).map(|n| (format!("{n}.txt"), format!("secret {n}"))).collect();
    let files: Vec<(&str, &str)> = secrets.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    origin.push("demo", &build(&files)).await;
    origin.push("demo", &build(&[("index.html", "v2")])).await;
    let request = origin.request(Method::POST, "/v1/sites/demo/erasures").json(&json!({ "release": "v1" }));
    let client = Tasks::default().spawn("client", async move { request.send().await.unwrap().text().await });
    until("the erasure is in the log", async || {
        let log: Vec<LogEntry> = origin.get("/v1/sites/demo/log").await;
        log.iter().any(|entry| matches!(entry.event, LogEvent::Erased { .. }))
    })
    .await;
    client.abort();
    for (_, text) in &secrets {
        origin.until_removed(text).await;
    }
    origin.stop().await;
}

#[tokio::test]
async fn erasure_fails_if_the_store_fails_to_remove_blobs_and_they_are_removed_later() {
    for restarts in [false, true] {
        let interval = if restarts { Duration::from_hours(1) } else { Duration::from_millis(10) };
        let origin = with_secrets_and(|config| config.expiry_check_interval = interval).await;
        let object = origin.object("first secret");
        // A file cannot be removed in place of a directory.
        fs::remove_file(&object).unwrap();
        fs::create_dir(&object).unwrap();
        let last = origin.try_erase("demo", "keys.json").await;
        let PurgeProgress::Failed(error) = last else { panic!("{last:?}") };
        assert_eq!(error.code, "not_removed");
        assert_eq!(error.message, "the store of the origin still has 1 of the erased blobs: removing failed");
        assert!(!origin.object("second secret").exists());
        fs::remove_dir(&object).unwrap();
        fs::write(&object, "first secret").unwrap();
        let origin = if restarts { origin.restart().await } else { origin };
        origin.until_removed("first secret").await;
        origin.erase("demo", "keys.json").await;
        origin.stop().await;
    }
}

#[tokio::test]
async fn erased_blob_that_a_pack_of_another_site_has_stays() {
    let origin = with_secrets_and(|config| config.expiry_check_interval = Duration::from_millis(10)).await;
    origin.create_site("news").await;
    let news = build(&[("notes.txt", "first secret"), ("index.html", "news")]);
    let pack = origin.begin_pack("news", &news).await;
    until("the pack is being received", async || origin.object("news").exists()).await;
    let last = origin.try_erase("demo", "keys.json").await;
    let PurgeProgress::Failed(error) = last else { panic!("{last:?}") };
    assert_eq!(
        error.message,
        "the store of the origin still has 1 of the erased blobs: a push in progress may send them again"
    );
    pack.end().await;
    origin.push("news", &news).await;
    origin.erase("demo", "keys.json").await;
    assert_eq!([origin.has("first secret").await, origin.has("second secret").await], [true, false]);
    origin.stop().await;
}

#[tokio::test]
async fn erased_blob_does_not_come_back_by_a_push_that_began_before_while_another_site_has_it() {
    let origin = with_secrets_and(|config| config.expiry_check_interval = Duration::from_millis(10)).await;
    origin.create_site("news").await;
    origin.push("news", &build(&[("index.html", "news"), ("notes.txt", "first secret")])).await;
    origin.push("news", &build(&[("index.html", "news")])).await;
    let pack = origin.begin_pack("demo", &build(&[("again.txt", "first secret"), ("new.txt", "new")])).await;
    until("the pack is being received", async || origin.object("new").exists()).await;
    origin.erase("demo", "keys.json").await;
    pack.end().await;
    assert!(origin.has("first secret").await, "the other site has it");
    origin.erase("news", "notes.txt").await;
    assert!(!origin.object("first secret").exists());
    origin.stop().await;
}

#[tokio::test]
async fn erased_blob_does_not_come_back_by_a_push_that_began_before() {
    let origin = with_secrets_and(|config| config.expiry_check_interval = Duration::from_millis(10)).await;
    let again = build(&[("again.txt", "first secret"), ("new.txt", "new")]);
    let created = origin.create_build("demo", &again.build).await;
    let pack = origin.begin_pack("demo", &again).await;
    until("the pack is being received", async || origin.object("new").exists()).await;
    assert!(matches!(origin.try_erase("demo", "keys.json").await, PurgeProgress::Failed(_)));
    pack.end().await;
    origin.until_removed("first secret").await;
    let (status, body) = error(origin.post_pack("demo", &created, packed(&again.blobs)).await).await;
    assert_eq!((status, body.code.as_str()), (422, "erased"));
    origin.erase("demo", "keys.json").await;
    assert!(!origin.object("first secret").exists());
    origin.stop().await;
}
