//! The access log, as readers, rotation and a full disk shape it.

use std::path::{Path, PathBuf};

use reqwest::header::HeaderValue;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use verge_edge::config::{AccessLogConfig, AccessLogFormat, LogDestination};
use verge_protocol::BLOB_MAX;
use verge_test_kit::{noise, release, until};

use super::secured::{DEMO, Secured};
use super::world::World;

/// Larger than what a connection takes of a response that its client does not read.
const LARGE: usize = 64 * BLOB_MAX;

/// An access log in a directory of its own.
struct Log {
    directory: TempDir,
}

impl Log {
    fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.directory.path().join("access.log")
    }

    fn config(&self, format: AccessLogFormat) -> AccessLogConfig {
        AccessLogConfig { destination: LogDestination::File(self.path()), format }
    }

    /// The lines, once there are so many.
    async fn lines(&self, count: usize) -> Vec<String> {
        lines(&self.path(), count).await
    }

    /// Likewise, as objects.
    async fn objects(&self, count: usize) -> Vec<Value> {
        self.lines(count).await.iter().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

async fn lines(path: &Path, count: usize) -> Vec<String> {
    let read = || std::fs::read_to_string(path).unwrap_or_default();
    until(format!("{count} lines"), async || read().lines().count() >= count).await;
    let text = read();
    assert!(text.ends_with('\n') && text.lines().count() == count, "{text}");
    text.lines().map(str::to_owned).collect()
}

/// A cold edge that serves `demo`.
async fn demo(config: AccessLogConfig) -> World {
    let world = World::with_access_log(config).await;
    let large = noise(1, LARGE);
    let files: &[(&str, &[u8])] = &[("index.html", b"hello"), ("folder/index.html", b"in it"), ("large.bin", &large)];
    world.wait_until_served(world.origin.publish("demo/live", 1, &release(files), &[])).await;
    world
}

/// The fields of these names.
fn fields(line: &Value, names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| line[name].clone()).collect()
}

#[tokio::test]
async fn json_line_says_how_a_request_was_answered() {
    let log = Log::new();
    let world = demo(log.config(AccessLogFormat::Json)).await;
    world.health().await;
    let agent = HeaderValue::from_bytes("reader \"1\"\t\u{e9}".as_bytes()).unwrap();
    let first =
        world.get("Demo.localhost:80", "/?a=b").header("user-agent", agent).header("referer", "https://a.example/");
    let etag = first.send().await.unwrap().headers()["etag"].clone();
    world.get("demo.localhost", "/").header("if-none-match", etag).send().await.unwrap();
    world.get("demo.localhost", "/").header("range", "bytes=1-3").send().await.unwrap().bytes().await.unwrap();
    world.raw("HEAD / HTTP/1.0\r\nhost: demo.localhost\r\n\r\n").await;
    world.read("/none").await;
    world.unredirected("demo.localhost", "/folder").await;
    world.reader.post(format!("http://{}/", world.edge.public_addr())).send().await.unwrap();
    world.get("other.localhost", "/").send().await.unwrap();
    world.raw(b"GET /\"<\xff HTTP/1.1\r\nhost: a b\r\nconnection: close\r\n\r\n").await;
    let reader = world.http2_reader();
    reader.get(world.url("demo.localhost", "/")).send().await.unwrap().bytes().await.unwrap();
    drop(reader);
    let lines = log.objects(10).await;
    let names = ["method", "target", "protocol", "status", "site", "channel", "release", "cache"];
    let demo = |head: [&str; 3], status: u16, cache: &str| {
        json!([head[0], head[1], head[2], status, "demo", "live", "v1", cache])
    };
    let builtin = |head: [&str; 3], status: u16| json!([head[0], head[1], head[2], status, null, null, null, "none"]);
    let get = |target| ["GET", target, "HTTP/1.1"];
    let expected = [
        demo(get("/?a=b"), 200, "origin"),
        demo(get("/"), 304, "memory"),
        demo(get("/"), 206, "memory"),
        demo(["HEAD", "/", "HTTP/1.0"], 200, "memory"),
        demo(get("/none"), 404, "none"),
        demo(get("/folder"), 308, "none"),
        builtin(["POST", "/", "HTTP/1.1"], 405),
        builtin(get("/"), 404),
        builtin(get("/%22%3C%FF"), 400),
        demo(["GET", "/", "HTTP/2.0"], 200, "memory"),
    ];
    for (line, expected) in lines.iter().zip(expected) {
        assert_eq!(json!(fields(line, &names)), expected);
        assert_eq!(fields(line, &["remote", "complete", "tls"]), [json!("127.0.0.1"), json!(true), json!(null)]);
        assert!(line["duration_ms"].is_number() && line["time"].as_str().unwrap().ends_with('Z'), "{line}");
    }
    let bytes: Vec<u64> = lines.iter().map(|line| line["bytes"].as_u64().unwrap()).collect();
    assert_eq!((&bytes[..4], bytes[9]), (&[5, 0, 3, 0][..], 5));
    assert!(bytes[4..9].iter().all(|bytes| *bytes > 0), "{bytes:?}");
    assert_eq!(
        fields(&lines[0], &["host", "referer", "user_agent"]),
        [json!("Demo.localhost:80"), json!("https://a.example/"), json!("reader \"1\"\t\u{e9}")]
    );
    assert_eq!(fields(&lines[8], &["host", "referer", "user_agent"]), [json!("a b"), json!(null), json!(null)]);
    world.stop().await;
}

