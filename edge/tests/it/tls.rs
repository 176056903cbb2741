//! Readers over TLS, with certificates of the operator's own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, Issuer, KeyPair};
use reqwest::{Certificate, Client, Version};
use serde_json::json;
use tempfile::TempDir;
use verge_daemon::Secret;
use verge_edge::config::CertificateFiles;
use verge_edge::{Config, Edge};
use verge_test_kit::{FakeOrigin, TOKEN, release, until};

/// A certificate authority, as the operator's.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A chain and its key, in PEM, valid from 1975 to 4096.
    fn issue(&self, names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

/// An edge with a TLS listener, which serves `demo` at `demo.verge.test`.
struct Secured {
    origin: FakeOrigin,
    edge: Edge,
    authority: Authority,
    files: CertificateFiles,
    _directory: TempDir,
}

const DEMO: &str = "demo.verge.test";

impl Secured {
    async fn start() -> Self {
        let origin = FakeOrigin::start().await;
        origin.publish("demo/live", 1, &release(&[("index.html", "hi")]), &[]);
        let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new());
        let file = |name: &str| -> PathBuf { directory.path().join(name) };
        let files = CertificateFiles { chain: file("chain.pem"), key: file("key.pem") };
        let any_port = "127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap();
        write(&files, &authority.issue(&[DEMO]));
        let config =
            Config::new("secured".parse().unwrap(), origin.url().parse().unwrap(), Secret::new(TOKEN), file("data"));
        let config = Config {
            tls_listen: vec![any_port.into()],
            certificates: vec![files.clone()],
            base_domains: vec!["verge.test".parse().unwrap()],
            ..config
        };
        let edge = Edge::bind(config).await.unwrap();
        let started = Self { origin, edge, authority, files, _directory: directory };
        let reader = started.reader();
        until("the site", async || {
            reader.get(started.url("/")).send().await.is_ok_and(|response| response.status() == 200)
        })
        .await;
        started
    }

    /// A new client, with new connections, that trusts the authority.
    fn reader(&self) -> Client {
        let root = Certificate::from_pem(self.authority.pem.as_bytes()).unwrap();
        let client = Client::builder().no_proxy().tls_certs_only([root]).resolve(DEMO, self.edge.tls_addrs()[0]);
        client.redirect(reqwest::redirect::Policy::none()).build().unwrap()
    }

    fn url(&self, path: &str) -> String {
        format!("https://{DEMO}:{}{path}", self.edge.tls_addrs()[0].port())
    }

    /// Status, `Location` and body of a request without TLS.
    async fn plain(&self, host: &str, path: &str) -> (u16, Option<String>, String) {
        let request = self.reader().get(format!("http://{}{path}", self.edge.public_addr())).header("host", host);
        let response = request.send().await.unwrap();
        let location = response.headers().get("location").map(|location| location.to_str().unwrap().to_owned());
        (response.status().as_u16(), location, response.text().await.unwrap())
    }

    async fn private(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.edge.private_addr());
        self.reader().get(url).send().await.unwrap().text().await.unwrap()
    }

    async fn stop(mut self) {
        let tasks = self.edge.tasks();
        assert_eq!(self.edge.shutdown().await, Ok(()));
        assert_eq!(tasks.running(), BTreeMap::new());
        self.origin.go_offline().await;
    }
}

fn write(files: &CertificateFiles, (chain, key): &(String, String)) {
    let replace = |path: &Path, text: &str| std::fs::write(path, text).unwrap();
    replace(&files.chain, chain);
    replace(&files.key, key);
}

