//! The edges of a cluster.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use verge_daemon::Secret;
use verge_daemon::listen::{self, Listen};
use verge_edge::{Config, Edge};
use verge_protocol::api::EdgeSettings;
use verge_protocol::fleet::EdgeState;
use verge_protocol::{DomainName, EdgeName};

use super::alone::Alone;
use super::cluster::{ClusterError, DRAIN_TIMEOUT, Plan, failed};
use super::ports::Ports;
use super::{name_server, places};
use crate::cities::City;
use crate::client::Client;

/// An edge of the cluster.
pub struct RunningEdge {
    /// Its name.
    pub name: EdgeName,
    /// Where it serves.
    pub public: SocketAddr,
    /// Its health and metrics.
    pub private: SocketAddr,
    /// Where readers reach this edge whom DNS leads to it: at an address that no other edge has. Where there are no such addresses,
    /// what all have in common is that of the first, and DNS names no other.
    pub address: Option<SocketAddr>,
    /// Where it is said to stand.
    pub city: City,
    edge: Edge,
}

impl RunningEdge {
    /// Starts edge number `number`, from 1. Returns once its ports are open.
    pub(super) async fn start(
        plan: &Plan,
        number: u16,
        readers: Listen,
        alone: Option<Alone>,
        client: &Client,
    ) -> Result<Self, ClusterError> {
        let name: EdgeName = name(number).parse().expect("a number makes a name");
        let token = client.issue_edge_token(&name).await?.token;
        let origin = client.origin().to_string().parse().map_err(failed(name.as_str()))?;
        let (address, alone) = alone.map(|Alone { address, listen }| (address, listen)).unzip();
        let config = Config {
            listen: [readers].into_iter().chain(alone).collect(),
            private_listen: listen::open("an edge's health and metrics", plan.ports.edge_private(number)).await?,
            base_domains: vec![DomainName::localhost(), name_server::zone()],
            drain_timeout: DRAIN_TIMEOUT,
            ..Config::new(name.clone(), origin, Secret::new(token), plan.data.join(name.as_str()))
        };
        let edge = Edge::bind(config).await.map_err(failed(name.as_str()))?;
        let (public, private) = (edge.public_addr(), edge.private_addr());
        let address = address.or_else(|| (number == 1).then_some(public));
        Ok(Self { name, public, private, address, city: places::of_edge(number), edge })
    }

    /// Tells the origin where readers reach it, and where it stands.
    pub(super) async fn describe(&self, client: &Client) -> Result<(), ClusterError> {
        let settings = EdgeSettings {
            addresses: self.address.map(|address| address.ip()).into_iter().collect(),
            port: self.address.unwrap_or(self.public).port(),
            location: Some(self.city.place()),
            regions: self.city.regions(),
            weight: EdgeState::WEIGHT,
        };
        let _: EdgeState = client.put(&path(&self.name), &settings).await?;
        Ok(())
    }

    pub(super) async fn shutdown(self) {
        let _ = self.edge.shutdown().await;
    }
}

/// Takes those edges out of the fleet that an earlier start had more of, so that no reader is led to them.
pub(super) async fn forget_others(plan: &Plan, client: &Client) -> Result<(), ClusterError> {
    let others = plan.edges + 1..=Ports::EDGES_MAX;
    let others: BTreeMap<String, IpAddr> =
        others.map(|number| (name(number), plan.ports.edge_alone(number).ip())).collect();
    let status = client.overview().await?;
    for edge in status.edges {
        // One of such a name that is somewhere else is somebody's own.
        let address = others.get(edge.name.as_str());
        if address.is_some_and(|address| edge.state.is_some_and(|state| state.addresses == [*address])) {
            client.delete(&path(&edge.name)).await?;
        }
    }
    Ok(())
}

fn name(number: u16) -> String {
    format!("edge-{number}")
}

fn path(edge: &EdgeName) -> String {
    format!("/v1/edges/{edge}")
}
