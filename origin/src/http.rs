//! The origin's HTTP API, on one screen. `docs/API.md` tells it to its users.

mod auth;
mod blobs;
mod body;
mod builds;
mod changes;
mod channels;
mod domains;
mod edges;
mod error;
mod manifests;
mod name_servers;
mod progress;
mod releases;
mod sites;
mod status;
mod tokens;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post, put};
use tower_http::catch_panic::CatchPanicLayer;

use crate::app::App;

/// Every route. Who may call each is said by its handler's first arguments.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        // For those who push.
        .route("/v1/sites", get(sites::list))
        .route("/v1/sites/{site}", get(sites::show).put(sites::create))
        .route("/v1/sites/{site}/builds", post(builds::create))
        .route("/v1/sites/{site}/builds/{build}/blobs", post(builds::keep))
        .route("/v1/sites/{site}/releases", get(releases::list).post(releases::publish))
        .route("/v1/sites/{site}/channels/{channel}", post(channels::move_to))
        .route("/v1/status", get(status::show))
        // For those who run it.
        .route("/v1/sites/{site}/regions", put(sites::fence))
        .route("/v1/domains", get(domains::list))
        .route("/v1/domains/{domain}", put(domains::want).delete(domains::remove))
        .route("/v1/edges", get(status::list_edges))
        .route("/v1/edges/{edge}", put(edges::describe).delete(edges::remove))
        .route("/v1/edges/{edge}/force", put(edges::force))
        .route("/v1/edges/{edge}/token", post(edges::issue_token))
        .route("/v1/name-servers", get(name_servers::list))
        .route("/v1/name-servers/{name}", delete(name_servers::remove))
        .route("/v1/name-servers/{name}/token", post(name_servers::issue_token))
        // For edges, and the first one for nodes too.
        .route("/v1/changes", get(changes::follow))
        .route("/v1/manifests/{id}", get(manifests::show))
        .route("/v1/blobs", post(blobs::send))
        .route("/v1/edges/report", post(edges::report))
        .fallback(error::unknown_route)
        .method_not_allowed_fallback(error::wrong_method)
        // Handlers that take more say so themselves.
        .layer(DefaultBodyLimit::max(1 << 20))
        .layer(CatchPanicLayer::custom(error::panicked))
        .with_state(app)
}
