//! A host with an edge that can be stopped and started again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use verge_edge::{Config, Edge};
use verge_protocol::fleet::EdgeState;

use super::config::{BASE_DOMAIN, InternetConfig};
use super::origin::OriginHost;
use super::region::Region;
use crate::hosts::Host;

/// A host with an edge, which is running or stopped.
pub(super) struct EdgeHost {
    pub(super) host: Host,
    config: Config,
    edge: Option<Edge>,
}

impl EdgeHost {
    /// Registers an edge at the origin and starts it on `host`.
    pub(super) async fn start(
        region: Region,
        host: Host,
        origin: &OriginHost,
        data: PathBuf,
        internet: &InternetConfig,
    ) -> Self {
        let token = origin.register_edge(region, &host).await;
        let config = Config {
            listen: host.addresses().map(|address| SocketAddr::new(address, EdgeState::PORT).into()).to_vec(),
            base_domains: vec![BASE_DOMAIN.parse().unwrap()],
            lame_duck: internet.draining_bound(),
            drain_timeout: Duration::from_secs(5),
            ..Config::new(region.edge(), origin.url(), token, data)
        };
        let mut started = Self { host, config, edge: None };
        started.start_edge().await;
        started
    }

    /// Starts the edge, with the addresses and data that it had before.
    pub(super) async fn start_edge(&mut self) {
        assert!(self.edge.is_none(), "{} is already running", self.config.name);
        let config = self.config.clone();
        self.edge = Some(self.host.run(async move { Edge::bind(config).await.unwrap() }).await);
    }

    /// Makes the edge announce that it is draining; returns after its lame-duck time, in which it serves.
    pub(super) async fn drain_edge(&mut self) {
        let edge = self.edge.take().unwrap();
        let draining = async move {
            edge.start_draining().await;
            edge
        };
        self.edge = Some(self.host.run(draining).await);
    }

    /// Shuts the edge down.
    pub(super) async fn stop_edge(&mut self) {
        let edge = self.edge.take().unwrap();
        let tasks = edge.tasks();
        self.host.run(async move { edge.shutdown().await.unwrap() }).await;
        assert_eq!(tasks.running(), BTreeMap::new(), "tasks of an edge still run after its shutdown");
    }

    /// Shuts the edge down if it is running, and stops the host.
    pub(super) async fn stop(mut self) {
        if self.edge.is_some() {
            self.stop_edge().await;
        }
        self.host.stop().await;
    }
}
