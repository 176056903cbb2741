//! A fake origin that serves the change feed.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, Sse};
use axum::routing::get;
use futures_util::{Stream, StreamExt as _, stream};
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio::sync::watch;
use verge_daemon::http_server::{HttpLimits, serve};
use verge_daemon::{Tasks, listen};
use verge_protocol::feed::FeedEvent;
use verge_protocol::state::Row;
use verge_protocol::{Digest, Generation, Position, Seq};

pub(super) const TOKEN: &str = "vrg_ns";

#[derive(Default)]
struct Data {
    seq: u64,
    rows: BTreeMap<String, Row>,
}

#[derive(Clone)]
struct Shared {
    data: Arc<Mutex<Data>>,
    changed: watch::Sender<()>,
}

pub(super) struct FakeOrigin {
    shared: Shared,
    address: SocketAddr,
    tasks: Option<Tasks>,
}

impl FakeOrigin {
    pub(super) async fn start() -> Self {
        let shared = Shared { data: Arc::default(), changed: watch::Sender::new(()) };
        let tasks = Tasks::default();
        let listener = listen::tcp("the origin", SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/v1/changes", get(changes)).with_state(shared.clone());
        serve("origin", listener, HttpLimits::default(), &tasks, TowerToHyperService::new(router));
        Self { shared, address, tasks: Some(tasks) }
    }

    /// Closes every connection and accepts no new ones.
    pub(super) async fn stop(&mut self) {
        if let Some(tasks) = self.tasks.take() {
            let _ = tasks.shutdown(Duration::ZERO).await;
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes a row; `None` removes the key.
    pub(super) fn write(&self, key: &str, value: Option<Value>) {
        {
            let mut data = self.shared.data.lock().unwrap();
            data.seq += 1;
            let row = Row { key: key.to_owned(), seq: Seq(data.seq), value: value.map(Into::into) };
            data.rows.insert(key.to_owned(), row);
        }
        self.shared.changed.send_replace(());
    }

    /// Publishes a channel, `demo/live`.
    pub(super) fn publish(&self, channel: &str) {
        let manifest = Digest::of(channel.as_bytes());
        self.write(&format!("channel/{channel}"), Some(json!({ "epoch": 1, "release": "v1", "manifest": manifest })));
    }

    /// Restricts the readers of a site to regions.
    pub(super) fn restrict(&self, site: &str, regions: &[&str]) {
        self.write(&format!("site/{site}"), Some(json!({ "regions": regions })));
    }

    /// Writes a domain of a site.
    pub(super) fn domain(&self, domain: &str, site: &str) {
        self.write(&format!("domain/{domain}"), Some(json!({ "site": site })));
    }

    /// Writes the settings of an edge.
    pub(super) fn edge(&self, edge: &str, value: Value) {
        self.write(&format!("edge/{edge}"), Some(value));
    }
}

#[derive(serde::Deserialize)]
struct Since {
    since: Option<Position>,
}

/// The state of one connection.
struct Feed {
    shared: Shared,
    changed: watch::Receiver<()>,
    sent: u64,
    caught_up: bool,
}

impl Feed {
    /// The next changes, or a heartbeat.
    async fn next(mut self) -> (Vec<FeedEvent>, Self) {
        if self.caught_up && tokio::time::timeout(Duration::from_secs(5), self.changed.changed()).await.is_err() {
            return (vec![FeedEvent::Heartbeat], self);
        }
        self.changed.mark_unchanged();
        let (seq, mut rows) = {
            let data = self.shared.data.lock().unwrap();
            (data.seq, data.rows.values().filter(|row| row.seq.0 > self.sent).cloned().collect::<Vec<_>>())
        };
        rows.sort_by_key(|row| row.seq);
        let mut events: Vec<FeedEvent> = rows.into_iter().map(FeedEvent::Row).collect();
        if !std::mem::replace(&mut self.caught_up, true) {
            events.push(FeedEvent::CaughtUp(Position { generation: Generation(1), seq: Seq(seq) }));
        }
        self.sent = seq;
        (events, self)
    }
}

async fn changes(
    State(shared): State<Shared>,
    Query(Since { since }): Query<Since>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, StatusCode> {
    if headers.get("authorization").is_none_or(|value| *value != format!("Bearer {TOKEN}")) {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let changed = shared.changed.subscribe();
    let feed = Feed { shared, changed, sent: since.map_or(0, |since| since.seq.0), caught_up: false };
    let events = stream::unfold(feed, async |feed| Some(feed.next().await)).flat_map(stream::iter);
    Ok(Sse::new(events.map(|event| {
        let (name, data) = event.to_parts();
        Ok(Event::default().event(name).data(data))
    })))
}
