//! A small internet: three regions with an edge and readers each, two name servers and the one above them, and resolvers as
//! providers run them.
//!
//! | | Europe | America | Asia |
//! |---|---|---|---|
//! | edges | `fra-1` | `nyc-1` | `sin-1` |
//! | name servers | `ns-1` | `ns-2` | that of `test`, which delegates `verge.test` to both |
//! | resolvers | [`Unbound`](Resolver::Unbound) | [`Recursor`](Resolver::Recursor) | [`Silent`](Resolver::Silent) |
//! | readers | two, in one /24 and in two /48s | one | one |

mod edge;
mod name_servers;
mod node;
mod origin;
mod plan;
mod reader;
mod region;
mod resolver;
mod stub;

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use futures_util::future::join_all;
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use self::edge::EdgeSeat;
use self::node::NodeSeat;
use self::origin::OriginSeat;
use self::resolver::Upstream;
use crate::hosts::{self, Host, Program, Router};
use crate::until::until;

pub use self::plan::{Places, Plan};
pub use self::reader::{Read, Readers};
pub use self::region::Region;
pub use self::resolver::Resolver;
pub use self::stub::Reply;

/// The zone that sites are in.
const BASE: &str = "verge.test";
/// The one site.
const SITE: &str = "demo";
/// Where it is.
pub const NAME: &str = "demo.verge.test";

/// A small internet. To be ended by [`Internet::stop`], which fails if a task was left behind.
pub struct Internet {
    /// What it is like.
    pub plan: Plan,
    router: Router,
    origin: OriginSeat,
    edges: Vec<EdgeSeat>,
    above: NodeSeat,
    nodes: Vec<NodeSeat>,
    resolvers: Vec<(Host, Program)>,
    clients: Vec<(Region, Host)>,
    _folder: TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// Half a hundred threads and three foreign daemons are enough at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

impl Internet {
    /// Why there can be none on this machine; `None`: there can.
    pub fn missing() -> Option<String> {
        hosts::missing(&Resolver::PROGRAMS)
    }

    /// Starts everything, with a release that every edge serves and every name server knows. Nobody has asked a resolver of it.
    pub async fn start(plan: Plan) -> Self {
        let alone = ALONE.lock().await;
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path();
        let mut router = Router::start().await;

        let host = router.add("origin", Region::Europe.v4(5), Region::Europe.v6(0, 5)).await;
        let origin = OriginSeat::start(host, folder.join("origin")).await;
        let mut edges = Vec::new();
        for region in Region::ALL {
            let name = region.edge();
            let host = router.add(name.as_str(), region.v4(10), region.v6(0, 10)).await;
            edges.push(EdgeSeat::start(region, host, &origin, folder.join(name.as_str()), &plan).await);
        }
        origin.push("release 1").await;

        let (above, nodes) = name_servers::start(&mut router, &origin, &plan, folder).await;
        let addresses: Vec<Ipv4Addr> = nodes.iter().map(|seat| seat.host.v4()).collect();
        let upstream = Upstream { parent: above.host.v4(), nodes: &addresses };
        let mut resolvers = Vec::new();
        for (region, resolver) in Region::ALL.into_iter().zip(Resolver::ALL) {
            let name = format!("{resolver:?}").to_lowercase();
            let host = router.add(&name, region.v4(60), region.v6(0, 60)).await;
            let program = resolver.start(&host, &upstream, &folder.join(name)).await;
            resolvers.push((host, program));
        }
        let mut clients = Vec::new();
        for (region, number) in [(Region::Europe, 1), (Region::America, 1), (Region::Asia, 1), (Region::Europe, 2)] {
            let name = format!("{region:?}-{number}").to_lowercase();
            clients.push((region, router.add(&name, region.v4(100 + number), region.v6(number, 1)).await));
        }
        let mut internet =
            Self { plan, router, origin, edges, above, nodes, resolvers, clients, _folder: temporary, _alone: alone };
        internet.ready().await;
        internet
    }

    async fn ready(&mut self) {
        self.caught_up().await;
        for node in &self.nodes {
            let address = IpAddr::V4(node.host.v4());
            until("a name server knows the edges", async || {
                let named = self.ask_at(0, address, NAME, RecordType::A).await;
                named.is_some_and(|named| named.addresses.len() == self.plan.answers.answers)
            })
            .await;
        }
        for resolver in Resolver::ALL {
            self.resolvers[resolver as usize].1.assert_runs();
            until("a resolver answers", async || {
                let found = self.ask(0, resolver, "ns.test", RecordType::A).await;
                found.is_some_and(|found| found.code == ResponseCode::NoError)
            })
            .await;
        }
    }

    /// Waits until every edge serves all that the origin has.
    pub async fn caught_up(&self) {
        self.caught_up_in(&Region::ALL).await;
    }

    /// The same for the edges of some regions.
    pub async fn caught_up_in(&self, regions: &[Region]) {
        until("edges have caught up", async || {
            let (status, edges) = self.origin.status().await;
            regions.iter().all(|region| {
                let edge = edges.iter().find(|edge| edge.name == region.edge());
                edge.is_some_and(|edge| {
                    edge.live && edge.applied.is_some_and(|applied| applied.includes(status.position))
                })
            })
        })
        .await;
    }

