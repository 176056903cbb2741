//! An origin, its edges and a name server, as one value.

use std::net::SocketAddr;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use tokio::time::timeout;
use verge_daemon::listen::{self, Listen};
use verge_daemon::{Daemon as _, Secret};
use verge_geodns::GeoDns;
use verge_origin::Origin;
use verge_protocol::api::Site;
use verge_protocol::{DomainName, EdgeName};

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
        let edge_listeners = loopback_addresses::open(config.ports, config.edges).await?;
        let origin = start_origin(config, &readers).await?;
        let url: ServerUrl = format!("http://{}", origin.addr()).parse().expect("a socket address makes a URL");
        let client = Client::new(url, &Token::new(origin.admin_token().expose()))?;
        let mut cluster = Self { origin, edges: Vec::new(), name_server: None, client };
        match cluster.start_rest(config, readers, edge_listeners).await {
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
        edge_listeners: Option<Vec<EdgeListener>>,
    ) -> Result<(), ClusterError> {
        let mut edge_listeners = edge_listeners.into_iter().flatten();
        for (number, readers) in (1..).zip(readers) {
            let edge = RunningEdge::start(config, number, readers, edge_listeners.next(), &self.client).await?;
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
        let is_live = |site: &&Site| site.channels.iter().any(|channel| channel.name.is_live());
        let sites = sites.iter().filter(is_live).filter(|site| site.name.as_str() != name_server::NAME);
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

async fn start_origin(cluster: &ClusterConfig, readers: &[Listen]) -> Result<Origin, ClusterError> {
    let port = readers.first().map_or(0, Listen::port);
    let sites_url = format!("http://localhost:{port}").parse().map_err(start_failed("the origin"))?;
    let config = verge_origin::Config {
        listen: listen::open("the origin's API", cluster.ports.origin()).await?,
        private_listen: listen::open("the origin's health and metrics", cluster.ports.origin_private()).await?,
        drain_timeout: DRAIN_TIMEOUT,
        ..verge_origin::Config::new(cluster.data.join("origin"), sites_url)
    };
    Origin::bind(config).await.map_err(start_failed("the origin"))
}
