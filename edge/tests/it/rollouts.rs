//! Releases on their way to a channel: prepared, switched to when they are on disk, abandoned.

use verge_daemon::Secret;
use verge_edge::config::ByteSize;
use verge_edge::{Config, Edge};
use verge_protocol::report::Preparation;
use verge_protocol::state::Inherited;
use verge_protocol::{BLOB_MAX, Digest, Position, Timestamp};
use verge_test_kit::{FakeOrigin, TOKEN, TestRelease, in_time, noise, release, until};

use super::world::World;

const BLOB: u64 = BLOB_MAX as u64;

/// A release of a page and of `chunks` files of one blob each.
fn site(version: u64, chunks: u64) -> TestRelease {
    let chunks: Vec<(String, Vec<u8>)> = (0..chunks)
        .map(|chunk| (format!("assets/{version}-{chunk}.js"), noise(1000 * version + chunk, BLOB_MAX)))
        .collect();
    let page = ("index.html", format!("v{version}").into_bytes());
    let chunks = chunks.iter().map(|(path, bytes)| (path.as_str(), bytes.clone()));
    release(&std::iter::once(page).chain(chunks).collect::<Vec<_>>())
}

fn inherited(release: &TestRelease) -> Inherited {
    Inherited::new(release.id(), Timestamp(1))
}

impl World {
    /// Asserts that every file of a release is served with its bytes.
    async fn assert_serves(&self, version: u64, chunks: u64) {
        assert_eq!(self.read("/").await, (200, format!("v{version}")));
        for chunk in 0..chunks {
            self.assert_serves_chunk(version, chunk).await;
        }
    }

