//! The place of a name server, whether it runs or not.

use std::collections::BTreeMap;

use reqwest::Client;
use verge_geodns::{Config, GeoDns};

use crate::hosts::Host;

/// The place of a name server, whether it runs or not.
pub(super) struct NodeSeat {
    pub(super) host: Host,
    config: Config,
    node: Option<GeoDns>,
}

impl NodeSeat {
    /// Starts a name server on `host`, to be asked at both of its addresses.
    pub(super) async fn start(host: Host, config: Config) -> Self {
        let listen = host.addresses().map(|address| (address, 53).into()).to_vec();
        let mut seat = Self { host, config: Config { listen, ..config }, node: None };
        seat.resume().await;
        seat
    }

    /// Starts it where it was.
    pub(super) async fn resume(&mut self) {
        assert!(self.node.is_none(), "{} runs already", self.config.name);
        let config = self.config.clone();
        self.node = Some(self.host.run(async move { GeoDns::bind(config).await.unwrap() }).await);
    }

    /// Stops it in good order.
    pub(super) async fn stop(&mut self) {
        let node = self.node.take().unwrap();
        let tasks = node.tasks();
        self.host.run(async move { node.shutdown().await.unwrap() }).await;
        assert_eq!(tasks.running(), BTreeMap::new(), "a name server left tasks behind");
    }

    /// The sum of what it counts under labels that all of these are part of: `["verge_dns_queries_total{", "type=\"A\""]`.
    pub(super) async fn count(&self, labels: &[&str]) -> u64 {
        let url = format!("http://{}/metrics", self.node.as_ref().unwrap().private_addr());
        let text = async move {
            let client = Client::builder().no_proxy().tls_certs_only([]).pool_max_idle_per_host(0).build().unwrap();
            client.get(url).send().await.unwrap().text().await.unwrap()
        };
        let text = self.host.run(text).await;
        let meant = text.lines().filter(|line| labels.iter().all(|label| line.contains(label)));
        meant.map(|line| line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()).sum()
    }

    pub(super) async fn end(mut self) {
        if self.node.is_some() {
            self.stop().await;
        }
        self.host.stop().await;
    }
}
