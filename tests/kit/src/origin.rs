//! A small real origin: it serves the change feed, manifests and blobs over HTTP, takes reports, and can misbehave.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::sync::watch;
use verge_daemon::http_server::{HttpLimits, serve_connections};
use verge_daemon::{Tasks, listen, sealing};
use verge_protocol::api::{BlobsRequest, ErrorBody, SecretsAnswer, SecretsRequest, TokenOwner};
use verge_protocol::feed::{FeedEvent, FeedMessage, HEARTBEAT_SECONDS, Reset};
use verge_protocol::purge::{Purge, PurgeScope, PurgeState};
use verge_protocol::report::EdgeReport;
use verge_protocol::state::{ChannelState, ErasedState, Inherited, RolloutState, Row};
use verge_protocol::{
    Blob, Checkpoint, Digest, Generation, History, Position, ReleaseNumber, Seq, Timestamp, compression, pack,
};

use crate::TestRelease;

/// The token that the fake origin accepts.
pub const TOKEN: &str = "vrg_00000000000000000000000000000000000000009692e67b";

/// What the origin does wrong.
#[derive(Default)]
pub struct Faults {
    /// Blobs to be answered with other bytes under the right digest.
    pub corrupt: HashSet<Digest>,
    /// Number of packs to cut in the middle of their first frame.
    pub cuts: usize,
    /// Packs never end, although all their blobs are sent.
    pub endless_packs: bool,
    /// Manifests that are never answered.
    pub withheld_manifests: HashSet<Digest>,
    /// The feed sends nothing but a reset.
    pub resets: bool,
}

#[derive(Default)]
struct Data {
    generation: u64,
    seq: u64,
    /// The history after each write.
    histories: Vec<History>,
    rows: BTreeMap<String, Row>,
    manifests: HashMap<Digest, Vec<u8>>,
    blobs: HashMap<Digest, Blob>,
    requested: Vec<Digest>,
    requested_manifests: Vec<Digest>,
    reports: Vec<EdgeReport>,
    secrets: HashMap<Digest, Vec<u8>>,
    secret_requests: usize,
    token_owner: Option<TokenOwner>,
    faults: Faults,
}

impl Data {
    fn position(&self) -> Position {
        self.at(self.seq).position
    }

    /// The checkpoint after the write `seq`.
    fn at(&self, seq: u64) -> Checkpoint {
        let position = Position { generation: Generation(self.generation), seq: Seq(seq) };
        let history =
            seq.checked_sub(1).map_or(History::EMPTY, |index| self.histories[usize::try_from(index).unwrap()]);
        Checkpoint { position, history }
    }
}

#[derive(Clone)]
struct Shared {
    data: Arc<Mutex<Data>>,
    changed: watch::Sender<()>,
    /// While closed, packs are not answered.
    gate: watch::Sender<bool>,
    /// How many more blobs are sent; `None`: no limit.
    blobs_left: watch::Sender<Option<usize>>,
    /// Connections that were accepted.
    connections: Arc<AtomicUsize>,
}

impl Shared {
    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap()
    }
}

/// A running origin. Its data stay when it [goes offline](Self::go_offline).
pub struct FakeOrigin {
    shared: Shared,
    address: SocketAddr,
    tasks: Option<Tasks>,
}

impl FakeOrigin {
    /// Starts one without any rows, on a free port.
    pub async fn start() -> Self {
        let data = Arc::new(Mutex::new(Data { generation: 1, ..Data::default() }));
        let (changed, gate) = (watch::Sender::new(()), watch::Sender::new(true));
        let (blobs_left, connections) = (watch::Sender::new(None), Arc::default());
        let shared = Shared { data, changed, gate, blobs_left, connections };
        let mut origin = Self { shared, address: "127.0.0.1:0".parse().unwrap(), tasks: None };
        origin.go_online().await;
        origin
    }

    /// Breaks every connection and refuses new ones.
    pub async fn go_offline(&mut self) {
        if let Some(tasks) = self.tasks.take() {
            let _ = tasks.shutdown(Duration::ZERO).await;
        }
    }

