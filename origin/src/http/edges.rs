//! Edges: their tokens and their reports.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use verge_protocol::EdgeName;
use verge_protocol::api::EdgeToken;
use verge_protocol::report::Report;

use super::auth::{Admin, Edge};
use super::body::{Body, Named};
use super::error::ApiError;
use crate::app::App;
use crate::token;

/// `POST /v1/edges/{edge}/token`: a new token for an edge, which joins the fleet by it. An earlier one stops working.
pub(super) async fn issue_token(
    _: Admin,
    State(app): State<Arc<App>>,
    Named(edge): Named<EdgeName>,
) -> Result<Json<EdgeToken>, ApiError> {
    let token = token::generate();
    let digest = token::digest(token.expose()).expect("what was just made is whole");
    app.database.put_token(digest, Some(&edge), app.clock.now()).await?;
    tracing::info!(%edge, "a token was issued");
    Ok(Json(EdgeToken { token: token.expose().to_owned() }))
}

/// `POST /v1/edges/report`
pub(super) async fn report(
    Edge(edge): Edge,
    State(app): State<Arc<App>>,
    Body(report): Body<Report>,
) -> Result<StatusCode, ApiError> {
    app.fleet.hear(edge, report, app.clock.now());
    app.metrics.reports.inc();
    Ok(StatusCode::NO_CONTENT)
}
