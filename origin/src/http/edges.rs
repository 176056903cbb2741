//! Edges: how readers are sent to them, their tokens and their reports.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use verge_protocol::EdgeName;
use verge_protocol::api::{EdgeSettings, ForceEdge, IssuedToken};
use verge_protocol::fleet::EdgeState;
use verge_protocol::report::EdgeReport;

use super::auth::{Admin, Edge};
use super::extract::{Body, PathParams};
use super::error::ApiError;
use super::tokens;
use crate::app::App;
use crate::edge_settings;
use crate::store::Holder;

/// `PUT /v1/edges/{edge}`: says how readers are sent to an edge.
pub(super) async fn describe(
    _: Admin,
    State(app): State<Arc<App>>,
    PathParams(edge): PathParams<EdgeName>,
    JsonBody(settings): JsonBody<EdgeSettings>,
) -> Result<Json<EdgeState>, ApiError> {
    Ok(Json(edge_settings::describe(&app, edge, settings).await?))
}

/// `PUT /v1/edges/{edge}/force`: decides about an edge whatever probes say.
pub(super) async fn force(
    _: Admin,
    State(app): State<Arc<App>>,
    PathParams(edge): PathParams<EdgeName>,
    JsonBody(wish): JsonBody<ForceEdge>,
) -> Result<Json<EdgeState>, ApiError> {
    Ok(Json(edge_settings::force(&app, edge, wish.force).await?))
}

/// `DELETE /v1/edges/{edge}`: takes an edge out of the fleet, its token with it.
pub(super) async fn remove(
    _: Admin,
    State(app): State<Arc<App>>,
    PathParams(edge): PathParams<EdgeName>,
) -> Result<StatusCode, ApiError> {
    edge_settings::remove(&app, edge).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/edges/{edge}/token`: a new token for an edge, which joins the fleet by it. An earlier one stops working.
pub(super) async fn issue_token(
    _: Admin,
    State(app): State<Arc<App>>,
    PathParams(edge): PathParams<EdgeName>,
) -> Result<Json<IssuedToken>, ApiError> {
    tokens::issue(&app, Holder::Edge(edge)).await
}

/// `POST /v1/edges/report`
pub(super) async fn report(
    Edge(edge): Edge,
    State(app): State<Arc<App>>,
    JsonBody(report): JsonBody<EdgeReport>,
) -> Result<StatusCode, ApiError> {
    app.edge_reports.hear(edge, report, app.clock.now());
    app.metrics.reports.inc();
    Ok(StatusCode::NO_CONTENT)
}