#[tokio::test]
async fn combined_line_is_as_other_servers_write_it() {
    let log = Log::new();
    let world = demo(log.config(AccessLogFormat::Combined)).await;
    let agent = "a\" 200 0 \"-\" \"\\";
    world.get("demo.localhost", "/").header("user-agent", agent).send().await.unwrap().bytes().await.unwrap();
    let proxied = world.get("demo.localhost", "/none?a").header("x-forwarded-for", "192.0.2.1, 2001:db8::7");
    proxied.send().await.unwrap().bytes().await.unwrap();
    let lines = log.lines(2).await;
    let (start, rest) = lines[0].split_once('[').unwrap();
    let (time, rest) = rest.split_once(']').unwrap();
    assert_eq!((start, time.len(), &time[20..]), ("127.0.0.1 - - ", 26, " +0000"));
    assert_eq!(rest, " \"GET / HTTP/1.1\" 200 5 \"-\" \"a\\x22 200 0 \\x22-\\x22 \\x22\\x5C\"");
    assert!(lines[1].starts_with("2001:db8::7 - - ["), "what comes before is the client's own: {}", lines[1]);
    assert!(lines[1].contains("] \"GET /none?a HTTP/1.1\" 404 ") && lines[1].ends_with(" \"-\" \"-\""), "{}", lines[1]);
    world.stop().await;
}

#[tokio::test]
async fn host_of_a_release_is_logged_with_its_site() {
    let log = Log::new();
    let world = demo(log.config(AccessLogFormat::Json)).await;
    let other = release(&[("index.html", "other")]);
    world.origin.add_release(&other);
    let row = json!({ "manifest": other.id() });
    let position = world.origin.write("release/demo/v2", |_| Some(row));
    world.wait_until_served(position).await;
    let host = format!("{}--demo.localhost", &other.id().to_string()[..16]);
    let response = world.get(&host, "/").send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "other");
    world.get("0123456789abcdef--demo.localhost", "/").send().await.unwrap().bytes().await.unwrap();
    let lines = log.objects(2).await;
    let of = |line| fields(line, &["status", "site", "channel", "release"]);
    assert_eq!(of(&lines[0]), [json!(200), json!("demo"), json!(null), json!("v2")]);
    assert_eq!(of(&lines[1]), [json!(404), json!(null), json!(null), json!(null)]);
    world.stop().await;
}

#[tokio::test]
async fn response_whose_client_leaves_is_incomplete_with_the_bytes_that_were_sent() {
    let log = Log::new();
    let world = demo(log.config(AccessLogFormat::Json)).await;
    let mut client = TcpStream::connect(world.edge.public_addr()).await.unwrap();
    client.write_all(b"GET /large.bin HTTP/1.1\r\nhost: demo.localhost\r\n\r\n").await.unwrap();
    client.read_exact(&mut vec![0; 100_000]).await.unwrap();
    drop(client);
    let reader = world.http2_reader();
    let mut response = reader.get(world.url("demo.localhost", "/large.bin")).send().await.unwrap();
    response.chunk().await.unwrap();
    drop(response);
    for line in log.objects(2).await {
        assert_eq!(fields(&line, &["status", "complete"]), [json!(200), json!(false)]);
        let bytes = line["bytes"].as_u64().unwrap();
        assert!((1..LARGE as u64).contains(&bytes), "{line}");
    }
    let whole = world.get("demo.localhost", "/large.bin").send().await.unwrap().bytes().await.unwrap();
    assert_eq!(whole.len(), LARGE);
    assert_eq!(fields(&log.objects(3).await[2], &["bytes", "complete"]), [json!(LARGE), json!(true)]);
    drop(reader);
    world.stop().await;
}

#[tokio::test]
async fn client_that_leaves_before_the_response_has_no_status() {
    let log = Log::new();
    let world = demo(log.config(AccessLogFormat::Json)).await;
    world.origin.close_gate();
    let mut client = TcpStream::connect(world.edge.public_addr()).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\nhost: demo.localhost\r\n\r\n").await.unwrap();
    until("the request at the origin", async || !world.origin.requested().is_empty()).await;
    drop(client);
    let line = log.objects(1).await.remove(0);
    assert_eq!(fields(&line, &["status", "bytes", "complete"]), [json!(null), json!(0), json!(false)]);
    world.origin.open_gate();
    world.stop().await;
}

