//! Snapshots of response heads and metric names.

use verge_protocol::Coding;
use verge_test_kit::release;

use super::world::World;

/// The response to a request with these header lines: its sorted head, and the size of its body.
async fn head(world: &World, line: &str, fields: &[&str]) -> String {
    let fields = fields.join("\r\n") + if fields.is_empty() { "" } else { "\r\n" };
    let response =
        world.raw(format!("{line} HTTP/1.1\r\nhost: demo.localhost\r\nconnection: close\r\n{fields}\r\n")).await;
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    let (status, headers) = head.split_once("\r\n").unwrap();
    let mut headers: Vec<&str> = headers.lines().collect();
    headers.sort_unstable();
    let body = if body.is_empty() { String::new() } else { format!("\n({} bytes)", body.len()) };
    format!("> {line} {}\n{status}\n{}{body}\n", fields.replace("\r\n", " ").trim(), headers.join("\n"))
}

#[tokio::test]
async fn file_and_error_heads() {
    let world = World::start().await;
    let site = release(&[
        ("index.html", "<h1>hi</h1>"),
        ("404.html", "<h1>lost</h1>"),
        ("assets/app-1a2b3c4d.js", "console.log(1)"),
        ("assets/font-1a2b3c4d.woff2", "font"),
        ("empty.txt", ""),
    ]);
    let site = site.encoded("assets/app-1a2b3c4d.js", Coding::Br, "br").encoded("index.html", Coding::Gzip, "gz");
    world.wait_until_served(world.origin.publish("demo/live", 7, &site, &[])).await;
    // Read everything into memory, so that the heads do not depend on the progress of prefetching.
    for path in ["/", "/404.html", "/assets/app-1a2b3c4d.js", "/assets/font-1a2b3c4d.woff2"] {
        for coding in ["br", "gzip", "identity"] {
            world.get("demo.localhost", path).header("accept-encoding", coding).send().await.unwrap();
        }
    }
    let mut heads = Vec::new();
    for (line, fields) in [
        ("GET /", &[][..]),
        ("HEAD /", &["accept-encoding: gzip"]),
        ("GET /assets/app-1a2b3c4d.js", &["accept-encoding: gzip, br"]),
        ("GET /assets/app-1a2b3c4d.js", &["range: bytes=0-6", "accept-encoding: br"]),
        ("GET /assets/app-1a2b3c4d.js", &["range: bytes=99-"]),
        ("GET /assets/app-1a2b3c4d.js", &["if-none-match: *"]),
        ("GET /assets/app-1a2b3c4d.js", &["if-match: \"x\""]),
        ("GET /assets/font-1a2b3c4d.woff2", &["want-repr-digest: sha-256=1"]),
        ("GET /empty.txt", &[]),
        ("GET /none", &[]),
        ("GET /a%2fb", &[]),
        ("POST /", &[]),
        ("GET /", &["transfer-encoding: chunked"]),
    ] {
        heads.push(head(&world, line, fields).await);
    }
    insta::with_settings!({ filters => [(r"date: .*", "date: [date]")] }, {
        insta::assert_snapshot!(heads.join("\n"));
    });
    world.stop().await;
}

#[tokio::test]
async fn single_page_app_heads() {
    let world = World::start().await;
    let site = release(&[("index.html", "<div id=app>"), ("assets/a-1a2b3c4d.js", "a")]).single_page("index.html");
    world.wait_until_served(world.origin.publish("demo/live", 1, &site, &[])).await;
    world.read("/").await;
    let mut heads = Vec::new();
    for (line, fields) in [
        ("GET /users/7", &[][..]),
        ("GET /users/7", &["sec-fetch-dest: document"]),
        ("GET /users/7", &["sec-fetch-dest: script"]),
        ("GET /assets/old-chunk.js", &["accept: text/html"]),
    ] {
        heads.push(head(&world, line, fields).await);
    }
    insta::with_settings!({ filters => [(r"date: .*", "date: [date]")] }, {
        insta::assert_snapshot!(heads.join("\n"));
    });
    world.stop().await;
}

#[tokio::test]
async fn metric_names() {
    let world = World::start().await;
    world.wait_until_served(world.origin.publish("demo/live", 1, &release(&[("index.html", "hi")]), &[])).await;
    world.read("/").await;
    let metrics = world.metrics().await;
    let names: Vec<&str> = metrics.lines().filter(|line| line.starts_with("# HELP")).collect();
    insta::assert_snapshot!(names.join("\n"));
    world.stop().await;
}
