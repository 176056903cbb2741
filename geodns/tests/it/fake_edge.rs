//! A fake edge whose health a test controls.

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
    /// The TLS acceptor from the next start on; `None`: plain HTTP.
    pub(super) tls: Option<TlsAcceptor>,
    shared: Shared,
    tasks: Option<Tasks>,
}

/// Every edge has its own address, so that no other test takes its port while it is down.
static ADDRESSES: AtomicU16 = AtomicU16::new(1);

impl FakeEdge {
    pub(super) async fn start(name: &'static str) -> Self {
        Self::start_over(None, name).await
    }

    /// Starts an edge, over TLS if an acceptor is given.
    pub(super) async fn start_over(tls: Option<TlsAcceptor>, name: &'static str) -> Self {
        let [high, low] = ADDRESSES.fetch_add(1, Ordering::SeqCst).to_be_bytes();
        let health = EdgeHealth {
            edge: name.parse().unwrap(),
            generation: Some(Generation(1)),
            applied: Some(Seq(1)),
            served_of_obtainable: None,
            pending: 0,
            missing_blobs: 0,
            saving: true,
            served: None,
            origin_last_seen_seconds: Some(0),
            catching_up: false,
            draining: false,
        };
        let shared = Shared { health: Arc::new(Mutex::new(health)), serves: Arc::new(AtomicBool::new(true)) };
        let address = (Ipv4Addr::new(127, 1, high, low), 0).into();
        let mut edge = Self { name, address, tls, shared, tasks: None };
        edge.restart().await;
        edge
    }

    /// The value of its row.
    pub(super) fn row(&self, location: &str) -> Value {
        json!({ "addresses": [self.address.ip()], "port": self.address.port(), "location": location })
    }

    /// Stops it: connections are refused.
    pub(super) async fn stop(&mut self) {
        if let Some(tasks) = self.tasks.take() {
            let _ = tasks.shutdown(Duration::ZERO).await;
        }
    }

    pub(super) async fn restart(&mut self) {
        let tasks = Tasks::default();
        let listener = listen::tcp("an edge", self.address).await.unwrap();
        self.address = listener.local_addr().unwrap();
        let router = Router::new().route(HEALTH_PATH, get(health)).with_state(self.shared.clone());
        match self.tls.clone() {
            None => drop(serve("edge", listener, &HttpLimits::default(), &tasks, TowerToHyperService::new(router))),
            Some(acceptor) => {
                let edge = axum::serve(TlsListener { tcp: listener, acceptor }, router);
                drop(tasks.spawn("edge", edge.into_future()));
            }
        }
        self.tasks = Some(tasks);
    }

    /// Whether it can serve, or answers 503.
    pub(super) fn set_serving(&self, serves: bool) {
        self.shared.serves.store(serves, Ordering::SeqCst);
    }

    pub(super) fn set_draining(&self, drains: bool) {
        self.shared.health.lock().unwrap().draining = drains;
    }

    /// Sets its position in the feed.
    pub(super) fn set_position(&self, seq: u64) {
        self.shared.health.lock().unwrap().applied = Some(Seq(seq));
    }
}

async fn health(State(shared): State<Shared>) -> Result<Json<EdgeHealth>, StatusCode> {
    if !shared.serves.load(Ordering::SeqCst) {
        return Err(StatusCode::SERVICE_UNAVAILABLE);
    }
    Ok(Json(shared.health.lock().unwrap().clone()))
}
