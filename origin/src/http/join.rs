//! Joining a fleet.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use verge_daemon::{Clock, sealing};
use verge_protocol::api::{IssuedJoinSecret, JOIN_CODE_SECONDS, JoinRequest, Joined, TokenOwner};
use verge_protocol::{EdgeName, JoinSecret, NameServerName};

use super::auth::Admin;
use super::error::ApiError;
use super::extract::{JsonBody, PathParams, Peer};
use crate::api_tls::ApiTls;
use crate::edge_settings::EdgeError;
use crate::feed::Feed;
use crate::fleet::Fleet;
use crate::join::{self, JoinError};
use crate::sites_url::SitesUrl;
use crate::store::Database;
use crate::token::{self, Tokens};

/// The largest request, in bytes.
const REQUEST_MAX: usize = 16 << 10;

/// `POST /v1/edges/{edge}/join-code`: makes a join code for an edge that is configured or has a token. An earlier one stops working; the edge's token does when the code is used.
pub(super) async fn issue_for_edge(
    _: Admin,
    State(database): State<Database>,
    State(clock): State<Clock>,
    State(tls): State<ApiTls>,
    PathParams(edge): PathParams<EdgeName>,
) -> Result<Json<IssuedJoinSecret>, ApiError> {
    // Of a name that was mistyped there would be an edge to which name servers direct nobody.
    if !database.edges().await?.contains_key(&edge) && !database.edges_with_token().await?.contains(&edge) {
        return Err(EdgeError::Unknown(edge).into());
    }
    issue(&database, TokenOwner::Edge(edge), &clock, &tls).await
}

/// `POST /v1/name-servers/{name}/join-code`: makes a join code for a name server, likewise.
pub(super) async fn issue_for_name_server(
    _: Admin,
    State(database): State<Database>,
    State(clock): State<Clock>,
    State(tls): State<ApiTls>,
    PathParams(name): PathParams<NameServerName>,
) -> Result<Json<IssuedJoinSecret>, ApiError> {
    issue(&database, TokenOwner::NameServer(name), &clock, &tls).await
}

async fn issue(
    database: &Database,
    owner: TokenOwner,
    clock: &Clock,
    tls: &ApiTls,
) -> Result<Json<IssuedJoinSecret>, ApiError> {
    let secret = JoinSecret::new(rand::random());
    let expires = clock.now().after(Duration::from_secs(JOIN_CODE_SECONDS));
    database.put_join_code(secret.digest(), &owner, expires).await?;
    tracing::info!(%owner, %expires, "join code made");
    Ok(Json(IssuedJoinSecret { secret, expires, pin: tls.pin() }))
}

/// `POST /v1/join`: exchanges the secret of a join code for a token, and binds an edge to its public key. The code is used up then.
pub(super) async fn join(
    peer: Peer,
    State(tokens): State<Tokens>,
    State(feed): State<Feed>,
    State(fleet): State<Fleet>,
    State(sites_url): State<SitesUrl>,
    JsonBody(JoinRequest { secret, public_key }): JsonBody<JoinRequest, REQUEST_MAX>,
) -> Result<Json<Joined>, ApiError> {
    let Tokens { database, clock, .. } = &tokens;
    if let Some(key) = &public_key {
        let checked = sealing::check_public_key(key);
        checked.map_err(|error| ApiError::bad_request("invalid_key", error.to_string()))?;
    }
    let now = clock.now();
    let decide = |code| join::owner(code, public_key.as_deref(), now);
    // Anybody can send a code: none but a good one takes the write connection.
    let refuse = |error: JoinError| {
        if matches!(error, JoinError::Store(_)) {
            return error.into();
        }
        if let Err(wait) = tokens.note_failure(peer.0) {
            return ApiError::from(error).limited(wait);
        }
        // Nor does one that nobody made fill the log.
        if !matches!(error, JoinError::Unknown) {
            tracing::warn!(%error, "a machine that sent a join code was refused");
        }
        error.into()
    };
    decide(database.join_code(secret.digest()).await?).map_err(refuse)?;
    let token = token::generate();
    let digest = token::digest(token.expose()).expect("a generated token is well formed");
    let exchanged = database.exchange_join_code(secret.digest(), public_key.as_deref(), digest, now, decide).await;
    let owner = exchanged.map_err(refuse)?;
    tracing::info!(%owner, "joined");
    feed.tokens_changed();
    let edge = match &owner {
        TokenOwner::Edge(edge) => {
            fleet.reload().await?;
            database.edges().await?.remove(edge)
        }
        TokenOwner::NameServer(_) | TokenOwner::Admin => None,
    };
    Ok(Json(Joined { owner, token: token.expose().to_owned(), base_domain: sites_url.base().clone(), edge }))
}

impl From<JoinError> for ApiError {
    fn from(error: JoinError) -> Self {
        let message = error.to_string();
        let another = "make another code: POST /v1/edges/{edge}/join-code or /v1/name-servers/{name}/join-code";
        match error {
            JoinError::Unknown => Self::not_found("unknown_join_code", message).hint(another),
            JoinError::Expired { .. } => Self::new(StatusCode::GONE, "join_code_expired", message).hint(another),
            JoinError::Used { .. } => Self::conflict("join_code_used", message).hint(another),
            JoinError::NoKey(_) => Self::bad_request("invalid_key", message),
            JoinError::Store(error) => Self::from(error),
        }
    }
}
