//! Redirects, headers and passwords of a build, from the files of a push to the responses of every edge.

use std::time::Duration;

use verge::channel::Lifetime;
use verge_tests::{Response, World};

const REDIRECTS: &str = "\
/old/*  /new/:splat  302
/store  id=:id  /shop/:id  301
/first  /forced  307!
/removed  /gone.html  410
/data  /data.json  200
/*  /index.html  200
";

const HEADERS: &str = "\
/*
  X-Frame-Options: DENY
  Vary: Cookie
/data*
  Cache-Control: public, max-age=60
  ! Access-Control-Allow-Origin
/staff/*
  Basic-Auth: ann:secret
";

const FILES: [(&str, &str); 9] = [
    ("_redirects", REDIRECTS),
    ("_headers", HEADERS),
    ("index.html", "app"),
    ("first.html", "first"),
    ("forced.html", "forced"),
    ("gone.html", "gone"),
    ("data.json", "{}"),
    ("staff/index.html", "staff"),
    ("new/page.html", "page"),
];

/// Status, location and body.
fn parts(response: &Response) -> (u16, &str, &str) {
    (response.status.as_u16(), response.header("location"), response.text())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_of_a_build_are_followed_by_every_edge() {
    let world = World::start(2).await;
    world.push("demo", &FILES).await;
    for edge in world.edges() {
        let get = async |path| world.get(edge, "demo", path).await;
        let redirect = get("/old/page?x=1").await;
        assert_eq!(parts(&redirect).0, 302);
        assert_eq!(redirect.header("location"), "/new/page?x=1");
        assert_eq!(redirect.header("cache-control"), "public, max-age=0, must-revalidate");
        assert_eq!(get("/store?id=a%20b").await.header("location"), "/shop/a%20b?id=a%20b");
        assert_eq!((get("/first").await.status.as_u16(), get("/first").await.header("location")), (307, "/forced"));
        assert_eq!(parts(&get("/removed").await), (410, "", "gone"));
        assert_eq!(parts(&get("/route/of/the/app").await), (200, "", "app"));
        assert_eq!(get("/assets/old-chunk.js").await.status.as_u16(), 404);
        assert_eq!(get("/_redirects").await.text(), "app", "rules are not served");

        let data = get("/data").await;
        assert_eq!(parts(&data), (200, "", "{}"));
        assert_eq!((data.header("cache-control"), data.header("x-frame-options")), ("public, max-age=60", "DENY"));
        assert_eq!(data.header("access-control-allow-origin"), "");
        let etag = data.header("etag").to_owned();
        let unchanged = world.get_with(edge, "demo", "/data", &[("if-none-match", &etag)]).await.unwrap();
        assert_eq!((unchanged.status.as_u16(), unchanged.header("x-frame-options")), (304, "DENY"));
        let route = get("/data/route").await;
        assert_eq!(route.header("cache-control"), "public, max-age=0, must-revalidate", "of a fallback");
        assert_eq!(route.header("vary"), "Sec-Fetch-Dest, Cookie");
    }
}

/// The site `examples` of the conformance tests of IPFS gateways; `docs/FORMATS.md`, "Differences from IPFS", has what differs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ipfs_site_of_examples_is_served_as_gateways_serve_it() {
    const RULES: &str = "\
/redirect-one /one.html
/302-redirect-two /two.html 302
/200-index /index.html 200
/posts/:year/:month/:day/:title /articles/:year/:month/:day/:title 301
/splat/* /redirected-splat/:splat 301
/not-found/* /404.html 404
/gone/* /410.html 410
/unavail/* /451.html 451
/* /index.html 200
";
    let files = [
        ("_redirects", RULES),
        ("index.html", "my index"),
        ("404.html", "my 404"),
        ("410.html", "my 410"),
        ("451.html", "my 451"),
        ("one.html", "my one"),
        ("two.html", "my two"),
        ("redirected-splat/one.html", "redirected splat one"),
    ];
    let world = World::start(1).await;
    world.push("demo", &files).await;
    let get = async |path| world.get(0, "demo", path).await;
    for (path, location) in [
        ("/redirect-one", "/one.html"),
        ("/posts/2022/01/01/hello-world", "/articles/2022/01/01/hello-world"),
        ("/splat/one.html", "/redirected-splat/one.html"),
    ] {
        let response = get(path).await;
        assert_eq!((response.status.as_u16(), response.header("location")), (301, location), "{path}");
    }
    assert_eq!(get("/302-redirect-two").await.header("location"), "/two.html");
    for (path, status, body) in [
        ("/200-index", 200, "my index"),
        ("/catch-all", 200, "my index"),
        // A file comes before the rule for all paths.
        ("/one.html", 200, "my one"),
        ("/not-found/has-no-redirects-entry", 404, "my 404"),
        ("/gone/has-no-redirects-entry", 410, "my 410"),
        ("/unavail/has-no-redirects-entry", 451, "my 451"),
    ] {
        assert_eq!(parts(&get(path).await), (status, "", body), "{path}");
    }
    // An app's page has a validator at each path.
    let etag = get("/missing-page").await.header("etag").to_owned();
    let unchanged = world.get_with(0, "demo", "/missing-page", &[("if-none-match", &etag)]).await.unwrap();
    assert_eq!(unchanged.status.as_u16(), 304);
    // Other than there: errors are not kept, and a missing script is no page.
    let not_found = get("/not-found/x").await;
    assert_eq!((not_found.header("cache-control"), not_found.header("etag")), ("no-store", ""));
    assert_eq!(get("/assets/old-chunk.js").await.status.as_u16(), 404);
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn push_that_changes_only_headers_reaches_the_reader() {
    let world = World::start(1).await;
    for value in ["one", "two"] {
        let headers = format!("/*\n  X-Version: {value}\n");
        let pushed = world.push_changed("demo", &[("_headers", &headers), ("index.html", "page")]).await;
        assert!(pushed.is_new, "{value}");
        assert_eq!(world.get(0, "demo", "/").await.header("x-version"), value);
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn protected_path_needs_its_password_at_each_address() {
    let world = World::start(1).await;
    world.push("demo", &FILES).await;
    world.push_preview("demo", "pr-1", Lifetime::For(Duration::from_hours(1)), &FILES).await;
    for label in ["demo", "pr-1--demo"] {
        for path in ["/staff", "/staff/", "/staff/index.html", "/STAFF/", "/staff/none"] {
            let denied = world.get(0, label, path).await;
            assert_eq!(denied.status.as_u16(), 401, "{path}");
            assert_eq!(denied.header("www-authenticate"), "Basic realm=\"demo\", charset=\"UTF-8\"");
            assert_eq!(denied.header("cache-control"), "no-store");
        }
        // ann:secret, ann:other
        let right = world.get_with(0, label, "/staff/", &[("authorization", "Basic YW5uOnNlY3JldA==")]).await.unwrap();
        assert_eq!(parts(&right), (200, "", "staff"));
        assert_eq!(right.header("cache-control"), "private, max-age=0, must-revalidate");
        let wrong = world.get_with(0, label, "/staff/", &[("authorization", "Basic YW5uOm90aGVy")]).await.unwrap();
        assert_eq!(wrong.status.as_u16(), 401);
    }
}
