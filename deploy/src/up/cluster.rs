//! An origin, its edges and a name server, as one value.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use verge_daemon::data_dir::DataDirError;
use verge_daemon::listen::{self, Listen, ListenError};
use verge_daemon::{Daemon as _, Secret};
use verge_geodns::GeoDns;
use verge_origin::Origin;
use verge_protocol::EdgeName;
use verge_protocol::api::Site;
use verge_protocol::explanation::Explanation;

use super::alone::{self, Alone};
use super::edge::{self, RunningEdge};
use super::name_server::{self, ZONE};
use super::ports::Ports;
use crate::client::{Address, Client, ClientError, NameServer, NameServerError, SetupError, Token};

/// How long edges and name server may take to have caught up with the origin at the start.
const START_MAX: Duration = Duration::from_secs(30);

/// How often that is asked.
const POLL: Duration = Duration::from_millis(20);

/// How long requests under way have at the end.
pub(super) const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// What is to be started.
#[derive(Debug, Clone)]
pub struct Plan {
    /// How many edges.
    pub edges: u16,
    /// Where they listen.
    pub ports: Ports,
    /// Where everything is kept.
    pub data: PathBuf,
    /// Whether that is gone at the end.
    pub temporary: bool,
}

/// A running cluster.
pub struct Cluster {
    origin: Origin,
    edges: Vec<RunningEdge>,
    /// Started last.
    name_server: Option<GeoDns>,
    client: Client,
}

