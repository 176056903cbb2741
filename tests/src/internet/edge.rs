//! The place of an edge, whether it runs or not.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use verge_edge::{Config, Edge};
use verge_protocol::fleet::EdgeState;

use super::origin::OriginSeat;
use super::{BASE, Plan, Region};
use crate::hosts::Host;

/// The place of an edge, whether it runs or not.
pub(super) struct EdgeSeat {
    pub(super) host: Host,
    config: Config,
    edge: Option<Edge>,
}

impl EdgeSeat {
    /// Takes an edge on `host` into the fleet, and starts it.
    pub(super) async fn start(region: Region, host: Host, origin: &OriginSeat, data: PathBuf, plan: &Plan) -> Self {
        let token = origin.enlist(region, &host).await;
        let config = Config {
            listen: host.addresses().map(|address| SocketAddr::new(address, EdgeState::PORT).into()).to_vec(),
            base_domains: vec![BASE.parse().unwrap()],
            lame_duck: plan.leaving_bound(),
            drain_timeout: Duration::from_secs(5),
            ..Config::new(region.edge(), origin.url(), token, data)
        };
        let mut seat = Self { host, config, edge: None };
        seat.resume().await;
        seat
    }

    /// Starts it where it was.
    pub(super) async fn resume(&mut self) {
        assert!(self.edge.is_none(), "{} runs already", self.config.name);
        let config = self.config.clone();
        self.edge = Some(self.host.run(async move { Edge::bind(config).await.unwrap() }).await);
    }

    /// Lets it say that it is draining, and serve for as long as it is set to.
    pub(super) async fn leave(&mut self) {
        let edge = self.edge.take().unwrap();
        let leave = async move {
            edge.start_draining().await;
            edge
        };
        self.edge = Some(self.host.run(leave).await);
    }

    /// Stops it in good order.
    pub(super) async fn stop(&mut self) {
        let edge = self.edge.take().unwrap();
        let tasks = edge.tasks();
        self.host.run(async move { edge.shutdown().await.unwrap() }).await;
        assert_eq!(tasks.running(), BTreeMap::new(), "an edge left tasks behind");
    }

    pub(super) async fn end(mut self) {
        if self.edge.is_some() {
            self.stop().await;
        }
        self.host.stop().await;
    }
}
