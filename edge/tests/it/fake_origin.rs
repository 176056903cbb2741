//! A fake origin: it implements the API over HTTP, and can be told to misbehave.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::net::SocketAddr;
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
use futures_util::{Stream, stream};
use hyper_util::service::TowerToHyperService;
use tokio::sync::watch;
use verge_daemon::http_server::{HttpLimits, serve};
use verge_daemon::{Tasks, listen};
use verge_protocol::api::BlobsRequest;
use verge_protocol::feed::{FeedEvent, Reset};
use verge_protocol::report::EdgeReport;
use verge_protocol::state::{ChannelState, Inherited, Row};
use verge_protocol::{Blob, Digest, Generation, Position, ReleaseNumber, Seq, compression, pack};

use super::release::Release;

pub(super) const TOKEN: &str = "vrg_edge";

#[derive(Default)]
pub(super) struct Data {
    pub(super) generation: u64,
    pub(super) seq: u64,
    pub(super) rows: BTreeMap<String, Row>,
    pub(super) manifests: HashMap<Digest, Vec<u8>>,
    pub(super) blobs: HashMap<Digest, Blob>,
    /// Every blob that was requested, in order.
    pub(super) requested_blobs: Vec<Digest>,
    /// Blobs to be sent with other bytes under the right digest.
    pub(super) garbled_blobs: HashSet<Digest>,
    /// Number of packs to be truncated in their first frame.
    pub(super) packs_to_cut: usize,
    /// Whether packs stay open after their last blob.
    pub(super) packs_never_end: bool,
    /// Whether a feed only resets.
    pub(super) always_resets: bool,
    pub(super) reports: Vec<EdgeReport>,
}

#[derive(Clone)]
struct Shared {
    data: Arc<Mutex<Data>>,
    changed: watch::Sender<()>,
    /// While closed, requests for packs are not answered.
    gate: watch::Sender<bool>,
}

pub(super) struct FakeOrigin {
    shared: Shared,
    address: SocketAddr,
    tasks: Option<Tasks>,
}

impl FakeOrigin {
    pub(super) async fn start() -> Self {
        let data = Data { generation: 1, ..Data::default() };
        let shared = Shared {
            data: Arc::new(Mutex::new(data)),
            changed: watch::Sender::new(()),
            gate: watch::Sender::new(true),
        };
        let mut origin = Self { shared, address: "127.0.0.1:0".parse().unwrap(), tasks: None };
        origin.go_online().await;
        origin
    }

    /// Closes every connection and the listener.
    pub(super) async fn go_offline(&mut self) {
        if let Some(tasks) = self.tasks.take() {
            let _ = tasks.shutdown(Duration::ZERO).await;
        }
    }

    pub(super) async fn go_online(&mut self) {
        let tasks = Tasks::default();
        let listener = listen::tcp("the origin", self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/v1/changes", get(changes))
            .route("/v1/manifests/{id}", get(manifest))
            .route("/v1/blobs", post(blobs))
            .route("/v1/edges/report", post(report))
            .with_state(self.shared.clone());
        serve("origin", listener, HttpLimits::default(), &tasks, TowerToHyperService::new(router));
        self.tasks = Some(tasks);
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) fn data(&self) -> MutexGuard<'_, Data> {
        self.shared.data.lock().unwrap()
    }

    /// Adds the manifest and the blobs of a release.
    pub(super) fn add_release(&self, release: &Release) {
        let mut data = self.data();
        data.manifests.insert(release.id(), release.manifest.to_bytes());
        data.blobs.extend(release.blobs.iter().map(|blob| (blob.digest(), blob.clone())));
    }

    /// Adds a release and points the channel at it. Returns the position of the feed.
    pub(super) fn publish(&self, channel: &str, number: u64, release: &Release, inherits: &[Inherited]) -> Position {
        self.add_release(release);
        self.point_channel(channel, number, release.id(), inherits)
    }

    /// Points the channel at a manifest that may not be here.
    pub(super) fn point_channel(
        &self,
        channel: &str,
        number: u64,
        manifest: Digest,
        inherits: &[Inherited],
    ) -> Position {
        self.write(&format!("channel/{channel}"), |epoch| {
            let release = ReleaseNumber(number);
            let state = ChannelState { epoch, release, manifest, inherits: inherits.to_vec() };
            Some(serde_json::to_value(state).unwrap())
        })
    }

    /// Writes a row.
    pub(super) fn write(&self, key: &str, value: impl FnOnce(Seq) -> Option<serde_json::Value>) -> Position {
        let position = {
            let mut data = self.data();
            data.seq += 1;
            let seq = Seq(data.seq);
            let row = Row { key: key.to_owned(), seq, value: value(seq).map(Into::into) };
            data.rows.insert(key.to_owned(), row);
            position(&data)
        };
        self.shared.changed.send_replace(());
        position
    }

