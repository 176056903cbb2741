//! Requests that are refused, and their errors. None of them changes the live release.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use verge_origin::FailureLimit;
use verge_protocol::api::Progress;
use verge_protocol::{Blob, Build, Content, Fallback};
use verge_test_kit::FakeDns;

use super::test_origin::{TestOrigin, build, digest, error, ok, packed, progress};

#[tokio::test]
async fn every_error_names_the_thing_and_changes_nothing() {
    let dns = FakeDns::start().await;
    let origin = TestOrigin::start_with(|config| config.resolver = Some(dns.address)).await;
    origin.create_site("demo").await;
    let good = build(&[("index.html", "one")]);
    origin.push("demo", &good).await;
    let created = origin.create_build("demo", &good.build).await;
    let live = origin.request(Method::GET, "/v1/sites/demo").send().await.unwrap().text().await.unwrap();

    let content = serde_json::to_value(Content::cut(&"x".into()).0).unwrap();
    let twice = format!(r#"{{"files":{{"a":{content},"a":{content}}}}}"#);
    let mut missing_fallback = good.build.clone();
    missing_fallback.fallback = Fallback::SinglePage { path: "app.html".parse().unwrap() };
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
    origin.create_site("shop").await;
    let regions_before_edges = origin.put("/v1/sites/demo/regions", json!({"regions": ["na"]})).await;
    for (path, body) in [
        ("/v1/edges/ams-1", edge(json!({"addresses": ["192.0.2.9"]}))),
        ("/v1/domains/example.com", domain("demo", None)),
        ("/v1/domains/www.example.com", domain("demo", Some("example.com"))),
    ] {
        assert_eq!(origin.put(path, body).await.status(), StatusCode::OK, "{path}");
    }

    let answers = [
        ("unknown site", origin.request(Method::GET, "/v1/sites/nope").send().await.unwrap()),
        ("bad site name", origin.request(Method::PUT, "/v1/sites/No--pe").send().await.unwrap()),
        ("unknown route", origin.request(Method::GET, "/v2/sites").send().await.unwrap()),
        ("wrong method", origin.request(Method::DELETE, "/v1/sites").send().await.unwrap()),
        ("wrong token", origin.request_as("vrg_nonsense", Method::GET, "/v1/sites").send().await.unwrap()),
        ("dot segment", origin.post_build("demo", plain(json!({"files": {"a/../b": content}}))).await),
        ("nul", origin.post_build("demo", plain(json!({"files": {"a\0b": content}}))).await),
        ("backslash", origin.post_build("demo", plain(json!({"files": {"a\\b": content}}))).await),
        ("path twice", origin.post_build("demo", twice.into_bytes()).await),
        ("empty", origin.post_build("demo", plain(json!({"files": {}}))).await),
        ("not json", origin.post_build("demo", b"hello".to_vec()).await),
        ("missing fallback", origin.post_build("demo", serde_json::to_vec(&missing_fallback).unwrap()).await),
        ("wrong digest", origin.post_pack("demo", &created, wrong_bytes).await),
        ("unexpected blob", origin.post_pack("demo", &created, packed(&[Blob::of("other".into()).unwrap()])).await),
        ("truncated pack", origin.post_pack("demo", &created, packed(&good.blobs).slice(..40)).await),
        ("stale epoch", origin.publish("demo", &created, None).await),
        ("channel of an A-label", origin.request(Method::POST, "/v1/sites/demo/channels/xn").send().await.unwrap()),
        ("release for it", {
            let request = json!({"build": created.build, "channel": "xn", "expected": null});
            origin.request(Method::POST, "/v1/sites/demo/releases").json(&request).send().await.unwrap()
        }),
        ("unknown edge", origin.delete("/v1/edges/nope").await),
        ("forced but not configured", origin.put("/v1/edges/nope/force", json!({"force": "down"})).await),
        ("forced to unknown state", origin.put("/v1/edges/ams-1/force", json!({"force": "dwon"})).await),
        ("no weight", origin.put("/v1/edges/x", edge(json!({"weight": 0}))).await),
        ("no port", origin.put("/v1/edges/x", edge(json!({"port": 0}))).await),
        ("unreachable address", origin.put("/v1/edges/x", edge(json!({"addresses": ["224.0.0.1"]}))).await),
        ("address twice", origin.put("/v1/edges/x", edge(json!({"addresses": ["192.0.2.1", "192.0.2.1"]}))).await),
        ("many addresses", origin.put("/v1/edges/x", edge(json!({"addresses": vec!["192.0.2.1"; 17]}))).await),
        ("address taken", origin.put("/v1/edges/x", edge(json!({"addresses": ["192.0.2.9"]}))).await),
        ("regions before edges", regions_before_edges),
        ("region without edge", origin.put("/v1/sites/demo/regions", json!({"regions": ["na"]})).await),
        ("regions of unknown site", origin.put("/v1/sites/nope/regions", json!({"regions": []})).await),
        ("bad domain name", origin.put("/v1/domains/Ex_ample.com", domain("demo", None)).await),
        ("top-level domain", origin.put("/v1/domains/com", domain("demo", None)).await),
        ("address as domain", origin.put("/v1/domains/192.0.2.1", domain("demo", None)).await),
        ("domain in base", origin.put("/v1/domains/x.localhost", domain("demo", None)).await),
        ("domain too long", origin.put(&format!("/v1/domains/{}", ["a"; 124].join(".")), domain("demo", None)).await),
        ("domain without site", origin.put("/v1/domains/new.example", domain("nope", None)).await),
        ("domain taken", origin.put("/v1/domains/example.com", domain("shop", None)).await),
        ("redirect to itself", origin.put("/v1/domains/new.example", domain("demo", Some("new.example"))).await),
        ("redirect to unknown", origin.put("/v1/domains/new.example", domain("demo", Some("nope.example"))).await),
        ("redirect to other site", origin.put("/v1/domains/new.example", domain("shop", Some("example.com"))).await),
        ("redirect chain", origin.put("/v1/domains/new.example", domain("demo", Some("www.example.com"))).await),
        ("redirected to", origin.delete("/v1/domains/example.com").await),
        ("unknown domain", origin.delete("/v1/domains/nope.example").await),
    ];
    let mut lines = Vec::new();
    for (case, answer) in answers {
        let (status, body) = error(answer).await;
        lines.push(format!("{case}: {status} {}\n  error: {}", body.code, body.message));
        lines.extend(body.hint.map(|hint| format!("  hint: {hint}")));
    }
    insta::assert_snapshot!(lines.join("\n"));

    let after = origin.request(Method::GET, "/v1/sites/demo").send().await.unwrap().text().await.unwrap();
    assert_eq!(after, live);
    origin.stop().await;
}

#[tokio::test]
async fn a_build_with_missing_blobs_is_not_released() {
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    let created = origin.create_build("demo", &build(&[("index.html", "one")]).build).await;
    let (status, body) = error(origin.publish("demo", &created, None).await).await;
    assert_eq!((status, body.code.as_str()), (409, "missing_blobs"));
    assert!(body.message.contains(&digest("one").to_string()), "{}", body.message);
    origin.stop().await;
}

/// Every route × every kind of token.
#[tokio::test]
async fn a_token_gives_access_to_the_routes_of_its_owner_only() {
    let origin = TestOrigin::start_with(|config| config.failure_limit.burst = 1000).await;
    origin.create_site("demo").await;
    let edge = origin.edge_token("fra-1").await;
    let name_server = origin.name_server_token("ns-1").await;
    let replaced = origin.edge_token("ams-1").await;
    origin.edge_token("ams-1").await;
    let admin = origin.daemon.admin_token().expose().to_owned();
    let routes = [
        (Method::GET, "/v1/sites"),
        (Method::GET, "/v1/sites/demo"),
        (Method::PUT, "/v1/sites/demo"),
        (Method::POST, "/v1/sites/demo/builds"),
        (Method::POST, "/v1/sites/demo/builds/x/blobs"),
        (Method::GET, "/v1/sites/demo/releases"),
        (Method::POST, "/v1/sites/demo/releases"),
        (Method::POST, "/v1/sites/demo/channels/live"),
        (Method::GET, "/v1/hosts/demo.example"),
        (Method::GET, "/v1/status"),
        (Method::PUT, "/v1/sites/demo/regions"),
        (Method::GET, "/v1/domains"),
        (Method::PUT, "/v1/domains/example.com"),
        (Method::DELETE, "/v1/domains/example.com"),
        (Method::GET, "/v1/edges"),
        (Method::PUT, "/v1/edges/lon-1"),
        (Method::DELETE, "/v1/edges/lon-1"),
        (Method::PUT, "/v1/edges/lon-1/force"),
        (Method::POST, "/v1/edges/lon-1/token"),
        (Method::GET, "/v1/name-servers"),
        (Method::DELETE, "/v1/name-servers/ns-2"),
        (Method::POST, "/v1/name-servers/ns-2/token"),
        (Method::GET, "/v1/token"),
        (Method::GET, "/v1/changes"),
        (Method::GET, "/v1/manifests/00"),
        (Method::POST, "/v1/blobs"),
        (Method::POST, "/v1/edges/report"),
    ];
    let mut lines = Vec::new();
    for (method, path) in routes {
        let mut verdicts = Vec::new();
        for (owner, token) in [
            ("admin", admin.as_str()),
            ("edge", &edge),
            ("name-server", &name_server),
            ("replaced", &replaced),
            ("none", ""),
        ] {
            let status = origin.request_as(token, method.clone(), path).send().await.unwrap().status();
            let verdict = match status {
                StatusCode::UNAUTHORIZED => "401",
                StatusCode::FORBIDDEN => "403",
                _ => "yes",
            };
            verdicts.push(format!("{owner}={verdict}"));
        }
        lines.push(format!("{method} {path}: {}", verdicts.join(" ")));
    }
    insta::assert_snapshot!(lines.join("\n"));
    origin.stop().await;
}

#[tokio::test]
async fn health_and_metrics_are_on_the_private_listener_only() {
    let origin = TestOrigin::start().await;
    let get = async |address: std::net::SocketAddr, path: &str| {
        reqwest::get(format!("http://{address}{path}")).await.unwrap()
    };
    assert_eq!(get(origin.daemon.private_addr(), "/healthz").await.text().await.unwrap(), "ok\n");
    let metrics = get(origin.daemon.private_addr(), "/metrics").await.text().await.unwrap();
    assert!(metrics.contains("verge_origin_releases_created_total 0") && metrics.ends_with("# EOF\n"), "{metrics}");
    assert_eq!(get(origin.daemon.addr(), "/metrics").await.status(), StatusCode::NOT_FOUND);
    origin.stop().await;
}

/// Encodings are shared by digest: if a client could choose the digest of a content and its blobs independently, the bytes of one site
/// could be served by another.
#[tokio::test]
async fn a_content_that_does_not_match_its_blobs_is_refused() {
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    let long = "a".repeat(300_000);
    let honest = build(&[("index.html", "page"), ("long.txt", &long)]);
    let mut wrong = serde_json::to_value(&honest.build).unwrap();
    wrong["files"]["long.txt"]["digest"] = digest("something else").to_string().into();
    let wrong: Build = serde_json::from_value(wrong).unwrap();
    let created = origin.create_build("demo", &wrong).await;
    assert_eq!(origin.post_pack("demo", &created, packed(&honest.blobs)).await.status(), StatusCode::OK);
    let events = progress(origin.publish("demo", &created, None).await).await;
    assert!(matches!(events.last(), Some(Progress::Failed(body)) if body.code == "invalid_build"), "{events:?}");

    // A blob of another size is missing.
    let mut wrong = serde_json::to_value(&honest.build).unwrap();
    wrong["files"]["index.html"]["size"] = 5.into();
    let created = origin.create_build("demo", &serde_json::from_value(wrong).unwrap()).await;
    assert_eq!(created.missing, [digest("page")]);
    let (status, body) = error(origin.publish("demo", &created, None).await).await;
    assert_eq!((status, body.code.as_str()), (409, "missing_blobs"));

    assert!(matches!(origin.push("demo", &honest).await.last(), Some(Progress::Finished { .. })));
    origin.stop().await;
}

#[tokio::test]
async fn deleting_the_token_file_revokes_the_token() {
    let origin = TestOrigin::start().await;
    let old = origin.daemon.admin_token().expose().to_owned();
    std::fs::remove_file(origin.directory.path().join("origin/admin-token")).unwrap();
    let origin = origin.restart().await;
    let status = |token: String| origin.request_as(&token, Method::GET, "/v1/status").send();
    assert_eq!(status(old).await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(status(origin.daemon.admin_token().expose().to_owned()).await.unwrap().status(), StatusCode::OK);
    origin.stop().await;
}

/// Neither waits for a body that does not come.
#[tokio::test]
async fn request_without_a_good_token_is_refused_before_its_body_is_read() {
    let origin = TestOrigin::start().await;
    for authorization in ["", "Authorization: Bearer vrg_nonsense\r\n"] {
        let mut client = TcpStream::connect(origin.daemon.addr()).await.unwrap();
        let head = format!("POST /v1/blobs HTTP/1.1\r\nHost: x\r\n{authorization}Content-Length: 1000000\r\n\r\n");
        client.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        tokio::time::timeout(Duration::from_secs(10), client.read_to_string(&mut answer)).await.unwrap().unwrap();
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    }
    origin.stop().await;
}

#[tokio::test]
async fn failed_authentications_are_limited_and_valid_tokens_and_join_codes_are_not() {
    let limit = FailureLimit { burst: 3, interval: Duration::from_hours(1) };
    let origin = TestOrigin::start_with(|config| config.failure_limit = limit).await;
    let token = origin.edge_token("fra-1").await;
    let code = origin.request(Method::POST, "/v1/name-servers/ns-1/join-code").send().await.unwrap();
    let secret = ok::<serde_json::Value>(code).await["secret"].clone();
    let unknown = origin.edge_token("ams-1").await;
    origin.delete("/v1/edges/ams-1").await;
    for refused in ["", "vrg_nonsense", unknown.as_str()] {
        let answer = origin.request_as(refused, Method::GET, "/v1/token").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{refused}");
    }
    let join = async |secret: &serde_json::Value| {
        let request = reqwest::Client::new().post(format!("http://{}/v1/join", origin.daemon.addr()));
        request.json(&json!({ "secret": secret })).send().await.unwrap()
    };
    for answer in [
        origin.request_as(&unknown, Method::GET, "/v1/token").send().await.unwrap(),
        origin.request_as("", Method::POST, "/v1/blobs").send().await.unwrap(),
        join(&json!("ab".repeat(32))).await,
    ] {
        assert_eq!(answer.headers()["retry-after"], "3600");
        let (status, body) = error(answer).await;
        assert_eq!((status, body.code.as_str()), (429, "too_many_failures"));
        assert!(body.message.contains("too many requests from this address"), "{}", body.message);
    }
    // Whatever else comes from the same address.
    assert_eq!(origin.request_as(&token, Method::GET, "/v1/token").send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(join(&secret).await.status(), StatusCode::OK);
    // Also after a restart.
    let origin = origin.restart().await;
    assert_eq!(origin.request_as(&token, Method::GET, "/v1/token").send().await.unwrap().status(), StatusCode::OK);
    origin.stop().await;
}
