//! A cluster that serves HTTPS, for tests in which months pass: with authorities in this process, and a clock for each daemon.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;
use verge::channel::Lifetime;
use verge::client::{Client, Token};
use verge_daemon::listen::Listen;
use verge_daemon::{Clock, Secret};
use verge_edge::Edge;
use verge_geodns::GeoDns;
use verge_geodns::config::ZoneConfig;
use verge_origin::{AuthoritySettings, Config, Origin, SiteCertificates, Timing};
use verge_protocol::api::{Certificate, Domain};
use verge_protocol::{EdgeName, Timestamp};
use verge_test_kit::{AcmeAuthority, Answer, FakeDns, IssuedCertificate, copy_directory, in_time};

use crate::push::{push_preview, push_site};
use crate::tls_reader::TlsReader;

/// The cluster. Sites are at `<site>.sites.example.org`, and proven over HTTP.
pub struct CertificateFleet {
    /// The true time, which the authorities have, and readers.
    pub time: Clock,
    /// The authorities, the preferred one first.
    pub authorities: [AcmeAuthority; 2],
    folder: TempDir,
    dns: FakeDns,
    reader: TlsReader,
    http: reqwest::Client,
    origin: Option<Origin>,
    client: Option<Client>,
    origin_address: SocketAddr,
    origin_clock: WrongClock,
    edges: Vec<FleetEdge>,
}

/// A clock with an error.
struct WrongClock {
    clock: Clock,
    ahead_hours: i64,
}

/// An edge, which is running or stopped.
struct FleetEdge {
    name: EdgeName,
    token: Secret,
    clock: WrongClock,
    edge: Option<Edge>,
    /// Whether names resolve to it.
    is_admitted: bool,
}

/// When the cluster is started.
pub const START: Timestamp = Timestamp(1_800_000_000_000);

impl WrongClock {
    fn right() -> Self {
        Self { clock: Clock::manual(START), ahead_hours: 0 }
    }

    fn set(&self, time: Timestamp) {
        self.clock.set(Timestamp(time.0.saturating_add_signed(self.ahead_hours * 3_600_000)));
    }
}

impl CertificateFleet {
    /// Starts a cluster with so many edges. All certificates are valid for `lifetime`.
    pub async fn start(lifetime: Duration, edges: usize) -> Self {
        let (folder, dns, time) = (tempfile::tempdir().unwrap(), FakeDns::start().await, Clock::manual(START));
        let authority = async |name| AcmeAuthority::start(name, time.clone(), lifetime).await;
        let authorities = [authority("first").await, authority("second").await];
        let reader = TlsReader::new(authorities.iter().map(AcmeAuthority::root), time.clone());
        let mut fleet = Self {
            time,
            authorities,
            folder,
            dns,
            reader,
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
            origin: None,
            client: None,
            origin_address: SocketAddr::from(([127, 0, 0, 1], 0)),
            origin_clock: WrongClock::right(),
            edges: Vec::new(),
        };
        fleet.start_origin().await;
        for number in 0..edges {
            let name: EdgeName = format!("edge-{number}").parse().unwrap();
            let token = Secret::new(fleet.client().issue_edge_token(&name).await.unwrap().token);
            fleet.edges.push(FleetEdge { name, token, clock: WrongClock::right(), edge: None, is_admitted: false });
            fleet.start_edge(number).await;
            fleet.admit_edge(number).await;
        }
        fleet
    }

