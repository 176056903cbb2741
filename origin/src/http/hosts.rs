//! What edges answer with at a host.

use axum::Json;
use axum::extract::State;
use verge_daemon::Clock;
use verge_protocol::api::Host;
use verge_protocol::host::{HostLabel, ReleaseLabel};
use verge_protocol::{ChannelName, DomainName};

use super::auth::Admin;
use super::error::ApiError;
use super::extract::PathParams;
use crate::sites_url::SitesUrl;
use crate::store::Database;

/// What a host selects.
enum Selected {
    Channel(HostLabel),
    Release(ReleaseLabel),
}

/// `GET /v1/hosts/{host}`: what edges answer with at a host.
pub(super) async fn show(
    _: Admin,
    State(database): State<Database>,
    State(clock): State<Clock>,
    State(sites_url): State<SitesUrl>,
    PathParams(host): PathParams<DomainName>,
) -> Result<Json<Host>, ApiError> {
    let (selected, redirect_to) = if let Some(label) = sites_url.base().label_of(host.as_str()) {
        (select(label).ok_or_else(|| unknown(&host))?, None)
    } else {
        let domain = database.domains().await?.remove(&host).ok_or_else(|| unknown(&host))?;
        if domain.proven.is_none() {
            return Err(ApiError::not_found("unknown_host", format!("domain {host} is not proven yet"))
                .hint("PUT /v1/domains/{domain} checks its record"));
        }
        (Selected::Channel(HostLabel { site: domain.site, channel: ChannelName::live() }), domain.redirect_to)
    };
    let (site, channel, release, manifest, inherits) = match selected {
        Selected::Channel(HostLabel { site, channel }) => {
            let state = database.channel(&site, &channel).await?.ok_or_else(|| unknown(&host))?;
            (site, Some(channel), state.release, state.manifest, state.inherits)
        }
        Selected::Release(label) => {
            let releases = database.releases(&label.site).await?;
            let is_selected = |manifest| ReleaseLabel::new(label.site.clone(), manifest) == label;
            let release =
                releases.into_iter().find(|release| is_selected(release.manifest)).ok_or_else(|| unknown(&host))?;
            (label.site, None, release.number, release.manifest, Vec::new())
        }
    };
    let now = clock.now();
    let certificates = database.certificates().await?;
    let has_certificate = certificates.values().any(|(_, certificate)| {
        certificate.not_after > now && certificate.names.iter().any(|name| name.covers(host.as_str()))
    });
    let erased = database.erased(&site).await?.into_keys().collect();
    let https = database.site_state(&site).await?.https;
    Ok(Json(Host { site, channel, release, manifest, inherits, erased, redirect_to, https, has_certificate }))
}

fn select(label: &str) -> Option<Selected> {
    if let Ok(release) = label.parse() {
        return Some(Selected::Release(release));
    }
    // `live--demo` is no name of the channel at `demo`.
    let channel: HostLabel = label.parse().ok()?;
    (channel.to_string() == label).then_some(Selected::Channel(channel))
}

fn unknown(host: &DomainName) -> ApiError {
    ApiError::not_found("unknown_host", format!("the origin knows no site at {host}"))
        .hint("GET /v1/sites lists the sites and where they are, GET /v1/domains their domains")
}
