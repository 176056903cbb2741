//! Extractors that reject a request with an error in the API's format.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use super::body::{BODY_MAX, read_body};
use super::error::ApiError;

/// The parameters in the path.
pub(super) struct PathParams<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for PathParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = parts.uri.path().to_owned();
        let params = Path::from_request_parts(parts, state).await;
        params.map(|Path(params)| Self(params)).map_err(|rejection| {
            let reason = match rejection {
                PathRejection::FailedToDeserializePathParams(error) => error.kind().to_string(),
                other => other.body_text(),
            };
            ApiError::bad_request("invalid_name", format!("invalid path {path}: {reason}"))
        })
    }
}

/// The parameters in the query.
pub(super) struct QueryParams<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryParams<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let params = Query::from_request_parts(parts, state).await;
        params
            .map(|Query(params)| Self(params))
            .map_err(|rejection| ApiError::bad_request("invalid_query", rejection.body_text()))
    }
}

/// The address of the client, or of the proxy in front.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) IpAddr);

impl Peer {
    pub(super) fn of(parts: &Parts) -> Self {
        // A request that came over no connection is one of a test.
        parts.extensions.get().copied().unwrap_or(Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}

/// A JSON body of at most `MAX` bytes.
pub(super) struct JsonBody<T, const MAX: usize = BODY_MAX>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync, const MAX: usize> FromRequest<S> for JsonBody<T, MAX> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let bytes = read_body(request, MAX).await?;
        serde_json::from_slice(&bytes)
            .map(Self)
            .map_err(|error| ApiError::bad_request("invalid_body", format!("invalid body: {error}")))
    }
}
