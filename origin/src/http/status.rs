//! The whole at a glance.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use verge_protocol::EdgeName;
use verge_protocol::api::{Edge, Status};

use super::auth::Admin;
use super::error::ApiError;
use super::sites;
use crate::app::App;
use crate::fleet::Heard;

/// `GET /v1/status`
pub(super) async fn show(_: Admin, State(app): State<Arc<App>>) -> Result<Json<Status>, ApiError> {
    let now = app.clock.now();
    let mut heard = app.fleet.heard();
    let describe = |name: EdgeName, heard: Option<Heard>| match heard {
        None => Edge {
            name,
            url: None,
            live: false,
            draining: false,
            heard: None,
            applied: None,
            lagging: Vec::new(),
            version: None,
        },
        Some(heard) => Edge {
            name,
            live: heard.live(now),
            draining: heard.report.draining,
            heard: Some(heard.at),
            url: heard.report.url,
            applied: Some(heard.report.applied),
            lagging: heard.report.lagging,
            version: Some(heard.report.version),
        },
    };
    let edges = app.database.edges().await?;
    let edges = edges
        .into_iter()
        .map(|name| {
            let heard = heard.remove(&name);
            describe(name, heard)
        })
        .collect();
    Ok(Json(Status {
        position: app.database.position().await?,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        edges,
        sites: sites::all(&app).await?,
    }))
}
