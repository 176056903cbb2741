//! A fake origin, an edge that follows it, and a reader. `stop` asserts that no task is left.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::{Client, RequestBuilder};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use verge_daemon::http_server::{HttpLimits, TrustedProxies};
use verge_daemon::{Clock, Secret};
use verge_edge::config::{AccessLogConfig, ByteSize};
use verge_edge::{Config, Edge};
use verge_protocol::{Digest, Position, Timestamp};
use verge_test_kit::{FakeOrigin, STUCK, TOKEN, in_time, until};

pub(super) struct World {
    pub(super) origin: FakeOrigin,
    pub(super) edge: Edge,
    pub(super) directory: TempDir,
    pub(super) clock: Clock,
    pub(super) reader: Client,
    disk_cache: ByteSize,
}

impl World {
    pub(super) async fn start() -> Self {
        Self::with_origin(FakeOrigin::start().await, Config::DISK_CACHE).await
    }

    /// An edge that stores nothing on disk, and so prefetches nothing.
    pub(super) async fn cold() -> Self {
        Self::with_origin(FakeOrigin::start().await, ByteSize(0)).await
    }

    /// An edge that keeps nothing, and has so much memory for what is on its way to readers.
    pub(super) async fn with_memory_in_flight(memory_in_flight: ByteSize) -> Self {
        let origin = FakeOrigin::start().await;
        let (directory, disk_cache, clock) = (tempfile::tempdir().unwrap(), ByteSize(0), Clock::system());
        let small = Config { memory_cache: ByteSize(0), memory_in_flight, ..config(&origin, &directory, disk_cache) };
        let edge = Edge::bind_with_clock(small, clock.clone()).await.unwrap();
        let reader = Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        Self { origin, edge, directory, clock, reader, disk_cache }
    }

    /// A cold edge with an access log, which trusts a proxy in front of it.
    pub(super) async fn with_access_log(access_log: AccessLogConfig) -> Self {
        let origin = FakeOrigin::start().await;
        let (directory, disk_cache, clock) = (tempfile::tempdir().unwrap(), ByteSize(0), Clock::system());
        let trusted_proxies = TrustedProxies::new(["127.0.0.0/8".parse().unwrap()]);
        let config = config(&origin, &directory, disk_cache);
        let limits = HttpLimits { trusted_proxies, ..config.limits };
        let logged = Config { access_log: Some(access_log), limits, ..config };
        let edge = Edge::bind_with_clock(logged, clock.clone()).await.unwrap();
        let reader = Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        Self { origin, edge, directory, clock, reader, disk_cache }
    }

    /// An edge of an origin that may be offline.
    pub(super) async fn with_origin(origin: FakeOrigin, disk_cache: ByteSize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Timestamp(1_000_000));
        let edge = Edge::bind_with_clock(config(&origin, &directory, disk_cache), clock.clone()).await.unwrap();
        let reader = Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        Self { origin, edge, directory, clock, reader, disk_cache }
    }

    /// Stops the edge and starts it again with the same data directory.
    pub(super) async fn restart(self) -> Self {
        self.restart_after(Duration::ZERO).await
    }

    /// Stops the edge and starts it again when its clock has advanced by `pause`.
    pub(super) async fn restart_after(self, pause: Duration) -> Self {
        let Self { origin, edge, directory, clock, reader, disk_cache } = self;
        shut_down(edge).await;
        clock.advance(pause);
        let edge = Edge::bind_with_clock(config(&origin, &directory, disk_cache), clock.clone()).await.unwrap();
        Self { origin, edge, directory, clock, reader, disk_cache }
    }

    pub(super) async fn stop(mut self) {
        shut_down(self.edge).await;
        self.origin.go_offline().await;
    }

    /// Waits until everything up to `position` is served.
    pub(super) async fn wait_until_served(&self, position: Position) {
        let mut applied = self.edge.applied();
        let caught_up = applied.wait_for(|applied| applied.position >= Some(position) && applied.lagging.is_empty());
        in_time("the edge to catch up", caught_up).await.unwrap();
    }

    /// Waits until this many blobs are on disk.
    pub(super) async fn wait_for_blobs_on_disk(&self, blobs: usize) {
        until("blobs on disk", async || self.blob_files().len() >= blobs).await;
    }

    /// Whether a blob is on disk.
    pub(super) fn is_stored(&self, digest: Digest) -> bool {
        let name = digest.to_string();
        self.directory.path().join("blobs").join(&name[..2]).join(name).exists()
    }

    /// The files of blobs on disk.
    pub(super) fn blob_files(&self) -> Vec<std::path::PathBuf> {
        let directories = std::fs::read_dir(self.directory.path().join("blobs")).unwrap();
        let files = directories.flat_map(|directory| std::fs::read_dir(directory.unwrap().path()).unwrap());
        files.map(|file| file.unwrap().path()).collect()
    }

    pub(super) fn get(&self, host: &str, path: &str) -> RequestBuilder {
        self.reader.get(format!("http://{}{path}", self.edge.public_addr())).header("host", host)
    }

    /// The response to a GET, also if it is a redirect.
    pub(super) async fn unredirected(&self, host: &str, path: &str) -> reqwest::Response {
        let reader = Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let url = format!("http://{}{path}", self.edge.public_addr());
        reader.get(url).header("host", host).send().await.unwrap()
    }

    /// A reader that uses HTTP/2 with `demo.localhost`.
    pub(super) fn http2_reader(&self) -> Client {
        let reader = Client::builder().no_proxy().http2_prior_knowledge();
        reader.resolve("demo.localhost", self.edge.public_addr()).build().unwrap()
    }

    pub(super) fn url(&self, host: &str, path: &str) -> String {
        format!("http://{host}:{}{path}", self.edge.public_addr().port())
    }

    /// Status and body of `path` at the site `demo`.
    pub(super) async fn read(&self, path: &str) -> (u16, String) {
        let response = self.get("demo.localhost", path).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Sends a raw request and reads to the end of the connection.
    pub(super) async fn raw<T: AsRef<[u8]>>(&self, request: T) -> String {
        let mut stream = TcpStream::connect(self.edge.public_addr()).await.unwrap();
        stream.write_all(request.as_ref()).await.unwrap();
        let mut response = Vec::new();
        in_time("the connection to end", stream.read_to_end(&mut response)).await.unwrap();
        String::from_utf8_lossy(&response).into_owned()
    }

    pub(super) async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.edge.private_addr());
        self.reader.get(url).send().await.unwrap().text().await.unwrap()
    }

    /// The value of a series, named with its labels.
    pub(super) async fn metric(&self, series: &str) -> Option<f64> {
        let metrics = self.metrics().await;
        metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    pub(super) async fn health(&self) -> (u16, serde_json::Value) {
        let response = self.get("anything", "/.well-known/verge/health").send().await.unwrap();
        (response.status().as_u16(), serde_json::from_slice(&response.bytes().await.unwrap()).unwrap())
    }
}

fn config(origin: &FakeOrigin, directory: &TempDir, disk_cache: ByteSize) -> Config {
    let origin = origin.url().parse().unwrap();
    let data = directory.path().to_owned();
    let config = Config::new("test-1".parse().unwrap(), origin, Secret::new(TOKEN), data);
    Config { disk_cache, drain_timeout: STUCK, ..config }
}

async fn shut_down(edge: Edge) {
    let tasks = edge.tasks();
    assert_eq!(edge.shutdown().await, Ok(()));
    assert_eq!(tasks.running(), BTreeMap::new());
}
