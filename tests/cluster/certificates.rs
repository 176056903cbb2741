//! Certificates from a real ACME server on real edges.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::StreamExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{AlertDescription, ClientConfig, Error, RootCertStore};
use tracing::subscriber::DefaultGuard;
use verge_daemon::{Secret, Tasks};
use verge_protocol::EdgeName;
use verge_test_kit::{LightEdge, Pebble, copy_directory, files_with, until};
use verge_tests::secured::{BASE, Secured};
use verge_tests::{push_site, report_measurement, report_skipped};

/// How many handshakes with unknown names are tried.
const HANDSHAKES: usize = 10_000;

fn is_skipped() -> bool {
    let is_missing = !Pebble::is_installed();
    if is_missing {
        report_skipped("pebble is not installed");
    }
    is_missing
}

fn host(site: &str) -> String {
    format!("{site}.{BASE}")
}

#[tokio::test]
async fn hosts_of_sites_are_proven_over_http_at_any_edge_and_share_a_certificate() {
    if is_skipped() {
        return;
    }
    let secured = Secured::start(3).await;
    secured.push("one", "first").await;
    secured.until_served(&host("one"), "first").await;
    secured.push("two", "second").await;
    secured.push("three", "third").await;
    // Its host resolves to nothing, and holds up no other.
    push_site(&secured.client(), "nowhere", "fourth").await;
    secured.push("five", "fifth").await;
    for (site, text) in [("one", "first"), ("two", "second"), ("three", "third"), ("five", "fifth")] {
        secured.until_served(&host(site), text).await;
    }
    until("the problem", async || {
        let problem = secured.certificate_of(&host("nowhere")).await.unwrap().problem;
        problem.is_some_and(|problem| problem.starts_with(&format!("{}: ", host("nowhere"))))
    })
    .await;
    let listed = secured.certificates().await;
    assert_eq!(listed.len(), 1, "they share one");
    assert_eq!(listed[0].domain.as_str(), host("one"));
    assert_eq!(listed[0].names.len(), 5);
    until("all edges to report", async || {
        let edges = secured.certificates().await[0].edges;
        (edges.presenting, edges.of) == (3, 3)
    })
    .await;
    secured.stop().await;
}

#[tokio::test]
async fn private_keys_are_in_no_file_log_or_feed_of_the_origin() {
    if is_skipped() {
        return;
    }
    let logs = Logs::start();
    let secured = Secured::start(1).await;
    secured.push("one", "first").await;
    secured.add_domain("one", "www.example.com").await;
    for name in [&host("one"), "www.example.com"] {
        secured.until_served(name, "first").await;
    }
    let keys: Vec<Vec<u8>> = secured.certificate_files(0).iter().map(|file| private_key(file)).collect();
    assert_eq!(keys.len(), 2);
    let edge = secured.folder.path().join("edge-0");
    let origin = secured.folder.path().join("origin");
    let backup = secured.folder.path().join("backup");
    let feed = first_bytes_of_feed(&secured).await;
    std::fs::write(secured.folder.path().join("feed"), &feed).unwrap();
    // Edges may present it before the origin has heard so.
    until("both certificates on the edge", async || {
        secured.certificates().await.iter().filter(|listed| listed.edges.presenting == 1).count() == 2
    })
    .await;
    std::fs::write(secured.folder.path().join("log"), logs.text()).unwrap();
    assert!(logs.text().contains("www.example.com"), "there is something to search");
    assert!(feed.len() > 2000, "there is something to search: {}", feed.len());
    copy_directory(&origin, &backup);
    for key in keys {
        // The secret of a P-256 key alone: 32 bytes from the 37th (RFC 5915 in RFC 5208).
        for bytes in [&key[..], &key[36..68]] {
            assert_eq!(files_with(&edge.join("certificates"), bytes).len(), 1, "the edge has it");
            let elsewhere: BTreeSet<String> = files_with(secured.folder.path(), bytes).into_iter().collect();
            assert_eq!(elsewhere.len(), 1, "{elsewhere:?}");
            for directory in [&origin, &backup] {
                assert_eq!(files_with(directory, bytes), Vec::<String>::new());
            }
        }
    }
    secured.stop().await;
}

