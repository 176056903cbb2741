//! The origin's HTTP API, on one screen. `docs/API.md` documents it.

mod auth;
mod blobs;
mod body;
mod builds;
mod certificates;
pub(crate) mod challenges;
mod changes;
mod channels;
mod collection;
mod domains;
mod edges;
mod erasures;
mod error;
mod extract;
mod hosts;
mod join;
mod log;
mod manifests;
mod name_servers;
mod orphans;
mod progress;
mod purges;
mod releases;
mod secrets;
mod sites;
mod status;

use axum::Router;
use axum::http::{HeaderValue, Request, header};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use tower::util::MapRequest;
use tower_http::catch_panic::CatchPanicLayer;
use verge_daemon::http_server::Connection;

use self::extract::Peer;
use crate::app_state::AppState;

/// Every route. The first argument of a handler tells whose token it takes; its `State` arguments tell what it uses.
pub(crate) fn router(app: AppState) -> Router {
    Router::new()
        // For clients that push.
        .route("/v1/sites", get(sites::list))
        .route("/v1/sites/{site}", get(sites::show).put(sites::create))
        .route("/v1/sites/{site}/builds", post(builds::create))
        .route("/v1/sites/{site}/builds/{build}/blobs", post(builds::upload_blobs))
        .route("/v1/sites/{site}/releases", get(releases::list).post(releases::create))
        .route("/v1/sites/{site}/releases/{release}", delete(collection::delete_release))
        .route("/v1/sites/{site}/channels/{channel}", post(channels::move_channel).delete(channels::delete))
        .route("/v1/sites/{site}/channels/{channel}/rollout", get(channels::rollout))
        .route("/v1/sites/{site}/purges", post(purges::create))
        .route("/v1/sites/{site}/erasures", post(erasures::create))
        .route("/v1/sites/{site}/erasures/plan", post(erasures::plan))
        .route("/v1/sites/{site}/log", get(log::list))
        .route("/v1/hosts/{host}", get(hosts::show))
        .route("/v1/status", get(status::show))
        // For operators.
        .route("/v1/sites/{site}/regions", put(sites::set_regions))
        .route("/v1/sites/{site}/https", put(sites::set_https))
        .route("/v1/collection", get(collection::plan).post(collection::collect))
        .route("/v1/domains", get(domains::list))
        .route("/v1/domains/{domain}", put(domains::claim).delete(domains::remove))
        .route("/v1/certificates", get(certificates::list))
        .route("/v1/certificates/rekey", post(certificates::rekey))
        .route("/v1/edges", get(edges::list))
        .route("/v1/edges/{edge}", put(edges::configure).delete(edges::remove))
        .route("/v1/edges/{edge}/force", put(edges::force))
        .route("/v1/edges/{edge}/token", post(edges::issue_token))
        .route("/v1/edges/{edge}/join-code", post(join::issue_for_edge))
        .route("/v1/name-servers", get(name_servers::list))
        .route("/v1/name-servers/{name}", delete(name_servers::remove))
        .route("/v1/name-servers/{name}/token", post(name_servers::issue_token))
        .route("/v1/name-servers/{name}/join-code", post(join::issue_for_name_server))
        .route("/v1/orphans/remove", post(orphans::remove))
        // For machines that join, without a token.
        .route("/v1/join", post(join::join))
        // For every token.
        .route("/v1/token", get(auth::show_owner))
        // For edges; the first one for name servers, the second one for clients that push too.
        .route("/v1/changes", get(changes::subscribe))
        .route("/v1/manifests/{id}", get(manifests::show))
        .route("/v1/blobs", post(blobs::download))
        .route("/v1/secrets", post(secrets::request))
        .route("/v1/edges/report", post(edges::report))
        .fallback(error::unknown_route)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(map_response(forbid_sniffing))
        .with_state(app)
}

/// The service of one connection: it tells the routes the address of the client.
pub(crate) fn service_of<B>(
    router: &Router,
    connection: &Connection,
) -> MapRequest<Router, impl FnMut(Request<B>) -> Request<B> + Clone + use<B>> {
    let peer = Peer(connection.peer.ip());
    MapRequest::new(router.clone(), move |mut request: Request<B>| {
        request.extensions_mut().insert(peer);
        request
    })
}

/// Has browsers take a response for nothing but what its media type says: it may contain text from anybody, such as a release's message.
async fn forbid_sniffing(mut response: Response) -> Response {
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
