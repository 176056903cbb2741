//! `verge check`: what is wrong with a build, without an origin.

use verge::Exit;

use crate::world::{Ran, TOKEN, World, verge_with};

/// Nothing answers there: a request would fail.
const NO_ORIGIN: &str = "http://127.0.0.1:9";

async fn check(world: &World, arguments: &[&str]) -> Ran {
    run(world, NO_ORIGIN, &[&["check"], arguments].concat()).await
}

async fn run(world: &World, origin: &str, arguments: &[&str]) -> Ran {
    let data = world.path().join("data").display().to_string();
    let variables = [("VERGE_TOKEN", TOKEN), ("USER", "ann"), ("XDG_DATA_HOME", &data), ("HOME", &data)];
    verge_with(world.path(), origin, &variables, arguments, None).await
}

#[tokio::test]
async fn build_without_faults_has_no_warnings() {
    let world = World::new().await;
    world.write(
        "dist/index.html",
        "<link rel=stylesheet href=style.css><a href=docs/>docs</a><a href='docs#a'>docs</a>",
    );
    world.write(
        "dist/docs/index.html",
        "<a href=../about>about</a><a href=/old/x?y>old</a><a href=https://a.example/>a</a>",
    );
    world.write("dist/about.html", "<img srcset='logo.png 1x, /logo.png 2x'><a href=mailto:a@a.example>mail</a>");
    world.write("dist/logo.png", "");
    world.write("dist/style.css", "");
    world.write("dist/_redirects", "/old/* /docs/ 301\n");
    let ran = check(&world, &["--strict"]).await.ended(Exit::Success);
    assert_eq!(ran.stdout, "nothing is wrong\n");
    assert_eq!(
        ran.stderr,
        "checking dist for app (detected: a build directory with an index.html)\n  6 files, 250 B\n  1 redirect rule\n",
        "and no request"
    );
}

#[tokio::test]
async fn faults_of_a_build_are_named_each_once() {
    let world = World::new().await;
    world.write(
        "dist/index.html",
        "<a href=/pricng>a</a><a href=/About>b</a><img src=Logo.png><a href=/loop>c</a><a href=/a%2Fb>d</a><script src=app.js></script>",
    );
    world.write(
        "dist/about.html",
        "<a href=pricng#top>a</a><a href='${url}'>template</a><img src=data:image/png;base64,AA>",
    );
    world.write("dist/logo.png", "");
    world.write("dist/LOGO2.png", "");
    world.write("dist/logo2.png", "");
    world.write("dist/404.html", "<link rel=stylesheet href=style.css>");
    world.write("dist/style.css", "");
    world.write("dist/_redirects", "/loop /loop2 302\n/loop2 /loop 302\n/x/* /y\n/x/y /z\n");
    let ran = check(&world, &[]).await.ended(Exit::Success);
    insta::assert_snapshot!(ran.stderr);
    assert_eq!(ran.stdout, "it can be pushed, with 11 warnings\n");
    let strict = check(&world, &["--strict", "-q"]).await.ended(Exit::Refused);
    assert!(strict.stderr.ends_with("error: 11 warnings\n"), "{}", strict.stderr);
    let json = check(&world, &["--json", "dist"]).await.ended(Exit::Success).json();
    assert_eq!(json["warnings"].as_array().unwrap().len(), 11);
    assert_eq!(
        (&json["site"], &json["redirects"], &json["problems"]),
        (&"app".into(), &4.into(), &serde_json::json!([]))
    );
}

#[tokio::test]
async fn directory_that_a_push_refuses_is_refused() {
    let world = World::new().await;
    world.write("dist/.env", "SECRET=1");
    world.write("dist/_redirects", "/a /b 999\n");
    let ran = check(&world, &[]).await.ended(Exit::Refused);
    for text in ["error: the directory cannot be pushed\n", "  _redirects:1: ", "  .env: environment file", "hint: "] {
        assert!(ran.stderr.contains(text), "{text}: {}", ran.stderr);
    }
    let json = check(&world, &["--json"]).await.ended(Exit::Refused).json();
    assert_eq!(json["problems"].as_array().unwrap().len(), 2);
    check(&world, &["--ignore-rules", "--allow-secrets"]).await.ended(Exit::Success);
}

#[tokio::test]
async fn page_of_an_app_answers_for_all_routes_but_not_for_what_it_loads() {
    let world = World::new().await;
    let page =
        "<div id=root></div><a href=/users/7>user</a><script type=module src=./app.js></script><img src=/gone.png>";
    world.write("dist/index.html", page);
    world.write("dist/404.html", "lost");
    let ran = check(&world, &["--spa"]).await.ended(Exit::Success);
    insta::assert_snapshot!(ran.stderr);
}