    /// Starts a new generation with the rows to keep, and closes every feed.
    pub(super) async fn restore(&mut self, keep: impl Fn(&str) -> bool) -> Position {
        self.go_offline().await;
        let position = {
            let mut data = self.data();
            data.generation += 1;
            data.rows.retain(|key, _| keep(key));
            position(&data)
        };
        self.go_online().await;
        position
    }

    pub(super) fn close_gate(&self) {
        self.shared.gate.send_replace(false);
    }

    pub(super) fn open_gate(&self) {
        self.shared.gate.send_replace(true);
    }

    /// How often a blob was requested.
    pub(super) fn request_count(&self, digest: Digest) -> usize {
        self.data().requested_blobs.iter().filter(|requested| **requested == digest).count()
    }
}

fn position(data: &Data) -> Position {
    Position { generation: Generation(data.generation), seq: Seq(data.seq) }
}

fn authorized(headers: &HeaderMap) -> Result<(), StatusCode> {
    let bearer = headers.get("authorization").is_some_and(|value| *value == format!("Bearer {TOKEN}"));
    if bearer { Ok(()) } else { Err(StatusCode::UNAUTHORIZED) }
}

#[derive(serde::Deserialize)]
struct Since {
    since: Option<Position>,
}

async fn changes(
    State(shared): State<Shared>,
    Query(Since { since }): Query<Since>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, StatusCode> {
    authorized(&headers)?;
    let events = async_stream::stream! {
        let mut changed = shared.changed.subscribe();
        let mut sent = since.map_or(0, |since| since.seq.0);
        let mut caught_up = false;
        loop {
            let (at, rows) = {
                let data = shared.data.lock().unwrap();
                let mut rows: Vec<Row> = data.rows.values().filter(|row| row.seq.0 > sent).cloned().collect();
                rows.sort_by_key(|row| row.seq);
                (position(&data), rows)
            };
            if shared.data.lock().unwrap().always_resets || since.is_some_and(|since| since.generation != at.generation) {
                yield FeedEvent::Reset(Reset::Generation);
                return;
            }
            for row in rows {
                sent = row.seq.0;
                yield FeedEvent::Row(row);
            }
            if !std::mem::replace(&mut caught_up, true) {
                yield FeedEvent::CaughtUp(at);
            }
            if tokio::time::timeout(Duration::from_secs(5), changed.changed()).await.is_err() {
                yield FeedEvent::Heartbeat;
            }
        }
    };
    Ok(Sse::new(futures_util::StreamExt::map(events, |event: FeedEvent| {
        let (name, data) = event.to_parts();
        Ok(Event::default().event(name).data(data))
    })))
}

async fn manifest(
    State(shared): State<Shared>,
    Path(id): Path<Digest>,
    headers: HeaderMap,
) -> Result<Vec<u8>, StatusCode> {
    authorized(&headers)?;
    let data = shared.data.lock().unwrap();
    data.manifests.get(&id).map(|bytes| compression::compress(bytes)).ok_or(StatusCode::NOT_FOUND)
}

async fn blobs(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Json(wanted): Json<BlobsRequest>,
) -> Result<Response, StatusCode> {
    authorized(&headers)?;
    assert!(wanted.digests.len() <= BlobsRequest::MAX);
    shared.data.lock().unwrap().requested_blobs.extend(&wanted.digests);
    let _ = shared.gate.subscribe().wait_for(|open| *open).await;
    let mut data = shared.data.lock().unwrap();
    let mut frames: Vec<Bytes> = wanted.digests.iter().map(|digest| frame(&data, digest)).collect();
    if data.packs_never_end {
        let frames = stream::iter(frames.into_iter().map(Ok::<_, Infallible>));
        return Ok(Body::from_stream(futures_util::StreamExt::chain(frames, stream::pending())).into_response());
    }
    frames.push(pack::end_frame());
    let cut = data.packs_to_cut > 0;
    if cut {
        data.packs_to_cut -= 1;
        frames.truncate(1);
        let half = frames[0].len() / 2;
        frames[0].truncate(half);
    }
    Ok(Body::from_stream(stream::iter(frames.into_iter().map(Ok::<_, Infallible>))).into_response())
}

fn frame(data: &Data, digest: &Digest) -> Bytes {
    match data.blobs.get(digest) {
        Some(_) if data.garbled_blobs.contains(digest) => {
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
) -> Result<StatusCode, StatusCode> {
    authorized(&headers)?;
    shared.data.lock().unwrap().reports.push(report);
    Ok(StatusCode::NO_CONTENT)
}
