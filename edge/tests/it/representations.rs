//! Representations, preconditions and ranges, tested with raw requests.

use verge_protocol::{Coding, Digest};
use verge_test_kit::{TestRelease, release};

use super::world::World;

const TEXT: &str = "0123456789";

fn site() -> TestRelease {
    release(&[("index.html", "hi"), ("a.txt", TEXT), ("empty.txt", ""), ("c.txt", "plain")])
        .encoded("c.txt", Coding::Br, "br")
        .encoded("c.txt", Coding::Gzip, "gzip")
}

async fn demo() -> World {
    let world = World::start().await;
    world.wait_until_served(world.origin.publish("demo/live", 1, &site(), &[])).await;
    world
}

fn etag(bytes: &str) -> String {
    format!("\"{}\"", Digest::of(bytes.as_bytes()))
}

/// A response, read to the end of its connection.
struct RawResponse {
    head: String,
    body: String,
}

impl RawResponse {
    async fn to(world: &World, line: &str, fields: &str) -> Self {
        let request = format!("{line} HTTP/1.1\r\nhost: demo.localhost\r\nconnection: close\r\n{fields}\r\n");
        let response = world.raw(request).await;
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        Self { head: head.to_owned(), body: body.to_owned() }
    }

    fn status(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

#[tokio::test]
async fn preconditions_are_evaluated_in_order_with_the_tag_of_the_representation() {
    let world = demo().await;
    let (own, other) = (&etag(TEXT), "\"other\"");
    for (fields, status) in [
        (format!("if-none-match: {own}\r\n"), "304"),
        (format!("if-none-match: W/{own}\r\n"), "304"),
        (format!("if-none-match: {other}, {own}\r\n"), "304"),
        (format!("if-none-match: {other}\r\nif-none-match: {own}\r\n"), "304"),
        ("if-none-match: *\r\n".to_owned(), "304"),
        (format!("if-none-match: {other}\r\n"), "200"),
        (format!("if-match: {own}\r\n"), "200"),
        ("if-match: *\r\n".to_owned(), "200"),
        (format!("if-match: W/{own}\r\n"), "412"),
        (format!("if-match: {other}\r\n"), "412"),
        // If-Match, then If-None-Match, then If-Range.
        (format!("if-none-match: {own}\r\nif-match: {other}\r\n"), "412"),
        (format!("if-match: {own}\r\nif-none-match: {own}\r\nrange: bytes=0-0\r\n"), "304"),
        (format!("if-match: {own}\r\nif-none-match: {other}\r\nif-range: {own}\r\nrange: bytes=0-0\r\n"), "206"),
        (format!("if-range: W/{own}\r\nrange: bytes=0-0\r\n"), "200"),
        (format!("if-range: {other}\r\nrange: bytes=0-0\r\n"), "200"),
        (format!("if-range: {other}\r\nrange: bytes=99-\r\n"), "200"),
        // Dates are of no meaning without Last-Modified.
        ("if-modified-since: Sat, 29 Oct 2044 19:43:31 GMT\r\n".to_owned(), "200"),
        ("if-unmodified-since: Sat, 29 Oct 1994 19:43:31 GMT\r\n".to_owned(), "200"),
        ("if-range: Sat, 29 Oct 2044 19:43:31 GMT\r\nrange: bytes=0-0\r\n".to_owned(), "200"),
    ] {
        let response = RawResponse::to(&world, "GET /a.txt", &fields).await;
        assert_eq!(response.status(), status, "{fields}: {}", response.head);
        assert_eq!(response.field("last-modified"), None);
        match status {
            "304" => {
                assert_eq!((response.field("etag"), response.body.as_str()), (Some(own.as_str()), ""));
                assert!(response.field("cache-control").is_some() && response.field("date").is_some());
                assert_eq!((response.field("content-encoding"), response.field("content-length")), (None, None));
            }
            "412" => assert_eq!(response.field("cache-control"), Some("no-store")),
            _ => assert_eq!(response.field("etag"), Some(own.as_str())),
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn ranges_are_clamped_and_what_is_no_range_is_ignored() {
    let world = demo().await;
    for (range, status, content_range, body) in [
        ("bytes=0-0", "206", Some("bytes 0-0/10"), "0"),
        ("bytes=2-4", "206", Some("bytes 2-4/10"), "234"),
        ("bytes=8-99", "206", Some("bytes 8-9/10"), "89"),
        ("bytes=8-99999999999999999999999", "206", Some("bytes 8-9/10"), "89"),
        ("bytes=7-", "206", Some("bytes 7-9/10"), "789"),
        ("bytes=-3", "206", Some("bytes 7-9/10"), "789"),
        ("bytes=-99", "206", Some("bytes 0-9/10"), TEXT),
        ("bytes=10-", "416", Some("bytes */10"), ""),
        ("bytes=-0", "416", Some("bytes */10"), ""),
        ("bytes=0-0,2-2", "200", None, TEXT),
        ("bytes=4-2", "200", None, TEXT),
        ("bytes=a-b", "200", None, TEXT),
        ("items=0-1", "200", None, TEXT),
        ("0-1", "200", None, TEXT),
    ] {
        let response = RawResponse::to(&world, "GET /a.txt", &format!("range: {range}\r\n")).await;
        assert_eq!(response.status(), status, "{range}: {}", response.head);
        assert_eq!((response.field("content-range"), response.body.as_str()), (content_range, body), "{range}");
        assert_eq!(response.field("content-length"), Some(&*body.len().to_string()), "{range}");
        // HEAD knows no ranges.
        let head = RawResponse::to(&world, "HEAD /a.txt", &format!("range: {range}\r\n")).await;
        assert_eq!(
            (head.status(), head.field("content-length"), head.body.as_str()),
            ("200", Some("10"), ""),
            "{range}"
        );
    }
    let empty = RawResponse::to(&world, "GET /empty.txt", "range: bytes=0-\r\n").await;
    assert_eq!((empty.status(), empty.field("content-range")), ("416", Some("bytes */0")));
    world.stop().await;
}

#[tokio::test]
async fn each_coding_has_its_own_tag_and_ranges_are_of_none() {
    let world = demo().await;
    for (fields, status, coding, of, body) in [
        ("", "200", None, "plain", "plain"),
        ("accept-encoding: br, gzip\r\n", "200", Some("br"), "br", "br"),
        ("accept-encoding: gzip;q=0.5\r\naccept-encoding: BR;q=0.4\r\n", "200", Some("gzip"), "gzip", "gzip"),
        ("accept-encoding: br;q=0, *\r\n", "200", Some("gzip"), "gzip", "gzip"),
        ("accept-encoding: identity;q=0, br\r\n", "200", Some("br"), "br", "br"),
        ("accept-encoding: zstd\r\n", "200", None, "plain", "plain"),
        ("accept-encoding: br\r\nrange: bytes=1-2\r\n", "206", None, "plain", "la"),
        ("accept-encoding: br\r\nif-none-match: *\r\n", "304", None, "br", ""),
        ("accept-encoding: br\r\nrange: bytes=9-\r\n", "416", None, "", ""),
    ] {
        let response = RawResponse::to(&world, "GET /c.txt", fields).await;
        assert_eq!((response.status(), response.field("content-encoding")), (status, coding), "{fields}");
        assert_eq!(response.field("vary"), Some("Accept-Encoding"), "{fields}");
        assert_eq!(response.field("etag"), Some(etag(of)).filter(|_| status != "416").as_deref(), "{fields}");
        assert_eq!(response.body, body, "{fields}");
        let head = RawResponse::to(&world, "HEAD /c.txt", fields).await;
        assert_eq!((head.field("vary"), head.body.as_str()), (Some("Accept-Encoding"), ""), "{fields}");
    }
    // The tag of one coding is not that of another.
    let other = format!("accept-encoding: br\r\nif-none-match: {}\r\n", etag("gzip"));
    assert_eq!(RawResponse::to(&world, "GET /c.txt", &other).await.status(), "200");
    world.stop().await;
}

#[tokio::test]
async fn tags_after_a_rollback_are_those_of_before() {
    let world = World::start().await;
    let (first, second) = (release(&[("index.html", "first")]), release(&[("index.html", "second")]));
    for (number, site, own, other) in
        [(1, &first, "first", "second"), (2, &second, "second", "first"), (3, &first, "first", "second")]
    {
        world.wait_until_served(world.origin.publish("demo/live", number, site, &[])).await;
        for (tag, status) in [(own, "304"), (other, "200")] {
            let response = RawResponse::to(&world, "GET /", &format!("if-none-match: {}\r\n", etag(tag))).await;
            assert_eq!(response.status(), status, "v{number}: {}", response.head);
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn response_without_a_body_loads_no_blob() {
    let world = World::cold().await;
    world.wait_until_served(world.origin.publish("demo/live", 1, &site(), &[])).await;
    for (line, fields, status) in [
        ("GET /a.txt", "if-none-match: *\r\n", "304"),
        ("HEAD /a.txt", "want-repr-digest: sha-256=1\r\n", "200"),
        ("GET /a.txt", "range: bytes=10-\r\n", "416"),
        ("GET /a.txt", "if-match: \"x\"\r\n", "412"),
    ] {
        assert_eq!(RawResponse::to(&world, line, fields).await.status(), status, "{line} {fields}");
    }
    assert_eq!(world.origin.requests(Digest::of(TEXT.as_bytes())), 0);
    assert_eq!(RawResponse::to(&world, "GET /a.txt", "").await.body, TEXT);
    assert_eq!(world.origin.requests(Digest::of(TEXT.as_bytes())), 1);
    world.stop().await;
}
