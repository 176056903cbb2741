//! An origin, its edges and a name server, as one value.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use reqwest::Url;
use tokio::time::{Instant, timeout, timeout_at};
use verge_daemon::listen::{self, Listen};
use verge_daemon::{Daemon as _, Secret};
use verge_geodns::GeoDns;
use verge_origin::Origin;
use verge_protocol::api::Site;
use verge_protocol::{DomainName, EdgeName};

use super::certificate::ClusterCertificate;
use super::config::{ClusterConfig, DRAIN_TIMEOUT};
use super::edge::{self, RunningEdge};
use super::error::{ClusterError, START_TIMEOUT, start_failed};
use super::loopback_addresses::{self, EdgeListener};
use super::name_server::{self, ZONE};
use crate::client::{Client, ServerUrl, Token};

/// A running cluster.
pub struct Cluster {
    origin: Origin,
    edges: Vec<RunningEdge>,
    /// Started last; `None` until then.
    name_server: Option<GeoDns>,
    client: Client,
    certificate: Option<ClusterCertificate>,
}

impl Cluster {
    /// Starts all daemons. Returns once every port is open. Do not drop the future before that: the daemons would keep using the data
    /// directory, and only a complete cluster can be shut down in order.
    pub async fn start(config: &ClusterConfig) -> Result<Self, ClusterError> {
        // The ports of the edges first: the origin needs one for its `sites_url`, and the edges need tokens from the origin.
        let mut readers = Vec::new();
        for number in 1..=config.edges {
            readers.push(listen::open("readers", config.ports.edge(number)).await?);
        }
        let mut encrypted = Vec::new();
        for number in 1..=if config.https { config.edges } else { 0 } {
            encrypted.push(listen::open("readers over TLS", config.ports.edge_https(number)).await?);
        }
        let edge_listeners = loopback_addresses::open(config.ports, config.edges).await?;
        let origin = start_origin(config, &readers, &encrypted).await?;
        let url: ServerUrl = format!("http://{}", origin.addr()).parse().expect("a socket address makes a URL");
        let client = Client::new(url, &Token::new(origin.admin_token().expose()))?;
        let mut cluster = Self { origin, edges: Vec::new(), name_server: None, client, certificate: None };
        match cluster.start_rest(config, readers, encrypted, edge_listeners).await {
            Ok(()) => Ok(cluster),
            Err(error) => {
                cluster.shutdown().await;
                Err(error)
            }
        }
    }

    /// Starts the edges, then the name server, whose first health checks then find them up.
    async fn start_rest(
        &mut self,
        config: &ClusterConfig,
        readers: Vec<Listen>,
        encrypted: Vec<Listen>,
        edge_listeners: Option<Vec<EdgeListener>>,
    ) -> Result<(), ClusterError> {
        if config.https {
            self.certificate = Some(ClusterCertificate::issue(config.data.join("https"), &self.client).await?);
        }
        let (mut edge_listeners, mut encrypted) = (edge_listeners.into_iter().flatten(), encrypted.into_iter());
        for (number, readers) in (1..).zip(readers) {
            let tls = encrypted.next().zip(self.certificate.as_ref());
            let edge = RunningEdge::start(config, number, readers, tls, edge_listeners.next(), &self.client).await?;
            self.edges.push(edge);
        }
        edge::remove_stale_edges(config, &self.client).await?;
        for edge in &self.edges {
            edge.configure(&self.client).await?;
        }
        let token = self.client.issue_name_server_token(&name_server::name()).await?.token;
        let origin = self.client.origin().to_string().parse().map_err(start_failed("the name server"))?;
        self.name_server = Some(name_server::start(config, origin, Secret::new(token)).await?);
        Ok(())
    }

    /// A client of the origin, with the administrator token.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The administrator token.
    pub fn token(&self) -> &Secret {
        self.origin.admin_token()
    }

    /// The certificate for TLS, if edges serve it.
    pub fn certificate(&self) -> Option<&ClusterCertificate> {
        self.certificate.as_ref()
    }

