//! A host with the origin and its administrator.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use verge::client::{Client, Token};
use verge_daemon::origins::OriginUrl;
use verge_daemon::{Clock, Secret};
use verge_origin::{Config, Origin};
use verge_protocol::api::{Edge, EdgeSettings};
use verge_protocol::fleet::EdgeState;
use verge_protocol::{EdgeName, NameServerName};
use verge_test_kit::until;

use super::config::{BASE_DOMAIN, SITE};
use super::region::Region;
use crate::hosts::Host;
use crate::push::push_files;

const PORT: u16 = 7400;

/// A host with a running origin and a client that has the administrator token.
pub(super) struct OriginHost {
    pub(super) host: Host,
    origin: Box<Origin>,
    client: Client,
}

impl OriginHost {
    pub(super) async fn start(host: Host, data: PathBuf) -> Self {
        let config = Config {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into(),
            encode_budget: Duration::ZERO,
            drain_timeout: Duration::from_secs(5),
            ..Config::new(data, format!("http://{BASE_DOMAIN}").parse().unwrap())
        };
        let bind = async move { Box::new(Origin::bind_with_clock(config, Clock::system()).await.unwrap()) };
        let origin = host.run(bind).await;
        let url = format!("http://{}:{PORT}", Ipv4Addr::LOCALHOST);
        let client = Client::new(url.parse().unwrap(), &Token::new(origin.admin_token().expose())).unwrap();
        Self { host, origin, client }
    }

    /// Its URL for other hosts.
    pub(super) fn url(&self) -> OriginUrl {
        OriginUrl::insecure(&format!("http://{}:{PORT}", self.host.v4())).unwrap()
    }

    /// Registers the edge of a region on `host`. Returns its token.
    pub(super) async fn register_edge(&self, region: Region, host: &Host) -> Secret {
        let (client, name) = (self.client.clone(), region.edge());
        let settings = EdgeSettings {
            addresses: host.addresses().to_vec(),
            port: EdgeState::PORT,
            scheme: None,
            location: Some(region.location()),
            regions: BTreeSet::new(),
            weight: EdgeState::WEIGHT,
        };
        let register = async move {
            client.put::<EdgeState>(&format!("/v1/edges/{name}"), &settings).await.unwrap();
            Secret::new(client.issue_edge_token(&name).await.unwrap().token)
        };
        self.host.run(register).await
    }

    /// Registers a name server. Returns its token.
    pub(super) async fn issue_name_server_token(&self, name: &NameServerName) -> Secret {
        let (client, name) = (self.client.clone(), name.clone());
        self.host.run(async move { Secret::new(client.issue_name_server_token(&name).await.unwrap().token) }).await
    }

    /// Waits until these edges have applied everything that the origin has.
    pub(super) async fn wait_until_caught_up(&self, edges: &[EdgeName]) {
        self.origin.wait_until_caught_up(edges).await;
    }

    /// Waits until no edge is live for the origin.
    pub(super) async fn wait_until_none_live(&self) {
        let client = self.client.clone();
        let wait = async move || {
            until("no edge to be live", async || {
                let edges: Vec<Edge> = client.get("/v1/edges").await.unwrap();
                edges.iter().all(|edge| !edge.live)
            })
            .await;
        };
        self.host.run_in_place(wait).await;
    }

    /// Makes a release of the site with this page. Does not wait for edges.
    pub(super) async fn push(&self, page: &str) {
        let (client, page) = (self.client.clone(), page.to_owned());
        let push = async move || {
            push_files(&client, SITE, &[("index.html", &page)], false).await.unwrap();
        };
        self.host.run_in_place(push).await;
    }

    /// Shuts the origin down and stops the host.
    pub(super) async fn stop(self) {
        let Self { host, origin, client } = self;
        drop(client);
        host.run(async move { origin.shutdown().await.unwrap() }).await;
        host.stop().await;
    }
}
