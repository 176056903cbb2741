//! An origin and its edges in this process, and a person who pushes and reads.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{HOST, HeaderMap};
use tempfile::TempDir;
use tokio::runtime::Handle;
use verge::Output;
use verge::client::{Client, Token};
use verge::output::OutputOptions;
use verge::push::{Push, PushError, Pushed};
use verge::scan::Options;
use verge::upload::RetryPolicy;
use verge_daemon::{Clock, Secret};
use verge_edge::Edge;
use verge_origin::Origin;
use verge_protocol::api::{self, Provenance, Status};
use verge_protocol::{ChannelName, EdgeName, SiteName, Timestamp};

use crate::until::{STUCK, until};

/// A cluster. To be ended by [`World::stop`], which fails if a task was left behind.
pub struct World {
    /// Everything on disk: `origin/`, `edge-0/` and on.
    pub folder: TempDir,
    /// The wall clock of all daemons.
    pub clock: Clock,
    origin: Option<Origin>,
    origin_address: SocketAddr,
    edges: Vec<Seat>,
    admin_token: String,
    http: reqwest::Client,
}

/// The place of an edge, whether it runs or not.
struct Seat {
    name: EdgeName,
    token: Secret,
    /// Where it speaks to the origin.
    origin: SocketAddr,
    /// Where it served last.
    address: SocketAddr,
    edge: Option<Edge>,
}

