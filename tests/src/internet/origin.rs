//! The place of the origin, and of the person who has its administrator's token.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use verge::Output;
use verge::client::{Client, Token};
use verge::output::OutputOptions;
use verge::push::Push;
use verge::scan::Options;
use verge::upload::RetryPolicy;
use verge_daemon::origins::OriginUrl;
use verge_daemon::{Clock, Secret};
use verge_origin::{Config, Origin};
use verge_protocol::api::{Edge, EdgeSettings, Provenance, Status};
use verge_protocol::fleet::EdgeState;
use verge_protocol::{ChannelName, NameServerName};

use super::{BASE, Region, SITE};
use crate::hosts::Host;

const PORT: u16 = 7400;

/// A running origin, and its administrator on the same machine.
pub(super) struct OriginSeat {
    pub(super) host: Host,
    origin: Origin,
    client: Client,
}

impl OriginSeat {
    pub(super) async fn start(host: Host, data: PathBuf) -> Self {
        let config = Config {
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, PORT)).into(),
            encode_budget: Duration::ZERO,
            drain_timeout: Duration::from_secs(5),
            ..Config::new(data, format!("http://{BASE}").parse().unwrap())
        };
        let origin = host.run(async move { Origin::bind_at(config, Clock::system()).await.unwrap() }).await;
        let address = format!("http://{}:{PORT}", Ipv4Addr::LOCALHOST);
        let client = Client::new(address.parse().unwrap(), &Token::new(origin.admin_token().expose())).unwrap();
        Self { host, origin, client }
    }

    /// Where others find it.
    pub(super) fn url(&self) -> OriginUrl {
        OriginUrl::insecure(&format!("http://{}:{PORT}", self.host.v4())).unwrap()
    }

    /// Takes an edge at `host` into the fleet: its token.
    pub(super) async fn enlist(&self, region: Region, host: &Host) -> Secret {
        let (client, name) = (self.client.clone(), region.edge());
        let settings = EdgeSettings {
            addresses: host.addresses().to_vec(),
            port: EdgeState::PORT,
            location: Some(region.place()),
            regions: BTreeSet::new(),
            weight: EdgeState::WEIGHT,
        };
        let enlist = async move {
            client.put::<EdgeState>(&format!("/v1/edges/{name}"), &settings).await.unwrap();
            Secret::new(client.issue_edge_token(&name).await.unwrap().token)
        };
        self.host.run(enlist).await
    }

    /// A token for a name server.
    pub(super) async fn node_token(&self, name: &NameServerName) -> Secret {
        let (client, name) = (self.client.clone(), name.clone());
        self.host.run(async move { Secret::new(client.issue_name_server_token(&name).await.unwrap().token) }).await
    }

    /// Its position, and its edges.
    pub(super) async fn status(&self) -> (Status, Vec<Edge>) {
        let client = self.client.clone();
        let requests = async move { (client.get("/v1/status").await.unwrap(), client.get("/v1/edges").await.unwrap()) };
        self.host.run(requests).await
    }

    /// Makes a release of the site whose page is this, and waits for no edge.
    pub(super) async fn push(&self, page: &str) {
        let (client, page) = (self.client.clone(), page.to_owned());
        let push = async move || {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("index.html"), page).unwrap();
            let push = Push {
                client: &client,
                site: &SITE.parse().unwrap(),
                channel: &ChannelName::live(),
                dir: folder.path(),
                options: Options { force: true, ..Options::default() },
                provenance: Provenance::default(),
                wait: false,
                retry: RetryPolicy { max_attempts: 20, initial_pause: Duration::from_millis(5) },
            };
            push.run(&Output::new(std::io::sink(), std::io::sink(), OutputOptions::default())).await.unwrap();
        };
        self.host.run_in_place(push).await;
    }

    pub(super) async fn end(self) {
        let Self { host, origin, client } = self;
        drop(client);
        host.run(async move { origin.shutdown().await.unwrap() }).await;
        host.stop().await;
    }
}