    /// The clients, by number: one in each region, in the order of [`Region::ALL`], and another one in Europe.
    pub fn clients(&self) -> impl Iterator<Item = (usize, Region)> {
        self.clients.iter().enumerate().map(|(number, (region, _))| (number, *region))
    }

    /// What a client is told by a resolver; `None`: nothing, for five seconds.
    pub async fn ask(&self, client: usize, resolver: Resolver, name: &str, record_type: RecordType) -> Option<Reply> {
        self.ask_over(false, client, resolver, name, record_type).await
    }

    /// The same, over IPv4 or IPv6.
    pub async fn ask_over(
        &self,
        v6: bool,
        client: usize,
        resolver: Resolver,
        name: &str,
        record_type: RecordType,
    ) -> Option<Reply> {
        let address = self.resolvers[resolver as usize].0.addresses()[usize::from(v6)];
        self.ask_at(client, address, name, record_type).await
    }

    /// Asks for the site until each resolver leads each client to the edge that is for the region where the client is taken to
    /// be; how long that took.
    pub async fn until_led(&self, to: impl Fn(Region) -> Region) -> Duration {
        let start = Instant::now();
        let led = self.clients().flat_map(|client| Resolver::ALL.map(|resolver| (client, resolver)));
        let led = led.map(async |((client, region), resolver)| {
            let edge = self.edge(to(resolver.places(region)))[0];
            until(format!("{resolver:?} leads a client in {region:?} to {edge}"), async || {
                tokio::time::sleep(Duration::from_millis(50)).await;
                let reply = self.ask(client, resolver, NAME, RecordType::A).await;
                reply.is_some_and(|reply| reply.addresses == [edge])
            })
            .await;
        });
        join_all(led).await;
        start.elapsed()
    }

    async fn ask_at(&self, client: usize, address: IpAddr, name: &str, record_type: RecordType) -> Option<Reply> {
        let name = name.to_owned();
        self.clients[client].1.run(async move { stub::ask(address, &name, record_type).await }).await
    }

    /// The addresses of a region's edge, IPv4 and IPv6.
    pub fn edge(&self, region: Region) -> [IpAddr; 2] {
        self.edges[region as usize].host.addresses()
    }

    /// How many questions for a type both name servers have answered.
    pub async fn questions(&self, record_type: RecordType) -> u64 {
        let labels = ["verge_dns_queries_total{", "zone=\"verge.test\"", &format!("type=\"{record_type}\"")];
        let mut sum = 0;
        for node in &self.nodes {
            sum += node.count(&labels).await;
        }
        sum
    }

    /// Makes a release whose page is this, and waits for no edge.
    pub async fn push(&self, page: &str) {
        self.origin.push(page).await;
    }

    /// Lets an edge say that it is draining, and serve until no reader should be sent there any more.
    pub async fn edge_leaves(&mut self, region: Region) {
        self.edges[region as usize].leave().await;
    }

    /// Stops an edge in good order, without leaving first: who connects is refused.
    pub async fn stop_edge(&mut self, region: Region) {
        self.edges[region as usize].stop().await;
    }

    /// Starts it again.
    pub async fn start_edge(&mut self, region: Region) {
        self.edges[region as usize].resume().await;
    }

    /// Cuts an edge off from everybody, without a word.
    pub async fn cut_edge(&self, region: Region) {
        self.router.cut(&self.edges[region as usize].host).await;
    }

    /// Cuts an edge off from the origin only.
    pub async fn part_from_origin(&self, region: Region) {
        self.router.part(&self.edges[region as usize].host, &self.origin.host).await;
    }

    /// Undoes [`Internet::part_from_origin`].
    pub async fn join_with_origin(&self, region: Region) {
        self.router.join(&self.edges[region as usize].host, &self.origin.host).await;
    }

    /// Stops a name server in good order: who asks is refused.
    pub async fn stop_node(&mut self, number: usize) {
        self.nodes[number].stop().await;
    }

    /// Starts it again.
    pub async fn start_node(&mut self, number: usize) {
        self.nodes[number].resume().await;
    }

    /// Cuts a name server off from everybody, without a word.
    pub async fn cut_node(&self, number: usize) {
        self.router.cut(&self.nodes[number].host).await;
    }

    /// Undoes [`Internet::cut_node`].
    pub async fn mend_node(&self, number: usize) {
        self.router.mend(&self.nodes[number].host).await;
    }

    /// Lets so many readers for each client and resolver read the site all the time.
    pub async fn read(&self, each: usize) -> Readers {
        Readers::start(&self.clients, &self.resolvers, each).await
    }

    /// Ends everything, and fails if a task was left behind or a resolver has ended before.
    pub async fn stop(self) {
        for (host, mut program) in self.resolvers {
            program.assert_runs();
            drop(program);
            host.stop().await;
        }
        for node in self.nodes {
            node.end().await;
        }
        self.above.end().await;
        for edge in self.edges {
            edge.end().await;
        }
        self.origin.end().await;
        for (_, host) in self.clients {
            host.stop().await;
        }
        self.router.stop().await;
    }
}
