//! The edges of a cluster.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use verge_daemon::Secret;
use verge_daemon::listen::{self, Listen};
use verge_edge::{Config, Edge};
use verge_protocol::api::{self, EdgeSettings};
use verge_protocol::fleet::EdgeState;
use verge_protocol::{DomainName, EdgeName};

use super::certificate::ClusterCertificate;
use super::config::{ClusterConfig, DRAIN_TIMEOUT};
use super::error::{ClusterError, start_failed};
use super::loopback_addresses::EdgeListener;
use super::ports::Ports;
use super::{locations, name_server};
use crate::cities::City;
use crate::client::Client;

/// An edge of the cluster.
pub struct RunningEdge {
    /// Its name.
    pub name: EdgeName,
    /// The address at which it serves all sites.
    pub public: SocketAddr,
    /// The address at which it serves them over TLS, if it does.
    pub https: Option<SocketAddr>,
    /// The address of its private listener.
    pub private: SocketAddr,
    /// The address that DNS returns for it, which no other edge has. On machines with only one loopback address, the first edge has
    /// that one, and DNS returns no other edge.
    pub address: Option<SocketAddr>,
    /// Its city.
    pub city: City,
    edge: Edge,
}

impl RunningEdge {
    /// Starts edge number `number`, from 1. `tls`: its listener for TLS, and the certificate. Returns once its ports are open.
    pub(super) async fn start(
        cluster: &ClusterConfig,
        number: u16,
        readers: Listen,
        tls: Option<(Listen, &ClusterCertificate)>,
        edge_listener: Option<EdgeListener>,
        client: &Client,
    ) -> Result<Self, ClusterError> {
        let name: EdgeName = name(number).parse().expect("an edge number makes a valid name");
        let token = client.issue_edge_token(&name).await?.token;
        let origin = client.origin().to_string().parse().map_err(start_failed(name.as_str()))?;
        let (address, listener) = edge_listener.map(|EdgeListener { address, listen }| (address, listen)).unzip();
        let certificate = tls.as_ref().map(|(_, certificate)| (*certificate).clone());
        let (tls_listen, certificates) =
            tls.into_iter().map(|(listen, certificate)| (listen, certificate.files())).unzip();
        let config = Config {
            tls_listen,
            certificates,
            listen: [readers].into_iter().chain(listener).collect(),
            private_listen: listen::open("an edge's health and metrics", cluster.ports.edge_private(number)).await?,
            base_domains: vec![DomainName::localhost(), name_server::zone()],
            url: address.map(|address| format!("http://{address}")),
            drain_timeout: DRAIN_TIMEOUT,
            ..Config::new(name.clone(), origin, Secret::new(token), cluster.data.join(name.as_str()))
        };
        let edge = Edge::bind(config).await.map_err(start_failed(name.as_str()))?;
        if let Some(certificate) = certificate {
            let client = client.clone();
            edge.provide_certificates(move |host| {
                let (certificate, client, host) = (certificate.clone(), client.clone(), host.to_owned());
                Box::pin(async move { certificate.provide(&host, &client).await })
            });
        }
        let (public, private, https) = (edge.public_addr(), edge.private_addr(), edge.tls_addrs().first().copied());
        let address = address.or_else(|| (number == 1).then_some(public));
        Ok(Self { name, public, https, private, address, city: locations::of_edge(number), edge })
    }

    /// Sends its settings to the origin.
    pub(super) async fn configure(&self, client: &Client) -> Result<(), ClusterError> {
        let settings = EdgeSettings {
            addresses: self.address.map(|address| address.ip()).into_iter().collect(),
            port: self.address.unwrap_or(self.public).port(),
            scheme: None,
            location: Some(self.city.location()),
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

/// Removes edges that an earlier start with more edges has registered, so that DNS does not return them.
pub(super) async fn remove_stale_edges(cluster: &ClusterConfig, client: &Client) -> Result<(), ClusterError> {
    let stale = cluster.edges + 1..=Ports::EDGES_MAX;
    let stale: BTreeMap<String, IpAddr> =
        stale.map(|number| (name(number), cluster.ports.edge_loopback(number).ip())).collect();
    let edges: Vec<api::Edge> = client.get("/v1/edges").await?;
    for edge in edges {
        // An edge with such a name but another address was registered by the user.
        let address = stale.get(edge.name.as_str());
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
