//! An origin, an edge that follows it, and readers. Ends with every task accounted for.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use verge_daemon::{Clock, Secret};
use verge_edge::config::ByteSize;
use verge_edge::{Config, Edge};
use verge_protocol::{Position, Timestamp};

use super::fake_origin::{FakeOrigin, TOKEN};

/// Longer than anything here takes; a test that waits this long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct World {
    pub(super) origin: FakeOrigin,
    pub(super) edge: Edge,
    pub(super) folder: TempDir,
    pub(super) clock: Clock,
    pub(super) reader: Client,
    disk_cache: ByteSize,
}

pub(super) async fn patiently<T>(what: &str, condition: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, condition).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// Asks again and again until it holds.
pub(super) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    patiently(what, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

impl World {
    pub(super) async fn start() -> Self {
        Self::after(FakeOrigin::start().await, Config::DISK_CACHE).await
    }

    /// An edge that keeps nothing on disk, and so fetches nothing ahead.
    pub(super) async fn cold() -> Self {
        Self::after(FakeOrigin::start().await, ByteSize(0)).await
    }

    /// An edge of an origin that was there before it, or no longer is.
    pub(super) async fn after(origin: FakeOrigin, disk_cache: ByteSize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Timestamp(1_000_000));
        let edge = Edge::bind_at(config(&origin, &folder, disk_cache), clock.clone()).await.unwrap();
        let reader = Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        Self { origin, edge, folder, clock, reader, disk_cache }
    }

    /// Stops the edge and starts it again on the same folder.
    pub(super) async fn restart(self) -> Self {
        let Self { origin, edge, folder, clock, reader, disk_cache } = self;
        end(edge).await;
        let edge = Edge::bind_at(config(&origin, &folder, disk_cache), clock.clone()).await.unwrap();
        Self { origin, edge, folder, clock, reader, disk_cache }
    }

    pub(super) async fn stop(mut self) {
        end(self.edge).await;
        self.origin.go_away().await;
    }

    /// Waits until everything up to `position` is served.
    pub(super) async fn served(&self, position: Position) {
        let mut applied = self.edge.applied();
        let whole = applied.wait_for(|applied| applied.position >= Some(position) && applied.lagging.is_empty());
        patiently("the edge to catch up", whole).await.unwrap();
    }

    /// Waits until so many blobs are on disk.
    pub(super) async fn on_disk(&self, blobs: usize) {
        until("blobs on disk", async || self.blob_files().len() >= blobs).await;
    }

    /// Blobs on disk, by their names.
    pub(super) fn blob_files(&self) -> Vec<std::path::PathBuf> {
        let folders = std::fs::read_dir(self.folder.path().join("blobs")).unwrap();
        let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
        files.map(|file| file.unwrap().path()).collect()
    }

    pub(super) fn get(&self, host: &str, path: &str) -> RequestBuilder {
        self.reader.get(format!("http://{}{path}", self.edge.public_addr())).header("host", host)
    }

    /// A reader that speaks HTTP/2 with `demo.localhost`.
    pub(super) fn http2_reader(&self) -> Client {
        let reader = Client::builder().no_proxy().http2_prior_knowledge();
        reader.resolve("demo.localhost", self.edge.public_addr()).build().unwrap()
    }

    pub(super) fn url(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.edge.public_addr().port())
    }

    /// Status and body of `path` of the site `demo`.
    pub(super) async fn read(&self, path: &str) -> (u16, String) {
        let answer = self.get("demo.localhost", path).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Sends bytes as they are and reads to the end of the connection.
    pub(super) async fn raw(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.edge.public_addr()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        patiently("the connection to end", stream.read_to_end(&mut answer)).await.unwrap();
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub(super) async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.edge.private_addr());
        self.reader.get(url).send().await.unwrap().text().await.unwrap()
    }

    /// The value of a series, by its whole name with labels.
    pub(super) async fn metric(&self, series: &str) -> Option<f64> {
        let metrics = self.metrics().await;
        metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    pub(super) async fn health(&self) -> (u16, serde_json::Value) {
        let answer = self.get("anything", "/.well-known/verge/health").send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
    }
}

fn config(origin: &FakeOrigin, folder: &TempDir, disk_cache: ByteSize) -> Config {
    let origin = origin.url().parse().unwrap();
    let data = folder.path().to_owned();
    let config = Config::new("test-1".parse().unwrap(), origin, Secret::new(TOKEN), data);
    Config { disk_cache, drain_timeout: PATIENCE, ..config }
}

async fn end(edge: Edge) {
    let tasks = edge.tasks();
    assert_eq!(edge.shutdown().await, Ok(()));
    assert_eq!(tasks.running(), BTreeMap::new());
}
