//! A cluster that serves HTTPS: an ACME server, an origin that orders certificates from it, and edges on the addresses to which names resolve.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Certificate;
use tempfile::TempDir;
use verge::client::{Client, Token};
use verge_daemon::{Clock, Secret};
use verge_edge::Edge;
use verge_origin::{AuthoritySettings, Config, Origin, SiteCertificates};
use verge_protocol::DomainName;
use verge_protocol::api::{Certificate as Listed, Domain};
use verge_test_kit::{Answer, FakeDns, Pebble, free_port, until};

use crate::push::push_site;

/// The cluster. Sites are at `<site>.sites.example.org`, without name servers of Verge's: hosts are proven over HTTP.
pub struct Secured {
    /// The data directories: `origin/`, `edge-0/` and so on.
    pub folder: TempDir,
    /// The certificate authority.
    pub pebble: Pebble,
    /// Where all names resolve.
    pub dns: FakeDns,
    origin: Origin,
    edges: Vec<Edge>,
    root: Certificate,
}

/// The domain below which sites answer.
pub const BASE: &str = "sites.example.org";

impl Secured {
    /// Starts a cluster with so many edges, each at an address of its own.
    pub async fn start(edges: u8) -> Self {
        let (folder, dns) = (tempfile::tempdir().unwrap(), FakeDns::start().await);
        // The authority connects to one port of all hosts.
        let http_port = free_port();
        let pebble = Pebble::start(dns.address, http_port).await;
        let authority = AuthoritySettings {
            ca_file: Some(pebble.ca_file.clone()),
            ..AuthoritySettings::new(pebble.directory_url.clone())
        };
        let config = Config {
            resolver: Some(dns.address),
            authorities: vec![authority],
            site_certificates: SiteCertificates::Each,
            certificate_interval: Duration::from_millis(200),
            domain_check_interval: Duration::from_millis(200),
            encode_budget: Duration::ZERO,
            ..Config::new(folder.path().join("origin"), format!("https://{BASE}").parse().unwrap())
        };
        let origin = Origin::bind_with_clock(config, Clock::system()).await.unwrap();
        let root = Certificate::from_pem(pebble.root().await.as_bytes()).unwrap();
        let mut secured = Self { folder, pebble, dns, origin, edges: Vec::new(), root };
        for number in 0..edges {
            secured.add_edge(number, http_port).await;
        }
        secured
    }

    async fn add_edge(&mut self, number: u8, http_port: u16) {
        let name = format!("edge-{number}").parse().unwrap();
        let token = Secret::new(self.client().issue_edge_token(&name).await.unwrap().token);
        let origin = format!("http://{}", self.origin.addr()).parse().unwrap();
        let address = address(number);
        let config = verge_edge::Config {
            listen: vec![SocketAddr::from((address, http_port)).into()],
            tls_listen: vec![SocketAddr::from((address, 0)).into()],
            base_domains: vec![BASE.parse().unwrap()],
            drain_timeout: Duration::from_secs(5),
            ..verge_edge::Config::new(name, origin, token, self.folder.path().join(format!("edge-{number}")))
        };
        self.edges.push(Edge::bind(config).await.unwrap());
    }

    /// A client of the API with the administrator's token.
    pub fn client(&self) -> Client {
        let url = format!("http://{}", self.origin.addr()).parse().unwrap();
        Client::new(url, &Token::new(self.origin.admin_token().expose())).unwrap()
    }

    /// The address of the origin's API.
    pub fn origin_address(&self) -> SocketAddr {
        self.origin.addr()
    }

    /// The address of an edge for readers over TLS.
    pub fn tls_address(&self, edge: usize) -> SocketAddr {
        self.edges[edge].tls_addrs()[0]
    }

    /// The files of the certificates of an edge.
    pub fn certificate_files(&self, edge: usize) -> Vec<PathBuf> {
        let directory = self.folder.path().join(format!("edge-{edge}/certificates"));
        std::fs::read_dir(directory).unwrap().map(|file| file.unwrap().path()).collect()
    }

    /// Lets a name resolve to all edges.
    pub fn point_here(&self, host: &str) {
        let addresses = (0..self.edges.len()).map(|number| address(u8::try_from(number).unwrap()));
        self.dns.set(host, Answer::Addresses(addresses.collect()));
    }

    /// Pushes a site, whose host resolves to the edges.
    pub async fn push(&self, site: &str, text: &str) {
        self.point_here(&format!("{site}.{BASE}"));
        push_site(&self.client(), site, text).await;
    }

    /// Claims and proves a domain of a site, which resolves to the edges.
    pub async fn add_domain(&self, site: &str, domain: &str) {
        self.point_here(domain);
        let body = serde_json::json!({ "site": site });
        let claimed: Domain = self.client().put(&format!("/v1/domains/{domain}"), &body).await.unwrap();
        let text: &'static str = claimed.proof.value.leak();
        self.dns.set(&claimed.proof.name, Answer::Texts(vec![vec![text]]));
    }

    /// The text that a reader gets over HTTPS from an edge, or why not.
    pub async fn read(&self, edge: usize, host: &str) -> Result<String, reqwest::Error> {
        let address = self.tls_address(edge);
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([self.root.clone()]).resolve(host, address);
        client.build()?.get(format!("https://{host}:{}/", address.port())).send().await?.text().await
    }

    /// Waits until every edge answers with this text at this host, over HTTPS.
    pub async fn until_served(&self, host: &str, text: &str) {
        for edge in 0..self.edges.len() {
            until(&format!("{host} at edge {edge}; {}", self.pebble.log()), async || {
                self.read(edge, host).await.is_ok_and(|read| read == text)
            })
            .await;
        }
    }

    /// The certificates that the origin lists.
    pub async fn certificates(&self) -> Vec<Listed> {
        self.client().get("/v1/certificates").await.unwrap()
    }

    /// The certificate that has a name.
    pub async fn certificate_of(&self, host: &str) -> Option<Listed> {
        let domain: DomainName = host.parse().unwrap();
        let listed = self.certificates().await;
        listed.into_iter().find(|listed| listed.names.iter().any(|name| name.covers(domain.as_str())))
    }

    /// Shuts everything down.
    pub async fn stop(self) {
        for edge in self.edges {
            edge.shutdown().await.unwrap();
        }
        self.origin.shutdown().await.unwrap();
    }
}

/// Edge number 0 is at 127.0.0.1.
fn address(edge: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, edge + 1)
}
