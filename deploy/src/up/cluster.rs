//! An origin and its edges, as one value.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::time::Instant;
use verge_daemon::data_folder::DataFolderError;
use verge_daemon::listen::{self, Listen, ListenError};
use verge_daemon::{Daemon as _, Secret};
use verge_edge::Edge;
use verge_origin::Origin;
use verge_protocol::EdgeName;
use verge_protocol::api::Status;

use super::ports::Ports;
use crate::client::{Address, Client, ClientError, SetupError, Token};

/// How long the edges may take to have caught up with the origin at the start.
const START_MAX: Duration = Duration::from_secs(30);

/// How often that is asked.
const POLL: Duration = Duration::from_millis(20);

/// How long requests under way have at the end.
const DRAIN: Duration = Duration::from_secs(5);

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
    client: Client,
}

/// An edge of the cluster.
pub struct RunningEdge {
    /// Its name.
    pub name: EdgeName,
    /// Where it serves.
    pub public: SocketAddr,
    /// Its health and metrics.
    pub private: SocketAddr,
    edge: Edge,
}

/// Why a cluster cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A port is taken.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Its data cannot be kept where they should be.
    #[error(transparent)]
    Data(DataFolderError),
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
    /// Some edges do not catch up.
    #[error("these edges did not catch up with the origin within {limit} s: {0}", limit = START_MAX.as_secs())]
    Behind(String),
}

fn failed<E: Into<anyhow::Error>>(part: impl Into<String>) -> impl FnOnce(E) -> ClusterError {
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
        let origin = start_origin(plan, &readers).await?;
        let address: Address = format!("http://{}", origin.address()).parse().expect("an address makes a URL");
        let client = Client::new(address, &Token::new(origin.admin_token().expose()))?;
        let mut cluster = Self { origin, edges: Vec::new(), client };
        for (number, readers) in (1..).zip(readers) {
            match cluster.start_edge(plan, number, readers).await {
                Ok(edge) => cluster.edges.push(edge),
                Err(error) => {
                    cluster.shutdown().await;
                    return Err(error);
                }
            }
        }
        Ok(cluster)
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

    /// Ends it: readers first, so that what they are at is finished.
    pub async fn shutdown(self) {
        join_all(self.edges.into_iter().map(|running| running.edge.shutdown())).await;
        let _ = self.origin.shutdown().await;
    }

    async fn start_edge(&self, plan: &Plan, number: u16, readers: Listen) -> Result<RunningEdge, ClusterError> {
        let name: EdgeName = format!("edge-{number}").parse().expect("a number makes a name");
        let token = self.client.issue_edge_token(&name).await?.token;
        let origin = format!("http://{}", self.origin.address()).parse().map_err(failed(name.as_str()))?;
        let data = plan.data.join(name.as_str());
        let config = verge_edge::Config {
            listen: vec![readers],
            private_listen: listen::open("an edge's health and metrics", plan.ports.edge_private(number)).await?,
            drain: DRAIN,
            ..verge_edge::Config::new(name.clone(), origin, Secret::new(token), data)
        };
        let edge = Edge::bind(config).await.map_err(failed(name.as_str()))?;
        Ok(RunningEdge { name, public: edge.public_addr(), private: edge.private_addr(), edge })
    }

    /// Waits until every edge has reported that it serves all that was written so far.
    pub async fn caught_up(&self) -> Result<(), ClusterError> {
        let deadline = Instant::now() + START_MAX;
        loop {
            let status: Status = self.client.get("/v1/status").await?;
            let behind = |name: &EdgeName| {
                let edge = status.edges.iter().find(|edge| edge.name == *name);
                !edge.is_some_and(|edge| {
                    edge.live
                        && edge.applied.is_some_and(|applied| applied.has(status.position))
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
        drain: DRAIN,
        ..verge_origin::Config::new(plan.data.join("origin"), sites_url)
    };
    Origin::bind(config).await.map_err(failed("the origin"))
}
