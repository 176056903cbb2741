//! `verge dns explain`, with a fake name server.

use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use verge::Exit;

use crate::world::{Ran, TOKEN, verge};

/// The private listener of a name server; stopped when dropped.
struct NameServer {
    url: String,
    _task: JoinSet<()>,
}

impl NameServer {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut task = JoinSet::new();
        let router = Router::new().route("/explain", get(explain));
        task.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, _task: task }
    }
}

async fn explain(RawQuery(query): RawQuery) -> Result<Json<Value>, (StatusCode, Json<Value>)> {
    let rejection = json!({ "code": "invalid_query", "message": "invalid name", "hint": "ask for another" });
    let named = |name: &str, step: Value| json!({ "name": name, "lookup": [step] });
    let (address, name) = match query.as_deref() {
        Some("address=192.0.2.7") => ("192.0.2.7", Value::Null),
        Some("address=2001%3Adb8%3A%3A7&name=demo.verge.test") => {
            ("2001:db8::7", named("demo.verge.test.", json!({ "type": "fleet", "zone": "verge.test." })))
        }
        Some("address=192.0.2.7&name=demo") => ("192.0.2.7", named("demo.", json!({ "type": "not_authoritative" }))),
        _ => return Err((StatusCode::BAD_REQUEST, Json(rejection))),
    };
    let probes = json!([{ "address": address, "up": true, "last": { "result": "succeeded", "latency_ms": 3 } }]);
    let edge = json!({
        "edge": "fra-1", "address": address, "distance_km": 184.2, "eligibility": "healthy", "probes": probes,
    });
    Ok(Json(json!({
        "name_server": "ns-1",
        "address": address,
        "client": { "source": { "type": "override" }, "location": "48.57,7.75", "network": "192.0.2.0/24" },
        "name": name,
        "a": { "ttl": 60, "edges": [edge] },
        "aaaa": { "ttl": 60, "edges": [] },
        "from the future": 1,
    })))
}

/// Runs `verge dns explain` with these arguments, separated by spaces.
async fn run_explain(url: &str, arguments: &str) -> Ran {
    let arguments = ["dns", "explain"].into_iter().chain(arguments.split(' ')).chain(["--name-server", url]);
    let folder = tempfile::tempdir().unwrap();
    // The command sends no request to the origin.
    verge(folder.path(), "http://127.0.0.1:9", TOKEN, &arguments.collect::<Vec<_>>()).await
}

#[tokio::test]
async fn explain_prints_the_answer_of_the_name_server() {
    let server = NameServer::start().await;
    let plain = run_explain(&server.url, "192.0.2.7").await.ended(Exit::Success);
    assert_eq!(plain.stderr, "");
    insta::assert_snapshot!(plain.stdout);
    let named = run_explain(&server.url, "2001:db8::7 demo.verge.test").await.ended(Exit::Success);
    assert!(named.stdout.contains("\ndemo.verge.test: the name of a site in verge.test\n"), "{}", named.stdout);
    let bare = run_explain(&server.url, "192.0.2.7 demo").await.ended(Exit::Success);
    assert!(bare.stdout.contains("\ndemo: in none of the zones served here: refused\nnote: "), "{}", bare.stdout);
    assert!(!bare.stdout.contains("fra-1"), "no edge answers for that name: {}", bare.stdout);
    let json = run_explain(&server.url, "192.0.2.7 demo --json").await.ended(Exit::Success).json();
    assert_eq!(json["a"]["edges"][0]["edge"], "fra-1", "the complete answer");
    let json = run_explain(&server.url, "192.0.2.7 --json").await.ended(Exit::Success).json();
    assert_eq!((&json["address"], &json["from the future"]), (&"192.0.2.7".into(), &1.into()), "the complete answer");
}

#[tokio::test]
async fn explain_without_an_answer_fails_with_a_hint() {
    let server = NameServer::start().await;
    let refused = run_explain(&server.url, "192.0.2.7 a..b").await.ended(Exit::Refused);
    assert_eq!(refused.stderr, "error: invalid name\nhint: ask for another\n");
    let elsewhere = run_explain(&format!("{}/elsewhere", server.url), "192.0.2.7").await.ended(Exit::Failure);
    assert!(elsewhere.stderr.contains(" is not the private listener of a name server: status 404"));
    let away = run_explain("http://127.0.0.1:9", "192.0.2.7").await.ended(Exit::Unreachable);
    assert!(away.stderr.starts_with("error: cannot reach a name server at http://127.0.0.1:9: "), "{}", away.stderr);
    assert!(
        away.stderr.contains("\nhint: set VERGE_NAME_SERVER or --name-server to the URL of its `private_listen`"),
        "{}",
        away.stderr
    );
    let wrong = run_explain("ns-1", "192.0.2.7").await.ended(Exit::Usage);
    let like = "error: invalid server URL `ns-1`: expected a URL such as http://127.0.0.1:7601\n";
    assert_eq!(wrong.stderr, like);
    assert!(
        run_explain("127.0.0.1:7553", "192.0.2.7").await.ended(Exit::Usage).stderr.contains("http://127.0.0.1:7601")
    );

    let folder = tempfile::tempdir().unwrap();
    let unknown = verge(folder.path(), &server.url, TOKEN, &["dns", "explain", "192.0.2.7"]).await.ended(Exit::Usage);
    assert!(
        unknown.stderr.starts_with("error: no name server configured\nhint: run `verge up`, or "),
        "{}",
        unknown.stderr
    );
}