/// The key in the file of a certificate of an edge, PKCS#8.
fn private_key(file: &std::path::Path) -> Vec<u8> {
    let text = std::fs::read_to_string(file).unwrap();
    let (_, key) = text.split_once("\"key\":\"").unwrap();
    BASE64.decode(key.split_once('"').unwrap().0).unwrap()
}

/// What a new subscriber is sent until it has caught up.
async fn first_bytes_of_feed(secured: &Secured) -> Vec<u8> {
    let edge: EdgeName = "reader".parse().unwrap();
    let token = secured.client().issue_edge_token(&edge).await.unwrap().token;
    let url = format!("http://{}/v1/changes", secured.origin_address());
    let mut response = reqwest::Client::new().get(url).bearer_auth(token).send().await.unwrap();
    let mut bytes = Vec::new();
    while !bytes.windows(9).any(|window| window == b"caught-up") {
        bytes.extend_from_slice(&response.chunk().await.unwrap().unwrap());
    }
    bytes
}

/// Everything that this thread logs.
struct Logs {
    text: Arc<Mutex<Vec<u8>>>,
    _guard: DefaultGuard,
}

impl Logs {
    fn start() -> Self {
        let text = Arc::new(Mutex::new(Vec::new()));
        let writer = Writer(Arc::clone(&text));
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        Self { text, _guard: tracing::subscriber::set_default(subscriber) }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.lock().unwrap()).into_owned()
    }
}

#[derive(Clone)]
struct Writer(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hundred_edges_cost_one_order_for_each_set_of_names_and_handshakes_cost_none() {
    if is_skipped() {
        return;
    }
    let (secured, tasks) = (Secured::start(1).await, Tasks::default());
    for number in 0..100 {
        let name: EdgeName = format!("light-{number}").parse().unwrap();
        let token = Secret::new(secured.client().issue_edge_token(&name).await.unwrap().token);
        let origin = format!("http://{}", secured.origin_address()).parse().unwrap();
        let edge = LightEdge::new(name, origin, &token);
        drop(tasks.spawn("light edge", edge.run(tasks.clone())));
    }
    secured.push("one", "first").await;
    secured.until_served(&host("one"), "first").await;
    secured.add_domain("one", "www.example.com").await;
    secured.until_served("www.example.com", "first").await;
    until("all edges to report", async || {
        secured.certificates().await.iter().all(|listed| (listed.edges.presenting, listed.edges.of) == (101, 101))
    })
    .await;
    let orders = secured.pebble.orders();
    report_measurement(format!("{orders} orders for 2 sets of names on 101 edges"));
    assert_eq!(orders, 2);

    let config = ClientConfig::builder().with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    let (connector, address) = (TlsConnector::from(Arc::new(config)), secured.tls_address(0));
    let refused = Arc::new(Mutex::new(0));
    let handshakes = (0..HANDSHAKES).map(|number| {
        let (connector, refused) = (connector.clone(), Arc::clone(&refused));
        // Some below the base domain, some not.
        let name = if number % 2 == 0 { format!("x{number}.{BASE}") } else { format!("x{number}.example.net") };
        async move {
            let connection = TcpStream::connect(address).await.unwrap();
            let error = connector.connect(ServerName::try_from(name).unwrap(), connection).await.unwrap_err();
            let tls = error.get_ref().and_then(|error| error.downcast_ref::<Error>()).unwrap().clone();
            assert_eq!(tls, Error::AlertReceived(AlertDescription::UnrecognisedName));
            *refused.lock().unwrap() += 1;
        }
    });
    futures_util::stream::iter(handshakes).buffer_unordered(16).collect::<Vec<()>>().await;
    assert_eq!(*refused.lock().unwrap(), HANDSHAKES);
    // The origin looks for what is due all the time.
    secured.push("one", "later").await;
    secured.until_served("www.example.com", "later").await;
    assert_eq!(secured.pebble.orders(), orders);
    report_measurement(format!("{HANDSHAKES} handshakes for unknown names, no order"));
    let _ = tasks.shutdown(std::time::Duration::ZERO).await;
    secured.stop().await;
}
