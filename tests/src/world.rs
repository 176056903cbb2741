//! An origin and its edges in this process, with an administrator who pushes and readers who send requests.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use reqwest::StatusCode;
use reqwest::header::{HOST, HeaderMap};
use tempfile::TempDir;
use tokio::runtime::Handle;
use verge::channel::Lifetime;
use verge::client::{Client, Token};
use verge::push::{PushError, Pushed};
use verge_daemon::{Clock, Secret};
use verge_edge::Edge;
use verge_origin::Origin;
use verge_protocol::api::Status;
use verge_protocol::canary::CanaryPlan;
use verge_protocol::{EdgeName, Position, Timestamp};
use verge_test_kit::{copy_directory, in_time, until};

use crate::push::{push_changed_files, push_files, push_folder, push_preview, push_with_canary};

/// A cluster. Must be stopped by [`World::stop`], which fails if a task still runs.
pub struct World {
    /// The data directories of all daemons: `origin/`, `edge-0/`, `edge-1/` and so on.
    pub folder: TempDir,
    /// The wall clock of all daemons.
    pub clock: Clock,
    origin: Option<Origin>,
    origin_address: SocketAddr,
    edges: Vec<RestartableEdge>,
    admin_token: String,
    http: reqwest::Client,
}

/// An edge, which is running or stopped.
struct RestartableEdge {
    name: EdgeName,
    token: Secret,
    /// The address at which it reaches the origin.
    origin: SocketAddr,
    /// Its public address. Port 0 before the first start.
    address: SocketAddr,
    edge: Option<Edge>,
}

