//! `verge explain`: what it says of a request is what an edge answers.

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use verge::channel::Lifetime;
use verge::explain::{End, Reason, Trace, explain};
use verge_tests::{Response, World};

const FIRST: [(&str, &str); 3] =
    [("index.html", "first"), ("assets/app-DiwRg9da.js", "1"), ("old-sw.js", "self.x = 1")];

const SECOND: [(&str, &str); 10] = [
    (
        "_redirects",
        "/old/* /docs/:splat 301\n/away https://a.example/ 302\n/data /docs/data.json 200\n/loop /loop2\n/loop2 /loop\n/gone/* /404.html 410\n",
    ),
    (
        "_headers",
        "/*\n  X-Frame-Options: DENY\n/docs/*\n  Cache-Control: public, max-age=60\n/staff/*\n  Basic-Auth: ann:secret\n",
    ),
    ("index.html", "second"),
    ("404.html", "lost"),
    ("docs/index.html", "docs"),
    ("docs/index.md", "# docs"),
    ("docs/data.json", "{}"),
    ("staff/index.html", "staff"),
    ("text.txt", "text text text text text text text text text text text text text text text text text text text text"),
    ("assets/new-8f3a2b1c.js", "2"),
];

async fn explained(world: &World, label: &str, path: &str, headers: &[(&str, &str)]) -> Trace {
    let headers: HeaderMap = headers
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()))
        .collect();
    explain(&world.client(), format!("http://{label}.localhost{path}").parse().unwrap(), &headers).await.unwrap()
}

/// The headers but for those about the edge, its cache and the connection.
fn of_site(response: &Response) -> HeaderMap {
    let mut headers = response.headers.clone();
    for name in ["date", "verge-edge", "cache-status"] {
        headers.remove(name);
    }
    headers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explanation_of_a_request_is_the_answer_of_an_edge() {
    let world = World::start(1).await;
    world.push("demo", &FIRST).await;
    world.push("demo", &SECOND).await;
    world.push_preview("demo", "pr-1", Lifetime::For(std::time::Duration::from_hours(1)), &FIRST).await;
    for (label, path, headers, why) in [
        ("demo", "/", &[][..], "File index.html"),
        ("demo", "/", &[("accept-encoding", "br")], "File index.html"),
        ("demo", "/text.txt", &[("accept-encoding", "br, gzip")], "File text.txt"),
        ("demo", "/text.txt", &[("range", "bytes=5-9")], "File text.txt"),
        ("demo", "/text.txt", &[("if-none-match", "*")], "File text.txt"),
        ("demo", "/text.txt", &[("if-match", "\"x\"")], "File text.txt"),
        ("demo", "/docs", &[], "OtherAddress"),
        ("demo", "/docs/", &[], "File docs/index.html"),
        ("demo", "/docs/", &[("accept", "text/markdown")], "MarkdownTwin docs/index.md"),
        ("demo", "/old/data.json?x", &[], "rule /old/* /docs/:splat 301"),
        ("demo", "/away", &[], "rule /away https://a.example/ 302"),
        ("demo", "/data", &[], "rule /data /docs/data.json 200 docs/data.json"),
        ("demo", "/gone/x", &[], "rule /gone/* /404.html 410 404.html"),
        ("demo", "/nothing/here", &[], "NotFoundPage 404.html"),
        ("demo", "/nothing.js", &[], "NotFound"),
        ("demo", "/nothing.js", &[("sec-fetch-dest", "document")], "NotFoundPage 404.html"),
        ("demo", "/staff/", &[], "Password"),
        ("demo", "/staff/", &[("authorization", "Basic YW5uOnNlY3JldA==")], "File staff/index.html"),
        ("demo", "/assets/app-DiwRg9da.js", &[], "Inherited assets/app-DiwRg9da.js"),
        ("demo", "/old-sw.js", &[("service-worker", "script")], "FormerWorker"),
        ("demo", "//docs//", &[], "OtherAddress"),
        ("pr-1--demo", "/", &[], "File index.html"),
        ("demo", "/x", &[("expect", "more")], "Refused"),
    ] {
        let trace = explained(&world, label, path, headers).await;
        let step = &trace.steps[0];
        let response = world.get_with(0, label, path, headers).await.unwrap();
        assert_eq!((step.status, &step.headers), (response.status, &of_site(&response)), "{label} {path} {headers:?}");
        let reason = match &step.reason {
            Reason::Rule(rule) => format!("rule {rule}"),
            Reason::Other(cause) => format!("{cause:?}"),
        };
        let file = step.file.as_ref().map_or_else(String::new, |file| format!(" {file}"));
        assert_eq!(format!("{reason}{file}"), why, "{label} {path} {headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redirects_are_followed_to_their_end() {
    let world = World::start(1).await;
    world.push("demo", &SECOND).await;
    let trace = explained(&world, "demo", "/old", &[]).await;
    let statuses: Vec<u16> = trace.steps.iter().map(|step| step.status.as_u16()).collect();
    assert_eq!(statuses, [301, 200]);
    assert!(matches!(trace.end, End::Answered));
    assert!(matches!(explained(&world, "demo", "/loop", &[]).await.end, End::Loop(_)));
    assert!(
        matches!(explained(&world, "demo", "/away", &[]).await.end, End::Elsewhere(url) if url == "https://a.example/")
    );
    for host in ["other", "live--demo"] {
        let url = format!("http://{host}.localhost/").parse().unwrap();
        let error = explain(&world.client(), url, &HeaderMap::new()).await.unwrap_err();
        assert_eq!(error.to_string(), format!("the origin knows no site at {host}.localhost"));
    }
}
