//! A full disk beneath the origin: what was acknowledged stays, what fails changes nothing, and all works again once there is room.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use reqwest::{Method, Response, StatusCode};
use serde_json::json;
use verge_protocol::Seq;
use verge_protocol::api::{ErrorBody, MoveChannel, Progress, Site, Status};
use verge_test_kit::{on_small_disk, until};

use super::test_origin::{TestOrigin, build, packed};

/// The size of the disk: enough for all that the test writes, with some to spare.
pub(super) const DISK: u64 = 16 << 20;
/// The unit in which the file system gives out room.
const BLOCK: usize = 4096;

/// Fills the disk but for this many blocks.
pub(super) fn fill(disk: &Path, left: usize) {
    let filler = disk.join("filler");
    let mut file = fs::File::create(&filler).unwrap();
    let block = [0xff; BLOCK];
    let mut blocks = 0_u64;
    while file.write_all(&block).is_ok() {
        blocks += 1;
    }
    file.set_len(blocks.checked_sub(left as u64).unwrap() * BLOCK as u64).unwrap();
}

/// Removes what [`fill`] has written.
pub(super) fn make_room(disk: &Path) {
    fs::remove_file(disk.join("filler")).unwrap();
}

/// What the origin has acknowledged.
#[derive(Debug, Default)]
struct Acknowledged {
    channel: Option<(String, Seq)>,
    token: String,
    weight: u64,
}

/// A client that notes what is acknowledged, and checks how the rest fails.
struct Client<'a> {
    origin: &'a TestOrigin,
    acknowledged: &'a mut Acknowledged,
    failures: usize,
}

impl Client<'_> {
    /// Whether the request succeeded; if not, it must say that the disk is full.
    async fn is_ok(&mut self, response: Response) -> Option<Response> {
        if response.status().is_success() {
            return Some(response);
        }
        let (status, body) = (response.status(), response.json::<ErrorBody>().await.unwrap());
        assert_eq!((status, body.code.as_str()), (StatusCode::INSUFFICIENT_STORAGE, "storage_full"), "{body:?}");
        self.failures += 1;
        None
    }

    async fn follow(&mut self, response: Response) {
        let Some(response) = self.is_ok(response).await else { return };
        for line in response.text().await.unwrap().lines().filter(|line| !line.is_empty()) {
            match serde_json::from_str(line).unwrap() {
                Progress::Released { release, epoch, .. } => {
                    self.acknowledged.channel = Some((release.to_string(), epoch));
                }
                Progress::Failed(body) => {
                    assert_eq!(body.code, "storage_full", "{body:?}");
                    self.failures += 1;
                }
                _ => {}
            }
        }
    }

    async fn push(&mut self, text: &str) {
        let pushed = build(&[("index.html", text), ("about.html", &text.repeat(3000))]);
        let created = self.origin.post_build("demo", serde_json::to_vec(&pushed.build).unwrap()).await;
        let Some(created) = self.is_ok(created).await else { return };
        let created = created.json().await.unwrap();
        let pack = self.origin.post_pack("demo", &created, packed(&pushed.blobs)).await;
        if self.is_ok(pack).await.is_some() {
            let expected = self.acknowledged.channel.as_ref().map(|(_, epoch)| *epoch);
            let publish = self.origin.publish("demo", &created, expected).await;
            self.follow(publish).await;
        }
    }

    async fn roll_back(&mut self) {
        let Some((_, epoch)) = self.acknowledged.channel else { return };
        let body =
            MoveChannel { release: "v1".parse().unwrap(), expected: Some(epoch), idempotency_key: None, author: None };
        let request = self.origin.request(Method::POST, "/v1/sites/demo/channels/live").json(&body);
        self.follow(request.send().await.unwrap()).await;
    }

    async fn issue_token(&mut self) {
        let issued = self.origin.request(Method::POST, "/v1/edges/fra-1/token").send().await.unwrap();
        if let Some(issued) = self.is_ok(issued).await {
            let issued: serde_json::Value = issued.json().await.unwrap();
            issued["token"].as_str().unwrap().clone_into(&mut self.acknowledged.token);
        }
    }

    /// Writes a tombstone, as a removal or a purge does.
    async fn remove_orphan(&mut self) {
        let body = json!({ "keys": ["channel/gone/live"] });
        let remove = self.origin.request(Method::POST, "/v1/orphans/remove").json(&body).send().await.unwrap();
        self.is_ok(remove).await;
    }

    async fn set_weight(&mut self, weight: u64) {
        let settings =
            json!({ "addresses": ["192.0.2.1"], "port": 80, "weight": weight, "regions": [], "location": null });
        let set = self.origin.put("/v1/edges/fra-1", settings).await;
        if self.is_ok(set).await.is_some() {
            self.acknowledged.weight = weight;
        }
    }
}