    async fn assert_serves_chunk(&self, version: u64, chunk: u64) {
        let response = self.get("demo.localhost", &format!("/assets/{version}-{chunk}.js")).send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.bytes().await.unwrap(), noise(1000 * version + chunk, BLOB_MAX));
    }

    /// Waits until the edge reports a preparation that `condition` accepts, and returns it.
    async fn wait_for_preparation(&self, condition: impl Fn(&Preparation) -> bool) -> Preparation {
        let mut found = None;
        until("the preparation", async || {
            let report = self.origin.reports().pop();
            let preparations = report.and_then(|report| report.preparations).unwrap_or_default();
            found = preparations.into_iter().find(&condition);
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    async fn wait_until_prepared(&self, release: &TestRelease) -> Preparation {
        self.wait_for_preparation(|one| one.prepared && one.manifest == release.id()).await
    }

    /// Waits until the channel lags with a reason that contains `text`.
    async fn wait_for_lag(&self, text: &str) {
        let mut applied = self.edge.applied();
        let has_reason = applied.wait_for(|applied| applied.lagging.iter().any(|lag| lag.reason.contains(text)));
        in_time(format!("the lag with the reason {text}"), has_reason).await.unwrap();
    }

    fn requests_so_far(&self) -> (usize, usize) {
        (self.origin.requested().len(), self.origin.requested_manifests().len())
    }

    async fn publish(&self, number: u64, release: &TestRelease, inherits: &[Inherited]) -> Position {
        let position = self.origin.publish("demo/live", number, release, inherits);
        self.wait_until_served(position).await;
        position
    }
}

#[tokio::test]
async fn channel_serves_its_old_release_whole_until_the_next_is_held() {
    let mut world = World::start().await;
    let first = world.publish(1, &site(1, 3), &[]).await;
    world.origin.limit_blobs(Some(2));
    let next = world.origin.publish("demo/live", 2, &site(2, 5), &[inherited(&site(1, 3))]);
    world.wait_for_lag("fetching 4 of 6 files (1.1 of 1.4 MB)").await;
    world.assert_serves(1, 3).await;
    let (_, health) = world.health().await;
    assert_eq!((&health["pending"], &health["served"]), (&1.into(), &first.seq.0.into()));
    let lag = r#"verge_edge_channel_lagging{site="demo",channel="live"}"#;
    assert_eq!(world.metric(lag).await, Some(1.0));
    // It serves the earlier release without its origin, and resumes.
    world.origin.go_offline().await;
    let mut world = world.restart().await;
    world.assert_serves(1, 3).await;
    world.origin.go_online().await;
    world.origin.limit_blobs(None);
    world.wait_until_served(next).await;
    world.origin.go_offline().await;
    world.assert_serves(2, 5).await;
    world.assert_serves_chunk(1, 0).await;
    let (_, health) = world.health().await;
    assert_eq!((&health["pending"], &health["missing_blobs"]), (&0.into(), &0.into()));
    assert_eq!(world.metric(lag).await, None);
    world.stop().await;
}

#[tokio::test]
async fn pages_are_fetched_first_then_scripts_then_fonts_then_all_else() {
    let world = World::start().await;
    let files = [("a.bin", "data"), ("assets/app-DiwrgTda.js", "script"), ("b.woff2", "font"), ("index.html", "page")];
    world.publish(1, &release(&files), &[]).await;
    let expected = ["page", "script", "font", "data"].map(|text| Digest::of(text.as_bytes()));
    assert_eq!(world.origin.requested(), expected);
    world.stop().await;
}

#[tokio::test]
async fn prepared_edge_switches_without_a_request_to_the_origin() {
    let world = World::start().await;
    world.publish(1, &site(1, 1), &[]).await;
    let next = site(2, 4);
    let position = world.origin.prepare("demo/live", 2, &next);
    let preparation = world.wait_until_prepared(&next).await;
    assert_eq!((preparation.done, preparation.total, preparation.problem), (4 * BLOB + 2, 4 * BLOB + 2, None));
    world.wait_until_served(position).await;
    assert_eq!(world.read("/").await.1, "v1");
    let requests = world.requests_so_far();
    world.origin.point_channel("demo/live", 2, next.id(), &[inherited(&site(1, 1))]);
    world.wait_until_served(world.origin.end_rollout("demo/live")).await;
    world.assert_serves(2, 4).await;
    world.assert_serves_chunk(1, 0).await;
    until("the report", async || {
        world.origin.reports().last().is_some_and(|report| report.preparations == Some(vec![]))
    })
    .await;
    assert_eq!(world.requests_so_far(), requests);
    let report = world.origin.reports().pop().unwrap();
    assert_eq!((report.time, report.lagging), (Some(world.clock.now()), vec![]));
    world.stop().await;
}

#[tokio::test]
async fn first_release_of_a_channel_is_prepared_and_its_first_page_served_before_it_is_held() {
    let world = World::start().await;
    let first = site(1, 3);
    world.origin.limit_blobs(Some(2));
    let position = world.origin.prepare("demo/live", 1, &first);
    let preparation = world.wait_for_preparation(|one| one.done > BLOB).await;
    assert_eq!((preparation.prepared, preparation.done, preparation.total), (false, BLOB + 2, 3 * BLOB + 2));
    world.wait_until_served(position).await;
    assert_eq!(world.read("/").await.0, 404);
    world.origin.point_channel("demo/live", 1, first.id(), &[]);
    let ended = world.origin.end_rollout("demo/live");
    world.wait_for_lag("fetching 2 of 4 files").await;
    until("the page", async || world.read("/").await == (200, "v1".to_owned())).await;
    assert_eq!((world.health().await.0, &world.health().await.1["pending"]), (200, &1.into()));
    world.origin.limit_blobs(None);
    world.wait_until_served(ended).await;
    world.stop().await;
}

#[tokio::test]
async fn preparation_after_a_restart_fetches_no_blob_again() {
    let world = World::start().await;
    world.publish(1, &site(1, 0), &[]).await;
    world.origin.limit_blobs(Some(5));
    let next = site(2, 7);
    world.origin.prepare("demo/live", 2, &next);
    world.wait_for_preparation(|one| one.done == 4 * BLOB + 2).await;
    let world = world.restart().await;
    world.wait_for_preparation(|one| one.done == 4 * BLOB + 2).await;
    world.origin.limit_blobs(None);
    world.wait_until_prepared(&next).await;
    let once = next.blobs.iter().filter(|blob| world.origin.requests(blob.digest()) == 1);
    assert_eq!(once.count(), 5);
    world.stop().await;
}

/// Live sites that an edge with an empty disk has to fetch.
fn live_sites(origin: &FakeOrigin, sites: u64) -> Vec<TestRelease> {
    let releases: Vec<TestRelease> = (0..sites).map(|number| site(10 + number, 20)).collect();
    for (number, release) in releases.iter().enumerate() {
        origin.publish(&format!("other-{number}/live"), 1, release, &[]);
    }
    releases
}

#[tokio::test]
async fn release_is_prepared_by_an_edge_that_joins_before_it_has_fetched_the_live_sites() {
    let origin = FakeOrigin::start().await;
    let live = live_sites(&origin, 3);
    origin.limit_blobs(Some(4));
    let world = World::with_origin(origin, Config::DISK_CACHE).await;
    world.wait_for_blobs_on_disk(4).await;
    for (channel, version) in [("demo/live", 1), ("demo/pr-12", 2)] {
        let next = site(version, 3);
        world.origin.prepare(channel, version, &next);
        until("the request", async || next.blobs.iter().all(|blob| world.origin.requests(blob.digest()) == 1)).await;
        // Those of the release, and one for each request that was cancelled, if it takes one all the same.
        world.origin.limit_blobs(Some(next.blobs.len() + 3));
        world.wait_until_prepared(&next).await;
        let fetched = live.iter().flat_map(|site| &site.blobs).filter(|blob| world.is_stored(blob.digest())).count();
        assert!(fetched < 20, "{fetched} of 63 blobs of live sites");
    }
    world.origin.limit_blobs(None);
    until("the live sites", async || world.edge.applied().borrow().lagging.is_empty()).await;
    world.stop().await;
}

#[tokio::test]
async fn manifest_of_a_release_to_prepare_does_not_wait_for_those_of_live_sites() {
    let origin = FakeOrigin::start().await;
    let live = live_sites(&origin, 6);
    origin.misbehave(|faults| faults.withheld_manifests = live.iter().map(TestRelease::id).collect());
    let world = World::with_origin(origin, Config::DISK_CACHE).await;
    until("the requests", async || world.origin.requested_manifests().len() == 4).await;
    let next = site(1, 1);
    world.origin.prepare("demo/live", 1, &next);
    world.wait_until_prepared(&next).await;
    assert_eq!(world.origin.requested_manifests().len(), 5, "no other fetch has ended");
    // A live release is fetched anew if it is prepared for another channel.
    world.origin.misbehave(|faults| faults.withheld_manifests.clear());
    world.origin.prepare("other-5/pr-1", 1, &live[5]);
    world.wait_until_prepared(&live[5]).await;
    world.stop().await;
}

#[tokio::test]
async fn slow_fetch_goes_on_while_other_sites_are_released() {
    let world = World::start().await;
    world.publish(1, &site(1, 0), &[]).await;
    world.origin.limit_blobs(Some(2));
    let next = site(2, 5);
    world.origin.prepare("demo/live", 2, &next);
    world.wait_for_preparation(|one| one.done == BLOB + 2).await;
    for other in 0..3_u64 {
        let position = world.origin.publish(&format!("other-{other}/pr-1"), 1, &site(10 + other, 0), &[]);
        let mut applied = world.edge.applied();
        in_time("the row", applied.wait_for(|applied| applied.position == Some(position))).await.unwrap();
        world.wait_for_lag("fetching 1 of 1 files").await;
    }
    world.origin.limit_blobs(None);
    world.wait_until_prepared(&next).await;
    assert!(next.blobs.iter().all(|blob| world.origin.requests(blob.digest()) == 1));
    world.stop().await;
}

#[tokio::test]
async fn release_larger_than_the_disk_is_prepared_and_served_all_the_same() {
    let world = World::with_origin(FakeOrigin::start().await, ByteSize(5 * BLOB)).await;
    world.publish(1, &site(1, 3), &[]).await;
    let next = site(2, 8);
    world.origin.prepare("demo/live", 2, &next);
    let preparation = world.wait_until_prepared(&next).await;
    assert!(preparation.problem.unwrap().starts_with("no room on disk for 7 of 9 files (1.9 of 2.1 MB)"));
    world.assert_serves(1, 3).await;
    assert_eq!(world.metric("verge_edge_missing_blobs").await, Some(0.0), "what is served stays on disk");
    world.publish(2, &next, &[inherited(&site(1, 3))]).await;
    world.assert_serves(2, 8).await;
    until("the disk to be used", async || next.blobs.iter().filter(|blob| world.is_stored(blob.digest())).count() >= 4)
        .await;
    world.stop().await;
}

#[tokio::test]
async fn blob_that_the_origin_lacks_is_named_and_the_old_release_stays() {
    let world = World::start().await;
    world.publish(1, &site(1, 1), &[]).await;
    let next = site(2, 2);
    world.origin.add_release(&next);
    let lost = next.blobs[1].digest();
    world.origin.lose_blob(lost);
    let manifest = next.id();
    world.origin.write("rollout/demo/live", |_| {
        Some(serde_json::json!({ "release": "v2", "manifest": manifest, "expected": null }))
    });
    let preparation = world.wait_for_preparation(|one| one.problem.is_some()).await;
    assert_eq!((preparation.prepared, preparation.done), (false, BLOB + 2));
    assert_eq!(preparation.problem.unwrap(), format!("the origin does not have blob {lost}"));
    world.origin.point_channel("demo/live", 2, manifest, &[]);
    let position = world.origin.end_rollout("demo/live");
    world.wait_for_lag(&format!("the origin does not have blob {lost}")).await;
    world.assert_serves(1, 1).await;
    // It is behind edges that have got it before, if there are any.
    let (_, health) = world.health().await;
    assert_eq!((&health["pending"], &health["served_of_obtainable"]), (&serde_json::json!(1), &health["applied"]));
    assert_ne!(health["served"], health["applied"]);
    world.origin.add_release(&next);
    world.wait_until_served(position).await;
    world.assert_serves(2, 2).await;
    world.stop().await;
}

#[tokio::test]
async fn abandoned_rollout_makes_room_for_the_next() {
    let world = World::with_origin(FakeOrigin::start().await, ByteSize(8 * BLOB)).await;
    world.publish(1, &site(1, 1), &[]).await;
    for version in 2..5 {
        let next = site(version, 5);
        world.origin.prepare("demo/live", version, &next);
        let preparation = world.wait_until_prepared(&next).await;
        assert_eq!((preparation.done, preparation.problem), (5 * BLOB + 2, None));
        world.origin.end_rollout("demo/live");
        until("the report", async || {
            world.origin.reports().last().is_some_and(|report| report.preparations == Some(vec![]))
        })
        .await;
        assert_eq!(world.get("demo.localhost", &format!("/assets/{version}-0.js")).send().await.unwrap().status(), 404);
    }
    world.assert_serves(1, 1).await;
    world.stop().await;
}

#[tokio::test]
async fn chunk_of_a_coming_release_is_served_before_the_switch_and_of_the_old_one_after() {
    // Nothing is on disk: chunks are fetched when asked for.
    let world = World::cold().await;
    world.publish(1, &site(1, 1), &[]).await;
    let next = site(2, 1);
    world.origin.prepare("demo/live", 2, &next);
    world.wait_until_prepared(&next).await;
    assert_eq!(world.read("/").await.1, "v1");
    world.assert_serves_chunk(2, 0).await;
    world.publish(2, &next, &[inherited(&site(1, 1))]).await;
    world.wait_until_served(world.origin.end_rollout("demo/live")).await;
    assert_eq!(world.read("/").await.1, "v2");
    world.assert_serves_chunk(1, 0).await;
    // A rollback, before which the other release is prepared again.
    world.origin.prepare("demo/live", 1, &site(1, 1));
    world.publish(1, &site(1, 1), &[inherited(&next)]).await;
    world.wait_until_served(world.origin.end_rollout("demo/live")).await;
    world.assert_serves_chunk(2, 0).await;
    world.stop().await;
}

#[tokio::test]
async fn replaced_bytes_do_not_come_back_when_their_path_is_removed() {
    let world = World::start().await;
    let path = "assets/data-11111111.js";
    let releases = [
        release(&[("index.html", "1"), (path, "secret")]),
        release(&[("index.html", "2"), (path, "redacted")]),
        release(&[("index.html", "3")]),
    ];
    let inherits = [inherited(&releases[1]), inherited(&releases[0])];
    world.publish(1, &releases[0], &[]).await;
    world.publish(2, &releases[1], &inherits[1..]).await;
    world.publish(3, &releases[2], &inherits).await;
    assert_eq!(world.read(&format!("/{path}")).await, (200, "redacted".to_owned()));
    let world = world.restart().await;
    assert_eq!(world.read(&format!("/{path}")).await, (200, "redacted".to_owned()));
    world.stop().await;
}

#[tokio::test]
async fn bandwidth_limit_of_prefetching_does_not_hold_for_readers() {
    let world = World::start().await;
    let directory = tempfile::tempdir().unwrap();
    let origin = world.origin.url().parse().unwrap();
    let config = Config::new("slow".parse().unwrap(), origin, Secret::new(TOKEN), directory.path().to_owned());
    let edge = Edge::bind(Config { prefetch_bandwidth: std::num::NonZeroU64::new(1), ..config }).await.unwrap();
    let position = world.origin.publish("demo/live", 1, &site(1, 3), &[]);
    let mut applied = edge.applied();
    // The page, and nothing else for the next seconds.
    let has_page = applied.wait_for(|applied| applied.lagging.iter().any(|lag| lag.reason.contains("3 of 4 files")));
    in_time("the page", has_page).await.unwrap();
    for chunk in 0..3 {
        let url = format!("http://{}/assets/1-{chunk}.js", edge.public_addr());
        let response = world.reader.get(&url).header("host", "demo.localhost").send().await.unwrap();
        assert_eq!(response.bytes().await.unwrap().len(), BLOB_MAX);
    }
    assert_eq!(edge.applied().borrow().position, Some(position));
    edge.shutdown().await.unwrap();
    world.stop().await;
}
