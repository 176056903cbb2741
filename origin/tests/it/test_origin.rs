//! An origin in this process, and requests to it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use verge_daemon::Clock;
use verge_origin::{Config, Origin, Timing};
use verge_protocol::api::{BuildCreated, CreateRelease, ErrorBody, IssuedToken, Progress, Provenance};
use verge_protocol::feed::{FeedEvent, FeedMessage};
use verge_protocol::state::Row;
use verge_protocol::{
    Blob, Build, Checkpoint, Content, Digest, Fallback, HtmlPaths, Seq, Timestamp, compression, pack,
};
use verge_test_kit::copy_directory;

/// A running origin and a client of it.
pub(super) struct TestOrigin {
    pub(super) directory: TempDir,
    pub(super) daemon: Origin,
    config: Config,
    pub(super) clock: Clock,
    client: reqwest::Client,
}

/// A build and its blobs.
pub(super) struct TestBuild {
    pub(super) build: Build,
    pub(super) blobs: Vec<Blob>,
}

/// A build of these files, by path and text.
pub(super) fn build(files: &[(&str, &str)]) -> TestBuild {
    let files: Vec<(&str, &[u8])> = files.iter().map(|(path, text)| (*path, text.as_bytes())).collect();
    build_of_bytes(&files)
}

/// A build of these files, by path and bytes.
pub(super) fn build_of_bytes(files: &[(&str, &[u8])]) -> TestBuild {
    let mut pushed = TestBuild {
        build: Build {
            files: BTreeMap::new(),
            fallback: Fallback::NotFound,
            legacy_service_workers: Vec::new(),
            html: HtmlPaths::Auto,
            rules: verge_protocol::Rules::default(),
        },
        blobs: Vec::new(),
    };
    for (path, bytes) in files {
        let (content, blobs) = Content::cut(&Bytes::copy_from_slice(bytes));
        pushed.build.files.insert(path.parse().unwrap(), content);
        pushed.blobs.extend(blobs);
    }
    pushed
}

/// A complete pack of these blobs.
pub(super) fn packed(blobs: &[Blob]) -> Bytes {
    let mut bytes = BytesMut::new();
    for blob in blobs {
        bytes.extend_from_slice(&pack::blob_frame(blob));
    }
    bytes.extend_from_slice(&pack::end_frame());
    bytes.freeze()
}

