//! HTTP rules, tested with raw requests.

use verge_test_kit::release;

use super::world::World;

async fn demo() -> World {
    let world = World::start().await;
    let site = release(&[("index.html", "hi"), ("a/index.html", "a"), ("up.txt", "up")]);
    world.wait_until_served(world.origin.publish("demo/live", 1, &site, &[])).await;
    world
}

fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap_or("nothing")
}

#[tokio::test]
async fn request_with_a_body_is_refused_and_its_connection_closed() {
    let world = demo().await;
    // The second request must not be answered: the end of the first is ambiguous.
    let second = "GET / HTTP/1.1\r\nhost: demo.localhost\r\nconnection: close\r\n\r\n";
    for (first, refused) in [
        ("GET / HTTP/1.1\r\nhost: demo.localhost\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
        (
            "GET / HTTP/1.1\r\nhost: demo.localhost\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "400",
        ),
        ("POST / HTTP/1.1\r\nhost: demo.localhost\r\ncontent-length: 5\r\n\r\nhello", "413"),
        ("OPTIONS / HTTP/1.1\r\nhost: demo.localhost\r\ncontent-length: 5\r\n\r\nhello", "413"),
        ("GET / HTTP/1.1\r\nhost: demo.localhost\r\ncontent-length: 5\r\n\r\nhello", "413"),
        ("GET / HTTP/1.1\r\nhost: demo.localhost\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", "400"),
        ("GET / HTTP/1.1\r\nhost : demo.localhost\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost: demo.localhost\r\nx: a\r\n b\r\n\r\n", "400"),
    ] {
        let response = world.raw(&format!("{first}{second}")).await;
        assert_eq!(status(&response), refused, "{first:?}: {response}");
        assert_eq!(response.matches("HTTP/1.1 ").count(), 1, "{first:?}: {response}");
    }
    world.stop().await;
}

#[tokio::test]
async fn host_decides_the_site_and_invalid_ones_are_400() {
    let world = demo().await;
    for (request, expected) in [
        ("GET / HTTP/1.1\r\nhost: demo.localhost\r\n", "200"),
        ("GET / HTTP/1.1\r\nhost: DEMO.localhost.:99\r\n", "200"),
        ("GET / HTTP/1.0\r\nhost: demo.localhost\r\n", "200"),
        ("GET http://demo.localhost/ HTTP/1.1\r\nhost: other.localhost\r\n", "200"),
        ("GET http://other.localhost/ HTTP/1.1\r\nhost: demo.localhost\r\n", "404"),
        ("GET http://demo.localhost/ HTTP/1.1\r\n", "400"),
        ("GET / HTTP/1.1\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost:\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost: demo.localhost\r\nhost: demo.localhost\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost: me@demo.localhost\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost: localhost\r\n", "404"),
        ("GET / HTTP/1.1\r\nhost: live--demo.localhost\r\n", "404"),
        ("GET / HTTP/1.1\r\nhost: x.demo.localhost\r\n", "404"),
        ("GET /.well-known/verge/health HTTP/1.1\r\nhost: whatever\r\n", "200"),
        ("GET /.well-known/verge/health HTTP/1.1\r\n", "400"),
    ] {
        let response = world.raw(&format!("{request}connection: close\r\n\r\n")).await;
        assert_eq!(status(&response), expected, "{request:?}: {response}");
    }
    let unknown = world.raw("GET / HTTP/1.1\r\nhost: demi.localhost\r\nconnection: close\r\n\r\n").await;
    assert!(!unknown.contains("demo"), "{unknown}");
    world.stop().await;
}

#[tokio::test]
async fn paths_that_can_name_no_file_are_misses_and_other_methods_405() {
    let world = demo().await;
    for (line, expected) in [
        ("GET /", "200"),
        ("GET /?q=../..", "200"),
        ("GET /a", "308"),
        ("GET /a/", "200"),
        ("GET /%61", "308"),
        ("GET /a%2findex.html", "404"),
        ("GET /a/../up.txt", "404"),
        ("GET /%2e%2e/up.txt", "404"),
        ("GET /up.txt%00", "404"),
        ("GET /a\\index.html", "404"),
        ("GET /a%5cindex.html", "404"),
        ("GET /%", "404"),
        ("GET /%ff", "404"),
        ("GET //up.txt", "308"),
        ("GET //a", "308"),
        ("GET /up.txt/", "404"),
        ("GET /none", "404"),
        ("HEAD /", "200"),
        ("POST /", "405"),
        ("OPTIONS /", "204"),
        ("OPTIONS *", "204"),
        ("CONNECT demo.localhost:80", "405"),
        ("BREW /", "405"),
    ] {
        let response =
            world.raw(&format!("{line} HTTP/1.1\r\nhost: demo.localhost\r\nconnection: close\r\n\r\n")).await;
        assert_eq!(status(&response), expected, "{line}: {response}");
    }
    for (target, location) in [("/a?b=c", "/a/?b=c"), ("//a", "/a/"), ("//up.txt", "/up.txt"), ("/%61", "/%61/")] {
        let response =
            world.raw(&format!("GET {target} HTTP/1.1\r\nhost: demo.localhost\r\nconnection: close\r\n\r\n")).await;
        assert!(response.contains(&format!("\r\nlocation: {location}\r\n")), "{target}: {response}");
        assert!(response.contains("\r\ncache-control: public, max-age=0, must-revalidate\r\n"), "{response}");
    }
    world.stop().await;
}

#[tokio::test]
async fn http2_request_is_routed_by_authority() {
    let world = demo().await;
    let reader = world.http2_reader();
    let url = world.url("demo.localhost", "/");
    let response = reader.get(&url).send().await.unwrap();
    assert_eq!((response.version(), response.status().as_u16()), (reqwest::Version::HTTP_2, 200));
    assert_eq!(response.text().await.unwrap(), "hi");
    let response = reader.post(&url).body("x").send().await.unwrap();
    assert_eq!(response.status(), 413);
    drop(reader);
    world.stop().await;
}

#[tokio::test]
async fn requests_for_unknown_hosts_create_no_metrics() {
    let world = demo().await;
    // Once from disk or the origin, once from memory.
    world.read("/").await;
    world.read("/").await;
    world.get("first.localhost", "/").send().await.unwrap();
    let series = |metrics: String| metrics.lines().filter(|line| !line.starts_with('#')).count();
    let before = series(world.metrics().await);
    for number in 0..300 {
        world.get(&format!("h{number}.localhost"), &format!("/{number}")).send().await.unwrap();
        world.get("demo.localhost", "/").header(format!("x-{number}"), "x").send().await.unwrap();
    }
    let metrics = world.metrics().await;
    assert!(!metrics.contains("h7"), "{metrics}");
    assert_eq!(series(metrics), before);
    world.stop().await;
}
