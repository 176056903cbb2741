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
        ("GET / HTTP/1.1\r\nhost: demo.localhost\r\ncontent-length: 5, 5\r\n\r\nhello", "400"),
        ("GET / HTTP/1.1\r\nhost: demo.localhost\r\ncontent-length: +5\r\n\r\nhello", "400"),
        ("GET / HTTP/1.1\r\nhost: demo.localhost\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost: demo.localhost\r\ntransfer-encoding: identity\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost: demo.localhost\r\ntransfer-encoding : chunked\r\n\r\n0\r\n\r\n", "400"),
        ("GET / HTTP/1.0\r\nhost: demo.localhost\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\n host: demo.localhost\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost: demo.localhost\r\nx: a\rb\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost: demo.localhost\r\nx: a\0b\r\n\r\n", "400"),
        ("GET / HTTP/1.2x\r\nhost: demo.localhost\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost : demo.localhost\r\n\r\n", "400"),
        ("GET / HTTP/1.1\r\nhost: demo.localhost\r\nx: a\r\n b\r\n\r\n", "400"),
    ] {
        let response = world.raw(format!("{first}{second}")).await;
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
        ("GET /.well-known/verge/health HTTP/1.1\r\nhost:\r\n", "200"),
        ("GET /.well-known/verge/health HTTP/1.0\r\nhost:\r\n", "200"),
        ("GET /.well-known/verge/health HTTP/1.0\r\n", "200"),
        ("HEAD /.well-known/verge/health HTTP/1.0\r\n", "200"),
        ("GET /.well-known/verge/health HTTP/1.1\r\n", "400"),
        ("GET /.well-known/verge/health HTTP/1.1\r\nhost: a\r\nhost: a\r\n", "400"),
        ("GET / HTTP/1.0\r\n", "400"),
        ("GET http://demo.localhost/ HTTP/1.1\r\nhost:\r\n", "400"),
    ] {
        let response = world.raw(format!("{request}connection: close\r\n\r\n")).await;
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
        let response = world.raw(format!("{line} HTTP/1.1\r\nhost: demo.localhost\r\nconnection: close\r\n\r\n")).await;
        assert_eq!(status(&response), expected, "{line}: {response}");
    }
    for (target, location) in [("/a?b=c", "/a/?b=c"), ("//a", "/a/"), ("//up.txt", "/up.txt"), ("/%61", "/%61/")] {
        let response =
            world.raw(format!("GET {target} HTTP/1.1\r\nhost: demo.localhost\r\nconnection: close\r\n\r\n")).await;
        assert!(response.contains(&format!("\r\nlocation: {location}\r\n")), "{target}: {response}");
        assert!(response.contains("\r\ncache-control: public, max-age=0, must-revalidate\r\n"), "{response}");
    }
    world.stop().await;
}

#[tokio::test]
async fn path_with_bytes_that_no_uri_has_is_that_of_a_file_or_a_miss() {
    let world = World::start().await;
    let files = [("index.html", "hi"), ("404.html", "lost"), ("a<b>`\"{c}|^.txt", "odd"), ("ü.txt", "umlaut")];
    let app = release(&files[..1]).single_page("index.html");
    world.origin.publish("app/live", 1, &app, &[]);
    world.wait_until_served(world.origin.publish("demo/live", 2, &release(&files), &[])).await;
    for (target, expected, body) in [
        (&b"/a<b>`\"{c}|^.txt"[..], "200", "odd"),
        (b"/a%3Cb>%60\"{c}|%5E.txt", "200", "odd"),
        ("/ü.txt".as_bytes(), "200", "umlaut"),
        (b"/?<\"`\xe9>", "200", "hi"),
        (b"http://demo.localhost/<", "404", "lost"),
        (b"/<", "404", "lost"),
        (b"/>", "404", "lost"),
        (b"/\"", "404", "lost"),
        (b"/`", "404", "lost"),
        (b"/{}|^", "404", "lost"),
        (b"/caf\xe9", "404", "lost"),
        (b"/\xff\x80", "404", "lost"),
        ("/ü".as_bytes(), "404", "lost"),
        (b"/\x7f", "400", ""),
        (b"/\0", "400", ""),
        (b"/a\tb", "400", ""),
        (b"/a b", "400", ""),
        (b"/a\rb", "400", ""),
        (b"/a\nb", "400", ""),
    ] {
        let rest = b" HTTP/1.1\r\nhost: demo.localhost\r\nconnection: close\r\n\r\n";
        let response = world.raw([b"GET ", target, rest].concat()).await;
        let shown = String::from_utf8_lossy(target);
        assert_eq!(status(&response), expected, "{shown:?}: {response}");
        assert!(response.ends_with(&format!("\r\n\r\n{body}")), "{shown:?}: {response}");
    }
    for target in [&b"/<id>"[..], b"/\xe9", b"/`"] {
        let rest = b" HTTP/1.1\r\nhost: app.localhost\r\nconnection: close\r\n\r\n";
        let response = world.raw([b"GET ", target, rest].concat()).await;
        assert_eq!(status(&response), "200", "{response}");
    }
    world.stop().await;
}