    /// Starts the stopped origin at the address that it had before.
    pub async fn start_origin(&mut self) {
        let settings = |authority: &AcmeAuthority| AuthoritySettings {
            ca_file: Some(authority.ca_file.clone()),
            poll_delay: Duration::from_millis(5),
            ..AuthoritySettings::new(authority.directory_url.clone())
        };
        let config = Config {
            listen: self.origin_address.into(),
            resolver: Some(self.dns.address),
            authorities: self.authorities.iter().map(settings).collect(),
            site_certificates: SiteCertificates::Each,
            certificate_interval: Duration::from_millis(60),
            domain_check_interval: Duration::from_millis(200),
            rollout_timing: Timing { live: Duration::from_secs(3), ..Timing::default() },
            encode_budget: Duration::ZERO,
            drain_timeout: Duration::from_secs(5),
            ..Config::new(self.origin_data_dir(), "https://sites.example.org".parse().unwrap())
        };
        let origin = Origin::bind_with_clock(config, self.origin_clock.clock.clone()).await.unwrap();
        self.origin_address = origin.addr();
        let url = format!("http://{}", origin.addr()).parse().unwrap();
        self.client = Some(Client::new(url, &Token::new(origin.admin_token().expose())).unwrap());
        self.origin = Some(origin);
    }

    /// Shuts the origin down.
    pub async fn stop_origin(&mut self) {
        self.origin.take().unwrap().shutdown().await.unwrap();
    }

    /// Whether the origin runs.
    pub fn is_origin_running(&self) -> bool {
        self.origin.is_some()
    }

    fn origin_data_dir(&self) -> PathBuf {
        self.folder.path().join("origin")
    }

    /// Copies the data directory of the stopped origin. Returns the copy.
    pub fn back_up_origin(&self) -> PathBuf {
        let copy = self.folder.path().join("backup");
        copy_directory(&self.origin_data_dir(), &copy);
        copy
    }

    /// Puts a copy in place of the data directory of the stopped origin.
    pub fn restore_origin(&self, copy: &Path) {
        std::fs::remove_dir_all(self.origin_data_dir()).unwrap();
        copy_directory(copy, &self.origin_data_dir());
    }

