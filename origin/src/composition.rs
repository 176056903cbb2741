//! What the origin is made of: each part with those that it uses.

use std::sync::Arc;

use anyhow::bail;
use verge_daemon::{Clock, Tasks};

use crate::api_tls::ApiTls;
use crate::app_state::AppState;
use crate::caa_issuers::CaaIssuers;
use crate::certificates::{
    ApiCertificate, Authority, DnsCheck, Inventory, Issuer, KnownLimits, Orders, OrdersProgress, Vault,
};
use crate::channel_deletion::ChannelDeletion;
use crate::channel_locks::ChannelLocks;
use crate::collection::Collector;
use crate::config::Config;
use crate::domains::{DomainSettings, Domains, Resolver};
use crate::edge_reports::EdgeReports;
use crate::erasure::{Erasures, Removal};
use crate::expiry_clock::ExpiryClock;
use crate::failed_attempts::FailedAttempts;
use crate::feed::Feed;
use crate::fleet::Fleet;
use crate::metrics::Metrics;
use crate::problems::{CertificateSources, Problems};
use crate::publish::{Contents, Encoder, Examiner, Publisher};
use crate::purges::Purges;
use crate::rollout::Rollouts;
use crate::store::{Blobs, Database};
use crate::token::Tokens;
use crate::uploads::{ActivePacks, DESCRIPTION_COMPRESSED_MAX, DescriptionSlots, Uploads};

/// What is made before all else.
pub(crate) struct Parts {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) database: Database,
    pub(crate) blobs: Blobs,
    pub(crate) tls: ApiTls,
    pub(crate) api_certificate: Option<ApiCertificate>,
}

/// Composes the state of the API.
pub(crate) async fn compose(config: &Config, clock: Clock, tasks: &Tasks, parts: Parts) -> anyhow::Result<AppState> {
    let Parts { metrics, database, blobs, tls, api_certificate } = parts;
    let feed = Feed::open(database.clone(), clock.clone(), tasks.clone(), Arc::clone(&metrics)).await?;
    let edge_reports = EdgeReports::default();
    let expiry_clock =
        ExpiryClock { clock: clock.clone(), edge_reports: edge_reports.clone(), settling: config.rollout_timing.live };
    let vault = Vault::open(database.clone(), clock.clone(), &config.master_key_path()).await?;
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
        expiry_clock: expiry_clock.clone(),
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
    let collector = collector(config, &erasures, &expiry_clock);
    let publisher = Publisher {
        database: database.clone(),
        blobs: blobs.clone(),
        contents: contents.clone(),
        examiner: Examiner::new(contents.clone()),
        encoder: Encoder::new(contents.clone(), config.encode_budget),
        channel_locks,
        rollouts,
        tasks: tasks.clone(),
        metrics: Arc::clone(&metrics),
    };
    let tokens = Tokens {
        database: database.clone(),
        clock: clock.clone(),
        metrics: Arc::clone(&metrics),
        failed_attempts: FailedAttempts::new(config.failure_limit),
    };
    let caa_issuers = CaaIssuers::new(config.authorities.iter().map(|authority| authority.directory.as_str()));
    let domain_settings = domain_settings(config, &caa_issuers);
    let domains = Domains::new(database.clone(), feed.clone(), clock.clone(), domain_settings);
    check_api_name(config, &database, &domains).await?;
    let authorities = authorities(config, &vault, &clock, &caa_issuers)?;
    let (orders, inventory) = orders(config, &database, &feed, &vault, &edge_reports, &clock, api_certificate);
    let limits = KnownLimits::load(&database).await?;
    let issuer = Arc::new(Issuer::new(orders, inventory, authorities, caa_issuers, limits));
    let problems = Problems::new(
        database.clone(),
        blobs,
        expiry_clock,
        CertificateSources { vault: vault.clone(), issuer: Arc::clone(&issuer), domains: domains.clone() },
        tls.clone(),
        Arc::clone(&metrics),
    );
    Ok(AppState {
        issuer,
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
        collector,
        domains,
        vault,
        tls,
        sites_url: config.sites_url.clone(),
        metrics,
    })
}

/// Checks that no site has the name of the API.
async fn check_api_name(config: &Config, database: &Database, domains: &Domains) -> anyhow::Result<()> {
    let Some(name) = &config.api_name else { return Ok(()) };
    if let Some(row) = database.domains().await?.get(name) {
        bail!("`api_name` is {name}, a domain of site `{}`: remove the domain first, or set another name", row.site);
    }
    if let Some(site) = domains.site_at_api()
        && database.site(&site).await?.is_some()
    {
        bail!("`api_name` is {name}, the host of site `{site}`: set another name");
    }
    Ok(())
}

/// Composes what collects.
fn collector(config: &Config, erasures: &Erasures, expiry_clock: &ExpiryClock) -> Arc<Collector> {
    Arc::new(Collector {
        database: erasures.database.clone(),
        blobs: erasures.removal.blobs.clone(),
        contents: erasures.contents.clone(),
        feed: erasures.feed.clone(),
        channel_locks: erasures.channel_locks.clone(),
        active_packs: erasures.removal.active_packs.clone(),
        expiry_clock: expiry_clock.clone(),
        retention: config.retention,
        tasks: erasures.tasks.clone(),
        running: tokio::sync::Mutex::default(),
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

fn domain_settings(config: &Config, caa_issuers: &CaaIssuers) -> DomainSettings {
    DomainSettings {
        base: config.sites_url.base().clone(),
        resolver: config.resolver,
        timeout: config.resolver_timeout,
        dns_port: config.dns_port,
        has_name_servers: config.site_certificates.need_name_servers(),
        api_name: config.api_name.clone(),
        issuers: (!config.authorities.is_empty()).then(|| caa_issuers.clone()),
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
        description_slots: DescriptionSlots::new(2 * DESCRIPTION_COMPRESSED_MAX),
    }
}

/// The certificate authorities.
fn authorities(
    config: &Config,
    vault: &Vault,
    clock: &Clock,
    caa_issuers: &CaaIssuers,
) -> anyhow::Result<Vec<Authority>> {
    let authority = |settings| Authority::new(settings, vault.clone(), clock.clone(), caa_issuers.clone());
    Ok(config.authorities.iter().cloned().map(authority).collect::<Result<_, _>>()?)
}

/// Composes what orders certificates, and what tells which there should be.
fn orders(
    config: &Config,
    database: &Database,
    feed: &Feed,
    vault: &Vault,
    edge_reports: &EdgeReports,
    clock: &Clock,
    api: Option<ApiCertificate>,
) -> (Orders, Inventory) {
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
        api: api.clone(),
        clock: clock.clone(),
        progress: OrdersProgress::new(clock.clone()),
    };
    let sites = config.site_certificates;
    let inventory = Inventory { database: database.clone(), edge_reports: edge_reports.clone(), base, sites, api };
    (orders, inventory)
}