/// Why a cluster cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A port is taken.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Its data cannot be kept where they should be.
    #[error(transparent)]
    Data(#[from] DataDirError),
    /// A part of it does not start.
    #[error("failed to start {part}: {reason}")]
    Part {
        /// Which.
        part: String,
        /// Why, with all causes.
        reason: String,
    },
    /// The origin cannot be asked.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// No client can be made.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The name server cannot be asked.
    #[error(transparent)]
    NameServer(#[from] NameServerError),
    /// The name server does not know a site.
    #[error("the name server did not answer for {0} within {limit} s", limit = START_MAX.as_secs())]
    Unnamed(String),
    /// Some edges do not catch up.
    #[error("these edges did not catch up with the origin within {limit} s: {0}", limit = START_MAX.as_secs())]
    Behind(String),
}

pub(super) fn failed<E: Into<anyhow::Error>>(part: impl Into<String>) -> impl FnOnce(E) -> ClusterError {
    move |error| match error.into().downcast() {
        Ok(data) => ClusterError::Data(data),
        Err(error) => ClusterError::Part { part: part.into(), reason: format!("{error:#}") },
    }
}

impl Cluster {
    /// Starts everything. Returns once every port is open. Not to be dropped before that: half a cluster that is dropped works
    /// on in its data folder, and only a whole one can be ended in order.
    pub async fn start(plan: &Plan) -> Result<Self, ClusterError> {
        // Readers' ports first: the origin is told where sites are reached, the edges need tokens that the origin issues.
        let mut readers = Vec::new();
        for number in 1..=plan.edges {
            readers.push(listen::open("readers", plan.ports.edge(number)).await?);
        }
        let alone = alone::open(plan.ports, plan.edges).await?;
        let origin = start_origin(plan, &readers).await?;
        let address: Address = format!("http://{}", origin.addr()).parse().expect("an address makes a URL");
        let client = Client::new(address, &Token::new(origin.admin_token().expose()))?;
        let mut cluster = Self { origin, edges: Vec::new(), name_server: None, client };
        match cluster.start_rest(plan, readers, alone).await {
            Ok(()) => Ok(cluster),
            Err(error) => {
                cluster.shutdown().await;
                Err(error)
            }
        }
    }

    /// Starts edges and name server, in this order: the first that the name server sees of an edge is that it is up.
    async fn start_rest(
        &mut self,
        plan: &Plan,
        readers: Vec<Listen>,
        alone: Option<Vec<Alone>>,
    ) -> Result<(), ClusterError> {
        let mut alone = alone.into_iter().flatten();
        for (number, readers) in (1..).zip(readers) {
            let edge = RunningEdge::start(plan, number, readers, alone.next(), &self.client).await?;
            self.edges.push(edge);
        }
        edge::forget_others(plan, &self.client).await?;
        for edge in &self.edges {
            edge.describe(&self.client).await?;
        }
        let token = self.client.issue_name_server_token(&name_server::name()).await?.token;
        let origin = self.client.origin().to_string().parse().map_err(failed("the name server"))?;
        self.name_server = Some(name_server::start(plan, origin, Secret::new(token)).await?);
        Ok(())
    }

    /// Speaks to the origin as its administrator.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The administrator's token.
    pub fn token(&self) -> &Secret {
        self.origin.admin_token()
    }

    /// The edges, in order.
    pub fn edges(&self) -> &[RunningEdge] {
        &self.edges
    }

    /// Where the name server answers.
    pub fn dns(&self) -> SocketAddr {
        self.name_server().dns_addr()
    }

    /// The name server's health, metrics and explanations.
    pub fn dns_private(&self) -> SocketAddr {
        self.name_server().private_addr()
    }

    fn name_server(&self) -> &GeoDns {
        self.name_server.as_ref().expect("a cluster that has started has one")
    }

    /// Ends it. The name server first: how the edges end is not to be what it remembers of them. Then the edges, so that what
    /// readers are at is finished.
    pub async fn shutdown(self) {
        if let Some(name_server) = self.name_server {
            let _ = name_server.shutdown().await;
        }
        join_all(self.edges.into_iter().map(RunningEdge::shutdown)).await;
        let _ = self.origin.shutdown().await;
    }

    /// Waits until the name server answers for these sites, and with these edges.
    pub async fn named(&self, sites: &[Site]) -> Result<(), ClusterError> {
        let deadline = Instant::now() + START_MAX;
        let address = format!("http://{}", self.dns_private()).parse().expect("an address makes a URL");
        let node = NameServer::new(address)?;
        // At the name server's own name no site can be, and before there is something live there is no name.
        let is_live = |site: &&Site| site.channels.iter().any(|channel| channel.name.is_live());
        let sites = sites.iter().filter(is_live).filter(|site| site.name.as_str() != name_server::NAME);
        for name in sites.map(|site| format!("{}.{ZONE}", site.name)) {
            while !self.is_named(&node.explain(self.dns().ip(), Some(&name)).await?) {
                if Instant::now() > deadline {
                    return Err(ClusterError::Unnamed(name));
                }
                tokio::time::sleep(POLL).await;
            }
        }
        Ok(())
    }

    fn is_named(&self, explanation: &Explanation) -> bool {
        let known = |edge: &RunningEdge| explanation.a.edges.iter().any(|ranked| ranked.edge == edge.name);
        explanation.name.as_ref().is_some_and(|name| name.fleet_regions().is_some()) && self.edges.iter().all(known)
    }

    /// Waits until every edge has reported that it serves all that was written so far.
    pub async fn caught_up(&self) -> Result<(), ClusterError> {
        let deadline = Instant::now() + START_MAX;
        loop {
            let status = self.client.overview().await?;
            let behind = |name: &EdgeName| {
                let edge = status.edges.iter().find(|edge| edge.name == *name);
                !edge.is_some_and(|edge| {
                    edge.live
                        && edge.applied.is_some_and(|applied| applied.includes(status.position))
                        && edge.lagging.is_empty()
                })
            };
            let names = self.edges.iter().map(|edge| &edge.name).filter(|name| behind(name));
            let names: Vec<&str> = names.map(EdgeName::as_str).collect();
            if names.is_empty() {
                return Ok(());
            }
            if Instant::now() > deadline {
                return Err(ClusterError::Behind(names.join(", ")));
            }
            tokio::time::sleep(POLL).await;
        }
    }
}

async fn start_origin(plan: &Plan, readers: &[Listen]) -> Result<Origin, ClusterError> {
    let port = readers.first().map_or(0, Listen::port);
    let sites_url = format!("http://localhost:{port}").parse().map_err(failed("the origin"))?;
    let config = verge_origin::Config {
        listen: listen::open("the origin's API", plan.ports.origin()).await?,
        private_listen: listen::open("the origin's health and metrics", plan.ports.origin_private()).await?,
        drain_timeout: DRAIN_TIMEOUT,
        ..verge_origin::Config::new(plan.data.join("origin"), sites_url)
    };
    Origin::bind(config).await.map_err(failed("the origin"))
}