/// What a reader got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// A header's value; empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl World {
    /// An origin and this many edges, caught up.
    pub async fn start(edges: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Timestamp(1_800_000_000_000));
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let origin = bind_origin(folder.path(), any_port, &clock).await;
        let mut world = Self {
            origin_address: origin.address(),
            admin_token: origin.admin_token().expose().to_owned(),
            origin: Some(origin),
            folder,
            clock,
            edges: Vec::new(),
            http: reqwest::Client::builder().no_proxy().build().unwrap(),
        };
        for _ in 0..edges {
            world.add_edge(world.origin_address).await;
        }
        world.caught_up().await;
        world
    }

    /// Adds an edge that speaks to the origin through `origin`: the origin itself, or something in between.
    pub async fn add_edge(&mut self, origin: SocketAddr) -> usize {
        let number = self.edges.len();
        let name: EdgeName = format!("edge-{number}").parse().unwrap();
        let token = Secret::new(self.client().issue_edge_token(&name).await.unwrap().token);
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        self.edges.push(Seat { name, token, origin, address, edge: None });
        self.start_edge(number).await;
        number
    }

    /// Starts an edge again, where it served before.
    pub async fn start_edge(&mut self, number: usize) {
        let data = self.edge_folder(number);
        let seat = &mut self.edges[number];
        assert!(seat.edge.is_none(), "{} runs already", seat.name);
        let origin = format!("http://{}", seat.origin).parse().unwrap();
        let config = verge_edge::Config {
            listen: vec![seat.address.into()],
            drain_timeout: Duration::from_secs(5),
            ..verge_edge::Config::new(seat.name.clone(), origin, seat.token.clone(), data)
        };
        let edge = Edge::bind_at(config, self.clock.clone()).await.unwrap();
        seat.address = edge.public_addr();
        seat.edge = Some(edge);
    }

    /// Stops an edge in good order.
    pub async fn stop_edge(&mut self, number: usize) {
        let edge = self.edges[number].edge.take().unwrap();
        let tasks = edge.tasks();
        edge.shutdown().await.unwrap();
        assert_eq!(tasks.running(), BTreeMap::new(), "an edge left tasks behind");
    }

    /// Stops the origin in good order.
    pub async fn stop_origin(&mut self) {
        self.origin.take().unwrap().shutdown().await.unwrap();
    }

    /// Starts the origin again, where it was.
    pub async fn start_origin(&mut self) {
        self.origin = Some(bind_origin(self.folder.path(), self.origin_address, &self.clock).await);
    }

    /// Where the origin's API is.
    pub fn origin_address(&self) -> SocketAddr {
        self.origin_address
    }

    /// Where an edge serves.
    pub fn edge_address(&self, number: usize) -> SocketAddr {
        self.edges[number].address
    }

    /// What an edge keeps.
    pub fn edge_folder(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("edge-{number}"))
    }

    /// How many edges there are.
    pub fn edges(&self) -> std::ops::Range<usize> {
        0..self.edges.len()
    }

    /// Speaks to the origin as its administrator.
    pub fn client(&self) -> Client {
        self.client_through(self.origin_address)
    }

    /// The same, through something in between.
    pub fn client_through(&self, address: SocketAddr) -> Client {
        Client::new(format!("http://{address}").parse().unwrap(), &Token::new(&self.admin_token)).unwrap()
    }

    /// The position of the origin.
    pub async fn status(&self) -> Status {
        self.client().get("/v1/status").await.unwrap()
    }

    /// The edges, as the origin knows them.
    pub async fn reported_edges(&self) -> Vec<api::Edge> {
        self.client().get("/v1/edges").await.unwrap()
    }

    /// Waits until every running edge serves all that the origin has.
    pub async fn caught_up(&self) {
        self.until("every edge has caught up", async || {
            let (position, edges) = (self.status().await.position, self.reported_edges().await);
            let running = self.edges.iter().filter(|seat| seat.edge.is_some());
            running.into_iter().all(|seat| {
                let edge = edges.iter().find(|edge| edge.name == seat.name);
                edge.is_some_and(|edge| {
                    edge.live
                        && edge.applied.is_some_and(|applied| applied.includes(position))
                        && edge.lagging.is_empty()
                })
            })
        })
        .await;
    }

    /// Waits for a condition; fails if it takes for ever.
    pub async fn until(&self, what: impl Debug, condition: impl AsyncFn() -> bool) {
        until(what, condition).await;
    }

    /// Pushes a folder of these files, as `verge push` does.
    pub async fn push(&self, site: &str, files: &[(&str, &str)]) -> Pushed {
        self.try_push(&self.client(), site, files).await.unwrap()
    }

    /// The same, by a client of one's own, which may fail.
    pub async fn try_push(&self, client: &Client, site: &str, files: &[(&str, &str)]) -> Result<Pushed, PushError> {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        self.push_folder(client, site, folder.path()).await
    }

    /// Pushes a folder.
    pub async fn push_folder(&self, client: &Client, site: &str, folder: &Path) -> Result<Pushed, PushError> {
        let push = Push {
            client,
            site: &site.parse::<SiteName>().unwrap(),
            channel: &ChannelName::live(),
            dir: folder,
            options: Options { force: true, ..Options::default() },
            provenance: Provenance::default(),
            wait: true,
            retry: RetryPolicy { max_attempts: 20, initial_pause: Duration::from_millis(5) },
        };
        push.run(&Output::new(std::io::sink(), std::io::sink(), OutputOptions::default())).await
    }

    /// Reads a path of a site at one edge.
    pub async fn get(&self, edge: usize, site: &str, path: &str) -> Answer {
        self.get_with(edge, site, path, &[]).await.unwrap()
    }

    /// The same, with headers of one's own; an error if the answer breaks off.
    pub async fn get_with(
        &self,
        edge: usize,
        site: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.http.get(format!("http://{}{path}", self.edges[edge].address));
        request = request.header(HOST, format!("{site}.localhost"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Answer { status, headers, body: response.bytes().await? })
    }

    /// A metric of an edge, as its private listener tells it.
    pub async fn edge_metric(&self, edge: usize, name: &str) -> f64 {
        let address = self.edges[edge].edge.as_ref().unwrap().private_addr();
        metric(&self.http, address, name).await
    }

    /// A metric of the origin.
    pub async fn origin_metric(&self, name: &str) -> f64 {
        metric(&self.http, self.origin.as_ref().unwrap().private_address(), name).await
    }

    /// Waits until an edge holds every blob that the origin has; but for manifests, which edges keep as files of their own.
    pub async fn prefetched(&self, edge: usize) {
        let origin = self.folder.path().join("origin/objects/blobs");
        let edge = self.edge_folder(edge);
        self.until("the edge holds every blob", async || {
            let (held, manifests) = (names_below(&edge.join("blobs")), names_in(&edge.join("manifests")));
            names_below(&origin).iter().all(|name| held.contains(name) || manifests.contains(name))
        })
        .await;
    }

    /// Ends everything, and fails if a task was left behind.
    pub async fn stop(mut self) {
        for number in self.edges() {
            if self.edges[number].edge.is_some() {
                self.stop_edge(number).await;
            }
        }
        if self.origin.is_some() {
            self.stop_origin().await;
        }
        // Connections of clients end when they are dropped, a moment later.
        drop(self.http);
        let metrics = Handle::current().metrics();
        let gone = async {
            while metrics.num_alive_tasks() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let gone = tokio::time::timeout(STUCK, gone).await;
        assert!(gone.is_ok(), "{} tasks were left behind", metrics.num_alive_tasks());
    }
}

async fn bind_origin(folder: &Path, address: SocketAddr, clock: &Clock) -> Origin {
    let config = verge_origin::Config {
        listen: address.into(),
        encode_budget: Duration::ZERO,
        drain_timeout: Duration::from_secs(5),
        ..verge_origin::Config::new(folder.join("origin"), "http://localhost:80".parse().unwrap())
    };
    Origin::bind_at(config, clock.clone()).await.unwrap()
}

async fn metric(http: &reqwest::Client, address: SocketAddr, name: &str) -> f64 {
    let text = http.get(format!("http://{address}/metrics")).send().await.unwrap().text().await.unwrap();
    let values = text.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit_once(' '));
    values.map(|(_, value)| value.parse::<f64>().unwrap()).sum()
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return BTreeSet::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn names_below(folder: &Path) -> BTreeSet<String> {
    names_in(folder).iter().flat_map(|name| names_in(&folder.join(name))).collect()
}
