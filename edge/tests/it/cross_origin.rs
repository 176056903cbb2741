//! Cross-origin access, as raw bytes: a browser's `fetch` would hide what it refuses.

use verge_test_kit::release;

use super::world::World;

const ORIGIN: &str = "origin: https://shell.test\r\n";
const PREFLIGHT: &str = "origin: https://shell.test\r\naccess-control-request-method: GET\r\n";

async fn demo() -> World {
    let world = World::start().await;
    let site = release(&[
        ("index.html", "hi"),
        ("404.html", "lost"),
        ("docs/index.html", "docs"),
        ("assets/a-1a2b3c4d.js", "export {}"),
        ("points.geojson", "{}"),
    ]);
    world.wait_until_served(world.origin.publish("demo/live", 1, &site, &[])).await;
    let app = release(&[("index.html", "<div id=app>")]).single_page("index.html");
    world.wait_until_served(world.origin.publish("app/live", 2, &app, &[])).await;
    world
}

/// The status and the lines of the head of the response, in lowercase.
async fn head(world: &World, line: &str, host: &str, fields: &str) -> (String, Vec<String>) {
    let request = format!("{line} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{fields}\r\n");
    let response = world.raw(&request).await;
    let (head, _) = response.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines().map(str::to_ascii_lowercase);
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().to_owned();
    (status, lines.collect())
}

fn count(head: &[String], line: &str) -> usize {
    head.iter().filter(|each| *each == line).count()
}

#[tokio::test]
async fn responses_of_a_site_of_every_status_are_readable_by_scripts_of_all_origins() {
    let world = demo().await;
    for (line, host, fields, status) in [
        ("GET /points.geojson", "demo.localhost", "", "200"),
        ("GET /points.geojson", "demo.localhost", ORIGIN, "200"),
        ("HEAD /points.geojson", "demo.localhost", ORIGIN, "200"),
        ("GET /assets/a-1a2b3c4d.js", "demo.localhost", "origin: null\r\n", "200"),
        ("GET /", "demo.localhost", ORIGIN, "200"),
        ("GET /points.geojson", "demo.localhost", "range: bytes=0-0\r\n", "206"),
        ("GET /points.geojson", "demo.localhost", "if-none-match: *\r\n", "304"),
        ("GET /docs", "demo.localhost", ORIGIN, "308"),
        ("GET /none", "demo.localhost", ORIGIN, "404"),
        ("GET /none.js", "demo.localhost", ORIGIN, "404"),
        ("GET /points.geojson", "demo.localhost", "if-match: \"x\"\r\n", "412"),
        ("GET /points.geojson", "demo.localhost", "range: bytes=9-\r\n", "416"),
        ("GET /users/7", "app.localhost", ORIGIN, "200"),
        ("GET /none.js", "app.localhost", ORIGIN, "404"),
    ] {
        let (actual, head) = head(&world, line, host, fields).await;
        assert_eq!(actual, status, "{line} {fields}");
        assert_eq!(count(&head, "access-control-allow-origin: *"), 1, "{line} {fields}: {head:?}");
        assert!(!head.iter().any(|line| line.starts_with("access-control-allow-credentials")), "{head:?}");
    }
    world.stop().await;
}

#[tokio::test]
async fn responses_of_no_site_are_not_readable_by_scripts_of_other_origins() {
    let world = demo().await;
    for (line, host, status) in [
        ("GET /.well-known/verge/health", "demo.localhost", "200"),
        ("OPTIONS /.well-known/verge/health", "demo.localhost", "204"),
        ("GET /", "none.localhost", "404"),
        ("OPTIONS /", "none.localhost", "204"),
        ("POST /", "demo.localhost", "405"),
    ] {
        let (actual, head) = head(&world, line, host, PREFLIGHT).await;
        assert_eq!(actual, status, "{line} {host}");
        assert!(!head.iter().any(|line| line.starts_with("access-control-")), "{line} {host}: {head:?}");
    }
    world.stop().await;
}

#[tokio::test]
async fn options_names_the_methods_and_a_preflight_also_what_scripts_may_send() {
    let world = demo().await;
    for (target, fields, is_preflight) in [
        ("/points.geojson", "", false),
        ("/points.geojson", ORIGIN, false),
        ("*", "", false),
        ("/points.geojson", PREFLIGHT, true),
        ("/none", PREFLIGHT, true),
        // A preflight must not be redirected.
        ("/docs", PREFLIGHT, true),
    ] {
        let (status, head) = head(&world, &format!("OPTIONS {target}"), "demo.localhost", fields).await;
        assert_eq!((status.as_str(), count(&head, "allow: get, head, options")), ("204", 1), "{target} {head:?}");
        for line in [
            "access-control-allow-origin: *",
            "access-control-allow-methods: get, head",
            "access-control-allow-headers: *",
            "access-control-max-age: 86400",
        ] {
            assert_eq!(count(&head, line), usize::from(is_preflight), "{target} {fields}: {line}");
        }
        // RFC 9110 §8.6.
        assert!(!head.iter().any(|line| line.starts_with("content-length") || line.starts_with("transfer-encoding")));
    }
    world.stop().await;
}

#[tokio::test]
async fn other_methods_are_answered_with_those_that_are_supported() {
    let world = demo().await;
    for (line, host) in [
        ("POST /points.geojson", "demo.localhost"),
        ("DELETE /none", "demo.localhost"),
        ("PUT /", "none.localhost"),
        ("TRACE /", "demo.localhost"),
        ("POST /.well-known/verge/health", "demo.localhost"),
    ] {
        let (status, head) = head(&world, line, host, "").await;
        assert_eq!((status.as_str(), count(&head, "allow: get, head, options")), ("405", 1), "{line}: {head:?}");
    }
    world.stop().await;
}

#[tokio::test]
async fn preflight_has_the_fields_of_cross_origin_access_that_rules_set() {
    let world = World::start().await;
    let mut site = release(&[("index.html", "hi"), ("api/a.json", "{}")]);
    site.manifest.rules = serde_json::from_value(serde_json::json!({ "headers": [
        { "for": "/api/*", "headers": [
            ["access-control-allow-origin", "https://shell.test"],
            ["access-control-allow-credentials", "true"],
            ["access-control-allow-headers", "Authorization"],
            ["x-a", "1"],
        ] },
        { "for": "/closed/*", "headers": [["access-control-allow-origin", null]] },
    ] }))
    .unwrap();
    world.wait_until_served(world.origin.publish("demo/live", 1, &site, &[])).await;
    for (path, expected) in [
        ("/", &["allow-headers: *", "allow-methods: get, head", "allow-origin: *", "max-age: 86400"][..]),
        (
            "/api/a.json",
            &[
                "allow-credentials: true",
                "allow-headers: authorization",
                "allow-methods: get, head",
                "allow-origin: https://shell.test",
                "max-age: 86400",
            ],
        ),
        ("/closed/a", &["allow-headers: *", "allow-methods: get, head", "max-age: 86400"]),
    ] {
        let (status, head) = head(&world, &format!("OPTIONS {path}"), "demo.localhost", PREFLIGHT).await;
        let mut fields: Vec<&str> = head.iter().filter_map(|line| line.strip_prefix("access-control-")).collect();
        fields.sort_unstable();
        assert_eq!((status.as_str(), &*fields), ("204", expected), "{path}");
        assert!(!head.iter().any(|line| line.starts_with("x-a")), "{path}: {head:?}");
    }
    world.stop().await;
}
