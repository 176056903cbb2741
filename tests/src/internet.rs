//! A small internet: three regions with an edge and readers each, two name servers for the zone of the sites and one for its parent
//! zone, and resolvers as providers run them.
//!
//! | | Europe | America | Asia |
//! |---|---|---|---|
//! | edges | `fra-1` | `nyc-1` | `sin-1` |
//! | name servers | `ns-1` | `ns-2` | that of `test`, which delegates `verge.test` to both |
//! | resolvers | [`Unbound`](Resolver::Unbound) | [`Recursor`](Resolver::Recursor) | [`UnboundWithoutEcs`](Resolver::UnboundWithoutEcs) |
//! | clients | two, in one /24 and in two /48s | one | one |

mod config;
mod edge;
mod name_servers;
mod origin;
mod readers;
mod region;
mod resolver;
mod stub_resolver;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use futures_util::future::join_all;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;
use verge_protocol::EdgeName;
use verge_test_kit::{in_time, until};

use self::edge::EdgeHost;
use self::name_servers::NameServers;
use self::origin::OriginHost;
use self::resolver::Upstream;
use crate::hosts::{self, Host, Process, Router};

pub use self::config::{InternetConfig, LocationSource, SITE_DOMAIN};
pub use self::readers::{PageLoad, Readers};
pub use self::region::Region;
pub use self::resolver::Resolver;
pub use self::stub_resolver::DnsResponse;

/// A small internet. Must be stopped by [`Internet::stop`], which fails if a task still runs.
pub struct Internet {
    /// Its configuration.
    pub config: InternetConfig,
    router: Router,
    origin: OriginHost,
    /// In the order of [`Region::ALL`].
    edges: Vec<EdgeHost>,
    name_servers: NameServers,
    /// In the order of [`Resolver::ALL`].
    resolvers: Vec<(Host, Process)>,
    clients: Vec<(Region, Host)>,
    _folder: TempDir,
    _running: MutexGuard<'static, ()>,
}

/// Held while a small internet runs: each has about fifty threads and three resolvers, so there is only one at a time.
static RUNNING: Mutex<()> = Mutex::const_new(());

impl Internet {
    /// The reason why it cannot run on this machine; `None`: it can.
    pub fn missing_requirement() -> Option<String> {
        hosts::missing_requirement(&Resolver::PROGRAMS)
    }

    /// Starts everything, with a release that every edge serves and every name server knows. No resolver has been queried for it.
    pub async fn start(config: InternetConfig) -> Self {
        let running = RUNNING.lock().await;
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path();
        let mut router = Router::start().await;

        let host = router.add_host("origin", Region::Europe.v4(5), Region::Europe.v6(0, 5)).await;
        let origin = OriginHost::start(host, folder.join("origin")).await;
        let mut edges = Vec::new();
        for region in Region::ALL {
            let name = region.edge();
            let host = router.add_host(name.as_str(), region.v4(10), region.v6(0, 10)).await;
            edges.push(EdgeHost::start(region, host, &origin, folder.join(name.as_str()), &config).await);
        }
        origin.push("release 1").await;

        let name_servers = NameServers::start(&mut router, &origin, &config, folder).await;
        let ecs_servers: Vec<Ipv4Addr> = name_servers.sites.iter().map(|server| server.host.v4()).collect();
        let upstream = Upstream { parent: name_servers.parent.host.v4(), ecs_servers: &ecs_servers };
        let mut resolvers = Vec::new();
        for (region, resolver) in Region::ALL.into_iter().zip(Resolver::ALL) {
            let name = format!("{resolver:?}").to_lowercase();
            let host = router.add_host(&name, region.v4(60), region.v6(0, 60)).await;
            let process = resolver.start(&host, &upstream, &folder.join(name)).await;
            resolvers.push((host, process));
        }
        let mut clients = Vec::new();
        for (region, number) in [(Region::Europe, 1), (Region::America, 1), (Region::Asia, 1), (Region::Europe, 2)] {
            let name = format!("{region:?}-{number}").to_lowercase();
            clients.push((region, router.add_host(&name, region.v4(100 + number), region.v6(number, 1)).await));
        }
        let mut internet = Self {
            config,
            router,
            origin,
            edges,
            name_servers,
            resolvers,
            clients,
            _folder: temporary,
            _running: running,
        };
        internet.until_ready().await;
        internet
    }

    async fn until_ready(&mut self) {
        self.until_caught_up(&Region::ALL).await;
        for name_server in &self.name_servers.sites {
            let address = IpAddr::V4(name_server.host.v4());
            until("a name server to know the edges", async || {
                let response = self.query_at(0, address, SITE_DOMAIN, RecordType::A).await;
                response.is_some_and(|response| response.addresses.len() == self.config.answers.answers)
            })
            .await;
        }
        for resolver in Resolver::ALL {
            self.resolvers[resolver as usize].1.assert_running();
            until("a resolver to answer", async || {
                let response = self.query(0, resolver, "ns.test", RecordType::A).await;
                response.is_some_and(|response| response.code == ResponseCode::NoError)
            })
            .await;
        }
    }

    /// Waits until the edges of these regions have applied everything that the origin has.
    pub async fn until_caught_up(&self, regions: &[Region]) {
        let edges: Vec<EdgeName> = regions.iter().map(|region| region.edge()).collect();
        in_time("edges to catch up", self.origin.wait_until_caught_up(&edges)).await;
    }

    /// Waits until no edge is live for the origin.
    pub async fn until_none_live(&self) {
        self.origin.wait_until_none_live().await;
    }

