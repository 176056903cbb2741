//! Name servers. The origin stores only their tokens.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use verge_daemon::Clock;
use verge_protocol::NameServerName;
use verge_protocol::api::{IssuedToken, NameServer, TokenOwner};

use super::auth::{self, Admin};
use super::error::ApiError;
use super::extract::PathParams;
use crate::feed::Feed;
use crate::store::Database;

/// `GET /v1/name-servers`: every name server that has a token, by name.
pub(super) async fn list(_: Admin, State(database): State<Database>) -> Result<Json<Vec<NameServer>>, ApiError> {
    let name_servers = database.name_servers().await?;
    Ok(Json(name_servers.into_iter().map(|(name, issued)| NameServer { name, issued }).collect()))
}

/// `DELETE /v1/name-servers/{name}`: revokes the token of a name server.
pub(super) async fn remove(
    _: Admin,
    State(database): State<Database>,
    State(feed): State<Feed>,
    PathParams(name): PathParams<NameServerName>,
) -> Result<StatusCode, ApiError> {
    if !database.remove_name_server(&name).await? {
        return Err(ApiError::not_found("unknown_name_server", format!("there is no name server `{name}`"))
            .hint("GET /v1/name-servers lists all name servers"));
    }
    feed.tokens_changed();
    tracing::info!(name_server = %name, "name server removed");
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/name-servers/{name}/token`: issues a name server's token, which gives access to the change feed only. An earlier one
/// stops working.
pub(super) async fn issue_token(
    _: Admin,
    State(database): State<Database>,
    State(clock): State<Clock>,
    State(feed): State<Feed>,
    PathParams(name): PathParams<NameServerName>,
) -> Result<Json<IssuedToken>, ApiError> {
    let token = auth::issue_token(&database, TokenOwner::NameServer(name), clock.now()).await?;
    feed.tokens_changed();
    Ok(token)
}
