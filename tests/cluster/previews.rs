//! Previews: pushed, served beside the live release, promoted, deleted.

use std::time::Duration;

use verge::Output;
use verge::channel::Lifetime;
use verge::output::OutputOptions;
use verge::promote::{Promoted, Promotion};
use verge::rollout::Wait;
use verge::upload::RetryPolicy;
use verge_protocol::api::{Release, Site};
use verge_protocol::{ChannelName, ReleaseNumber};
use verge_test_kit::until;
use verge_tests::World;

const LIVE: [(&str, &str); 2] = [("index.html", "live"), ("assets/app-0a1b2c3d.js", "1")];
const PREVIEW: [(&str, &str); 2] = [("index.html", "preview"), ("assets/app-8c9d0e1f.js", "2")];
const DAY: Lifetime = Lifetime::For(Duration::from_hours(24));

/// Status, `X-Robots-Tag` and body of the page at a host of every edge.
async fn pages(world: &World, label: &str) -> Vec<(u16, String, String)> {
    let mut pages = Vec::new();
    for edge in world.edges() {
        let page = world.get(edge, label, "/").await;
        pages.push((page.status.as_u16(), page.header("x-robots-tag").to_owned(), page.text().to_owned()));
    }
    pages
}

fn all(world: &World, status: u16, robots: &str, body: &str) -> Vec<(u16, String, String)> {
    world.edges().map(|_| (status, robots.to_owned(), body.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn preview_is_served_unindexed_then_promoted_without_upload_then_deleted() {
    let world = World::start(2).await;
    world.push("demo", &LIVE).await;
    let preview = world.push_preview("demo", "pr-12", DAY, &PREVIEW).await;
    assert_eq!(preview.rollout.confirmations.confirmed.len(), 2);
    assert_eq!(preview.expires, Some(world.clock.now().after(Duration::from_hours(24))));
    assert_eq!(pages(&world, "pr-12--demo").await, all(&world, 200, "noindex", "preview"));
    assert_eq!(pages(&world, "demo").await, all(&world, 200, "", "live"));

    let (client, site) = (world.client(), "demo".parse().unwrap());
    let promotion = Promotion {
        client: &client,
        site: &site,
        source: &"pr-12".parse().unwrap(),
        to: &ChannelName::live(),
        author: None,
        wait: Wait::All,
        retry: RetryPolicy::default(),
    };
    let output = Output::new(std::io::sink(), std::io::sink(), OutputOptions::default());
    let Promoted { from, rollout } = promotion.run(&output).await.unwrap();
    assert_eq!((from, rollout.released.release), (Some(ReleaseNumber(1)), ReleaseNumber(2)));
    assert_eq!(rollout.confirmations.confirmed.len(), 2);
    assert_eq!(pages(&world, "demo").await, all(&world, 200, "", "preview"));
    for edge in world.edges() {
        assert_eq!(world.get(edge, "demo", "/assets/app-0a1b2c3d.js").await.text(), "1", "open tabs find their chunks");
    }

    let shown: Site = client.get("/v1/sites/demo").await.unwrap();
    let channel = shown.channels.iter().find(|channel| channel.name.as_str() == "pr-12").unwrap();
    client.delete(&format!("/v1/sites/demo/channels/pr-12?expected={}", channel.epoch)).await.unwrap();
    world.until_caught_up().await;
    for edge in world.edges() {
        let gone = world.get(edge, "pr-12--demo", "/").await;
        assert_eq!((gone.status.as_u16(), gone.header("x-robots-tag")), (404, "noindex"));
    }
    assert_eq!(pages(&world, "demo").await, all(&world, 200, "", "preview"));

    // A push creates it anew; nothing of before is inherited. It ends by the origin's clock.
    world.push_preview("demo", "pr-12", DAY, &LIVE).await;
    for edge in world.edges() {
        assert_eq!(world.get(edge, "pr-12--demo", "/assets/app-8c9d0e1f.js").await.status.as_u16(), 404);
    }
    world.clock.advance(Duration::from_hours(24));
    until("the preview to be deleted", async || {
        pages(&world, "pr-12--demo").await.iter().all(|(status, ..)| *status == 404)
    })
    .await;
    drop(client);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_release_has_a_host_that_serves_exactly_it() {
    let mut world = World::start(2).await;
    world.push("demo", &LIVE).await;
    world.push("demo", &PREVIEW).await;
    let releases: Vec<Release> = world.client().get("/v1/sites/demo/releases").await.unwrap();
    let label = |release: &Release| format!("{}--demo", release.manifest.prefix());
    let (second, first) = (label(&releases[0]), label(&releases[1]));
    assert_eq!(releases[1].url, Some(format!("http://{first}.localhost/")));
    assert_eq!(pages(&world, &first).await, all(&world, 200, "noindex", "live"));
    assert_eq!(pages(&world, &second).await, all(&world, 200, "noindex", "preview"));
    for edge in world.edges() {
        let inherited = world.get(edge, &second, "/assets/app-0a1b2c3d.js").await;
        assert_eq!(inherited.status.as_u16(), 404, "a release inherits nothing");
        assert_eq!(world.get(edge, &first, "/").await.header("verge-release"), "v1");
    }
    // An edge that was restarted without the origin serves what it has loaded.
    world.stop_origin().await;
    for edge in world.edges() {
        world.stop_edge(edge).await;
        world.start_edge(edge).await;
    }
    assert_eq!(pages(&world, &first).await, all(&world, 200, "noindex", "live"));
    world.stop().await;
}