#[tokio::test]
async fn dead_links_in_graphics_buttons_and_for_readers_without_scripts_are_named() {
    let world = World::new().await;
    world.write("dist/icons.svg", "<svg/>");
    world.write(
        "dist/index.html",
        "<meta http-equiv=refresh content='0; url=/moved'><link rel=preload as=image imagesrcset='/1.png 1x'>\
         <svg><use href='/icons.svg#a'/><use href='#b'/><use xlink:href='/gone.svg#a'/></svg>\
         <input type=image src=/go.png><noscript><img src=/pixel.png></noscript>",
    );
    let json = check(&world, &["--json"]).await.ended(Exit::Success).json();
    let expected = [
        "`/1.png` leads nowhere: loaded by index.html",
        "`/go.png` leads nowhere: loaded by index.html",
        "`/gone.svg` leads nowhere: loaded by index.html",
        "`/moved` leads nowhere: linked from index.html",
        "`/pixel.png` leads nowhere: loaded by index.html",
    ];
    assert_eq!(json["warnings"], serde_json::json!(expected));
}

#[tokio::test]
async fn only_page_is_said_to_be_an_app_or_not_with_the_reason_as_by_a_push() {
    let world = World::new().await;
    world.write("dist/app.js", "");
    for (page, reason) in [
        ("<h1>Hello</h1>", "index.html is the only page, but not one that a script fills"),
        (
            "<div id=app></div><script type=module src=/app.js></script>",
            "detected a single-page app (<div id=\"app\"> and the script /app.js)",
        ),
    ] {
        world.write("dist/index.html", page);
        let line = |ran: &Ran| ran.stderr.lines().find(|line| line.contains(reason)).map(str::to_owned);
        let checked = line(&check(&world, &[]).await.ended(Exit::Success));
        let pushed = line(&run(&world, &world.origin.url, &["push"]).await.ended(Exit::Success));
        assert!(checked.is_some(), "{page}");
        assert_eq!(checked, pushed);
    }
}

#[tokio::test]
async fn file_with_a_hash_in_its_name_and_other_bytes_than_in_the_last_push_is_named() {
    let world = World::new().await;
    world.write("dist/assets/app-DiwRg9da.js", "1");
    let warnings = async || check(&world, &["--json"]).await.ended(Exit::Success).json()["warnings"].clone();
    assert_eq!(warnings().await, serde_json::json!([]), "nothing was pushed");
    run(&world, &world.origin.url, &["push"]).await.ended(Exit::Success);
    assert_eq!(warnings().await, serde_json::json!([]));
    world.write("dist/assets/app-DiwRg9da.js", "2");
    world.write("dist/app.js", "let a = 2;");
    let expected = "assets/app-DiwRg9da.js has other bytes than in v1 of app, and the same hash in its name: caches may keep the old ones";
    assert_eq!(warnings().await, serde_json::json!([expected]));
    let other = check(&world, &["--json", "--site", "other"]).await.ended(Exit::Success).json();
    assert_eq!(other["warnings"], serde_json::json!([]), "it was pushed to another site");
}

#[tokio::test]
async fn links_are_right_where_a_rule_answers_for_them() {
    let world = World::new().await;
    world.write("dist/_redirects", "https://www.example.com/blog/* /posts/:splat 301\nhttp://old.example/en /posts/x\n/lost/* /404 404\n/* /index.html 200\n");
    world.write("dist/posts/x.html", "x");
    world.write("dist/404.html", "<script src='{{base}}x.js'></script>lost");
    let page = "<div id=root></div><script type=module src=/app.js></script><link rel=prefetch href=/users>\
                <a href=/blog/x>a</a><a href=/en>b</a><a href=/blog/y>c</a><base href=./>";
    world.write("dist/index.html", page.replace("<base href=./>", ""));
    let warnings =
        async || check(&world, &["--json", "--no-spa"]).await.ended(Exit::Success).json()["warnings"].clone();
    let expected = [
        "the single-page app rule `/* /index.html 200` is left out: single-page mode is disabled",
        "`/blog/y` leads nowhere: linked from index.html",
    ];
    assert_eq!(warnings().await, serde_json::json!(expected));
    let app = check(&world, &["--json"]).await.ended(Exit::Success).json();
    assert_eq!(app["warnings"], serde_json::json!([]), "the rule sends 404.html, and the app has all routes");
    world.write("dist/index.html", page.replace("/app.js", "app.js"));
    let app = check(&world, &["--json"]).await.ended(Exit::Success).json();
    assert_eq!(app["warnings"].as_array().unwrap().len(), 1, "a relative base does not help: {app}");
}

#[tokio::test]
async fn host_that_redirects_to_the_domain_for_readers_answers_no_link() {
    let world = World::new().await;
    world.write("dist/index.html", "<a href=/missing>a</a><a href=/elsewhere>b</a>");
    world.write(
        "dist/_redirects",
        "https://www.example.com/* https://example.com/:splat 301!\n/elsewhere https://a.example/ 301\n",
    );
    let warnings = check(&world, &["--json"]).await.ended(Exit::Success).json()["warnings"].clone();
    assert_eq!(warnings, serde_json::json!(["`/missing` leads nowhere: linked from index.html"]));
}

#[tokio::test]
async fn project_without_a_name_is_checked_too() {
    let world = World::new().await;
    std::fs::remove_file(world.path().join("package.json")).unwrap();
    let json = check(&world, &["--json"]).await.ended(Exit::Success).json();
    assert_eq!((&json["site"], &json["warnings"]), (&serde_json::Value::Null, &serde_json::json!([])));
    let ran = check(&world, &["--strict"]).await.ended(Exit::Success);
    assert!(ran.stderr.contains("  the project names no site"), "{}", ran.stderr);
}
