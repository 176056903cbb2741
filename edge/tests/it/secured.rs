//! An edge with a TLS listener, a fake origin, and a certificate authority that readers trust.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, Issuer, KeyPair, PublicKeyData as _};
use reqwest::{Certificate, Client};
use serde_json::json;
use tempfile::TempDir;
use verge_daemon::{Clock, Secret};
use verge_edge::config::{AccessLogConfig, CertificateFiles};
use verge_edge::{Config, Edge};
use verge_protocol::api::TokenOwner;
use verge_protocol::{Digest, Position};
use verge_test_kit::{FakeOrigin, TOKEN, release, until};

/// A certificate authority, as the operator's.
pub(super) struct Authority {
    pub(super) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A chain and its key, in PEM, valid from 1975 to 4096.
    pub(super) fn issue(&self, names: &[&str]) -> (String, String) {
        let (chain, key) = self.issue_with_key(names);
        (chain, key.serialize_pem())
    }

    /// Likewise, with the key itself.
    pub(super) fn issue_with_key(&self, names: &[&str]) -> (String, KeyPair) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key)
    }
}

/// An edge with a TLS listener, which serves `demo` at `demo.verge.test`.
pub(super) struct Secured {
    pub(super) origin: FakeOrigin,
    pub(super) edge: Edge,
    pub(super) authority: Authority,
    pub(super) files: CertificateFiles,
    /// The time of the edge: the present, unless it is advanced.
    pub(super) clock: Clock,
    config: Config,
    directory: TempDir,
}

pub(super) const DEMO: &str = "demo.verge.test";
/// The validity of certificates begins here, unless it is set.
const START_OF_1975: u64 = 157_766_400_000;

impl Secured {
    /// With a certificate in files, as the operator's own.
    pub(super) async fn start() -> Self {
        let mut started = Self::bind(true, None).await;
        started.wait_until_served().await;
        started
    }

    /// Likewise, with an access log.
    pub(super) async fn with_access_log(access_log: AccessLogConfig) -> Self {
        let mut started = Self::bind(true, Some(access_log)).await;
        started.wait_until_served().await;
        started
    }

    /// With certificates of the fleet only.
    pub(super) async fn of_the_fleet() -> Self {
        Self::bind(false, None).await
    }

    async fn bind(has_own: bool, access_log: Option<AccessLogConfig>) -> Self {
        let origin = FakeOrigin::start().await;
        origin.set_token_owner(TokenOwner::Edge(EDGE.parse().unwrap()));
        origin.publish("demo/live", 1, &release(&[("index.html", "hi")]), &[]);
        let (directory, authority) = (tempfile::tempdir().unwrap(), Authority::new());
        let file = |name: &str| -> PathBuf { directory.path().join(name) };
        let files = CertificateFiles { chain: file("chain.pem"), key: file("key.pem") };
        write(&files, &authority.issue(&[DEMO]));
        let certificates = if has_own { vec![files.clone()] } else { Vec::new() };
        let config = Config { access_log, ..config(&origin, &file("data"), certificates) };
        let clock = Clock::manual(Clock::system().now());
        let edge = Edge::bind_with_clock(config.clone(), clock.clone()).await.unwrap();
        Self { origin, edge, authority, files, clock, config, directory }
    }

    /// Waits until the site is served over TLS.
    pub(super) async fn wait_until_served(&mut self) {
        let this = &*self;
        until("the site", async || {
            this.reader().get(this.url("/")).send().await.is_ok_and(|response| response.status() == 200)
        })
        .await;
    }

    /// The directory of the certificates on disk.
    pub(super) fn certificates(&self) -> PathBuf {
        self.directory.path().join("data/certificates")
    }

    /// Stops the edge, lets `change` happen, and starts it with the same data directory.
    pub(super) async fn restart(self, change: impl AsyncFnOnce(&mut FakeOrigin)) -> Self {
        let Self { mut origin, edge, authority, files, clock, config, directory } = self;
        edge.shutdown().await.unwrap();
        change(&mut origin).await;
        let edge = Edge::bind_with_clock(config.clone(), clock.clone()).await.unwrap();
        Self { origin, edge, authority, files, clock, config, directory }
    }

    /// Writes the row of a certificate with this key for [`DEMO`], and returns the name of the key.
    pub(super) fn write_certificate(&self, (chain, key): &(String, KeyPair)) -> (Digest, Position) {
        let name = Digest::of(&key.subject_public_key_info());
        let row = json!({
            "names": [DEMO], "chain": chain, "key": name, "not_before": START_OF_1975, "not_after": 67_000_000_000_000_u64,
        });
        (name, self.origin.write(&format!("certificate/{DEMO}"), |_| Some(row)))
    }

    /// A new client, with new connections, that trusts the authority.
    pub(super) fn reader(&self) -> Client {
        self.at(DEMO)
    }

    /// Likewise, for another host.
    pub(super) fn at(&self, host: &str) -> Client {
        let root = Certificate::from_pem(self.authority.pem.as_bytes()).unwrap();
        let client = Client::builder().no_proxy().tls_certs_only([root]).resolve(host, self.edge.tls_addrs()[0]);
        client.redirect(reqwest::redirect::Policy::none()).build().unwrap()
    }

    pub(super) fn url(&self, path: &str) -> String {
        self.url_at(DEMO, path)
    }

    pub(super) fn url_at(&self, host: &str, path: &str) -> String {
        format!("https://{host}:{}{path}", self.edge.tls_addrs()[0].port())
    }

    /// Status, `Location` and body of a request without TLS.
    pub(super) async fn plain(&self, host: &str, path: &str) -> (u16, Option<String>, String) {
        let response = self.plain_response(host, path).await;
        let location = response.headers().get("location").map(|location| location.to_str().unwrap().to_owned());
        (response.status().as_u16(), location, response.text().await.unwrap())
    }

    pub(super) async fn plain_response(&self, host: &str, path: &str) -> reqwest::Response {
        let request = self.reader().get(format!("http://{}{path}", self.edge.public_addr())).header("host", host);
        request.send().await.unwrap()
    }

    pub(super) async fn private(&self, path: &str) -> String {
        let url = format!("http://{}{path}", self.edge.private_addr());
        self.reader().get(url).send().await.unwrap().text().await.unwrap()
    }

    pub(super) async fn stop(mut self) {
        let tasks = self.edge.tasks();
        assert_eq!(self.edge.shutdown().await, Ok(()));
        assert_eq!(tasks.running(), BTreeMap::new());
        self.origin.go_offline().await;
    }
}

pub(super) fn write(files: &CertificateFiles, (chain, key): &(String, String)) {
    let replace = |path: &Path, text: &str| std::fs::write(path, text).unwrap();
    replace(&files.chain, chain);
    replace(&files.key, key);
}

const EDGE: &str = "secured";

fn config(origin: &FakeOrigin, data: &Path, certificates: Vec<CertificateFiles>) -> Config {
    let any_port = "127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap();
    let origin = origin.url().parse().unwrap();
    Config {
        tls_listen: vec![any_port.into()],
        certificates,
        base_domains: vec!["verge.test".parse().unwrap()],
        ..Config::new(EDGE.parse().unwrap(), origin, Secret::new(TOKEN), data.to_owned())
    }
}
