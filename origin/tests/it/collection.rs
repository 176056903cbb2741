//! Collection: which releases and blobs are deleted, and what stays.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Method, Response, StatusCode};
use serde_json::json;
use sqlx::{Connection as _, SqliteConnection};
use verge_origin::Retention;
use verge_protocol::ReleaseNumber;
use verge_protocol::api::{Collected, LogEntry, Progress, Release, Site};
use verge_test_kit::until;

use super::test_origin::{TestBuild, TestOrigin, build, build_of_bytes, digest, error, ok, packed, progress};
use super::verification::assert_sound;

const DAY: Duration = Duration::from_hours(24);

/// An origin that keeps two releases of each channel, and others for a day, with a site.
async fn start() -> TestOrigin {
    let origin = TestOrigin::start_with(|config| {
        config.retention = Retention { releases: 2, time: DAY };
        config.rollout_timing.live = Duration::from_millis(1);
        config.expiry_check_interval = Duration::from_millis(50);
    })
    .await;
    origin.create_site("demo").await;
    until("edges could have told the time", async || origin.post_collection().await.status().is_success()).await;
    origin
}

impl TestOrigin {
    /// Moves the clock on, and waits until the channel no longer inherits these releases.
    async fn advance_until_ended(&self, time: Duration, releases: &[u64]) -> Collected {
        self.clock.advance(time);
        let plan = async || self.get::<Collected>("/v1/collection").await;
        until("the releases to be ended", async || ended(&plan().await) == releases).await;
        plan().await
    }

    async fn collect(&self) -> Collected {
        ok(self.post_collection().await).await
    }

    async fn post_collection(&self) -> Response {
        self.request(Method::POST, "/v1/collection").send().await.unwrap()
    }

    fn objects(&self) -> PathBuf {
        self.directory.path().join("origin/objects/blobs")
    }

    fn has_object(&self, text: &str) -> bool {
        let name = digest(text).to_string();
        self.objects().join(&name[..2]).join(name).exists()
    }

    /// How many blobs are in the store.
    fn stored(&self) -> usize {
        let directories = std::fs::read_dir(self.objects()).unwrap();
        directories.map(|directory| std::fs::read_dir(directory.unwrap().path()).unwrap().count()).sum()
    }

    async fn numbers(&self) -> BTreeSet<u64> {
        let releases: Vec<Release> = self.get("/v1/sites/demo/releases").await;
        releases.into_iter().map(|release| release.number.0).collect()
    }

    async fn move_live(&self, release: u64) -> Response {
        let site: Site = self.get("/v1/sites/demo").await;
        let body = json!({ "release": format!("v{release}"), "expected": site.channels[0].epoch });
        self.request(Method::POST, "/v1/sites/demo/channels/live").json(&body).send().await.unwrap()
    }
}

fn page(number: u64) -> String {
    format!("<!doctype html><title>{number}</title>{}", "text that is encoded. ".repeat(100))
}

fn release(number: u64) -> TestBuild {
    build(&[("index.html", &page(number)), ("shared.txt", "shared")])
}

fn ended(collected: &Collected) -> Vec<u64> {
    collected.releases.iter().map(|ended| ended.release.0).collect()
}

#[tokio::test]
async fn releases_that_are_not_kept_are_deleted_with_what_only_they_need() {
    let origin = start().await;
    for number in 1..=4 {
        origin.push("demo", &release(number)).await;
        origin.clock.advance(Duration::from_mins(1));
    }
    assert_eq!(origin.collect().await.releases, [], "all were live within a day");
    let before = origin.stored();
    let planned = origin.advance_until_ended(DAY * 2, &[1, 2]).await;
    assert_eq!((planned.blobs, planned.builds), (2, 4));
    assert_eq!(origin.stored(), before, "nothing is deleted yet");
    let collected = origin.collect().await;
    assert_eq!((ended(&collected), collected.builds), (vec![1, 2], 4));
    // Of each release the page, two encodings of it, and the manifest.
    assert_eq!((collected.blobs, before - origin.stored()), (8, 8));
    assert!(collected.bytes > planned.bytes);
    assert!(!origin.has_object(&page(1)) && origin.has_object(&page(3)) && origin.has_object("shared"));
    assert_eq!(origin.numbers().await, [3, 4].into());
    assert_eq!(origin.collect().await, Collected::default(), "once");

    // A rollback works, one to a release that was deleted does not, and the log still tells who pushed it.
    assert!(progress(origin.move_live(3).await).await.iter().any(|event| matches!(event, Progress::Released { .. })));
    let (status, refused) = error(origin.move_live(1).await).await;
    assert_eq!((status, &*refused.code), (404, "unknown_release"));
    let site: Site = origin.get("/v1/sites/demo").await;
    assert_eq!(site.channels[0].previous, None, "v2 was deleted");
    let log: Vec<LogEntry> = origin.get("/v1/sites/demo/log").await;
    assert_eq!(log.len(), 5);

    // Its bytes can be pushed again, as a release with a number of its own.
    origin.push("demo", &release(1)).await;
    assert_eq!(origin.numbers().await, [3, 4, 5].into());
    assert!(origin.has_object(&page(1)));
    let data = origin.directory.path().join("origin");
    assert_sound(&data, "collected").await;
    origin.stop().await;
}

