//! Secrets: on disk and in the feed only encrypted, and sealed to the key of each edge.

use std::collections::BTreeMap;

use reqwest::{Method, Response};
use sqlx::{Connection as _, SqliteConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use verge_daemon::sealing::EdgeKey;
use verge_protocol::api::{Problem, SecretsAnswer, SecretsRequest, Status};
use verge_protocol::certificate::TicketSecretState;
use verge_protocol::state::ParsedRow;
use verge_protocol::{Digest, EdgeName};
use verge_test_kit::{bytes_have, files_with};

use super::test_origin::{TestOrigin, error, ok};

async fn request(origin: &TestOrigin, token: &str, key: &EdgeKey, secrets: &[Digest]) -> Response {
    let body = SecretsRequest { public_key: key.public(), secrets: secrets.to_vec() };
    origin.request_as(token, Method::POST, "/v1/secrets").json(&body).send().await.unwrap()
}

/// The ticket secret as the feed names it, and the bytes that the edge receives.
async fn ticket_secret(origin: &TestOrigin, edge: &EdgeName, token: &str, key: &EdgeKey) -> (Digest, Vec<u8>) {
    let none: SecretsAnswer = ok(request(origin, token, key, &[]).await).await;
    assert_eq!(none.sealed, BTreeMap::new());
    let mut feed = origin.subscribe(token, None).await;
    let published = loop {
        if let Ok(ParsedRow::TicketSecret(Some(TicketSecretState { secret }))) = feed.row().await.parse() {
            break secret;
        }
    };
    let answer: SecretsAnswer = ok(request(origin, token, key, &[published, Digest::of(b"unknown")]).await).await;
    assert_eq!(answer.sealed.keys().collect::<Vec<_>>(), [&published], "unknown secrets are left out");
    (published, key.open(edge, published, &answer.sealed[&published]).unwrap())
}

#[tokio::test]
async fn secret_reaches_its_edge_and_is_in_no_file_and_no_answer_in_the_clear() {
    let origin = TestOrigin::start().await;
    let (edge, key) = ("fra-1".parse().unwrap(), EdgeKey::generate());
    let token = origin.edge_token("fra-1").await;
    let (name, secret) = ticket_secret(&origin, &edge, &token, &key).await;
    assert_eq!((Digest::of(&secret), secret.len()), (name, 32));
    let answer = request(&origin, &token, &key, &[name]).await.bytes().await.unwrap();
    assert!(!bytes_have(&answer, &secret));
    let data = origin.directory.path().join("origin");
    let master = std::fs::read_to_string(data.join("master.key")).unwrap();
    let master = master.trim().parse::<Digest>().unwrap();
    // While it runs, the write-ahead log is there too.
    assert!(data.join("origin.db-wal").exists());
    assert_eq!(files_with(&data, &secret), Vec::<String>::new());
    assert_eq!(files_with(&data, master.as_bytes()), ["master.key"]);
    let origin = origin.restart().await;
    let other = EdgeKey::generate();
    let ams = origin.edge_token("ams-1").await;
    let same = ticket_secret(&origin, &"ams-1".parse().unwrap(), &ams, &other).await;
    assert_eq!(same, (name, secret.clone()), "all edges have one secret, also after a restart");
    assert_eq!(files_with(&data, &secret), Vec::<String>::new());
    origin.stop().await;
    assert_eq!(files_with(&data, &secret), Vec::<String>::new());
}

#[tokio::test]
async fn edge_is_bound_to_its_first_key_until_it_gets_a_new_token() {
    let origin = TestOrigin::start().await;
    let (key, other) = (EdgeKey::generate(), EdgeKey::generate());
    let token = origin.edge_token("fra-1").await;
    ok::<SecretsAnswer>(request(&origin, &token, &key, &[]).await).await;
    let refused = error(request(&origin, &token, &other, &[]).await).await;
    assert_eq!((refused.0, refused.1.code.as_str()), (409, "other_key"));
    ok::<SecretsAnswer>(request(&origin, &token, &key, &[]).await).await;
    let renewed = origin.edge_token("fra-1").await;
    assert_eq!(error(request(&origin, &token, &key, &[]).await).await.0, 401, "the earlier token is revoked");
    ok::<SecretsAnswer>(request(&origin, &renewed, &other, &[]).await).await;
    let malformed = SecretsRequest { public_key: "short".to_owned(), secrets: Vec::new() };
    let malformed = origin.request_as(&renewed, Method::POST, "/v1/secrets").json(&malformed).send().await.unwrap();
    assert_eq!(error(malformed).await.1.code, "invalid_key");
    let many = request(&origin, &renewed, &other, &vec![Digest::of(b""); 1001]).await;
    assert_eq!(error(many).await.1.code, "limit_exceeded");
    let name_server = origin.name_server_token("ns-1").await;
    assert_eq!(error(request(&origin, &name_server, &key, &[]).await).await.0, 403);
    origin.stop().await;
}

#[tokio::test]
async fn token_that_is_revoked_while_a_request_arrives_binds_no_key() {
    let origin = TestOrigin::start().await;
    let (stolen, key) = (EdgeKey::generate(), EdgeKey::generate());
    let token = origin.edge_token("fra-1").await;
    let body = serde_json::to_vec(&SecretsRequest { public_key: stolen.public(), secrets: Vec::new() }).unwrap();
    let mut connection = TcpStream::connect(origin.daemon.addr()).await.unwrap();
    let head = format!(
        "POST /v1/secrets HTTP/1.1\r\nhost: origin\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n\
         content-length: {}\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n",
        body.len()
    );
    connection.write_all(head.as_bytes()).await.unwrap();
    // The origin has accepted the token when it asks for the body.
    let mut start = [0; 12];
    connection.read_exact(&mut start).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 100");
    let renewed = origin.edge_token("fra-1").await;
    connection.write_all(&body).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    assert!(answer.contains("HTTP/1.1 401"), "{answer}");
    ok::<SecretsAnswer>(request(&origin, &renewed, &key, &[]).await).await;
    origin.stop().await;
}

#[tokio::test]
async fn damaged_secret_is_left_out_or_deleted_and_the_others_are_sent() {
    let origin = TestOrigin::start().await;
    let (edge, key) = ("fra-1".parse().unwrap(), EdgeKey::generate());
    let token = origin.edge_token("fra-1").await;
    let (name, secret) = ticket_secret(&origin, &edge, &token, &key).await;
    let damaged = Digest::of(b"a certificate's");
    let file = origin.directory.path().join("origin/origin.db");
    let mut database = SqliteConnection::connect(&format!("sqlite://{}", file.display())).await.unwrap();
    sqlx::query("insert into secret (name, master, sealed, made) select $1, master, sealed, made from secret limit 1")
        .bind(format!("key/{damaged}"))
        .execute(&mut database)
        .await
        .unwrap();
    let answer: SecretsAnswer = ok(request(&origin, &token, &key, &[damaged, name]).await).await;
    assert_eq!(answer.sealed.keys().collect::<Vec<_>>(), [&name]);
    assert_eq!(key.open(&edge, name, &answer.sealed[&name]).unwrap(), secret);
    // A private key that nobody can read does not keep its certificate from being ordered anew.
    let left: (i64,) =
        sqlx::query_as("select count(*) from secret where name like 'key/%'").fetch_one(&mut database).await.unwrap();
    assert_eq!(left, (0,));
    origin.stop().await;
}

#[tokio::test]
async fn lost_or_wrong_master_key_is_a_problem_and_heals_when_the_right_one_is_back() {
    let origin = TestOrigin::start().await;
    let (edge, key) = ("fra-1".parse().unwrap(), EdgeKey::generate());
    let token = origin.edge_token("fra-1").await;
    let (name, secret) = ticket_secret(&origin, &edge, &token, &key).await;
    let file = origin.directory.path().join("origin/master.key");
    let right = std::fs::read(&file).unwrap();
    let wrong = format!("{}\n", Digest::of(b"another"));
    let mut origin = origin;
    for (bytes, expected) in [
        (None, "does not exist, but secrets are encrypted under master key"),
        (Some(wrong.as_bytes()), "but the secrets are encrypted under master key"),
        (Some(b"garbage".as_slice()), "expected 64 hex digits"),
    ] {
        match bytes {
            Some(bytes) => std::fs::write(&file, bytes).unwrap(),
            None => std::fs::remove_file(&file).unwrap(),
        }
        origin = origin.restart().await;
        assert_eq!(file.exists(), bytes.is_some(), "no key is made in place of a lost one");
        let status: Status = origin.get("/v1/status").await;
        let reasons: Vec<&str> = status
            .problems
            .iter()
            .filter_map(|problem| match problem {
                Problem::MasterKey { reason } => Some(reason.as_str()),
                _ => None,
            })
            .collect();
        assert!(matches!(reasons.as_slice(), [reason] if reason.contains(expected)), "{reasons:?}");
        let (code, text) = origin.health().await;
        assert!(code == 200 && text.contains(expected), "{code} {text}");
        let refused = error(request(&origin, &token, &key, &[name]).await).await;
        assert_eq!((refused.0, refused.1.code.as_str()), (503, "master_key"));
        // Everything else works, and the feed names the same secret.
        origin.create_site("demo").await;
        let mut feed = origin.subscribe(&token, None).await;
        let row = feed.row().await;
        assert!(row.key != "secret/tickets" || row.value.unwrap().as_str().contains(&name.to_string()));
    }
    std::fs::write(&file, right).unwrap();
    let origin = origin.restart().await;
    assert_eq!(origin.health().await.0, 200);
    let answer: SecretsAnswer = ok(request(&origin, &token, &key, &[name]).await).await;
    assert_eq!(key.open(&edge, name, &answer.sealed[&name]).unwrap(), secret);
    origin.stop().await;
}