#[tokio::test]
async fn site_is_served_over_tls_and_another_host_is_misdirected() {
    let secured = Secured::start().await;
    let response = secured.reader().get(secured.url("/")).send().await.unwrap();
    assert_eq!((response.version(), response.text().await.unwrap().as_str()), (Version::HTTP_2, "hi"));
    let root = Certificate::from_pem(secured.authority.pem.as_bytes()).unwrap();
    let client = Client::builder().no_proxy().tls_certs_only([root]).http1_only();
    let http1 = client.resolve(DEMO, secured.edge.tls_addrs()[0]).build().unwrap();
    for (host, status) in [(DEMO, 200), ("Demo.Verge.Test:443", 200), ("other.verge.test", 421), ("127.0.0.1", 421)] {
        let response = http1.get(secured.url("/")).header("host", host).send().await.unwrap();
        assert_eq!((response.version(), response.status().as_u16()), (Version::HTTP_11, status), "{host}");
    }
    // Monitors and name servers may use any host.
    let health = http1.get(secured.url("/.well-known/verge/health")).header("host", "127.0.0.1").send().await.unwrap();
    assert_eq!(health.status(), 200);
    secured.stop().await;
}

#[tokio::test]
async fn request_without_tls_is_redirected_if_its_host_has_a_certificate() {
    let secured = Secured::start().await;
    let port = secured.edge.tls_addrs()[0].port();
    let (status, location, _) = secured.plain("DEMO.verge.test:80", "/a%20b?c=d").await;
    assert_eq!((status, location), (308, Some(format!("https://{DEMO}:{port}/a%20b?c=d"))));
    assert_eq!(secured.plain("other.verge.test", "/").await.0, 404);
    assert_eq!(secured.plain(DEMO, "/.well-known/verge/health").await.0, 200);
    secured.stop().await;
}

#[tokio::test]
async fn challenge_is_answered_without_tls_and_never_redirected() {
    let secured = Secured::start().await;
    let path = |token: &str| format!("/.well-known/acme-challenge/{token}");
    assert_eq!(secured.plain(DEMO, &path("token")).await.0, 404, "there is no such file");
    let state = json!({ "http": { "token": "token.thumbprint" } });
    secured.origin.write(&format!("challenge/{DEMO}"), |_| Some(state));
    until("the answer", async || secured.plain(DEMO, &path("token")).await.2 == "token.thumbprint").await;
    assert_eq!(secured.plain(DEMO, &path("other")).await.0, 404);
    assert_eq!(secured.plain("other.verge.test", &path("token")).await.0, 404);
    secured.origin.write(&format!("challenge/{DEMO}"), |_| None);
    until("its end", async || secured.plain(DEMO, &path("token")).await.0 == 404).await;
    secured.stop().await;
}

#[tokio::test]
async fn changed_files_are_presented_and_bad_ones_are_not() {
    let secured = Secured::start().await;
    // Another authority: only readers who trust it accept the new certificate.
    let other = Authority::new();
    write(&secured.files, &other.issue(&[DEMO]));
    until("the new certificate", async || secured.reader().get(secured.url("/")).send().await.is_err()).await;
    let renewed = secured.authority.issue(&[DEMO]);
    write(&secured.files, &renewed);
    until("the renewed one", async || secured.reader().get(secured.url("/")).send().await.is_ok()).await;
    assert_eq!(secured.private("/healthz").await, "ok\n");

    let (_, other_key) = other.issue(&[DEMO]);
    write(&secured.files, &(renewed.0.clone(), other_key));
    until("the problem", async || secured.private("/healthz").await.contains("does not match")).await;
    let health = secured.private("/healthz").await;
    assert!(health.contains(&secured.files.chain.display().to_string()), "{health}");
    assert!(health.contains("; the previous one is still presented"), "{health}");
    assert!(secured.reader().get(secured.url("/")).send().await.is_ok());
    write(&secured.files, &renewed);
    until("its end", async || secured.private("/healthz").await == "ok\n").await;
    secured.stop().await;
}

#[tokio::test]
async fn expiry_of_the_presented_certificate_is_a_metric() {
    let secured = Secured::start().await;
    let metrics = secured.private("/metrics").await;
    let series = format!("verge_edge_certificate_expiry_seconds{{name=\"{DEMO}\"}} ");
    let seconds: f64 = metrics.lines().find_map(|line| line.strip_prefix(&series)?.parse().ok()).unwrap();
    // rcgen's default is 4096-01-01.
    assert!(seconds > 2000.0 * 365.0 * 86_400.0, "{seconds}");
    secured.stop().await;
}