#[tokio::test]
async fn edges_no_longer_serve_the_host_of_a_deleted_release() {
    let origin = start().await;
    for number in 1..=2 {
        origin.push("demo", &release(number)).await;
    }
    let token = origin.edge_token("fra-1").await;
    let mut feed = origin.subscribe(&token, None).await.with_releases();
    let seen = feed.caught_up().await;
    assert_eq!(
        origin.delete("/v1/sites/demo/releases/v1?author=ann").await.status(),
        StatusCode::CONFLICT,
        "inherited"
    );
    origin.clock.advance(DAY * 2);
    until("the end of inheritance", async || {
        origin.delete("/v1/sites/demo/releases/v1?author=ann").await.status() == StatusCode::NO_CONTENT
    })
    .await;
    drop(feed);
    let mut feed = origin.subscribe(&token, Some(seen)).await.with_releases();
    let mut tombstones = Vec::new();
    loop {
        let row = feed.row().await;
        if row.value.is_none() {
            tombstones.push(row.key.clone());
        }
        if tombstones.iter().any(|key| key == "release/demo/v1") {
            break;
        }
    }
    assert_eq!(origin.numbers().await, [2].into());
    origin.stop().await;
}

#[tokio::test]
async fn release_that_a_channel_uses_is_not_deleted() {
    let origin = start().await;
    origin.push("demo", &release(1)).await;
    let (status, refused) = error(origin.delete("/v1/sites/demo/releases/v1").await).await;
    assert_eq!((status, &*refused.code), (409, "release_in_use"));
    assert!(refused.message.contains("channel live"), "{}", refused.message);
    let (status, refused) = error(origin.delete("/v1/sites/demo/releases/v7").await).await;
    assert_eq!((status, &*refused.code, &*refused.message), (404, "unknown_release", "site `demo` has no release v7"));
    assert_eq!(error(origin.delete("/v1/sites/news/releases/v1").await).await.1.code, "unknown_site");
    origin.stop().await;
}

#[tokio::test]
async fn build_that_is_in_use_keeps_its_blobs_and_one_that_is_not_ends() {
    let origin = start().await;
    let pushed = release(1);
    let created = origin.create_build("demo", &pushed.build).await;
    assert!(origin.post_pack("demo", &created, packed(&pushed.blobs)).await.status().is_success());
    origin.clock.advance(Duration::from_mins(24 * 60 - 1));
    assert_eq!(origin.collect().await, Collected::default());
    // Asked for again, it is in use for a day more.
    assert_eq!(origin.create_build("demo", &pushed.build).await.missing, []);
    origin.clock.advance(Duration::from_mins(24 * 60 - 1));
    assert_eq!(origin.collect().await, Collected::default());
    assert!(matches!(
        progress(origin.publish("demo", &created, None).await).await.last(),
        Some(Progress::Finished { .. })
    ));

    let other = release(2);
    let created = origin.create_build("demo", &other.build).await;
    assert!(origin.post_pack("demo", &created, packed(&other.blobs[..1])).await.status().is_success());
    origin.clock.advance(DAY);
    let collected = origin.collect().await;
    assert_eq!((collected.builds, collected.blobs), (2, 1));
    assert_eq!(error(origin.publish("demo", &created, None).await).await.1.code, "unknown_build");
    assert_eq!(
        origin.create_build("demo", &other.build).await.missing,
        [digest(&page(2))],
        "the live release has the other"
    );
    origin.stop().await;
}

