//! Sites.

use std::collections::HashMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use verge_daemon::Clock;
use verge_protocol::api::{Channel, Site, SitePage, SiteRegions};
use verge_protocol::fleet::SiteState;
use verge_protocol::host::HostLabel;
use verge_protocol::https::SiteHttps;
use verge_protocol::{ChannelName, ReleaseNumber, SiteName};

use super::auth::Admin;
use super::error::ApiError;
use super::extract::{JsonBody, PathParams, QueryParams};
use crate::domains::Domains;
use crate::feed::Feed;
use crate::publish;
use crate::site_https;
use crate::site_regions;
use crate::sites_url::SitesUrl;
use crate::store::{ChannelEnd, ChannelRow, Database, SiteRow, StoreError};

/// The number of sites in a page: by default, and at most.
const LIMIT_DEFAULT: u32 = 100;
const LIMIT_MAX: u32 = 1000;

#[derive(Deserialize)]
pub(super) struct Page {
    after: Option<SiteName>,
    limit: Option<u32>,
}

/// `GET /v1/sites?after=NAME&limit=N`: a page of sites, by name. Four queries, whatever the number of sites and channels.
pub(super) async fn list(
    _: Admin,
    State(database): State<Database>,
    State(sites_url): State<SitesUrl>,
    QueryParams(Page { after, limit }): QueryParams<Page>,
) -> Result<Json<SitePage>, ApiError> {
    let limit = limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        let message = format!("invalid limit {limit}: expected 1 to {LIMIT_MAX}");
        return Err(ApiError::bad_request("invalid_query", message));
    }
    // One more than asked for tells whether another page follows.
    let mut rows = database.sites(after.as_ref(), limit + 1).await?;
    let has_more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Ok(Json(SitePage { sites: Vec::new(), next: None }));
    };
    let (first, last) = (first.name.clone(), last.name.clone());
    let mut channels = database.channels_of_sites(&first, &last).await?;
    let mut states = database.site_states(&first, &last).await?;
    let ends = database.channel_ends(&first, &last).await?;
    let sites = rows.into_iter().map(|row| {
        let channels = channels.remove(&row.name).unwrap_or_default();
        let state = states.remove(&row.name).unwrap_or_default();
        site(&sites_url, row, state, &ends, channels.into_iter().map(|channel| (channel, None)))
    });
    Ok(Json(SitePage { sites: sites.collect(), next: has_more.then_some(last) }))
}

/// `GET /v1/sites/{site}`: one site.
pub(super) async fn show(
    _: Admin,
    State(database): State<Database>,
    State(sites_url): State<SitesUrl>,
    PathParams(name): PathParams<SiteName>,
) -> Result<Json<Site>, ApiError> {
    let row = find(&database, &name).await?;
    Ok(Json(load(&database, &sites_url, row).await?))
}

/// `PUT /v1/sites/{site}`: creates a site. 201 if it is new, 200 if it exists.
pub(super) async fn create(
    _: Admin,
    State(database): State<Database>,
    State(clock): State<Clock>,
    State(sites_url): State<SitesUrl>,
    State(domains): State<Domains>,
    PathParams(name): PathParams<SiteName>,
) -> Result<(StatusCode, Json<Site>), ApiError> {
    if domains.site_at_api().as_ref() == Some(&name) {
        let message = format!("{name} would answer at the name of the origin's API");
        return Err(ApiError::bad_request("invalid_name", message).hint("use another name"));
    }
    let is_new = database.create_site(&name, clock.now()).await?;
    if is_new {
        tracing::info!(site = %name, "site created");
    }
    let row = find(&database, &name).await?;
    let status = if is_new { StatusCode::CREATED } else { StatusCode::OK };
    Ok((status, Json(load(&database, &sites_url, row).await?)))
}

/// `PUT /v1/sites/{site}/regions`: restricts the site's readers to edges in some regions, or lifts the restriction.
pub(super) async fn set_regions(
    _: Admin,
    State(database): State<Database>,
    State(feed): State<Feed>,
    State(sites_url): State<SitesUrl>,
    PathParams(name): PathParams<SiteName>,
    JsonBody(SiteRegions { regions }): JsonBody<SiteRegions>,
) -> Result<Json<Site>, ApiError> {
    let row = find(&database, &name).await?;
    site_regions::set(&database, &feed, name, regions).await?;
    Ok(Json(load(&database, &sites_url, row).await?))
}

/// `PUT /v1/sites/{site}/https`: replaces how readers reach the site over TLS.
pub(super) async fn set_https(
    _: Admin,
    State(database): State<Database>,
    State(feed): State<Feed>,
    State(clock): State<Clock>,
    State(sites_url): State<SitesUrl>,
    PathParams(name): PathParams<SiteName>,
    JsonBody(https): JsonBody<SiteHttps>,
) -> Result<Json<Site>, ApiError> {
    let row = find(&database, &name).await?;
    site_https::set(&database, &feed, name, https, clock.now()).await?;
    Ok(Json(load(&database, &sites_url, row).await?))
}

/// Finds a site, or fails with `unknown_site`.
pub(super) async fn find(database: &Database, name: &SiteName) -> Result<SiteRow, ApiError> {
    database.site(name).await?.ok_or_else(|| {
        ApiError::not_found("unknown_site", format!("there is no site `{name}`"))
            .hint(format!("PUT /v1/sites/{name} creates it"))
    })
}

async fn load(database: &Database, sites_url: &SitesUrl, row: SiteRow) -> Result<Site, StoreError> {
    let mut channels = Vec::new();
    for channel in database.channels(&row.name).await? {
        let previous = publish::rollback_target(database, &row.name, &channel).await?;
        channels.push((channel, previous));
    }
    let state = database.site_state(&row.name).await?;
    let ends = database.channel_ends(&row.name, &row.name).await?;
    Ok(site(sites_url, row, state, &ends, channels.into_iter()))
}

fn site(
    sites_url: &SitesUrl,
    row: SiteRow,
    state: SiteState,
    ends: &HashMap<HostLabel, ChannelEnd>,
    channels: impl Iterator<Item = (ChannelRow, Option<ReleaseNumber>)>,
) -> Site {
    let label = |channel: ChannelName| HostLabel { site: row.name.clone(), channel };
    let channel = |(channel, previous): (ChannelRow, Option<ReleaseNumber>)| Channel {
        url: sites_url.of(&label(channel.name.clone())),
        previous,
        expires: ends.get(&label(channel.name.clone())).map(|end| end.at),
        name: channel.name,
        release: channel.state.release,
        epoch: channel.state.epoch,
        moved: channel.moved,
    };
    let channels = channels.map(channel).collect();
    let url = sites_url.of(&label(ChannelName::live()));
    Site { url, name: row.name, created: row.created, channels, regions: state.regions, https: state.https }
}
