//! What is refused, and how that is said. The live release is untouched by all of it.

use reqwest::{Method, StatusCode};
use serde_json::json;
use verge_protocol::api::Progress;
use verge_protocol::{Blob, Build, Content, Fallback};

use super::dns::Dns;
use super::world::{World, build, digest, error, ok, packed, progress};

#[tokio::test]
async fn errors_name_the_thing() {
    let dns = Dns::start().await;
    let world = World::start_with(|config| config.resolver = Some(dns.address)).await;
    world.create_site("demo").await;
    let good = build(&[("index.html", "one")]);
    world.push("demo", &good).await;
    let created = world.create_build("demo", &good.build).await;
    let live = world.request(Method::GET, "/v1/sites/demo").send().await.unwrap().text().await.unwrap();

    let content = serde_json::to_value(Content::cut(&"x".into()).0).unwrap();
    let twice = format!(r#"{{"files":{{"a":{content},"a":{content}}}}}"#);
    let mut lost_fallback = good.build.clone();
    lost_fallback.fallback = Fallback::SinglePage { path: "app.html".parse().unwrap() };
    let plain = |value: serde_json::Value| serde_json::to_vec(&value).unwrap();
    let wrong_bytes = {
        let mut pack = packed(&good.blobs).to_vec();
        let at = pack.len() - 38;
        pack[at] ^= 1;
        pack.into()
    };

    let edge = |change: serde_json::Value| {
        let mut settings = json!({"addresses": ["192.0.2.1"], "port": 80, "regions": ["eu", "de"], "weight": 1});
        settings.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        settings
    };
    let domain = |site: &str, redirect_to: Option<&str>| json!({"site": site, "redirect_to": redirect_to});
    world.create_site("shop").await;
    let fence_too_early = world.put("/v1/sites/demo/regions", json!({"regions": ["na"]})).await;
    for (path, body) in [
        ("/v1/edges/ams-1", edge(json!({"addresses": ["192.0.2.9"]}))),
        ("/v1/domains/example.com", domain("demo", None)),
        ("/v1/domains/www.example.com", domain("demo", Some("example.com"))),
    ] {
        assert_eq!(world.put(path, body).await.status(), StatusCode::OK, "{path}");
    }

    let answers = [
        ("unknown site", world.request(Method::GET, "/v1/sites/nope").send().await.unwrap()),
        ("bad site name", world.request(Method::PUT, "/v1/sites/No--pe").send().await.unwrap()),
        ("unknown route", world.request(Method::GET, "/v2/sites").send().await.unwrap()),
        ("wrong method", world.request(Method::DELETE, "/v1/sites").send().await.unwrap()),
        ("wrong token", world.request_as("vrg_nonsense", Method::GET, "/v1/sites").send().await.unwrap()),
        ("dot segment", world.post_build("demo", plain(json!({"files": {"a/../b": content}}))).await),
        ("nul", world.post_build("demo", plain(json!({"files": {"a\0b": content}}))).await),
        ("backslash", world.post_build("demo", plain(json!({"files": {"a\\b": content}}))).await),
        ("path twice", world.post_build("demo", twice.into_bytes()).await),
        ("empty", world.post_build("demo", plain(json!({"files": {}}))).await),
        ("not json", world.post_build("demo", b"hello".to_vec()).await),
        ("lost fallback", world.post_build("demo", serde_json::to_vec(&lost_fallback).unwrap()).await),
        ("wrong digest", world.post_pack("demo", &created, wrong_bytes).await),
        ("unwanted blob", world.post_pack("demo", &created, packed(&[Blob::of("other".into()).unwrap()])).await),
        ("truncated pack", world.post_pack("demo", &created, packed(&good.blobs).slice(..40)).await),
        ("stale epoch", world.publish("demo", &created, None).await),
        ("unknown edge", world.delete("/v1/edges/nope").await),
        ("edge forced too early", world.put("/v1/edges/nope/force", json!({"force": "down"})).await),
        ("edge forced by a typo", world.put("/v1/edges/ams-1/force", json!({"force": "dwon"})).await),
        ("no weight", world.put("/v1/edges/x", edge(json!({"weight": 0}))).await),
        ("no port", world.put("/v1/edges/x", edge(json!({"port": 0}))).await),
        ("address of nobody", world.put("/v1/edges/x", edge(json!({"addresses": ["224.0.0.1"]}))).await),
        ("address twice", world.put("/v1/edges/x", edge(json!({"addresses": ["192.0.2.1", "192.0.2.1"]}))).await),
        ("many addresses", world.put("/v1/edges/x", edge(json!({"addresses": vec!["192.0.2.1"; 17]}))).await),
        ("address taken", world.put("/v1/edges/x", edge(json!({"addresses": ["192.0.2.9"]}))).await),
        ("fence before edges", fence_too_early),
        ("fence without edges", world.put("/v1/sites/demo/regions", json!({"regions": ["na"]})).await),
        ("fence of nothing", world.put("/v1/sites/nope/regions", json!({"regions": []})).await),
        ("bad domain name", world.put("/v1/domains/Ex_ample.com", domain("demo", None)).await),
        ("domain of nobody", world.put("/v1/domains/com", domain("demo", None)).await),
        ("address as domain", world.put("/v1/domains/192.0.2.1", domain("demo", None)).await),
        ("domain in base", world.put("/v1/domains/x.localhost", domain("demo", None)).await),
        ("domain too long", world.put(&format!("/v1/domains/{}", ["a"; 124].join(".")), domain("demo", None)).await),
        ("domain without site", world.put("/v1/domains/new.example", domain("nope", None)).await),
        ("domain taken", world.put("/v1/domains/example.com", domain("shop", None)).await),
        ("redirect to itself", world.put("/v1/domains/new.example", domain("demo", Some("new.example"))).await),
        ("redirect nowhere", world.put("/v1/domains/new.example", domain("demo", Some("nope.example"))).await),
        ("redirect elsewhere", world.put("/v1/domains/new.example", domain("shop", Some("example.com"))).await),
        ("redirect twice", world.put("/v1/domains/new.example", domain("demo", Some("www.example.com"))).await),
        ("redirected to", world.delete("/v1/domains/example.com").await),
        ("unknown domain", world.delete("/v1/domains/nope.example").await),
    ];
    let mut lines = Vec::new();
    for (what, answer) in answers {
        let (status, body) = error(answer).await;
        lines.push(format!("{what}: {status} {}\n  error: {}", body.code, body.message));
        lines.extend(body.hint.map(|hint| format!("  hint: {hint}")));
    }
    insta::assert_snapshot!(lines.join("\n"));

    let after = world.request(Method::GET, "/v1/sites/demo").send().await.unwrap().text().await.unwrap();
    assert_eq!(after, live);
    world.stop().await;
}

#[tokio::test]
async fn a_build_with_missing_blobs_is_not_released() {
    let world = World::start().await;
    world.create_site("demo").await;
    let created = world.create_build("demo", &build(&[("index.html", "one")]).build).await;
    let (status, body) = error(world.publish("demo", &created, None).await).await;
    assert_eq!((status, body.code.as_str()), (409, "missing_blobs"));
    assert!(body.message.contains(&digest("one").to_string()), "{}", body.message);
    world.stop().await;
}

/// Every route × every kind of token: who may do what.
#[tokio::test]
async fn tokens_open_only_their_own_doors() {
    let world = World::start().await;
    world.create_site("demo").await;
    let edge = world.edge_token("fra-1").await;
    let node = world.node_token("ns-1").await;
    let older = world.edge_token("ams-1").await;
    world.edge_token("ams-1").await;
    let admin = world.origin.admin_token().expose().to_owned();
    let routes = [
        (Method::GET, "/v1/sites"),
        (Method::GET, "/v1/sites/demo"),
        (Method::PUT, "/v1/sites/demo"),
        (Method::POST, "/v1/sites/demo/builds"),
        (Method::POST, "/v1/sites/demo/builds/x/blobs"),
        (Method::GET, "/v1/sites/demo/releases"),
        (Method::POST, "/v1/sites/demo/releases"),
        (Method::POST, "/v1/sites/demo/channels/live"),
        (Method::GET, "/v1/status"),
        (Method::PUT, "/v1/sites/demo/regions"),
        (Method::GET, "/v1/domains"),
        (Method::PUT, "/v1/domains/example.com"),
        (Method::DELETE, "/v1/domains/example.com"),
        (Method::PUT, "/v1/edges/lon-1"),
        (Method::DELETE, "/v1/edges/lon-1"),
        (Method::PUT, "/v1/edges/lon-1/force"),
        (Method::POST, "/v1/edges/lon-1/token"),
        (Method::GET, "/v1/name-servers"),
        (Method::DELETE, "/v1/name-servers/ns-2"),
        (Method::POST, "/v1/name-servers/ns-2/token"),
        (Method::GET, "/v1/changes"),
        (Method::GET, "/v1/manifests/00"),
        (Method::POST, "/v1/blobs"),
        (Method::POST, "/v1/edges/report"),
    ];
    let mut lines = Vec::new();
    for (method, path) in routes {
        let mut verdicts = Vec::new();
        for (who, token) in
            [("admin", admin.as_str()), ("edge", &edge), ("node", &node), ("replaced", &older), ("nobody", "")]
        {
            let status = world.request_as(token, method.clone(), path).send().await.unwrap().status();
            let verdict = match status {
                StatusCode::UNAUTHORIZED => "who?",
                StatusCode::FORBIDDEN => "no",
                _ => "yes",
            };
            verdicts.push(format!("{who}={verdict}"));
        }
        lines.push(format!("{method} {path}: {}", verdicts.join(" ")));
    }
    insta::assert_snapshot!(lines.join("\n"));
    world.stop().await;
}

#[tokio::test]
async fn health_and_metrics_are_on_the_private_listener_only() {
    let world = World::start().await;
    let get = async |address: std::net::SocketAddr, path: &str| {
        reqwest::get(format!("http://{address}{path}")).await.unwrap()
    };
    assert_eq!(get(world.origin.private_address(), "/healthz").await.text().await.unwrap(), "ok\n");
    let metrics = get(world.origin.private_address(), "/metrics").await.text().await.unwrap();
    assert!(metrics.contains("verge_origin_releases_total 0") && metrics.ends_with("# EOF\n"), "{metrics}");
    assert_eq!(get(world.origin.address(), "/metrics").await.status(), StatusCode::NOT_FOUND);
    let sites: Vec<verge_protocol::api::Site> = ok(world.request(Method::GET, "/v1/sites").send().await.unwrap()).await;
    assert!(sites.is_empty());
    world.stop().await;
}

/// A content names its digest and its blobs: if both could be chosen freely, one site could pass its bytes off as another's, for
/// encodings are shared by digest.
#[tokio::test]
async fn a_content_must_be_what_its_blobs_make_up() {
    let world = World::start().await;
    world.create_site("demo").await;
    let long = "a".repeat(300_000);
    let honest = build(&[("index.html", "page"), ("long.txt", &long)]);
    let mut lie = serde_json::to_value(&honest.build).unwrap();
    lie["files"]["long.txt"]["digest"] = digest("something else").to_string().into();
    let lie: Build = serde_json::from_value(lie).unwrap();
    let created = world.create_build("demo", &lie).await;
    assert_eq!(world.post_pack("demo", &created, packed(&honest.blobs)).await.status(), StatusCode::OK);
    let steps = progress(world.publish("demo", &created, None).await).await;
    assert!(matches!(steps.last(), Some(Progress::Failed(body)) if body.code == "bad_build"), "{steps:?}");

    // A size that is not the blob's is a blob that is missing.
    let mut lie = serde_json::to_value(&honest.build).unwrap();
    lie["files"]["index.html"]["size"] = 5.into();
    let created = world.create_build("demo", &serde_json::from_value(lie).unwrap()).await;
    assert_eq!(created.missing, [digest("page")]);
    let (status, body) = error(world.publish("demo", &created, None).await).await;
    assert_eq!((status, body.code.as_str()), (409, "missing_blobs"));

    assert!(matches!(world.push("demo", &honest).await.last(), Some(Progress::Finished { .. })));
    world.stop().await;
}

#[tokio::test]
async fn deleting_the_token_file_ends_the_token() {
    let world = World::start().await;
    let old = world.origin.admin_token().expose().to_owned();
    std::fs::remove_file(world.folder.path().join("origin/admin-token")).unwrap();
    let world = world.restart().await;
    let status = |token: String| world.request_as(&token, Method::GET, "/v1/status").send();
    assert_eq!(status(old).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(status(world.origin.admin_token().expose().to_owned()).await.unwrap().status(), StatusCode::OK);
    world.stop().await;
}
