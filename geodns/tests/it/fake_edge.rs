//! An edge that says of its health what a test wants it to.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use tokio_rustls::TlsAcceptor;
use verge_daemon::http_server::{HttpLimits, serve};
use verge_daemon::{Tasks, listen};
use verge_protocol::health::{EdgeHealth, HEALTH_PATH};
use verge_protocol::{Generation, Seq};

use super::tls::TlsListener;

#[derive(Clone)]
struct Shared {
    health: Arc<Mutex<EdgeHealth>>,
    serves: Arc<AtomicBool>,
}

pub(super) struct FakeEdge {
    pub(super) name: &'static str,
    pub(super) address: SocketAddr,
    /// Over what it listens when it comes back; `None`: without TLS.
    pub(super) tls: Option<TlsAcceptor>,
    shared: Shared,
    tasks: Option<Tasks>,
}

/// Every edge has an address of its own, so that no other test takes its port while it is down.
static ADDRESSES: AtomicU16 = AtomicU16::new(1);

impl FakeEdge {
    pub(super) async fn start(name: &'static str) -> Self {
        Self::over(None, name).await
    }

    /// One that speaks TLS, if it is given with what.
    pub(super) async fn over(tls: Option<TlsAcceptor>, name: &'static str) -> Self {
        let [high, low] = ADDRESSES.fetch_add(1, Ordering::SeqCst).to_be_bytes();
        let health = EdgeHealth {
            edge: name.parse().unwrap(),
            generation: Some(Generation(1)),
            applied: Some(Seq(1)),
            pending: 0,
            served: None,
            origin_last_seen_seconds: Some(0),
            draining: false,
        };
        let shared = Shared { health: Arc::new(Mutex::new(health)), serves: Arc::new(AtomicBool::new(true)) };
        let address = (Ipv4Addr::new(127, 1, high, low), 0).into();
        let mut edge = Self { name, address, tls, shared, tasks: None };
        edge.come_back().await;
        edge
    }

    /// The value of its row.
    pub(super) fn row(&self, place: &str) -> Value {
        json!({ "addresses": [self.address.ip()], "port": self.address.port(), "location": place })
    }

    /// Has it refuse connections.
    pub(super) async fn go_away(&mut self) {
        if let Some(tasks) = self.tasks.take() {
            let _ = tasks.shutdown(Duration::ZERO).await;
        }
    }

    pub(super) async fn come_back(&mut self) {
        let tasks = Tasks::default();
        let listener = listen::tcp("an edge", self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let router = Router::new().route(HEALTH_PATH, get(health)).with_state(self.shared.clone());
        match self.tls.clone() {
            None => serve("edge", listener, HttpLimits::default(), &tasks, TowerToHyperService::new(router)),
            Some(acceptor) => {
                let edge = axum::serve(TlsListener { tcp: listener, acceptor }, router);
                drop(tasks.spawn("edge", edge.into_future()));
            }
        }
        self.tasks = Some(tasks);
    }

    /// Whether it can serve, or answers 503.
    pub(super) fn serves(&self, serves: bool) {
        self.shared.serves.store(serves, Ordering::SeqCst);
    }

    pub(super) fn drains(&self, drains: bool) {
        self.shared.health.lock().unwrap().draining = drains;
    }

    /// How far it has followed.
    pub(super) fn is_at(&self, seq: u64) {
        self.shared.health.lock().unwrap().applied = Some(Seq(seq));
    }
}

async fn health(State(shared): State<Shared>) -> Result<Json<EdgeHealth>, StatusCode> {
    if !shared.serves.load(Ordering::SeqCst) {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    Ok(Json(shared.health.lock().unwrap().clone()))
}