impl TestOrigin {
    pub(super) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts an origin with other settings.
    pub(super) async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let clock = Clock::manual(Timestamp(1_000));
        let mut config = Config {
            encode_budget: Duration::ZERO,
            // Edges of these tests have tokens and do not report.
            rollout_timing: Timing { stall: Duration::from_millis(50), ..Timing::default() },
            ..Config::new(directory.path().join("origin"), "http://localhost:80".parse().unwrap())
        };
        change(&mut config);
        let daemon = Origin::bind_with_clock(config.clone(), clock.clone()).await.unwrap();
        Self { directory, daemon, config, clock, client: reqwest::Client::new() }
    }

    /// Starts an origin on an existing data directory.
    pub(super) async fn start_on(data: &Path) -> Self {
        Self::start_with(|config| data.clone_into(&mut config.data)).await
    }

    /// Shuts the origin down and starts it again on the same data directory.
    pub(super) async fn restart(self) -> Self {
        self.daemon.shutdown().await.unwrap();
        let daemon = Origin::bind_with_clock(self.config.clone(), self.clock.clone()).await.unwrap();
        Self { daemon, ..self }
    }

    /// Shuts the origin down and starts it again with other settings.
    pub(super) async fn restart_with(mut self, change: impl FnOnce(&mut Config)) -> Self {
        change(&mut self.config);
        Box::pin(self.restart()).await
    }

    /// Shuts the origin down, fails to start it with other settings, and starts it with those that it had. Returns the error.
    pub(super) async fn fail_to_restart_with(self, change: impl FnOnce(&mut Config)) -> (Self, String) {
        self.daemon.shutdown().await.unwrap();
        let mut config = self.config.clone();
        change(&mut config);
        let error = Origin::bind_with_clock(config, self.clock.clone()).await.err().unwrap();
        let daemon = Origin::bind_with_clock(self.config.clone(), self.clock.clone()).await.unwrap();
        (Self { daemon, ..self }, format!("{error:#}"))
    }

    /// Copies the data directory of the stopped origin, runs it again, and returns the copy.
    pub(super) async fn back_up(self) -> (Self, PathBuf) {
        self.daemon.shutdown().await.unwrap();
        let copy = self.directory.path().join("copy");
        copy_directory(&self.config.data, &copy);
        let daemon = Origin::bind_with_clock(self.config.clone(), self.clock.clone()).await.unwrap();
        (Self { daemon, ..self }, copy)
    }

    /// Puts another directory in place of the data directory, as an operator does who restores a copy; `None`: an empty one.
    pub(super) async fn restore(self, copy: Option<&Path>) -> Self {
        self.daemon.shutdown().await.unwrap();
        std::fs::remove_dir_all(&self.config.data).unwrap();
        if let Some(copy) = copy {
            copy_directory(copy, &self.config.data);
        }
        let daemon = Origin::bind_with_clock(self.config.clone(), self.clock.clone()).await.unwrap();
        Self { daemon, ..self }
    }

    /// Restores a copy after `change` was made to it.
    pub(super) async fn restore_with(self, copy: &Path, change: impl AsyncFnOnce(&Path)) -> Self {
        self.daemon.shutdown().await.unwrap();
        std::fs::remove_dir_all(&self.config.data).unwrap();
        copy_directory(copy, &self.config.data);
        change(&self.config.data).await;
        let daemon = Origin::bind_with_clock(self.config.clone(), self.clock.clone()).await.unwrap();
        Self { daemon, ..self }
    }

    /// The status of the health page, and its text.
    pub(super) async fn health(&self) -> (u16, String) {
        let url = format!("http://{}/healthz", self.daemon.private_addr());
        let answer = self.client.get(url).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    pub(super) async fn stop(self) {
        self.daemon.shutdown().await.unwrap();
    }

    pub(super) fn request_as(&self, token: &str, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.daemon.addr())).bearer_auth(token)
    }

    pub(super) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request_as(self.daemon.admin_token().expose(), method, path)
    }

    pub(super) async fn create_site(&self, site: &str) {
        let answer = self.request(Method::PUT, &format!("/v1/sites/{site}")).send().await.unwrap();
        assert!(answer.status().is_success());
    }

    pub(super) async fn create_build(&self, site: &str, build: &Build) -> BuildCreated {
        ok(self.post_build(site, serde_json::to_vec(build).unwrap()).await).await
    }

    pub(super) async fn post_build(&self, site: &str, plain: Vec<u8>) -> Response {
        let path = format!("/v1/sites/{site}/builds");
        self.request(Method::POST, &path).body(compression::compress(&plain)).send().await.unwrap()
    }

    pub(super) async fn post_pack(&self, site: &str, created: &BuildCreated, pack: Bytes) -> Response {
        let path = format!("/v1/sites/{site}/builds/{}/blobs", created.build);
        self.request(Method::POST, &path).body(pack).send().await.unwrap()
    }

    pub(super) async fn publish(&self, site: &str, created: &BuildCreated, expected: Option<Seq>) -> Response {
        let request = CreateRelease {
            build: created.build.clone(),
            channel: "live".parse().unwrap(),
            expected,
            provenance: Provenance::default(),
            idempotency_key: None,
            expires_seconds: None,
            canary: None,
        };
        self.request(Method::POST, &format!("/v1/sites/{site}/releases")).json(&request).send().await.unwrap()
    }

    /// Pushes a build as a client does, and returns the progress.
    pub(super) async fn push(&self, site: &str, pushed: &TestBuild) -> Vec<Progress> {
        let created = self.create_build(site, &pushed.build).await;
        let missing: Vec<Blob> =
            pushed.blobs.iter().filter(|blob| created.missing.contains(&blob.digest())).cloned().collect();
        let answer = self.post_pack(site, &created, packed(&missing)).await;
        assert_eq!(answer.status(), StatusCode::OK);
        progress(self.publish(site, &created, created.current.map(|current| current.epoch)).await).await
    }

    pub(super) async fn edge_token(&self, edge: &str) -> String {
        let path = format!("/v1/edges/{edge}/token");
        ok::<IssuedToken>(self.request(Method::POST, &path).send().await.unwrap()).await.token
    }

    pub(super) async fn name_server_token(&self, name: &str) -> String {
        let path = format!("/v1/name-servers/{name}/token");
        ok::<IssuedToken>(self.request(Method::POST, &path).send().await.unwrap()).await.token
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        ok(self.request(Method::GET, path).send().await.unwrap()).await
    }

    pub(super) async fn put(&self, path: &str, body: impl Serialize) -> Response {
        self.request(Method::PUT, path).json(&body).send().await.unwrap()
    }

    pub(super) async fn delete(&self, path: &str) -> Response {
        self.request(Method::DELETE, path).send().await.unwrap()
    }

    pub(super) async fn subscribe(&self, token: &str, since: Option<Checkpoint>) -> Feed {
        let query = since.map(|since| format!("?since={since}")).unwrap_or_default();
        let response = self.request_as(token, Method::GET, &format!("/v1/changes{query}")).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        Feed { response, buffer: String::new(), has_releases: false }
    }
}

