//! What the origin is made of: each part with those that it uses.

use std::sync::Arc;

use verge_daemon::{Clock, Tasks};

use crate::api_tls::ApiTls;
use crate::app_state::AppState;
use crate::certificates::{Authority, DnsCheck, Inventory, Issuer, Orders, Vault};
use crate::channel_deletion::ChannelDeletion;
use crate::channel_locks::ChannelLocks;
use crate::config::Config;
use crate::domains::{DomainSettings, Domains, Resolver};
use crate::edge_reports::EdgeReports;
use crate::erasure::{Erasures, Removal};
use crate::expiry_clock::ExpiryClock;
use crate::feed::Feed;
use crate::fleet::Fleet;
use crate::metrics::Metrics;
use crate::problems::Problems;
use crate::publish::{Contents, Encoder, Publisher};
use crate::purges::Purges;
use crate::rollout::Rollouts;
use crate::store::{Blobs, Database};
use crate::token::Tokens;
use crate::uploads::{ActivePacks, Uploads};

/// Composes the state of the API.
pub(crate) async fn compose(
    config: &Config,
    clock: Clock,
    tasks: &Tasks,
    metrics: Arc<Metrics>,
    database: Database,
    blobs: Blobs,
    tls: ApiTls,
) -> anyhow::Result<AppState> {
    let feed = Feed::open(database.clone(), clock.clone(), tasks.clone(), Arc::clone(&metrics)).await?;
    let edge_reports = EdgeReports::default();
    let expiry_clock =
        ExpiryClock { clock: clock.clone(), edge_reports: edge_reports.clone(), settling: config.rollout_timing.live };
    let vault = Vault::open(database.clone(), clock.clone(), &config.master_key_path()).await?;
    let problems = Problems::new(
        database.clone(),
        blobs.clone(),
        expiry_clock.clone(),
        vault.clone(),
        tls.clone(),
        Arc::clone(&metrics),
    );
    let contents = Contents { database: database.clone(), blobs: blobs.clone(), metrics: Arc::clone(&metrics) };
    let uploads = uploads(config, &database, &blobs, &clock, tasks, &metrics);
    let removal =
        Removal { database: database.clone(), blobs: blobs.clone(), active_packs: uploads.active_packs.clone() };
    let fleet = Fleet::open(database.clone()).await?;
    let channel_locks = ChannelLocks::default();
    let channel_deletion = ChannelDeletion {
        database: database.clone(),
        feed: feed.clone(),
        channel_locks: channel_locks.clone(),
        clock: clock.clone(),
        expiry_clock,
    };
    let rollouts = Rollouts {
        database: database.clone(),
        feed: feed.clone(),
        fleet: fleet.clone(),
        edge_reports: edge_reports.clone(),
        channel_locks: channel_locks.clone(),
        clock: clock.clone(),
        tasks: tasks.clone(),
        metrics: Arc::clone(&metrics),
        sites_url: config.sites_url.clone(),
        timing: config.rollout_timing,
    };
    let purges = purges(config, &database, &feed, &fleet, &edge_reports, &clock, tasks);
    let erasures = Erasures {
        database: database.clone(),
        contents: contents.clone(),
        feed: feed.clone(),
        channel_locks: channel_locks.clone(),
        purges: purges.clone(),
        removal,
        clock: clock.clone(),
        tasks: tasks.clone(),
    };
    let publisher = Publisher {
        database: database.clone(),
        blobs,
        contents: contents.clone(),
        encoder: Encoder::new(contents.clone(), config.encode_budget),
        channel_locks,
        rollouts,
        tasks: tasks.clone(),
        metrics: Arc::clone(&metrics),
    };
    let tokens = Tokens { database: database.clone(), clock: clock.clone(), metrics: Arc::clone(&metrics) };
    let domains = Domains::new(database.clone(), feed.clone(), clock.clone(), domain_settings(config));
    Ok(AppState {
        issuer: Arc::new(issuer(config, &database, &feed, &vault, &edge_reports, &clock)?),
        database,
        contents,
        clock,
        feed,
        edge_reports,
        fleet,
        problems,
        tokens,
        uploads,
        publisher: Arc::new(publisher),
        channel_deletion,
        purges,
        erasures,
        domains,
        vault,
        tls,
        sites_url: config.sites_url.clone(),
        metrics,
    })
}

/// Composes what purges.
fn purges(
    config: &Config,
    database: &Database,
    feed: &Feed,
    fleet: &Fleet,
    edge_reports: &EdgeReports,
    clock: &Clock,
    tasks: &Tasks,
) -> Purges {
    Purges {
        database: database.clone(),
        feed: feed.clone(),
        fleet: fleet.clone(),
        edge_reports: edge_reports.clone(),
        clock: clock.clone(),
        tasks: tasks.clone(),
        timing: config.rollout_timing,
    }
}

fn domain_settings(config: &Config) -> DomainSettings {
    DomainSettings {
        base: config.sites_url.base().clone(),
        resolver: config.resolver,
        timeout: config.resolver_timeout,
        dns_port: config.dns_port,
        has_name_servers: config.site_certificates.need_name_servers(),
        issuers: (!config.authorities.is_empty()).then(|| config.caa_identities.clone()),
    }
}

/// Composes what stores uploads.
fn uploads(
    config: &Config,
    database: &Database,
    blobs: &Blobs,
    clock: &Clock,
    tasks: &Tasks,
    metrics: &Arc<Metrics>,
) -> Uploads {
    Uploads {
        database: database.clone(),
        blobs: blobs.clone(),
        clock: clock.clone(),
        tasks: tasks.clone(),
        metrics: Arc::clone(metrics),
        limits: config.limits,
        active_packs: ActivePacks::default(),
    }
}

/// Composes what orders certificates.
fn issuer(
    config: &Config,
    database: &Database,
    feed: &Feed,
    vault: &Vault,
    edge_reports: &EdgeReports,
    clock: &Clock,
) -> anyhow::Result<Issuer> {
    let authorities = config.authorities.iter().cloned();
    let authorities = authorities.map(|settings| Authority::new(settings, vault.clone(), clock.clone()));
    let base = config.sites_url.base().clone();
    let resolver = Arc::new(Resolver::new(config.resolver, config.resolver_timeout));
    let dns = DnsCheck {
        resolver,
        port: config.dns_port,
        timeout: config.resolver_timeout,
        stale_timeout: config.dns_stale_timeout,
    };
    let orders = Orders {
        database: database.clone(),
        feed: feed.clone(),
        vault: vault.clone(),
        edge_reports: edge_reports.clone(),
        settling: config.rollout_timing.live,
        dns,
        base: config.site_certificates.need_name_servers().then(|| base.clone()),
        clock: clock.clone(),
    };
    let sites = config.site_certificates;
    let inventory = Inventory { database: database.clone(), edge_reports: edge_reports.clone(), base, sites };
    Ok(Issuer::new(orders, inventory, authorities.collect::<Result<_, _>>()?))
}