/// What a new client and a new subscriber see is what was acknowledged.
async fn check(origin: &TestOrigin, acknowledged: &Acknowledged) {
    let site: Site = origin.get("/v1/sites/demo").await;
    let channel = site.channels.first().map(|channel| (channel.release.to_string(), channel.epoch));
    assert_eq!(channel, acknowledged.channel);
    let edges: serde_json::Value = origin.get("/v1/edges").await;
    assert_eq!(edges[0]["state"]["weight"], json!(acknowledged.weight));
    let at = origin.subscribe(&acknowledged.token, None).await.caught_up().await;
    assert_eq!(at.position, origin.get::<Status>("/v1/status").await.position);
}

async fn every_write_fails_once(disk: &Path) {
    let mut origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    let mut acknowledged = Acknowledged::default();
    let mut setup = Client { origin: &origin, acknowledged: &mut acknowledged, failures: 0 };
    setup.push("one").await;
    setup.issue_token().await;
    setup.set_weight(1).await;
    assert_eq!(setup.failures, 0);
    let mut failed = Vec::new();
    // Blobs leave a reserve of 128 blocks: from there on, few of the steps differ.
    for left in (0..40).chain((40..).step_by(12)) {
        fill(disk, left);
        let mut client = Client { origin: &origin, acknowledged: &mut acknowledged, failures: 0 };
        // Twice: after a write has failed, the next one must not be believed either.
        for half in 0..2 {
            client.push(&format!("push {half} with {left} blocks left")).await;
            client.roll_back().await;
            client.issue_token().await;
            client.remove_orphan().await;
            client.set_weight(2 + (half + left as u64) % 900).await;
        }
        let failures = client.failures;
        check(&origin, &acknowledged).await;
        make_room(disk);
        let mut client = Client { origin: &origin, acknowledged: &mut acknowledged, failures: 0 };
        client.roll_back().await;
        client.set_weight(1).await;
        assert_eq!(client.failures, 0, "there is room");
        check(&origin, &acknowledged).await;
        origin = origin.restart().await;
        check(&origin, &acknowledged).await;
        failed.push(failures);
        if failures == 0 {
            break;
        }
    }
    assert!(failed.len() > 3 && failed[0] == 10, "{failed:?}");
    origin.stop().await;
}

#[test]
fn write_that_finds_the_disk_full_changes_nothing_and_none_is_lost_later() {
    let name = "it::full_disk::write_that_finds_the_disk_full_changes_nothing_and_none_is_lost_later";
    on_small_disk(name, DISK, |disk| runtime().block_on(every_write_fails_once(disk)));
}

async fn starts_and_reads_on_a_full_disk(disk: &Path) {
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    let mut acknowledged = Acknowledged::default();
    let mut client = Client { origin: &origin, acknowledged: &mut acknowledged, failures: 0 };
    client.push("one").await;
    client.issue_token().await;
    client.set_weight(1).await;
    fill(disk, 0);
    until("bad health", async || origin.health().await.0 == 503).await;
    assert!(origin.health().await.1.ends_with("the disk is full\n"));
    let origin = origin.restart().await;
    check(&origin, &acknowledged).await;
    assert_eq!(origin.health().await.0, 503);
    make_room(disk);
    until("good health", async || origin.health().await == (200, "ok\n".to_owned())).await;
    let mut client = Client { origin: &origin, acknowledged: &mut acknowledged, failures: 0 };
    client.push("two").await;
    assert_eq!(client.failures, 0);
    check(&origin, &acknowledged).await;
    origin.stop().await;
}

#[test]
fn origin_starts_on_a_full_disk_serves_reads_and_is_healthy_again_once_there_is_room() {
    let name = "it::full_disk::origin_starts_on_a_full_disk_serves_reads_and_is_healthy_again_once_there_is_room";
    on_small_disk(name, DISK, |disk| runtime().block_on(starts_and_reads_on_a_full_disk(disk)));
}

async fn blobs_leave_a_reserve(disk: &Path) {
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    let mut acknowledged = Acknowledged::default();
    let mut client = Client { origin: &origin, acknowledged: &mut acknowledged, failures: 0 };
    client.push("one").await;
    // Another program takes most of the disk, the origin's own blobs the rest.
    fill(disk, 1000);
    for push in 0.. {
        client.push(&format!("{push}, which differs from all others {}", push * 7919)).await;
        if client.failures > 0 {
            break;
        }
    }
    let expected = "new files cannot be stored, rollbacks and settings still work: the disk is full\n";
    until("bad health", async || origin.health().await == (503, expected.to_owned())).await;
    client.failures = 0;
    client.roll_back().await;
    client.issue_token().await;
    client.set_weight(7).await;
    assert_eq!(client.failures, 0, "there is the reserve");
    check(&origin, &acknowledged).await;
    origin.stop().await;
}

#[test]
fn disk_full_of_blobs_has_room_for_rollbacks_and_settings() {
    let name = "it::full_disk::disk_full_of_blobs_has_room_for_rollbacks_and_settings";
    on_small_disk(name, DISK, |disk| runtime().block_on(blobs_leave_a_reserve(disk)));
}

pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}
