//! Who is calling.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use verge_protocol::{Digest, EdgeName};

use super::error::ApiError;
use crate::app::App;
use crate::store::Holder;
use crate::token;

/// The caller holds the administrator's token.
pub(super) struct Admin;

/// The caller holds the token of this edge.
pub(super) struct Edge(pub(super) EdgeName);

/// The caller holds the token of an edge or of a node: of who follows the change feed.
pub(super) struct Follows {
    pub(super) follower: Holder,
    /// What the token is known by, to see whether it still works later.
    pub(super) token: Digest,
}

async fn caller(parts: &Parts, app: &App) -> Result<(Holder, Digest), ApiError> {
    let refuse = |message: &str| {
        ApiError::new(StatusCode::UNAUTHORIZED, "bad_token", message)
            .hint("set VERGE_TOKEN, or run `verge up` to have one of your own")
    };
    let Some(header) = parts.headers.get(header::AUTHORIZATION) else {
        return Err(refuse("no token was sent"));
    };
    let text = header.to_str().unwrap_or_default();
    let bearer = text.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let Some(digest) = bearer.and_then(|(_, text)| token::digest(text.trim())) else {
        return Err(refuse("the token is not whole"));
    };
    let holder = app.database.token(digest).await?.ok_or_else(|| refuse("the token is not known here"))?;
    Ok((holder, digest))
}

/// The answer to a token that opens other doors.
fn forbid(holder: &Holder) -> ApiError {
    let message = match holder {
        Holder::Admin => "this is for edges: the administrator's token does not say which edge it is".to_owned(),
        Holder::Edge(_) => format!("the token of {holder} may only read and report"),
        Holder::NameServer(_) => format!("the token of {holder} may only follow the changes"),
    };
    ApiError::new(StatusCode::FORBIDDEN, "not_allowed", message)
}

impl FromRequestParts<Arc<App>> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        match caller(parts, app).await? {
            (Holder::Admin, _) => Ok(Self),
            (other, _) => Err(forbid(&other)),
        }
    }
}

impl FromRequestParts<Arc<App>> for Edge {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        match caller(parts, app).await? {
            (Holder::Edge(edge), _) => Ok(Self(edge)),
            (other, _) => Err(forbid(&other)),
        }
    }
}

impl FromRequestParts<Arc<App>> for Follows {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        match caller(parts, app).await? {
            (follower @ (Holder::Edge(_) | Holder::NameServer(_)), token) => Ok(Self { follower, token }),
            (other, _) => Err(forbid(&other)),
        }
    }
}
