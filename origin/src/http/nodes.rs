//! Nodes that answer DNS: their tokens.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use verge_protocol::NodeName;
use verge_protocol::api::IssuedToken;

use super::auth::Admin;
use super::body::Named;
use super::error::ApiError;
use super::tokens;
use crate::app::App;
use crate::store::Holder;

/// `POST /v1/nodes/{node}/token`: a new token for a node, by which it may follow the changes and nothing else. An earlier one
/// stops working.
pub(super) async fn issue_token(
    _: Admin,
    State(app): State<Arc<App>>,
    Named(node): Named<NodeName>,
) -> Result<Json<IssuedToken>, ApiError> {
    tokens::issue(&app, Holder::Node(node)).await
}