/// The body of a successful response.
pub(super) async fn ok<T: DeserializeOwned>(response: Response) -> T {
    let status = response.status();
    let body = response.bytes().await.unwrap();
    assert!(status.is_success(), "{status}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap()
}

/// The status and body of an error response.
pub(super) async fn error(response: Response) -> (u16, ErrorBody) {
    let status = response.status();
    assert!(!status.is_success(), "{status}");
    (status.as_u16(), response.json().await.unwrap())
}

/// All events of a progress stream.
pub(super) async fn progress(response: Response) -> Vec<Progress> {
    assert_eq!(response.status(), StatusCode::OK);
    let text = response.text().await.unwrap();
    text.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A subscription to the change feed.
pub(super) struct Feed {
    response: Response,
    buffer: String,
    has_releases: bool,
}

impl Feed {
    /// The checkpoint at which the table, or the rest of it, was sent.
    pub(super) async fn caught_up(&mut self) -> Checkpoint {
        loop {
            if let FeedMessage { at, event: FeedEvent::CaughtUp { complete: true } } = self.next().await.unwrap() {
                return at;
            }
        }
    }

    /// The next event, which must be a row.
    pub(super) async fn row(&mut self) -> Row {
        match self.next().await {
            Some(FeedMessage { event: FeedEvent::Row(row), .. }) => row,
            other => panic!("not a row: {other:?}"),
        }
    }

    /// The same, with the rows of releases. Most tests are about other rows.
    pub(super) fn with_releases(self) -> Self {
        Self { has_releases: true, ..self }
    }

    /// The next event that is not a heartbeat, nor the row of a release; `None` at the end.
    pub(super) async fn next(&mut self) -> Option<FeedMessage> {
        loop {
            while let Some((block, rest)) = self.buffer.split_once("\n\n") {
                let field = |name: &str| {
                    let line = block.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
                    line.trim_start().to_owned()
                };
                let event = FeedEvent::from_parts(&field("event:"), &field("data:")).unwrap().unwrap();
                let at = field("id:").parse().unwrap();
                self.buffer = String::from(rest);
                let is_release = matches!(&event, FeedEvent::Row(row) if row.key.starts_with("release/"));
                if event != FeedEvent::Heartbeat && (self.has_releases || !is_release) {
                    return Some(FeedMessage { at, event });
                }
            }
            let piece = self.response.chunk().await.unwrap()?;
            self.buffer += std::str::from_utf8(&piece).unwrap();
        }
    }
}

/// The digest of a text.
pub(super) fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}
