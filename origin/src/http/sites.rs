//! Sites.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use verge_protocol::api::{Channel, Site, SitePage, SiteRegions};
use verge_protocol::host::HostLabel;
use verge_protocol::{ChannelName, SiteName};

use super::auth::Admin;
use super::body::{Body, Named};
use super::error::ApiError;
use crate::app::App;
use crate::fences;
use crate::publish;
use crate::store::{SiteRow, StoreError};

/// `GET /v1/sites`
pub(super) async fn list(_: Admin, State(app): State<Arc<App>>) -> Result<Json<SitePage>, ApiError> {
    Ok(Json(SitePage { sites: all(&app).await?, next: None }))
}

/// `GET /v1/sites/{site}`
pub(super) async fn show(
    _: Admin,
    State(app): State<Arc<App>>,
    Named(name): Named<SiteName>,
) -> Result<Json<Site>, ApiError> {
    let row = known(&app, &name).await?;
    Ok(Json(describe(&app, row).await?))
}

/// `PUT /v1/sites/{site}`: 201 if it is new, 200 if it was there.
pub(super) async fn create(
    _: Admin,
    State(app): State<Arc<App>>,
    Named(name): Named<SiteName>,
) -> Result<(StatusCode, Json<Site>), ApiError> {
    let new = app.database.create_site(&name, app.clock.now()).await?;
    if new {
        tracing::info!(site = %name, "a site was created");
    }
    let row = known(&app, &name).await?;
    let status = if new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(describe(&app, row).await?)))
}

/// `PUT /v1/sites/{site}/regions`: keeps the site's readers to edges in some regions, or lets them go to any.
pub(super) async fn fence(
    _: Admin,
    State(app): State<Arc<App>>,
    Named(name): Named<SiteName>,
    Body(SiteRegions { regions }): Body<SiteRegions>,
) -> Result<Json<Site>, ApiError> {
    let row = known(&app, &name).await?;
    fences::set(&app, name, regions).await?;
    Ok(Json(describe(&app, row).await?))
}

/// The site, or the error that says that there is none.
pub(super) async fn known(app: &App, name: &SiteName) -> Result<SiteRow, ApiError> {
    app.database.site(name).await?.ok_or_else(|| {
        ApiError::not_found("unknown_site", format!("there is no site `{name}`"))
            .hint("`verge sites` lists what there is; the first push creates a site")
    })
}

/// Every site.
pub(super) async fn all(app: &App) -> Result<Vec<Site>, StoreError> {
    let mut sites = Vec::new();
    for row in app.database.sites().await? {
        sites.push(describe(app, row).await?);
    }
    Ok(sites)
}

async fn describe(app: &App, row: SiteRow) -> Result<Site, StoreError> {
    let url = |channel: ChannelName| app.sites_url.of(&HostLabel { site: row.name.clone(), channel });
    let mut channels = Vec::new();
    for (name, state, moved) in app.database.channels(&row.name).await? {
        let moves = app.database.moves(&row.name, &name, publish::MOVES_READ).await?;
        channels.push(Channel {
            url: url(name.clone()),
            previous: publish::previous(&state, &moves),
            name,
            release: state.release,
            epoch: state.epoch,
            moved,
        });
    }
    let regions = app.database.site_state(&row.name).await?.regions;
    Ok(Site { url: url(ChannelName::live()), name: row.name, created: row.created, channels, regions })
}
