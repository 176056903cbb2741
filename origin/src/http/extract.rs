//! Taking requests apart, with errors in the API's own form.

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use bytes::Bytes;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// What the path names.
pub(super) struct PathParams<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = parts.uri.path().to_owned();
        Path::from_request_parts(parts, state)
            .await
            .map(|Path(named)| Self(named))
            .map_err(|error| ApiError::bad_request("bad_name", format!("in {path}: {}", error.body_text())))
    }
}

/// What the query asks.
pub(super) struct QueryParams<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        Query::from_request_parts(parts, state)
            .await
            .map(|Query(asked)| Self(asked))
            .map_err(|error| ApiError::bad_request("bad_query", error.body_text()))
    }
}

/// A whole body, of at most the limit of its route.
pub(super) async fn whole<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, ApiError> {
    Bytes::from_request(request, state).await.map_err(|error| {
        let code = if error.status() == StatusCode::PAYLOAD_TOO_LARGE { "too_large" } else { "cut_short" };
        ApiError::new(error.status(), code, error.body_text())
    })
}

/// A body of JSON.
pub(super) struct JsonBody<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let bytes = whole(request, state).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| ApiError::bad_request("bad_body", error.to_string()))
    }
}