    /// Starts a stopped edge. Names do not resolve to it yet.
    pub async fn start_edge(&mut self, number: usize) {
        self.start_edge_at(number, vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()]).await;
    }

    /// Likewise, without TLS.
    pub async fn start_edge_without_tls(&mut self, number: usize) {
        self.start_edge_at(number, Vec::new()).await;
    }

    async fn start_edge_at(&mut self, number: usize, tls_listen: Vec<Listen>) {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let origin = format!("http://{}", self.origin_address).parse().unwrap();
        let data = self.folder.path().join(format!("edge-{number}"));
        let FleetEdge { name, token, clock, edge, .. } = &mut self.edges[number];
        let config = verge_edge::Config {
            listen: vec![any_port.into()],
            tls_listen,
            base_domains: vec!["sites.example.org".parse().unwrap()],
            drain_timeout: Duration::from_secs(5),
            ..verge_edge::Config::new(name.clone(), origin, token.clone(), data)
        };
        *edge = Some(Edge::bind_with_clock(config, clock.clock.clone()).await.unwrap());
    }

    /// Starts a name server for the base domain. It must be shut down before the cluster.
    pub async fn start_name_server(&self) -> GeoDns {
        let name = "ns-1".parse().unwrap();
        let token = Secret::new(self.client().issue_name_server_token(&name).await.unwrap().token);
        let file = self.folder.path().join("sites.zone");
        let zone = "$TTL 3600\n@ IN SOA ns hostmaster ( 1 7200 900 1209600 300 )\n@ IN NS ns\nns IN A 127.0.0.1\n";
        std::fs::write(&file, zone).unwrap();
        let zone = ZoneConfig { name: "sites.example.org".parse().unwrap(), file, sites: true };
        let origin = format!("http://{}", self.origin_address).parse().unwrap();
        let config = verge_geodns::Config::new(name, origin, token, self.folder.path().join("ns-1"), vec![zone]);
        GeoDns::bind_with_clock(config, self.time.clone()).await.unwrap()
    }

    /// Lets names resolve to an edge once it has caught up.
    pub async fn admit_edge(&mut self, number: usize) {
        let names = [self.edges[number].name.clone()];
        in_time("the edge to catch up", self.origin.as_ref().unwrap().wait_until_caught_up(&names)).await;
        self.edges[number].is_admitted = true;
        self.announce_edges();
    }

    /// Shuts an edge down, to which names do not resolve any more.
    pub async fn stop_edge(&mut self, number: usize) {
        self.edges[number].is_admitted = false;
        self.announce_edges();
        self.edges[number].edge.take().unwrap().shutdown().await.unwrap();
    }

    /// Has the authorities check challenges at the edges to which names resolve.
    fn announce_edges(&self) {
        let admitted = self.edges.iter().filter(|edge| edge.is_admitted);
        let addresses: Vec<SocketAddr> = admitted.filter_map(|edge| Some(edge.edge.as_ref()?.public_addr())).collect();
        for authority in &self.authorities {
            authority.set_edges(addresses.clone());
        }
    }

    /// The numbers of the edges that run.
    pub fn running_edges(&self) -> Vec<usize> {
        (0..self.edges.len()).filter(|number| self.edges[*number].edge.is_some()).collect()
    }

    /// Moves all clocks.
    pub fn advance(&self, by: Duration) {
        self.time.advance(by);
        self.set_clocks();
    }

    /// Sets the error of the origin's clock, in hours; negative: it is behind.
    pub fn set_origin_error(&mut self, ahead_hours: i64) {
        self.origin_clock.ahead_hours = ahead_hours;
        self.set_clocks();
    }

    /// Sets the error of the clock of an edge, in hours; negative: it is behind.
    pub fn set_edge_error(&mut self, number: usize, ahead_hours: i64) {
        self.edges[number].clock.ahead_hours = ahead_hours;
        self.set_clocks();
    }

    fn set_clocks(&self) {
        for clock in self.edges.iter().map(|edge| &edge.clock).chain([&self.origin_clock]) {
            clock.set(self.time.now());
        }
    }

    /// A client of the API with the administrator's token.
    pub fn client(&self) -> &Client {
        self.client.as_ref().unwrap()
    }

    /// Pushes a site.
    pub async fn push(&self, site: &str) {
        push_site(self.client(), site, site).await;
    }

    /// Pushes a preview of a site, whose channel is deleted after a day.
    pub async fn push_preview(&self, site: &str, channel: &str) {
        let lifetime = Lifetime::For(Duration::from_hours(24));
        push_preview(self.client(), site, channel, lifetime, &[("index.html", channel)]).await.unwrap();
    }

    /// Claims and proves a domain of a site, which redirects to another one if that is given.
    pub async fn add_domain(&self, site: &str, domain: &str, redirect_to: Option<&str>) {
        let body = serde_json::json!({ "site": site, "redirect_to": redirect_to });
        let claimed: Domain = self.client().put(&format!("/v1/domains/{domain}"), &body).await.unwrap();
        let text: &'static str = claimed.proof.value.leak();
        self.dns.set(&claimed.proof.name, Answer::Texts(vec![vec![text]]));
    }

    /// Gives a domain up.
    pub async fn remove_domain(&self, domain: &str) {
        self.client().delete(&format!("/v1/domains/{domain}")).await.unwrap();
    }

    /// The certificates that the origin lists.
    pub async fn certificates(&self) -> Vec<Certificate> {
        self.client().get("/v1/certificates").await.unwrap()
    }

    /// Whether an edge says that readers may be sent to it.
    pub async fn is_ready(&self, edge: usize) -> bool {
        let address = self.edges[edge].edge.as_ref().unwrap().private_addr();
        self.http.get(format!("http://{address}/healthz")).send().await.unwrap().status().is_success()
    }

    /// The certificate that an edge presents to a reader of a host. The error says why the reader does not accept it.
    pub async fn handshake(&self, edge: usize, host: &str) -> std::io::Result<IssuedCertificate> {
        let address = self.edges[edge].edge.as_ref().unwrap().tls_addrs()[0];
        let presented = self.reader.certificate(address, host).await?;
        Ok(self.authorities.iter().find_map(|authority| authority.find(&presented)).unwrap())
    }

    /// Shuts everything down.
    pub async fn stop(mut self) {
        for number in self.running_edges() {
            self.stop_edge(number).await;
        }
        self.stop_origin().await;
    }
}
