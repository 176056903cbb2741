//! Authentication: the owner of the token that a request carries, and issuing tokens.

use axum::Json;
use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use verge_protocol::api::{IssuedToken, TokenOwner};
use verge_protocol::{Digest, EdgeName, Timestamp};

use super::error::ApiError;
use super::extract::Peer;
use crate::store::Database;
use crate::token::{self, Tokens};

/// The request carries the administrator's token.
pub(super) struct Admin;

/// The request carries the token of this edge, which has this digest.
pub(super) struct Edge(pub(super) EdgeName, pub(super) Digest);

/// The request carries the token of the administrator or an edge, which may read what is served.
pub(super) struct Reader;

/// The request carries the token of an edge or a name server, which may subscribe to the change feed.
pub(super) struct Subscriber {
    pub(super) owner: TokenOwner,
    /// The token's digest, to check later whether it still works.
    pub(super) token: Digest,
}

/// The request carries a token of this owner.
pub(super) struct AnyToken(pub(super) TokenOwner);

async fn authenticate<S>(parts: &Parts, state: &S) -> Result<(TokenOwner, Digest), ApiError>
where
    Tokens: FromRef<S>,
{
    let tokens = Tokens::from_ref(state);
    let refuse = |message| {
        let error = refuse(message);
        match tokens.note_failure(Peer::of(parts).0) {
            Ok(()) => error,
            Err(wait) => error.limited(wait),
        }
    };
    let Some(header) = parts.headers.get(header::AUTHORIZATION) else {
        return Err(refuse("no token was sent"));
    };
    let text = header.to_str().unwrap_or_default();
    let bearer = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some(digest) = bearer.and_then(|(_, text)| token::digest(text.trim()).ok()) else {
        return Err(refuse("malformed token"));
    };
    let owner = tokens.owner(digest).await?.ok_or_else(|| refuse("unknown token"))?;
    Ok((owner, digest))
}

fn refuse(message: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "invalid_token", message)
        .hint("send a token that this origin issued, as `Authorization: Bearer vrg_…`")
}

/// The token was revoked since the request began.
pub(super) fn revoked() -> ApiError {
    refuse("unknown token")
}

fn forbidden(owner: &TokenOwner) -> ApiError {
    let message = match owner {
        TokenOwner::Admin => {
            "this call needs the token of an edge or a name server, not the administrator's".to_owned()
        }
        TokenOwner::Edge(_) => format!("the token of {owner} may only read the feed, manifests and blobs, and report"),
        TokenOwner::NameServer(_) => format!("the token of {owner} may only read the feed"),
    };
    ApiError::new(StatusCode::FORBIDDEN, "forbidden", message)
}

impl<S: Send + Sync> FromRequestParts<S> for Admin
where
    Tokens: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match authenticate(parts, state).await? {
            (TokenOwner::Admin, _) => Ok(Self),
            (owner, _) => Err(forbidden(&owner)),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Edge
where
    Tokens: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match authenticate(parts, state).await? {
            (TokenOwner::Edge(edge), token) => Ok(Self(edge, token)),
            (owner, _) => Err(forbidden(&owner)),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Reader
where
    Tokens: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match authenticate(parts, state).await? {
            (TokenOwner::Admin | TokenOwner::Edge(_), _) => Ok(Self),
            (owner, _) => Err(forbidden(&owner)),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Subscriber
where
    Tokens: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match authenticate(parts, state).await? {
            (owner @ (TokenOwner::Edge(_) | TokenOwner::NameServer(_)), token) => Ok(Self { owner, token }),
            (owner, _) => Err(forbidden(&owner)),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AnyToken
where
    Tokens: FromRef<S>,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        authenticate(parts, state).await.map(|(owner, _)| Self(owner))
    }
}

/// `GET /v1/token`: the owner of the token that the request carries.
pub(super) async fn show_owner(AnyToken(owner): AnyToken) -> Json<TokenOwner> {
    Json(owner)
}

/// Issues a token. The owner's earlier token stops working.
pub(super) async fn issue_token(
    database: &Database,
    owner: TokenOwner,
    now: Timestamp,
) -> Result<Json<IssuedToken>, ApiError> {
    let token = token::generate();
    let digest = token::digest(token.expose()).expect("a generated token is well formed");
    database.put_token(digest, &owner, now).await?;
    tracing::info!(%owner, "token issued");
    Ok(Json(IssuedToken { token: token.expose().to_owned() }))
}
