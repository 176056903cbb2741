//! Pages with a Markdown file beside them.

use reqwest::Response;
use verge_protocol::{Coding, Digest};
use verge_test_kit::{TestRelease, release, until};

use super::world::World;

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";
const MARKDOWN: &str = "text/markdown, text/html;q=0.9, */*;q=0.1";

fn site() -> TestRelease {
    let mut site = release(&[
        ("index.html", "<h1>home</h1>"),
        ("index.md", "# home"),
        ("page.html", "<h1>page</h1>"),
        ("page.md", "# page"),
        ("docs/index.html", "<h1>docs</h1>"),
        ("docs/index.md", "# docs"),
        ("plain.html", "<h1>plain</h1>"),
        ("notes.html", "<h1>notes</h1>"),
        ("notes.md", "no Markdown by its type"),
        ("404.html", "lost"),
        ("404.md", "# lost"),
    ])
    .encoded("page.md", Coding::Gzip, "gz");
    for path in ["index.md", "page.md", "docs/index.md", "404.md"] {
        let file = site.manifest.files.get_mut(path).unwrap();
        "text/markdown; charset=utf-8".clone_into(&mut file.media_type);
    }
    site
}

async fn demo() -> World {
    let world = World::start().await;
    world.wait_until_served(world.origin.publish("demo/live", 1, &site(), &[])).await;
    world
}

fn field<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn page_is_sent_in_markdown_to_those_who_prefer_it() {
    let world = demo().await;
    for (path, html, markdown) in [
        ("/", "<h1>home</h1>", "# home"),
        ("/index.html", "<h1>home</h1>", "# home"),
        ("/page", "<h1>page</h1>", "# page"),
        ("/page.html", "<h1>page</h1>", "# page"),
        ("/docs/", "<h1>docs</h1>", "# docs"),
    ] {
        for (accept, body, media_type) in [
            (Some(MARKDOWN), markdown, "text/markdown; charset=utf-8"),
            (Some(BROWSER), html, "text/html; charset=utf-8"),
            (Some("*/*"), html, "text/html; charset=utf-8"),
            (None, html, "text/html; charset=utf-8"),
        ] {
            // Not by the client, which adds an `Accept` of its own.
            let accept = accept.map(|accept| format!("accept: {accept}\r\n")).unwrap_or_default();
            let request = format!("GET {path} HTTP/1.1\r\nhost: demo.localhost\r\nconnection: close\r\n{accept}\r\n");
            let response = world.raw(request).await;
            assert!(response.contains(&format!("\r\ncontent-type: {media_type}\r\n")), "{path} {accept}: {response}");
            assert!(response.contains("\r\nvary: Accept"), "{path} {accept}: {response}");
            assert!(response.ends_with(&format!("\r\n\r\n{body}")), "{path} {accept}: {response}");
            let etag = format!("\r\netag: \"{}\"\r\n", Digest::of(body.as_bytes()));
            assert!(response.contains(&etag), "{path} {accept}: {response}");
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn responses_of_pages_without_a_twin_do_not_vary_by_accept() {
    let world = demo().await;
    for (path, status, body) in [
        ("/plain", 200, "<h1>plain</h1>"),
        ("/notes", 200, "<h1>notes</h1>"),
        ("/page.md", 200, "# page"),
        ("/none", 404, "lost"),
    ] {
        let response = world.get("demo.localhost", path).header("accept", MARKDOWN).send().await.unwrap();
        assert!(!field(&response, "vary").to_lowercase().contains("accept,"), "{path}: {}", field(&response, "vary"));
        assert_ne!(field(&response, "vary"), "Accept", "{path}");
        assert_eq!((response.status().as_u16(), response.text().await.unwrap().as_str()), (status, body), "{path}");
    }
    world.stop().await;
}

#[tokio::test]
async fn single_page_fallback_has_no_twin() {
    let world = World::start().await;
    let site = site().single_page("index.html");
    world.wait_until_served(world.origin.publish("demo/live", 1, &site, &[])).await;
    let response = world.get("demo.localhost", "/users/7").header("accept", MARKDOWN).send().await.unwrap();
    assert_eq!(
        (field(&response, "vary"), field(&response, "content-type")),
        ("Sec-Fetch-Dest", "text/html; charset=utf-8")
    );
    let response = world.get("demo.localhost", "/").header("accept", MARKDOWN).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "# home");
    world.stop().await;
}

#[tokio::test]
async fn twin_has_codings_ranges_and_preconditions_of_its_own() {
    let world = demo().await;
    let get = |fields: &[(&'static str, &str)]| {
        let request = world.get("demo.localhost", "/page").header("accept", MARKDOWN);
        fields.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send()
    };
    let tag = |bytes: &str| format!("\"{}\"", Digest::of(bytes.as_bytes()));
    let (markdown, gzip, html) = (tag("# page"), tag("gz"), tag("<h1>page</h1>"));
    for (fields, status, etag, body) in [
        (&[("accept-encoding", "gzip")][..], 200, &gzip, "gz"),
        (&[("range", "bytes=2-3")], 206, &markdown, "pa"),
        (&[("range", "bytes=2-3"), ("if-range", &html)], 200, &markdown, "# page"),
        (&[("if-none-match", &markdown)], 304, &markdown, ""),
        (&[("if-none-match", &html)], 200, &markdown, "# page"),
        (&[("if-match", &html)], 412, &String::new(), ""),
        (&[("range", "bytes=99-")], 416, &String::new(), ""),
    ] {
        let response = get(fields).await.unwrap();
        assert_eq!((response.status().as_u16(), field(&response, "etag")), (status, etag.as_str()), "{fields:?}");
        assert_eq!(field(&response, "vary"), "Accept, Accept-Encoding", "{fields:?}");
        assert_eq!(response.text().await.unwrap(), body, "{fields:?}");
    }
    // HTML has no encoding, but its response varies all the same: a cache keeps one `Vary` for the address.
    let head =
        world.reader.head(world.url("127.0.0.1", "/page")).header("host", "demo.localhost").send().await.unwrap();
    assert_eq!((field(&head, "vary"), field(&head, "etag")), ("Accept, Accept-Encoding", html.as_str()));
    world.stop().await;
}

#[tokio::test]
async fn erased_twin_is_none() {
    let world = demo().await;
    let content = Digest::of(b"# page");
    let (_, position) = world.origin.erase("demo", "page.md", content, &[content]);
    world.wait_until_served(position).await;
    let read = async |path| {
        let response = world.get("demo.localhost", path).header("accept", MARKDOWN).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    };
    until("the erasure", async || read("/page.md").await.0 == 410).await;
    assert_eq!(read("/page").await, (200, "<h1>page</h1>".to_owned()));
    assert_eq!(read("/docs/").await, (200, "# docs".to_owned()));
    world.stop().await;
}
