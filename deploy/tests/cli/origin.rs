//! A fake origin: keeps everything in memory, records requests, and misbehaves on demand.

mod blobs;
mod builds;
mod channels;
mod purges;
mod state;

use std::sync::MutexGuard;

pub(crate) use self::state::{Early, Memory, Site};
use self::state::{Shared, refuse};
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// The token that the fake origin accepts.
pub(crate) const TOKEN: &str = "vrg_00000000000000000000000000000000000000009692e67b";

/// A running fake origin; stopped when dropped.
pub(crate) struct Origin {
    pub(crate) url: String,
    shared: Shared,
    _task: JoinSet<()>,
}

impl Origin {
    pub(crate) async fn start() -> Self {
        let shared = Shared::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/v1/sites", get(channels::sites))
            .route("/v1/sites/{site}", get(channels::site).put(builds::create_site))
            .route("/v1/sites/{site}/builds", post(builds::create))
            .route("/v1/sites/{site}/builds/{build}/blobs", post(blobs::receive))
            .route("/v1/sites/{site}/releases", get(channels::releases).post(channels::publish))
            .route("/v1/sites/{site}/channels/{channel}", post(channels::move_to).delete(channels::delete))
            .route("/v1/sites/{site}/channels/{channel}/rollout", get(channels::rollout))
            .route("/v1/sites/{site}/purges", post(purges::create))
            .route("/v1/sites/{site}/erasures", post(purges::erase))
            .route("/v1/sites/{site}/erasures/plan", post(purges::plan_erasure))
            .route("/v1/sites/{site}/log", get(purges::log))
            .route("/v1/status", get(channels::status))
            .route("/v1/edges", get(channels::edges))
            .layer(middleware::from_fn_with_state(shared.clone(), record_and_authorize))
            .with_state(shared.clone());
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, shared, _task: task }
    }

    /// Its state and faults.
    pub(crate) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.shared.lock().unwrap()
    }
}

/// Records every request, and rejects those without the token or according to the faults.
async fn record_and_authorize(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let authorized =
        request.headers().get("authorization").is_some_and(|value| value == format!("Bearer {TOKEN}").as_str());
    {
        let mut memory = shared.lock().unwrap();
        memory.requests.push(format!("{} {}", request.method(), request.uri()));
        if memory.faults.forbidden || !authorized {
            let status = if authorized { StatusCode::FORBIDDEN } else { StatusCode::UNAUTHORIZED };
            return refuse(status, "forbidden", "this token does not allow that");
        }
        let uploading = memory.requests.iter().any(|request| request.ends_with("/blobs"));
        if memory.faults.unavailable > 0 && uploading {
            memory.faults.unavailable -= 1;
            return (StatusCode::SERVICE_UNAVAILABLE, "<html>busy</html>").into_response();
        }
    }
    let is_move = request.method() == "POST"
        && (request.uri().path().ends_with("/releases") || request.uri().path().contains("/channels/"));
    let left = shared.lock().unwrap().faults.unavailable_moves.checked_sub(1);
    if let Some(left) = left.filter(|_| is_move) {
        shared.lock().unwrap().faults.unavailable_moves = left;
        return (StatusCode::BAD_GATEWAY, "<html>bad gateway</html>").into_response();
    }
    let is_site = request.method() == "GET" && request.uri().path().matches('/').count() == 3;
    let left = shared.lock().unwrap().faults.unavailable_sites.checked_sub(1);
    if let Some(left) = left.filter(|_| is_site && request.uri().path().starts_with("/v1/sites/")) {
        shared.lock().unwrap().faults.unavailable_sites = left;
        return (StatusCode::BAD_GATEWAY, "<html>bad gateway</html>").into_response();
    }
    let closes = shared.lock().unwrap().faults.closes;
    let mut response = next.run(request).await;
    if closes {
        response.headers_mut().insert("connection", HeaderValue::from_static("close"));
    }
    response
}
