//! Who is calling.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use verge_protocol::EdgeName;

use super::error::ApiError;
use crate::app::App;
use crate::token;

/// The caller holds the administrator's token.
pub(super) struct Admin;

/// The caller holds the token of this edge.
pub(super) struct Edge(pub(super) EdgeName);

enum Caller {
    Admin,
    Edge(EdgeName),
}

async fn caller(parts: &Parts, app: &App) -> Result<Caller, ApiError> {
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
    match app.database.token(digest).await? {
        None => Err(refuse("the token is not known here")),
        Some(None) => Ok(Caller::Admin),
        Some(Some(edge)) => Ok(Caller::Edge(edge)),
    }
}

impl FromRequestParts<Arc<App>> for Admin {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        match caller(parts, app).await? {
            Caller::Admin => Ok(Self),
            Caller::Edge(edge) => Err(ApiError::new(
                StatusCode::FORBIDDEN,
                "not_allowed",
                format!("the token of edge {edge} may only read and report"),
            )),
        }
    }
}

impl FromRequestParts<Arc<App>> for Edge {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        match caller(parts, app).await? {
            Caller::Edge(edge) => Ok(Self(edge)),
            Caller::Admin => {
                let message = "this is for edges: the administrator's token does not say which edge it is";
                Err(ApiError::new(StatusCode::FORBIDDEN, "not_allowed", message))
            }
        }
    }
}