#[tokio::test]
async fn blob_that_another_site_or_a_manifest_shares_stays() {
    let origin = start().await;
    origin.create_site("news").await;
    // Their manifests have more than one blob, of which the first is the same.
    let many = |last: &str| {
        let names: Vec<String> = (0..4000).map(|number| format!("a/{number:05}.txt")).collect();
        let mut files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), &b"x"[..])).collect();
        files.push(("z.html", last.as_bytes()));
        build_of_bytes(&files)
    };
    for last in ["one", "two", "three"] {
        origin.push("demo", &many(last)).await;
    }
    origin.push("news", &build(&[("index.html", "one")])).await;
    origin.advance_until_ended(DAY * 2, &[1]).await;
    assert_eq!(ended(&origin.collect().await), [1]);
    assert!(origin.has_object("one") && origin.has_object("two"));
    let data = origin.directory.path().join("origin");
    assert_sound(&data, "collected").await;
    assert!(progress(origin.move_live(2).await).await.iter().any(|event| matches!(event, Progress::Released { .. })));
    origin.stop().await;
}

#[tokio::test]
async fn blobs_are_not_removed_while_it_is_not_known_which_are_needed() {
    let origin = start().await;
    for number in 1..=4 {
        origin.push("demo", &release(number)).await;
    }
    origin.advance_until_ended(DAY * 2, &[1, 2]).await;
    let releases: Vec<Release> = origin.get("/v1/sites/demo/releases").await;
    let kept = releases.iter().find(|release| release.number == ReleaseNumber(3)).unwrap();
    let name = kept.manifest.to_string();
    let manifest = origin.objects().join(&name[..2]).join(&name);
    let sound = std::fs::read(&manifest).unwrap();
    std::fs::write(&manifest, "damaged").unwrap();
    let (status, refused) = error(origin.post_collection().await).await;
    assert_eq!((status, &*refused.code), (500, "unreadable"), "{}", refused.message);
    assert!(origin.has_object(&page(1)) && origin.has_object(&page(2)));
    std::fs::write(&manifest, sound).unwrap();
    // Nor if it is not known what a channel points at.
    let path = origin.directory.path().join("origin/origin.db");
    let mut database = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    let mut set = async |value: &str| {
        let query = sqlx::query("update state set value = $1 where key = 'channel/demo/live'");
        query.bind(value.to_owned()).execute(&mut database).await.unwrap();
    };
    let channel: (String,) = {
        let mut database = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
        let query = sqlx::query_as("select value from state where key = 'channel/demo/live'");
        query.fetch_one(&mut database).await.unwrap()
    };
    set("damaged").await;
    assert_eq!(error(origin.post_collection().await).await.1.code, "internal");
    assert!(origin.has_object(&page(1)) && origin.has_object(&page(2)));
    set(&channel.0).await;
    origin.collect().await;
    assert!(!origin.has_object(&page(1)) && origin.has_object(&page(3)));
    origin.stop().await;
}

#[tokio::test]
async fn pushes_of_what_is_being_collected_succeed_and_lack_nothing() {
    let origin = start().await;
    let is_done = std::sync::atomic::AtomicBool::new(false);
    let pushes = async {
        for number in 0..60_u64 {
            // Of few files, so that what was deleted, or is about to be, is pushed again.
            let page = |salt: u64| page((number * 7 + salt * 3) % 5);
            let pushed =
                build(&[("index.html", &page(0)), ("a/index.html", &page(1)), ("n.txt", &(number % 4).to_string())]);
            let events = origin.push("demo", &pushed).await;
            assert!(matches!(events.last(), Some(Progress::Finished { .. })), "{number}: {events:?}");
            origin.clock.advance(Duration::from_hours(5 * (number % 6)));
        }
        is_done.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let collections = async {
        let mut all = Collected::default();
        while !is_done.load(std::sync::atomic::Ordering::Relaxed) {
            let collected = origin.collect().await;
            all.blobs += collected.blobs;
            all.releases.extend(collected.releases);
        }
        all
    };
    let ((), collected) = tokio::join!(pushes, collections);
    println!("{} releases and {} blobs collected beside 60 pushes", collected.releases.len(), collected.blobs);
    assert!(collected.releases.len() > 20 && collected.blobs > 20, "{collected:?}");
    let data = origin.directory.path().join("origin");
    assert_sound(&data, "collected beside pushes").await;
    origin.stop().await;
}