#[tokio::test]
async fn requests_sent_together_are_answered_one_by_one_whatever_their_targets_are() {
    let world = demo().await;
    let host = "host: demo.localhost\r\n";
    // The field is like a request line, and stays as it is.
    let requests = format!(
        "GET /< HTTP/1.1\r\n{host}x: GET /<\"> HTTP/1.1\r\n\r\n\r\nGET /up.txt HTTP/1.1\r\n{host}\r\nHEAD /`> HTTP/1.1\r\n{host}\r\n\
         GET / HTTP/1.1\r\n{host}connection: close\r\n\r\n"
    );
    let responses = world.raw(requests).await;
    let statuses: Vec<&str> = responses.split("HTTP/1.1 ").skip(1).map(|response| &response[..3]).collect();
    assert_eq!(statuses, ["404", "200", "404", "200"], "{responses}");
    assert!(responses.ends_with("hi"), "{responses}");
    world.stop().await;
}

#[tokio::test]
async fn target_that_is_too_long_is_414_and_header_fields_that_are_431() {
    let world = demo().await;
    let long = |length: usize| "a".repeat(length);
    for (request, expected) in [
        (format!("GET /?{} HTTP/1.1\r\nhost: demo.localhost\r\n", long(8000)), "200"),
        (format!("GET /{} HTTP/1.1\r\nhost: demo.localhost\r\n", long(8191)), "404"),
        (format!("GET /{} HTTP/1.1\r\nhost: demo.localhost\r\n", long(8192)), "414"),
        (format!("GET /?{} HTTP/1.1\r\nhost: demo.localhost\r\n", long(100_000)), "414"),
        (format!("GET http://demo.localhost/?{} HTTP/1.1\r\nhost: demo.localhost\r\n", long(100_000)), "414"),
        (format!("GET http://{}/ HTTP/1.1\r\nhost: demo.localhost\r\n", long(100_000)), "414"),
        (format!("GET /{} HTTP/1.1\r\nhost: demo.localhost\r\n", "<".repeat(100_000)), "414"),
        (format!("GET / HTTP/1.1\r\nhost: demo.localhost\r\nx: {}\r\n", long(8000)), "200"),
        (format!("GET / HTTP/1.1\r\nhost: demo.localhost\r\nx: {}\r\n", long(17_000)), "431"),
        (format!("GET / HTTP/1.1\r\nhost: demo.localhost\r\n{}", "x: y\r\n".repeat(101)), "431"),
    ] {
        let response = world.raw(format!("{request}connection: close\r\n\r\n")).await;
        assert_eq!(status(&response), expected, "{}: {response}", &request[..30]);
    }
    let response = world.raw(format!("GET /{} HTTP/1.1\r\nhost: demo.localhost\r\n\r\n", long(9000))).await;
    assert!(response.contains("\r\nconnection: close\r\n") && response.contains("\r\ncache-control: no-store\r\n"));
    world.stop().await;
}

#[tokio::test]
async fn expectation_without_a_body_is_harmless_and_another_one_417() {
    let world = demo().await;
    for (fields, expected) in [
        ("expect: 100-continue\r\n", "200"),
        ("Expect: 100-Continue\r\ncontent-length: 0\r\n", "200"),
        ("expect: 100-continue\r\ncontent-length: 1\r\n", "413"),
        ("expect: something-else\r\n", "417"),
        ("content-length: 0\r\n", "200"),
        ("content-length: 00\r\n", "200"),
    ] {
        let request = format!("GET / HTTP/1.1\r\nhost: demo.localhost\r\nconnection: close\r\n{fields}\r\n");
        let response = world.raw(&request).await;
        assert_eq!(status(&response), expected, "{fields}: {response}");
        assert!(!response.contains("HTTP/1.1 100"), "{fields}: {response}");
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
