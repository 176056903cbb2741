//! Sites at custom domains.

use serde_json::json;
use verge_protocol::Position;
use verge_test_kit::{release, until};

use super::world::World;

fn add_domain(world: &World, domain: &str, site: &str) -> Position {
    world.origin.write(&format!("domain/{domain}"), |_| Some(json!({ "site": site })))
}

fn add_redirect(world: &World, domain: &str, site: &str, to: &str) -> Position {
    world.origin.write(&format!("domain/{domain}"), |_| Some(json!({ "site": site, "redirect_to": to })))
}

/// The head of the response to a raw request, in lowercase.
async fn head(world: &World, line: &str, host: &str) -> String {
    let response = world.raw(&format!("{line} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n")).await;
    response.split_once("\r\n\r\n").unwrap().0.to_ascii_lowercase()
}

fn status(head: &str) -> &str {
    head.split(' ').nth(1).unwrap_or("nothing")
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

#[tokio::test]
async fn domain_serves_its_site() {
    let world = World::start().await;
    let position = add_domain(&world, "www.shop.example", "demo");
    world.wait_until_served(position).await;
    assert_eq!(world.get("www.shop.example", "/").send().await.unwrap().status(), 404);

    // The channel is in the feed, its manifest is not at the origin yet.
    let site = release(&[("index.html", "hi"), ("404.html", "lost")]);
    let position = world.origin.point_channel("demo/live", 1, site.id(), &[]);
    until("the channel to be pending", async || world.get("demo.localhost", "/").send().await.unwrap().status() == 503)
        .await;
    let response = world.get("www.shop.example", "/").send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"1".parse().unwrap()));

    world.origin.add_release(&site);
    world.wait_until_served(position).await;
    for host in ["www.shop.example", "WWW.Shop.Example.", "www.shop.example:7480"] {
        let response = world.get(host, "/").send().await.unwrap();
        assert_eq!((response.status().as_u16(), &response.headers()["verge-release"]), (200, &"v1".parse().unwrap()));
        assert_eq!(response.text().await.unwrap(), "hi");
    }
    let response = world.get("www.shop.example", "/none").send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.text().await.unwrap()), (404, "lost".to_owned()));
    for other in ["shop.example", "x.www.shop.example", "demo.shop.example", "www.shop.example.localhost"] {
        assert_eq!(world.get(other, "/").send().await.unwrap().status(), 404, "{other}");
    }
    // Counted as requests of the site.
    let series = "verge_edge_requests_total{site=\"demo\",status=\"2xx\",cache=\"memory\"}";
    assert!(world.metric(series).await >= Some(2.0));

    world.wait_until_served(world.origin.publish("demo/live", 2, &release(&[("index.html", "ho")]), &[])).await;
    assert_eq!(world.get("www.shop.example", "/").send().await.unwrap().text().await.unwrap(), "ho");
    world.wait_until_served(world.origin.write("domain/www.shop.example", |_| None)).await;
    assert_eq!(world.get("www.shop.example", "/").send().await.unwrap().status(), 404);
    world.stop().await;
}

#[tokio::test]
async fn redirected_domain_sends_readers_to_the_same_path() {
    let world = World::start().await;
    // The target is not verified yet.
    world.wait_until_served(add_redirect(&world, "shop.example", "demo", "www.shop.example")).await;
    assert_eq!(status(&head(&world, "GET /", "shop.example").await), "404");
    world.wait_until_served(add_domain(&world, "www.shop.example", "demo")).await;
    for (line, host, location) in [
        ("GET /", "shop.example", "//www.shop.example/"),
        ("GET /a/b?c=d", "Shop.Example", "//www.shop.example/a/b?c=d"),
        ("HEAD /a", "shop.example:7480", "//www.shop.example:7480/a"),
        ("GET //evil.example/", "shop.example", "//www.shop.example//evil.example/"),
        ("GET /%0d%0ax:%20y", "shop.example", "//www.shop.example/%0d%0ax:%20y"),
        ("GET http://shop.example:1/a", "other.example", "//www.shop.example:1/a"),
    ] {
        let head = head(&world, line, host).await;
        assert_eq!((status(&head), field(&head, "location")), ("308", Some(location)), "{line} {host}: {head}");
        let is_cached = !location.contains("example:");
        let cache_control = if is_cached { "public, max-age=60" } else { "no-store" };
        assert_eq!(field(&head, "cache-control"), Some(cache_control), "{line} {host}");
    }
    // Invalid requests and the health path are answered before the redirect.
    for (line, host, expected) in [
        ("GET *", "shop.example", "400"),
        ("POST /", "shop.example", "405"),
        ("GET /", "shop.example:x", "400"),
        ("GET /.well-known/verge/health", "shop.example", "200"),
    ] {
        assert_eq!(status(&head(&world, line, host).await), expected, "{line} {host}");
    }
    let series = "verge_edge_requests_total{site=\"demo\",status=\"3xx\",cache=\"none\"}";
    assert_eq!(world.metric(series).await, Some(6.0));
    world.stop().await;
}

#[tokio::test]
async fn domains_after_a_restart_without_the_origin_are_served() {
    let mut world = World::start().await;
    world.origin.publish("demo/live", 1, &release(&[("index.html", "hi")]), &[]);
    add_domain(&world, "www.shop.example", "demo");
    let position = add_redirect(&world, "shop.example", "demo", "www.shop.example");
    world.wait_until_served(position).await;
    world.wait_for_blobs_on_disk(1).await;
    // Only saved states are reported.
    until("the report", async || world.origin.reports().last().is_some_and(|report| report.applied == position)).await;
    world.origin.go_offline().await;
    let mut world = world.restart().await;
    assert_eq!(world.get("www.shop.example", "/").send().await.unwrap().text().await.unwrap(), "hi");
    assert_eq!(status(&head(&world, "GET /", "shop.example").await), "308");

    // A restored origin that does not know one of them, and its removal.
    let position = world.origin.restore(|key| key != "domain/shop.example").await;
    world.wait_until_served(position).await;
    assert_eq!(status(&head(&world, "GET /", "shop.example").await), "308");
    let position = world.origin.write("domain/shop.example", |_| None);
    world.wait_until_served(position).await;
    assert_eq!(status(&head(&world, "GET /", "shop.example").await), "404");
    assert_eq!(status(&head(&world, "GET /", "www.shop.example").await), "200");
    world.stop().await;
}

#[tokio::test]
async fn rows_of_edges_are_ignored() {
    let world = World::start().await;
    world.origin.write("edge/fra-1", |_| Some(json!({ "addresses": ["192.0.2.1"] })));
    world.origin.write("edge/fra-2", |_| Some("of another shape".into()));
    let position = world.origin.write("edge/fra-1", |_| None);
    world.wait_until_served(position).await;
    until("the report", async || {
        world.origin.reports().last().is_some_and(|report| report.applied == position && report.lagging.is_empty())
    })
    .await;
    assert_eq!(world.metric("verge_edge_unknown_rows").await, Some(0.0));
    assert_eq!(world.metric("verge_edge_refused_rows_total").await, Some(0.0));
    assert_eq!(world.health().await.1["pending"], 0);
    world.stop().await;
}