    /// Waits until every edge serves TLS for the live sites.
    pub async fn until_encrypted(&self, sites: &[Site]) -> Result<(), ClusterError> {
        let Some(certificate) = &self.certificate else { return Ok(()) };
        let client = certificate.edge_client().await?;
        let mut missing = Vec::new();
        let deadline = Instant::now() + START_TIMEOUT;
        for edge in &self.edges {
            let url = edge.https.and_then(|address| format!("https://{address}").parse::<Url>().ok());
            let urls = sites.iter().filter(|site| is_live(site)).filter_map(|site| site.url.parse().ok());
            for (edge_url, site) in urls.filter_map(|site: Url| Some((url.clone()?, site))) {
                let answered = async {
                    while client.head(edge_url.clone(), &site, "").await.is_none() {
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                };
                if timeout_at(deadline, answered).await.is_err() {
                    missing.push(edge.name.as_str());
                    break;
                }
            }
        }
        if missing.is_empty() { Ok(()) } else { Err(ClusterError::NotEncrypted(missing.join(", "))) }
    }

    /// The edges, in order of their numbers.
    pub fn edges(&self) -> &[RunningEdge] {
        &self.edges
    }

    /// The address of the name server, for UDP and TCP.
    pub fn dns(&self) -> SocketAddr {
        self.name_server().dns_addr()
    }

    /// The address of the private listener of the name server.
    pub fn dns_private(&self) -> SocketAddr {
        self.name_server().private_addr()
    }

    fn name_server(&self) -> &GeoDns {
        self.name_server.as_ref().expect("a started cluster has a name server")
    }

    /// Shuts all daemons down. The name server first, so that it does not save the edges as down; then the edges, which finish their
    /// requests.
    pub async fn shutdown(self) {
        if let Some(name_server) = self.name_server {
            let _ = name_server.shutdown().await;
        }
        join_all(self.edges.into_iter().map(RunningEdge::shutdown)).await;
        let _ = self.origin.shutdown().await;
    }

    /// Waits until the name server answers for the live sites with all edges.
    pub async fn until_named(&self, sites: &[Site]) -> Result<(), ClusterError> {
        // Only live sites have names, and the name of the name server itself is taken.
        let sites = sites.iter().filter(|site| is_live(site)).filter(|site| site.name.as_str() != name_server::NAME);
        let names = sites.map(|site| format!("{}.{ZONE}", site.name).parse().expect("a site's name is a label"));
        let names: Vec<DomainName> = names.collect();
        let edges = self.edge_names();
        let answered = async |names| self.name_server().wait_until_answered(names, &edges).await;
        if timeout(START_TIMEOUT, answered(&names)).await.is_ok() {
            return Ok(());
        }
        let mut missing = Vec::new();
        for name in &names {
            if answered(std::slice::from_ref(name)).now_or_never().is_none() {
                missing.push(name.as_str());
            }
        }
        Err(ClusterError::NotAnswered(missing.join(", ")))
    }

    /// Waits until every edge has reported that it has applied all writes so far.
    pub async fn until_caught_up(&self) -> Result<(), ClusterError> {
        let edges = self.edge_names();
        let caught_up = async |edges| self.origin.wait_until_caught_up(edges).await;
        if timeout(START_TIMEOUT, caught_up(&edges)).await.is_ok() {
            return Ok(());
        }
        let mut lagging = Vec::new();
        for edge in &edges {
            if caught_up(std::slice::from_ref(edge)).now_or_never().is_none() {
                lagging.push(edge.as_str());
            }
        }
        Err(ClusterError::Lagging(lagging.join(", ")))
    }

    fn edge_names(&self) -> Vec<EdgeName> {
        self.edges.iter().map(|edge| edge.name.clone()).collect()
    }
}

fn is_live(site: &Site) -> bool {
    site.channels.iter().any(|channel| channel.name.is_live())
}

async fn start_origin(
    cluster: &ClusterConfig,
    readers: &[Listen],
    encrypted: &[Listen],
) -> Result<Origin, ClusterError> {
    let (scheme, listen) = encrypted.first().map_or(("http", readers.first()), |listen| ("https", Some(listen)));
    let port = listen.map_or(0, Listen::port);
    let sites_url = format!("{scheme}://localhost:{port}").parse().map_err(start_failed("the origin"))?;
    let config = verge_origin::Config {
        listen: listen::open("the origin's API", cluster.ports.origin()).await?,
        private_listen: listen::open("the origin's health and metrics", cluster.ports.origin_private()).await?,
        drain_timeout: DRAIN_TIMEOUT,
        ..verge_origin::Config::new(cluster.data.join("origin"), sites_url)
    };
    Origin::bind(config).await.map_err(start_failed("the origin"))
}