#[tokio::test]
async fn line_over_tls_has_its_version() {
    let log = Log::new();
    let secured = Secured::with_access_log(log.config(AccessLogFormat::Json)).await;
    secured.reader().get(secured.url("/")).send().await.unwrap().bytes().await.unwrap();
    let (_, _, body) = secured.plain(DEMO, "/a?b").await;
    let text = || std::fs::read_to_string(log.path()).unwrap();
    until("the lines", async || text().contains("/a?b")).await;
    let lines: Vec<Value> = text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [.., encrypted, redirected] = lines.as_slice() else { panic!("{lines:?}") };
    let of = |line| fields(line, &["host", "protocol", "status", "bytes", "site", "tls"]);
    let host = format!("{DEMO}:{}", secured.edge.tls_addrs()[0].port());
    assert_eq!(json!(of(encrypted)), json!([host, "HTTP/2.0", 200, 2, "demo", "TLSv1.3"]));
    assert_eq!(json!(of(redirected)), json!([DEMO, "HTTP/1.1", 308, body.len(), "demo", null]));
    secured.stop().await;
}

#[tokio::test]
async fn response_over_tls_whose_client_leaves_is_incomplete() {
    let log = Log::new();
    let secured = Secured::with_access_log(log.config(AccessLogFormat::Json)).await;
    let large = noise(1, LARGE);
    secured.origin.publish("demo/live", 2, &release(&[("large.bin", &large)]), &[]);
    let url = |query: &str| secured.url(&format!("/large.bin?{query}"));
    until("the file", async || secured.reader().head(url("")).send().await.unwrap().status() == 200).await;
    let reader = secured.reader();
    let mut response = reader.get(url("stream")).send().await.unwrap();
    response.chunk().await.unwrap();
    drop(response);
    let whole = reader.get(url("whole")).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(whole.len(), LARGE);
    let mut response = reader.get(url("connection")).send().await.unwrap();
    response.chunk().await.unwrap();
    drop((reader, response));
    let line = |query: &str| -> Option<Value> {
        let text = std::fs::read_to_string(log.path()).unwrap();
        let line = text.lines().find(|line| line.contains(&format!("bin?{query}\"")))?;
        Some(serde_json::from_str(line).unwrap())
    };
    for (query, is_complete) in [("stream", false), ("whole", true), ("connection", false)] {
        until(query, async || line(query).is_some()).await;
        let line = line(query).unwrap();
        assert_eq!(fields(&line, &["protocol", "complete"]), [json!("HTTP/2.0"), json!(is_complete)]);
        assert_eq!(line["bytes"] == json!(LARGE), is_complete, "{line}");
    }
    secured.stop().await;
}

#[tokio::test]
async fn log_that_was_moved_or_deleted_is_begun_anew_without_a_signal() {
    let log = Log::new();
    let world = demo(log.config(AccessLogFormat::Json)).await;
    world.read("/first").await;
    log.lines(1).await;
    let moved = log.directory.path().join("access.log.1");
    std::fs::rename(log.path(), &moved).unwrap();
    // Also without a request.
    until("a new file", async || log.path().exists()).await;
    world.read("/second").await;
    assert_eq!(log.objects(1).await[0]["target"], "/second");
    assert_eq!(lines(&moved, 1).await.len(), 1);
    std::fs::remove_file(log.path()).unwrap();
    world.read("/third").await;
    assert_eq!(log.objects(1).await[0]["target"], "/third");
    world.stop().await;
}

#[tokio::test]
async fn shutdown_writes_all_lines() {
    let log = Log::new();
    let world = demo(log.config(AccessLogFormat::Json)).await;
    for _ in 0..20 {
        world.read("/").await;
    }
    world.stop().await;
    assert_eq!(std::fs::read_to_string(log.path()).unwrap().lines().count(), 20);
}

#[tokio::test]
async fn disk_that_is_full_costs_lines_and_no_responses() {
    let destination = LogDestination::File("/dev/full".into());
    let world = demo(AccessLogConfig { destination, format: AccessLogFormat::Json }).await;
    // Some 14 KB a line, as each of these bytes is escaped.
    let (agent, referer) = (vec![0xff; 512], vec![0xff; 1024]);
    let request = format!("GET /{} HTTP/1.1\r\nhost: demo.localhost\r\nuser-agent: ", "a".repeat(2048));
    let request = [request.as_bytes(), &agent, b"\r\nreferer: ", &referer, b"\r\n\r\n"].concat();
    let dropped = async || world.metric("verge_edge_access_log_dropped_lines_total").await;
    assert_eq!(dropped().await, Some(0.0));
    until("dropped lines", async || {
        let end = b"GET / HTTP/1.1\r\nhost: demo.localhost\r\nconnection: close\r\n\r\n";
        let answers = world.raw([request.repeat(100), end.to_vec()].concat()).await;
        assert!(answers.ends_with("hello") && answers.matches("HTTP/1.1 404").count() == 100, "{answers}");
        dropped().await > Some(0.0)
    })
    .await;
    world.stop().await;
}