    /// Listens again, at the same address.
    pub async fn go_online(&mut self) {
        let tasks = Tasks::default();
        let listener = listen::tcp("the origin", self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/v1/changes", get(changes))
            .route("/v1/manifests/{id}", get(manifest))
            .route("/v1/blobs", post(blobs))
            .route("/v1/edges/report", post(report))
            .route("/v1/secrets", post(secrets))
            .route("/v1/token", get(token_owner))
            .with_state(self.shared.clone());
        let connections = Arc::clone(&self.shared.connections);
        serve_connections("origin", listener, None, &HttpLimits::default(), &tasks, move |_| {
            connections.fetch_add(1, Ordering::Relaxed);
            TowerToHyperService::new(router.clone())
        });
        self.tasks = Some(tasks);
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Its URL, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stores a release's manifest and blobs.
    pub fn add_release(&self, release: &TestRelease) {
        let mut data = self.shared.data();
        data.manifests.insert(release.id(), release.manifest.to_bytes());
        data.blobs.extend(release.blobs.iter().map(|blob| (blob.digest(), blob.clone())));
    }

    /// Loses a blob.
    pub fn lose_blob(&self, digest: Digest) {
        self.shared.data().blobs.remove(&digest).unwrap();
    }

    /// Stores a release and points a channel, `demo/live`, at it. Returns the position of the write.
    pub fn publish(&self, channel: &str, number: u64, release: &TestRelease, inherits: &[Inherited]) -> Position {
        self.add_release(release);
        self.point_channel(channel, number, release.id(), inherits)
    }

    /// Points a channel at a manifest, stored or not. Returns the position of the write.
    pub fn point_channel(&self, channel: &str, number: u64, manifest: Digest, inherits: &[Inherited]) -> Position {
        self.write(&format!("channel/{channel}"), |epoch| {
            let release = ReleaseNumber(number);
            let state = ChannelState { epoch, release, manifest, inherits: inherits.to_vec() };
            Some(serde_json::to_value(state).unwrap())
        })
    }

    /// Stores a release and announces that a channel, `demo/live`, is about to point at it. Returns the position of the write.
    pub fn prepare(&self, channel: &str, number: u64, release: &TestRelease) -> Position {
        self.add_release(release);
        self.write(&format!("rollout/{channel}"), |_| {
            let (release, manifest) = (ReleaseNumber(number), release.id());
            let state = RolloutState {
                release,
                manifest,
                expected: None,
                idempotency_key: None,
                started: Timestamp(0),
                canary: None,
                author: None,
            };
            Some(serde_json::to_value(state).unwrap())
        })
    }

    /// Ends the rollout to a channel. Returns the position of the write.
    pub fn end_rollout(&self, channel: &str) -> Position {
        self.write(&format!("rollout/{channel}"), |_| None)
    }

    /// Purges paths of a site, as an origin does: the row of the purge, then those of the site's channels. Returns the write that made
    /// the purge, and the position of the last one.
    pub fn purge(&self, site: &str, scope: &str) -> (Seq, Position) {
        let scope: PurgeScope = scope.parse().unwrap();
        let mut state: PurgeState = self.read(&format!("purge/{site}")).unwrap_or_default();
        let mut made = Seq(0);
        let mut position = self.write(&format!("purge/{site}"), |seq| {
            made = seq;
            state.add(Purge { seq, scope: scope.clone() });
            Some(serde_json::to_value(&state).unwrap())
        });
        let keys: Vec<String> = self.shared.data().rows.keys().cloned().collect();
        for key in keys.iter().filter(|key| key.starts_with(&format!("channel/{site}/"))) {
            let Some(mut state) = self.read::<ChannelState>(key) else { continue };
            state.inherits.iter_mut().for_each(|inherited| inherited.without.push(scope.clone()));
            position = self.write(key, |_| Some(serde_json::to_value(state).unwrap()));
        }
        (made, position)
    }

    /// Erases a content of a site and its blobs, then purges the path, as an origin does.
    pub fn erase(&self, site: &str, path: &str, content: Digest, blobs: &[Digest]) -> (Seq, Position) {
        let state = ErasedState { when: Timestamp(0), path: path.parse().unwrap(), blobs: blobs.to_vec() };
        self.write(&format!("erased/{site}/{content}"), |_| Some(serde_json::to_value(state).unwrap()));
        self.purge(site, path)
    }

    /// The value of a key.
    fn read<T: serde::de::DeserializeOwned>(&self, key: &str) -> Option<T> {
        self.shared.data().rows.get(key)?.value.as_ref().map(|value| value.read().unwrap())
    }

    /// Stores a secret, which edges may request by its name. Returns the name that was given.
    pub fn add_secret(&self, name: Digest, secret: impl Into<Vec<u8>>) -> Digest {
        self.shared.data().secrets.insert(name, secret.into());
        name
    }

    /// Loses a secret.
    pub fn lose_secret(&self, name: Digest) {
        self.shared.data().secrets.remove(&name).unwrap();
    }

    /// How often secrets were requested.
    pub fn secret_requests(&self) -> usize {
        self.shared.data().secret_requests
    }

    /// Restricts a site to regions.
    pub fn restrict(&self, site: &str, regions: &[&str]) -> Position {
        self.write(&format!("site/{site}"), |_| Some(json!({ "regions": regions })))
    }

    /// Adds a proven domain of a site.
    pub fn domain(&self, domain: &str, site: &str) -> Position {
        self.write(&format!("domain/{domain}"), |_| Some(json!({ "site": site })))
    }

    /// Configures an edge.
    pub fn edge(&self, edge: &str, value: Value) -> Position {
        self.write(&format!("edge/{edge}"), |_| Some(value))
    }

    /// Writes a row; `None` is a tombstone. Returns the position of the write.
    pub fn write(&self, key: &str, value: impl FnOnce(Seq) -> Option<Value>) -> Position {
        let position = {
            let mut data = self.shared.data();
            data.seq += 1;
            let seq = Seq(data.seq);
            let row = Row { key: key.to_owned(), seq, value: value(seq).map(Into::into) };
            let history = data.histories.last().copied().unwrap_or_default();
            data.histories.push(history.then(seq, key, row.value.as_ref().map(verge_protocol::Json::as_str)));
            data.rows.insert(key.to_owned(), row);
            data.position()
        };
        self.shared.changed.send_replace(());
        position
    }

    /// Starts the next generation with those rows whose keys `keep` names, and breaks every connection. Returns its position.
    pub async fn restore(&mut self, keep: impl Fn(&str) -> bool) -> Position {
        self.go_offline().await;
        let position = {
            let mut data = self.shared.data();
            data.generation += 1;
            data.rows.retain(|key, _| keep(key));
            data.position()
        };
        self.go_online().await;
        position
    }

    /// Holds back all packs until [`Self::open_gate`].
    pub fn close_gate(&self) {
        self.shared.gate.send_replace(false);
    }

    /// Lets packs pass.
    pub fn open_gate(&self) {
        self.shared.gate.send_replace(true);
    }

    /// Sends so many blobs, and holds back all others until the next call. `None`: sends all.
    pub fn limit_blobs(&self, blobs: Option<usize>) {
        self.shared.blobs_left.send_replace(blobs);
    }

    /// Sets what it does wrong.
    pub fn misbehave(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.shared.data().faults);
    }

    /// Sets the owner of [`TOKEN`]. Until then it is nobody's in particular, as for an older origin.
    pub fn set_token_owner(&self, owner: TokenOwner) {
        self.shared.data().token_owner = Some(owner);
    }

    /// All blobs that were requested, in order.
    pub fn requested(&self) -> Vec<Digest> {
        self.shared.data().requested.clone()
    }

    /// All manifests that were requested, in order.
    pub fn requested_manifests(&self) -> Vec<Digest> {
        self.shared.data().requested_manifests.clone()
    }

    /// How often a blob was requested.
    pub fn requests(&self, digest: Digest) -> usize {
        self.shared.data().requested.iter().filter(|requested| **requested == digest).count()
    }

    /// All reports received, in order.
    pub fn reports(&self) -> Vec<EdgeReport> {
        self.shared.data().reports.clone()
    }
}

fn authorize(headers: &HeaderMap) -> Result<(), StatusCode> {
    let bearer = headers.get("authorization").is_some_and(|value| *value == format!("Bearer {TOKEN}"));
    if bearer { Ok(()) } else { Err(StatusCode::UNAUTHORIZED) }
}

#[derive(serde::Deserialize)]
struct Since {
    since: Option<Checkpoint>,
}

async fn changes(
    State(shared): State<Shared>,
    Query(Since { since }): Query<Since>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, StatusCode> {
    authorize(&headers)?;
    let events = async_stream::stream! {
        let mut changed = shared.changed.subscribe();
        let mut sent = since.map_or(0, |since| since.position.seq.0);
        let mut caught_up = false;
        loop {
            let (at, resets, mut rows) = {
                let data = shared.data();
                let after = |row: &Row| FeedMessage { at: data.at(row.seq.0), event: FeedEvent::Row(row.clone()) };
                let rows: Vec<FeedMessage> = data.rows.values().filter(|row| row.seq.0 > sent).map(after).collect();
                (data.at(data.seq), data.faults.resets, rows)
            };
            if resets || since.is_some_and(|since| since.position.generation != at.position.generation) {
                yield FeedMessage { at, event: FeedEvent::Reset(Reset::Diverged) };
                return;
            }
            rows.sort_by_key(|row| row.at.position.seq);
            for row in rows {
                sent = row.at.position.seq.0;
                yield row;
            }
            if !std::mem::replace(&mut caught_up, true) {
                yield FeedMessage { at, event: FeedEvent::CaughtUp { complete: true } };
            }
            if tokio::time::timeout(Duration::from_secs(HEARTBEAT_SECONDS), changed.changed()).await.is_err() {
                yield FeedMessage { at, event: FeedEvent::Heartbeat };
            }
        }
    };
    Ok(Sse::new(events.map(|FeedMessage { at, event }| {
        let (name, data) = event.to_parts();
        Ok(Event::default().event(name).id(at.to_string()).data(data))
    })))
}

async fn manifest(
    State(shared): State<Shared>,
    Path(id): Path<Digest>,
    headers: HeaderMap,
) -> Result<Vec<u8>, StatusCode> {
    authorize(&headers)?;
    shared.data().requested_manifests.push(id);
    let is_withheld = shared.data().faults.withheld_manifests.contains(&id);
    if is_withheld {
        std::future::pending::<()>().await;
    }
    shared.data().manifests.get(&id).map(|bytes| compression::compress(bytes)).ok_or(StatusCode::NOT_FOUND)
}

async fn blobs(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Json(BlobsRequest { digests }): Json<BlobsRequest>,
) -> Result<Response, StatusCode> {
    authorize(&headers)?;
    assert!(digests.len() <= BlobsRequest::MAX);
    shared.data().requested.extend(&digests);
    let _ = shared.gate.subscribe().wait_for(|open| *open).await;
    let mut data = shared.data();
    let mut frames: Vec<Bytes> = digests.iter().map(|digest| frame(&data, digest)).collect();
    if data.faults.endless_packs {
        let frames = stream::iter(frames.into_iter().map(Ok::<_, Infallible>));
        return Ok(Body::from_stream(frames.chain(stream::pending())).into_response());
    }
    frames.push(pack::end_frame());
    if data.faults.cuts > 0 {
        data.faults.cuts -= 1;
        let half = frames[0].len() / 2;
        frames = vec![frames[0].slice(..half)];
    }
    let (blobs_left, count) = (shared.blobs_left.clone(), digests.len());
    let sent = stream::iter(frames.into_iter().enumerate()).then(move |(index, frame)| {
        let blobs_left = blobs_left.clone();
        async move {
            if index < count {
                take_one(&blobs_left).await;
            }
            Ok::<_, Infallible>(frame)
        }
    });
    Ok(Body::from_stream(sent).into_response())
}

/// Takes one of what is left, as soon as there is one.
async fn take_one(left: &watch::Sender<Option<usize>>) {
    let mut changes = left.subscribe();
    loop {
        let has_taken = left.send_if_modified(|left| match left {
            Some(left) if *left > 0 => {
                *left -= 1;
                true
            }
            _ => false,
        });
        if has_taken || left.borrow().is_none() || changes.changed().await.is_err() {
            return;
        }
    }
}

fn frame(data: &Data, digest: &Digest) -> Bytes {
    match data.blobs.get(digest) {
        Some(_) if data.faults.corrupt.contains(digest) => {
            let other = Blob::of(Bytes::from_static(b"<script>evil()</script>")).unwrap();
            [&digest.as_bytes()[..], &pack::blob_frame(&other)[Digest::LEN..]].concat().into()
        }
        Some(blob) => pack::blob_frame(blob),
        None => pack::missing_frame(digest),
    }
}

async fn report(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Json(report): Json<EdgeReport>,
) -> Result<StatusCode, Response> {
    authorize(&headers).map_err(IntoResponse::into_response)?;
    let mut data = shared.data();
    let sender = report.edge.clone().map(TokenOwner::Edge);
    match &data.token_owner {
        Some(owner) if sender.is_some_and(|sender| sender != *owner) => {
            let message = format!("the token belongs to {owner}");
            let body = ErrorBody { code: "wrong_token".to_owned(), message, hint: None };
            Err((StatusCode::FORBIDDEN, Json(body)).into_response())
        }
        _ => {
            data.reports.push(report);
            Ok(StatusCode::NO_CONTENT)
        }
    }
}

/// As an origin does for the owner of the token, but without binding it to its key.
async fn secrets(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Json(request): Json<SecretsRequest>,
) -> Result<Json<SecretsAnswer>, StatusCode> {
    authorize(&headers)?;
    let mut data = shared.data();
    data.secret_requests += 1;
    let Some(TokenOwner::Edge(edge)) = &data.token_owner else { return Err(StatusCode::FORBIDDEN) };
    let seal = |name: &Digest| {
        let secret = data.secrets.get(name)?;
        Some((*name, sealing::seal(&request.public_key, edge, *name, secret).unwrap()))
    };
    Ok(Json(SecretsAnswer { sealed: request.secrets.iter().filter_map(seal).collect() }))
}

async fn token_owner(State(shared): State<Shared>, headers: HeaderMap) -> Result<Json<TokenOwner>, StatusCode> {
    authorize(&headers)?;
    shared.data().token_owner.clone().map(Json).ok_or(StatusCode::NOT_FOUND)
}
