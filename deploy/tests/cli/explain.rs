//! Why DNS leads a reader where it does, as a name server tells it that says always the same.

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

async fn explain(RawQuery(question): RawQuery) -> Result<Json<Value>, (StatusCode, Json<Value>)> {
    let refusal = json!({ "code": "bad_question", "message": "that is no name", "hint": "ask for another" });
    let (address, name) = match question.as_deref() {
        Some("address=192.0.2.7") => ("192.0.2.7", Value::Null),
        Some("address=2001%3Adb8%3A%3A7&name=demo.verge.test") => (
            "2001:db8::7",
            json!({ "name": "demo.verge.test.", "found": "a site's name in verge.test.", "fleet": true }),
        ),
        Some("address=192.0.2.7&name=demo") => (
            "192.0.2.7",
            json!({ "name": "demo.", "found": "in none of the zones served here: refused", "fleet": false }),
        ),
        _ => return Err((StatusCode::BAD_REQUEST, Json(refusal))),
    };
    let probes = [format!("{address} up: answered in 3 ms")];
    let edge =
        json!({ "edge": "fra-1", "address": address, "distance_km": 184.2, "verdict": "named: up", "probes": probes });
    Ok(Json(json!({
        "node": "ns-1",
        "address": address,
        "located": { "by": "override", "place": "48.57,7.75", "network": "192.0.2.0/24" },
        "name": name,
        "a": { "ttl": 60, "edges": [edge] },
        "aaaa": { "ttl": 60, "edges": [] },
        "from the future": 1,
    })))
}

/// Runs `verge dns explain` with what stands between the spaces.
async fn explained(node: &str, typed: &str) -> Ran {
    let arguments = ["dns", "explain"].into_iter().chain(typed.split(' ')).chain(["--name-server", node]);
    let folder = tempfile::tempdir().unwrap();
    // No origin is asked: a name server follows it for itself.
    verge(folder.path(), "http://127.0.0.1:9", TOKEN, &arguments.collect::<Vec<_>>()).await
}

#[tokio::test]
async fn a_name_server_is_asked_and_its_answer_told() {
    let node = NameServer::start().await;
    let told = explained(&node.url, "192.0.2.7").await.ended(Exit::Success);
    assert_eq!(told.stderr, "");
    insta::assert_snapshot!(told.stdout);
    let named = explained(&node.url, "2001:db8::7 demo.verge.test").await.ended(Exit::Success);
    assert!(named.stdout.contains("\ndemo.verge.test: a site's name in verge.test\n"), "{}", named.stdout);
    let bare = explained(&node.url, "192.0.2.7 demo").await.ended(Exit::Success);
    assert!(bare.stdout.contains("\ndemo: in none of the zones served here: refused\nnote: "), "{}", bare.stdout);
    assert!(!bare.stdout.contains("fra-1"), "nobody is led there by that name: {}", bare.stdout);
    let json = explained(&node.url, "192.0.2.7 demo --json").await.ended(Exit::Success).json();
    assert_eq!(json["a"]["edges"][0]["edge"], "fra-1", "all that it said");
    let json = explained(&node.url, "192.0.2.7 --json").await.ended(Exit::Success).json();
    assert_eq!((&json["address"], &json["from the future"]), (&"192.0.2.7".into(), &1.into()), "all that it said");
}

#[tokio::test]
async fn who_does_not_answer_is_named_with_a_way_out() {
    let node = NameServer::start().await;
    let refused = explained(&node.url, "192.0.2.7 a..b").await.ended(Exit::Refused);
    assert_eq!(refused.stderr, "error: that is no name\nhint: ask for another\n");
    let elsewhere = explained(&format!("{}/elsewhere", node.url), "192.0.2.7").await.ended(Exit::Failure);
    assert!(elsewhere.stderr.contains("does not answer like the private listener of a name server: it answers 404"));
    let away = explained("http://127.0.0.1:9", "192.0.2.7").await.ended(Exit::Unreachable);
    assert!(away.stderr.starts_with("error: cannot reach a name server at http://127.0.0.1:9: "), "{}", away.stderr);
    assert!(
        away.stderr.contains("\nhint: set VERGE_NAME_SERVER or --name-server to the URL of its `private_listen`"),
        "{}",
        away.stderr
    );
    let wrong = explained("ns-1", "192.0.2.7").await.ended(Exit::Usage);
    let like = "error: invalid server URL `ns-1`: expected a URL such as http://127.0.0.1:7601\n";
    assert_eq!(wrong.stderr, like);
    assert!(explained("127.0.0.1:7553", "192.0.2.7").await.ended(Exit::Usage).stderr.contains("http://127.0.0.1:7601"));

    let folder = tempfile::tempdir().unwrap();
    let unknown = verge(folder.path(), &node.url, TOKEN, &["dns", "explain", "192.0.2.7"]).await.ended(Exit::Usage);
    assert!(
        unknown.stderr.starts_with("error: no name server configured\nhint: run `verge up`, or "),
        "{}",
        unknown.stderr
    );
}