    /// The numbers and regions of the clients: one in each region, in the order of [`Region::ALL`], and a second one in Europe.
    pub fn clients(&self) -> impl Iterator<Item = (usize, Region)> {
        self.clients.iter().enumerate().map(|(number, (region, _))| (number, *region))
    }

    /// Sends a query from a client to a resolver; `None`: no response within five seconds.
    pub async fn query(
        &self,
        client: usize,
        resolver: Resolver,
        name: &str,
        record_type: RecordType,
    ) -> Option<DnsResponse> {
        self.query_over(false, client, resolver, name, record_type).await
    }

    /// Like [`Internet::query`], over IPv6 or IPv4.
    pub async fn query_over(
        &self,
        v6: bool,
        client: usize,
        resolver: Resolver,
        name: &str,
        record_type: RecordType,
    ) -> Option<DnsResponse> {
        let address = self.resolvers[resolver as usize].0.addresses()[usize::from(v6)];
        self.query_at(client, address, name, record_type).await
    }

    async fn query_at(
        &self,
        client: usize,
        address: IpAddr,
        name: &str,
        record_type: RecordType,
    ) -> Option<DnsResponse> {
        let name = name.to_owned();
        self.clients[client].1.run(async move { stub_resolver::query(address, &name, record_type).await }).await
    }

    /// Waits until each resolver routes each client to the edge of `expected(region)`, where `region` is the one in which name
    /// servers locate the client. Returns how long that took.
    pub async fn until_routed(&self, expected: impl Fn(Region) -> Region) -> Duration {
        let start = Instant::now();
        let pairs = self.clients().flat_map(|client| Resolver::ALL.map(|resolver| (client, resolver)));
        let waits = pairs.map(async |((client, region), resolver)| {
            let edge = self.edge_addresses(expected(resolver.apparent_region(region)))[0];
            until(format!("{resolver:?} to route a client in {region:?} to {edge}"), async || {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let response = self.query(client, resolver, SITE_DOMAIN, RecordType::A).await;
                response.is_some_and(|response| response.addresses == [edge])
            })
            .await;
        });
        join_all(waits).await;
        start.elapsed()
    }

    /// The addresses of a region's edge, IPv4 first.
    pub fn edge_addresses(&self, region: Region) -> [IpAddr; 2] {
        self.edges[region as usize].host.addresses()
    }

    /// The number of queries for a record type that the two name servers of the sites have answered.
    pub async fn query_count(&self, record_type: RecordType) -> u64 {
        let parts = ["verge_dns_queries_total{", "zone=\"verge.test\"", &format!("type=\"{record_type}\"")];
        let mut sum = 0;
        for name_server in &self.name_servers.sites {
            sum += name_server.metric_sum(&parts).await;
        }
        sum
    }

    /// Makes a release with this page. Does not wait for edges.
    pub async fn push(&self, page: &str) {
        self.origin.push(page).await;
    }

    /// Makes an edge announce that it is draining. Returns when no reader should be routed to it any more; until then it serves.
    pub async fn drain_edge(&mut self, region: Region) {
        self.edges[region as usize].drain_edge().await;
    }

    /// Shuts an edge down without draining it: its host refuses connections.
    pub async fn stop_edge(&mut self, region: Region) {
        self.edges[region as usize].stop_edge().await;
    }

    /// Starts a stopped edge.
    pub async fn start_edge(&mut self, region: Region) {
        self.edges[region as usize].start_edge().await;
    }

    /// Drops all packets from and to an edge silently.
    pub async fn isolate_edge(&self, region: Region) {
        self.router.isolate(&self.edges[region as usize].host).await;
    }

    /// Drops all packets between an edge and the origin silently.
    pub async fn disconnect_from_origin(&self, region: Region) {
        self.router.disconnect(&self.edges[region as usize].host, &self.origin.host).await;
    }

    /// Undoes [`Internet::disconnect_from_origin`].
    pub async fn reconnect_to_origin(&self, region: Region) {
        self.router.reconnect(&self.edges[region as usize].host, &self.origin.host).await;
    }

    /// Shuts a name server down: its host rejects queries.
    pub async fn stop_name_server(&mut self, number: usize) {
        self.name_servers.sites[number].stop_name_server().await;
    }

    /// Starts a stopped name server.
    pub async fn start_name_server(&mut self, number: usize) {
        self.name_servers.sites[number].start_name_server().await;
    }

    /// Drops all packets from and to a name server silently.
    pub async fn isolate_name_server(&self, number: usize) {
        self.router.isolate(&self.name_servers.sites[number].host).await;
    }

    /// Undoes [`Internet::isolate_name_server`].
    pub async fn rejoin_name_server(&self, number: usize) {
        self.router.rejoin(&self.name_servers.sites[number].host).await;
    }

    /// Starts `per_resolver` readers of the site for each pair of client and resolver.
    pub async fn start_readers(&self, per_resolver: usize) -> Readers {
        Readers::start(&self.clients, &self.resolvers, per_resolver).await
    }

    /// Stops everything. Fails if a task still runs or a resolver has exited before.
    pub async fn stop(self) {
        for (host, mut process) in self.resolvers {
            process.assert_running();
            drop(process);
            host.stop().await;
        }
        for name_server in self.name_servers.sites {
            name_server.stop().await;
        }
        self.name_servers.parent.stop().await;
        for edge in self.edges {
            edge.stop().await;
        }
        self.origin.stop().await;
        for (_, host) in self.clients {
            host.stop().await;
        }
        self.router.stop().await;
    }
}
