//! Nodes that answer DNS: their tokens, which are all that the origin knows of them.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use verge_protocol::NameServerName;
use verge_protocol::api::{IssuedToken, NameServer};

use super::auth::Admin;
use super::extract::PathParams;
use super::error::ApiError;
use super::tokens;
use crate::app::App;
use crate::store::Holder;

/// `GET /v1/name-servers`: by name.
pub(super) async fn list(_: Admin, State(app): State<Arc<App>>) -> Result<Json<Vec<NameServer>>, ApiError> {
    let nodes = app.database.nodes().await?;
    Ok(Json(nodes.into_iter().map(|(name, issued)| NameServer { name, issued }).collect()))
}

/// `DELETE /v1/name-servers/{name}`: its token stops working.
pub(super) async fn remove(
    _: Admin,
    State(app): State<Arc<App>>,
    PathParams(node): PathParams<NameServerName>,
) -> Result<StatusCode, ApiError> {
    if !app.database.remove_node(&node).await? {
        let error = ApiError::not_found("unknown_node", format!("there is no node `{node}`"));
        return Err(error.hint("`verge dns nodes` lists what there is"));
    }
    tracing::info!(%node, "a node was removed");
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/name-servers/{name}/token`: a new token for a node, by which it may follow the changes and nothing else. An earlier one
/// stops working.
pub(super) async fn issue_token(
    _: Admin,
    State(app): State<Arc<App>>,
    PathParams(node): PathParams<NameServerName>,
) -> Result<Json<IssuedToken>, ApiError> {
    tokens::issue(&app, Holder::NameServer(node)).await
}
