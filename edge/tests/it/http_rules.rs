//! The rules of HTTP, as bytes on a socket.

use super::release::release;
use super::world::World;

async fn demo() -> World {
    let world = World::start().await;
    let site = release(&[("index.html", "hi"), ("a/index.html", "a"), ("up.txt", "up")]);
    world.served(world.origin.publish("demo/live", 1, &site, &[])).await;
    world
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("nothing")
}

#[tokio::test]
async fn who_sends_a_body_is_cut_off() {
    let world = demo().await;
    // The second request of each must not be answered: nobody knows where the first one ends.
    let second = "GET / HTTP/1.1\r\nhost: demo.localhost\r\nconnection: close\r\n\r\n";
    for (first, refused) in [
        ("GET / HTTP/1.1\r\nhost: demo.localhost\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
        (
            "GET / HTTP/1.1\r\nhost: demo.localhost\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            "400",
        ),
        ("POST / HTTP/1.1\r\nhost: demo.localhost\r\ncontent-length: 5\r\n\r\nhello", "413"),
        ("GET / HTTP/1.1\r\nhost: demo.localhost\r\ncontent-length: 5\r\n\r\nhello", "413"),
        ("GET / HTTP/1.1\r\nhost: demo.localhost\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello", "400"),
        ("GET / HTTP/1.1\r\nhost : demo.localhost\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost: demo.localhost\r\nx: a\r\n b\r\n\r\n", "400"),
    ] {
        let answer = world.raw(&format!("{first}{second}")).await;
        assert_eq!(status(&answer), refused, "{first:?}: {answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{first:?}: {answer}");
    }
    world.stop().await;
}

#[tokio::test]
async fn hosts() {
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
        let answer = world.raw(&format!("{request}connection: close\r\n\r\n")).await;
        assert_eq!(status(&answer), expected, "{request:?}: {answer}");
    }
    let unknown = world.raw("GET / HTTP/1.1\r\nhost: demi.localhost\r\nconnection: close\r\n\r\n").await;
    assert!(!unknown.contains("demo"), "{unknown}");
    world.stop().await;
}

#[tokio::test]
async fn paths_and_methods() {
    let world = demo().await;
    for (line, expected) in [
        ("GET /", "200"),
        ("GET /?q=../..", "200"),
        ("GET /a", "200"),
        ("GET /a/", "200"),
        ("GET /%61", "200"),
        ("GET /a%2findex.html", "400"),
        ("GET /a/../up.txt", "400"),
        ("GET /%2e%2e/up.txt", "400"),
        ("GET /up.txt%00", "400"),
        ("GET /a\\index.html", "400"),
        ("GET /a%5cindex.html", "400"),
        ("GET /%", "400"),
        ("GET //up.txt", "404"),
        ("GET /up.txt/", "404"),
        ("GET /none", "404"),
        ("HEAD /", "200"),
        ("POST /", "405"),
        ("OPTIONS *", "405"),
        ("CONNECT demo.localhost:80", "405"),
        ("BREW /", "405"),
    ] {
        let answer = world.raw(&format!("{line} HTTP/1.1\r\nhost: demo.localhost\r\nconnection: close\r\n\r\n")).await;
        assert_eq!(status(&answer), expected, "{line}: {answer}");
    }
    world.stop().await;
}

#[tokio::test]
async fn http2_is_routed_by_authority() {
    let world = demo().await;
    let reader = world.http2_reader();
    let url = world.url("demo.localhost", "/");
    let answer = reader.get(&url).send().await.unwrap();
    assert_eq!((answer.version(), answer.status().as_u16()), (reqwest::Version::HTTP_2, 200));
    assert_eq!(answer.text().await.unwrap(), "hi");
    let answer = reader.post(&url).body("x").send().await.unwrap();
    assert_eq!(answer.status(), 413);
    drop(reader);
    world.stop().await;
}

#[tokio::test]
async fn strangers_grow_no_metric() {
    let world = demo().await;
    // Once from wherever it is, once from memory.
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
