//! The whole at a glance.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use verge_protocol::api::{Edge, Status};
use verge_protocol::fleet::EdgeState;
use verge_protocol::{EdgeName, Timestamp};

use super::auth::Admin;
use super::error::ApiError;
use crate::app::App;
use crate::fleet::Heard;
use crate::store::StoreError;

/// `GET /v1/status`
pub(super) async fn show(_: Admin, State(app): State<Arc<App>>) -> Result<Json<Status>, ApiError> {
    Ok(Json(Status {
        position: app.database.position().await?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    }))
}

/// `GET /v1/edges`
pub(super) async fn list_edges(_: Admin, State(app): State<Arc<App>>) -> Result<Json<Vec<Edge>>, ApiError> {
    Ok(Json(edges(&app).await?))
}

/// Every edge that was described, has a token or was heard, by name.
async fn edges(app: &App) -> Result<Vec<Edge>, StoreError> {
    let now = app.clock.now();
    let mut described = app.database.edges().await?;
    let mut heard = app.fleet.heard();
    let with_token: BTreeSet<EdgeName> = app.database.edges_with_token().await?.into_iter().collect();
    let mut names = with_token.clone();
    names.extend(described.keys().chain(heard.keys()).cloned());
    let edge = |name: EdgeName| {
        let (state, heard) = (described.remove(&name), heard.remove(&name));
        let has_token = with_token.contains(&name);
        describe(name, state, has_token, heard, now)
    };
    Ok(names.into_iter().map(edge).collect())
}

fn describe(name: EdgeName, state: Option<EdgeState>, has_token: bool, heard: Option<Heard>, now: Timestamp) -> Edge {
    match heard {
        None => Edge {
            name,
            url: None,
            live: false,
            draining: false,
            last_seen: None,
            applied: None,
            lagging: Vec::new(),
            version: None,
            state,
            has_token,
        },
        Some(heard) => Edge {
            name,
            live: heard.live(now),
            draining: heard.report.draining,
            last_seen: Some(heard.at),
            url: heard.report.url,
            applied: Some(heard.report.applied),
            lagging: heard.report.lagging,
            version: Some(heard.report.version),
            state,
            has_token,
        },
    }
}