/// The HTTP response to a reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The value of a header; empty if it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl World {
    /// Starts an origin and this many edges. Returns when they have caught up.
    pub async fn start(edges: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Timestamp(1_800_000_000_000));
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        let origin = bind_origin(folder.path(), any_port, &clock).await;
        let mut world = Self {
            origin_address: origin.addr(),
            admin_token: origin.admin_token().expose().to_owned(),
            origin: Some(origin),
            folder,
            clock,
            edges: Vec::new(),
            http: reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap(),
        };
        for _ in 0..edges {
            world.add_edge(world.origin_address).await;
        }
        world.until_caught_up().await;
        world
    }

    /// Adds an edge that reaches the origin at the address `origin`: the origin's own or that of a proxy. Returns the edge's number.
    pub async fn add_edge(&mut self, origin: SocketAddr) -> usize {
        let number = self.edges.len();
        let name: EdgeName = format!("edge-{number}").parse().unwrap();
        let token = Secret::new(self.client().issue_edge_token(&name).await.unwrap().token);
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        self.edges.push(RestartableEdge { name, token, origin, address, edge: None });
        self.start_edge(number).await;
        number
    }

    /// Starts a stopped edge at the address that it had before.
    pub async fn start_edge(&mut self, number: usize) {
        let data = self.edge_data_dir(number);
        let stopped = &mut self.edges[number];
        assert!(stopped.edge.is_none(), "{} is already running", stopped.name);
        let origin = format!("http://{}", stopped.origin).parse().unwrap();
        let config = verge_edge::Config {
            listen: vec![stopped.address.into()],
            drain_timeout: Duration::from_secs(5),
            ..verge_edge::Config::new(stopped.name.clone(), origin, stopped.token.clone(), data)
        };
        let edge = Edge::bind_with_clock(config, self.clock.clone()).await.unwrap();
        stopped.address = edge.public_addr();
        stopped.edge = Some(edge);
    }

    /// Shuts an edge down.
    pub async fn stop_edge(&mut self, number: usize) {
        let edge = self.edges[number].edge.take().unwrap();
        let tasks = edge.tasks();
        edge.shutdown().await.unwrap();
        assert_eq!(tasks.running(), BTreeMap::new(), "tasks of an edge still run after its shutdown");
    }

    /// Shuts the origin down.
    pub async fn stop_origin(&mut self) {
        self.origin.take().unwrap().shutdown().await.unwrap();
    }

    /// Starts the stopped origin at the address that it had before.
    pub async fn start_origin(&mut self) {
        let origin = bind_origin(self.folder.path(), self.origin_address, &self.clock).await;
        origin.admin_token().expose().clone_into(&mut self.admin_token);
        self.origin = Some(origin);
    }

    /// Copies the data directory of the stopped origin, as an operator does. Returns the copy.
    pub fn copy_origin_data(&self) -> PathBuf {
        let copy = self.folder.path().join("origin-copy");
        copy_directory(&self.folder.path().join("origin"), &copy);
        copy
    }

    /// Puts a copy in place of the data directory of the stopped origin; `None`: an empty directory.
    pub fn replace_origin_data(&self, copy: Option<&Path>) {
        let data = self.folder.path().join("origin");
        std::fs::remove_dir_all(&data).unwrap();
        if let Some(copy) = copy {
            copy_directory(copy, &data);
        }
    }

    /// Issues a new token for an edge, and restarts the edge with it.
    pub async fn renew_edge_token(&mut self, number: usize) {
        let name = self.edges[number].name.clone();
        self.edges[number].token = Secret::new(self.client().issue_edge_token(&name).await.unwrap().token);
        self.stop_edge(number).await;
        self.start_edge(number).await;
    }

    /// The address of the origin's API.
    pub fn origin_address(&self) -> SocketAddr {
        self.origin_address
    }

    /// The public address of an edge.
    pub fn edge_address(&self, number: usize) -> SocketAddr {
        self.edges[number].address
    }

    /// The data directory of an edge.
    pub fn edge_data_dir(&self, number: usize) -> PathBuf {
        self.folder.path().join(format!("edge-{number}"))
    }

    /// The numbers of all edges.
    pub fn edges(&self) -> std::ops::Range<usize> {
        0..self.edges.len()
    }

    /// An API client with the administrator token.
    pub fn client(&self) -> Client {
        self.client_through(self.origin_address)
    }

    /// Like [`World::client`], for an origin behind a proxy.
    pub fn client_through(&self, proxy: SocketAddr) -> Client {
        Client::new(format!("http://{proxy}").parse().unwrap(), &Token::new(&self.admin_token)).unwrap()
    }

    /// The origin's position.
    pub async fn position(&self) -> Position {
        self.client().get::<Status>("/v1/status").await.unwrap().position
    }

    /// Waits until every running edge serves everything that the origin has.
    pub async fn until_caught_up(&self) {
        let running = self.edges.iter().filter(|edge| edge.edge.is_some());
        let running: Vec<EdgeName> = running.map(|edge| edge.name.clone()).collect();
        in_time("every edge to catch up", self.origin.as_ref().unwrap().wait_until_caught_up(&running)).await;
    }

    /// Pushes these files, given as path and text, and waits until the edges have confirmed the release.
    pub async fn push(&self, site: &str, files: &[(&str, &str)]) -> Pushed {
        self.try_push(&self.client(), site, files).await.unwrap()
    }

    /// Like [`World::push`], but makes no release of what is live already.
    pub async fn push_changed(&self, site: &str, files: &[(&str, &str)]) -> Pushed {
        push_changed_files(&self.client(), site, files).await.unwrap()
    }

    /// Like [`World::push`], with another client and a push that may fail.
    pub async fn try_push(&self, client: &Client, site: &str, files: &[(&str, &str)]) -> Result<Pushed, PushError> {
        push_files(client, site, files, true).await
    }

    /// Like [`World::try_push`], with a canary first.
    pub async fn push_with_canary(
        &self,
        site: &str,
        files: &[(&str, &str)],
        canary: CanaryPlan,
    ) -> Result<Pushed, PushError> {
        push_with_canary(&self.client(), site, files, canary).await
    }

    /// Like [`World::try_push`], for a folder.
    pub async fn push_folder(&self, client: &Client, site: &str, folder: &Path) -> Result<Pushed, PushError> {
        push_folder(client, site, folder, true).await
    }

    /// Pushes to a channel that is deleted this long after, and waits until the edges have confirmed the release.
    pub async fn push_preview(&self, site: &str, channel: &str, lifetime: Lifetime, files: &[(&str, &str)]) -> Pushed {
        push_preview(&self.client(), site, channel, lifetime, files).await.unwrap()
    }

    /// Sends a GET request for a path of a site to an edge.
    pub async fn get(&self, edge: usize, site: &str, path: &str) -> Response {
        self.get_with(edge, site, path, &[]).await.unwrap()
    }

    /// Like [`World::get`], with these headers added; an error if the response is incomplete.
    pub async fn get_with(
        &self,
        edge: usize,
        site: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<Response, reqwest::Error> {
        let mut request = self.http.get(format!("http://{}{path}", self.edges[edge].address));
        request = request.header(HOST, format!("{site}.localhost"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        Ok(Response { status, headers, body: response.bytes().await? })
    }

    /// The value of an edge's metric, summed over its labels.
    pub async fn edge_metric(&self, edge: usize, name: &str) -> f64 {
        let address = self.edges[edge].edge.as_ref().unwrap().private_addr();
        metric_sum(&self.http, address, name).await
    }

    /// The value of a metric of the origin, summed over its labels.
    pub async fn origin_metric(&self, name: &str) -> f64 {
        metric_sum(&self.http, self.origin.as_ref().unwrap().private_addr(), name).await
    }

    /// Waits until an edge stores every blob that the origin has. Edges store manifests apart from other blobs.
    pub async fn until_prefetched(&self, edge: usize) {
        let origin = self.folder.path().join("origin/objects/blobs");
        let edge = self.edge_data_dir(edge);
        until("the edge to store every blob", async || {
            let (blobs, manifests) = (file_names_below(&edge.join("blobs")), file_names(&edge.join("manifests")));
            file_names_below(&origin).iter().all(|name| blobs.contains(name) || manifests.contains(name))
        })
        .await;
    }

    /// Shuts everything down; fails if tasks do not end.
    pub async fn stop(mut self) {
        for number in self.edges() {
            if self.edges[number].edge.is_some() {
                self.stop_edge(number).await;
            }
        }
        if self.origin.is_some() {
            self.stop_origin().await;
        }
        // The tasks of a client's connections end shortly after the client is dropped.
        drop(self.http);
        let metrics = Handle::current().metrics();
        until("all tasks to end", async || metrics.num_alive_tasks() == 0).await;
    }
}

async fn bind_origin(folder: &Path, address: SocketAddr, clock: &Clock) -> Origin {
    let config = verge_origin::Config {
        listen: address.into(),
        encode_budget: Duration::ZERO,
        expiry_check_interval: Duration::from_millis(50),
        drain_timeout: Duration::from_secs(5),
        ..verge_origin::Config::new(folder.join("origin"), "http://localhost:80".parse().unwrap())
    };
    Origin::bind_with_clock(config, clock.clone()).await.unwrap()
}

async fn metric_sum(http: &reqwest::Client, address: SocketAddr, name: &str) -> f64 {
    let text = http.get(format!("http://{address}/metrics")).send().await.unwrap().text().await.unwrap();
    let values = text.lines().filter(|line| line.starts_with(name)).filter_map(|line| line.rsplit_once(' '));
    values.map(|(_, value)| value.parse::<f64>().unwrap()).sum()
}

fn file_names(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return BTreeSet::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn file_names_below(folder: &Path) -> BTreeSet<String> {
    file_names(folder).iter().flat_map(|name| file_names(&folder.join(name))).collect()
}
