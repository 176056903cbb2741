//! The listener for certificate authorities, which ask for files at port 80 of the API's own name (RFC 8555 §8.3).

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::certificates::ApiCertificate;

/// The only route. Every other path is not found.
pub(crate) fn router(certificate: ApiCertificate) -> Router {
    Router::new().route("/.well-known/acme-challenge/{token}", get(answer)).with_state(certificate)
}

async fn answer(State(certificate): State<ApiCertificate>, Path(token): Path<String>) -> Response {
    match certificate.challenge(&token) {
        Some(text) => ([(header::CONTENT_TYPE, "application/octet-stream")], text).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
