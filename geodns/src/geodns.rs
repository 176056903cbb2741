//! A name server as a value.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use hyper_util::service::TowerToHyperService;
use prometheus_client::registry::Registry;
use tokio::sync::watch;
use tokio::time::Instant;
use verge_daemon::data_dir::DataDirError;
use verge_daemon::feed::LastSeen;
use verge_daemon::http_server::{HttpLimits, serve};
use verge_daemon::listen::{self, ListenError};
use verge_daemon::origins::{Origins, OriginsError};
use verge_daemon::private_listener;
use verge_daemon::tasks::Unfinished;
use verge_daemon::{Clock, DataDir, Tasks};
use verge_protocol::{DomainName, EdgeName};

use crate::config::Config;
use crate::dns::name::Name;
use crate::dns::rate_limiter::RateLimiter;
use crate::dns::sockets::{self, Sockets};
use crate::dns::transport::Transport;
use crate::dns::{tcp, udp};
use crate::explain::{self, Explanations};
use crate::follow::Follower;
use crate::geo::{LocationOverrides, OverrideError};
use crate::health::Prober;
use crate::metrics::{GaugeCollector, Metrics};
use crate::query_log::QueryLog;
use crate::query_service::Service;
use crate::readiness::ReadinessCheck;
use crate::snapshot::Snapshot;
use crate::snapshot_builder::{Inputs, SnapshotBuilder};
use crate::watched_files::{DatabaseSource, ZoneSource, ZonesError};

/// A running name server. Dropping it without [`GeoDns::shutdown`] leaves its tasks running.
pub struct GeoDns {
    addresses: Vec<SocketAddr>,
    private: SocketAddr,
    snapshots: Arc<ArcSwap<Snapshot>>,
    /// Notified after each replacement of the snapshot.
    replaced: watch::Receiver<()>,
    tasks: Tasks,
    drain_timeout: std::time::Duration,
}

/// Why a name server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The data directory.
    #[error(transparent)]
    Data(#[from] DataDirError),
    /// A zone file is invalid, and there is no usable copy of an earlier version.
    #[error("invalid zone files:\n{0}")]
    Zones(String),
    /// A location override is invalid.
    #[error("invalid `locations`")]
    Locations(#[from] OverrideError),
    /// A port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The client of the origins.
    #[error(transparent)]
    Origins(#[from] OriginsError),
    /// The HTTP client for health checks.
    #[error("failed to set up the HTTP client for health checks")]
    Client(#[from] reqwest::Error),
    /// A task that reads files crashed.
    #[error("failed to read zone files and the location database")]
    Crashed(#[from] tokio::task::JoinError),
}

impl From<ZonesError> for BindError {
    fn from(error: ZonesError) -> Self {
        Self::Zones(error.to_string())
    }
}

impl GeoDns {
    /// Starts a name server. Returns when its ports are open; it answers from its zone files and its saved state at once, and waits
    /// neither for an origin nor for a probe.
    pub async fn bind(config: Config) -> Result<Self, BindError> {
        Self::bind_with_clock(config, Clock::system()).await
    }

    /// The same with another clock.
    pub async fn bind_with_clock(config: Config, clock: Clock) -> Result<Self, BindError> {
        let tasks = Tasks::default();
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry, config.zones.iter().map(|zone| zone.name.to_string()).collect());
        let overrides = Arc::new(LocationOverrides::new(config.locations.iter().copied())?);
        let data = Arc::new(DataDir::open(&config.data)?);
        let (zones, database) = {
            let (configs, path) = (config.zones.clone(), config.database.clone());
            let (zone_counters, database_failures) = (metrics.zones.clone(), metrics.database_failures.clone());
            let (data, clock) = (Arc::clone(&data), clock.clone());
            let read = move || {
                let zones = ZoneSource::open(&configs, data, clock, zone_counters)?;
                Ok::<_, ZonesError>((zones, DatabaseSource::open(path, database_failures)))
            };
            tokio::task::spawn_blocking(read).await??
        };

        let user_agent = concat!("verge-geodns/", env!("CARGO_PKG_VERSION"));
        let failures = metrics.origin_failures.clone();
        let origins = Origins::new(config.origins.clone(), config.origin_pin, &config.token, user_agent, failures)?;
        let last_seen = LastSeen::never();
        let follower = Follower {
            origins,
            name: config.name.clone(),
            data,
            last_seen: last_seen.clone(),
            metrics: metrics.follow.clone(),
        };
        let booted = follower.boot().await;
        let prober = Prober::new(config.health.clone(), booted.fleet_state(), booted.saved_health(), clock)?;
        let inputs = Inputs {
            zones: zones.zones(),
            database: database.database(),
            fleet_state: booted.fleet_state(),
            health: prober.table(),
            base_domains: config.base_domains(),
            overrides,
            policy: config.answers,
            edge_counters: metrics.edges().clone(),
            name_server: config.name.as_str().into(),
        };
        let builder = tokio::task::spawn_blocking(move || SnapshotBuilder::new(inputs)).await?;
        let (snapshots, replaced) = (builder.current(), builder.replaced());

        let mut opened = Vec::new();
        for address in &config.listen {
            opened.push(sockets::open(*address, config.workers)?);
        }
        let what = "health, metrics and explanations";
        let private_listener = listen::tcp(what, config.private_listen.clone()).await?;
        let unusable = |source| ListenError::Unusable { what, source };
        let private = private_listener.local_addr().map_err(unusable)?;
        let addresses = opened.iter().map(|sockets| sockets.address).collect();

        let readiness = ReadinessCheck {
            tasks: tasks.clone(),
            snapshots: Arc::clone(&snapshots),
            zones: zones.status(),
            database_failure: database.failure(),
            save_failure: Arc::clone(&metrics.follow.save_failure),
            health: prober.table(),
            last_seen: last_seen.clone(),
            started: Instant::now(),
        };
        let gauges = GaugeCollector {
            snapshots: Arc::clone(&snapshots),
            health: prober.table(),
            fleet_state: booted.fleet_state(),
            last_seen,
            readiness: readiness.clone(),
        };
        registry.register_collector(Box::new(gauges));
        let explanations = Explanations {
            snapshots: Arc::clone(&snapshots),
            health: prober.table(),
            name_server: config.name.clone(),
        };
        let router = private_listener::at_hosts(routes(registry, explanations, readiness), &config.private_hosts);
        serve("private listener", private_listener, &HttpLimits::default(), &tasks, TowerToHyperService::new(router));
        answer_queries(opened, &config, &snapshots, &metrics, &tasks);
        builder.run(&tasks);
        zones.run(&tasks);
        database.run(&tasks);
        prober.run(&tasks);
        booted.run(&tasks);
        tracing::info!(dns = ?addresses, %private, "listening");
        Ok(Self { addresses, private, snapshots, replaced, tasks, drain_timeout: config.drain_timeout })
    }

    /// The first address for DNS.
    pub fn dns_addr(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// All addresses for DNS.
    pub fn dns_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The address of `/healthz`, `/metrics` and `/explain`.
    pub fn private_addr(&self) -> SocketAddr {
        self.private
    }

    /// The tasks of the name server. None is left after [`GeoDns::shutdown`].
    pub fn tasks(&self) -> Tasks {
        self.tasks.clone()
    }

    /// Waits until edges answer for each of these names and each of these edges is known, in one and the same snapshot. Never
    /// returns if that does not happen. Cancel-safe.
    pub async fn wait_until_answered(&self, names: &[DomainName], edges: &[EdgeName]) {
        let names: Vec<Name> = names.iter().map(Name::from).collect();
        let is_ready = |snapshot: &Snapshot| {
            edges.iter().all(|edge| snapshot.fleet.contains(edge))
                && names.iter().all(|name| explain::is_answered_by_fleet(snapshot, name))
        };
        let mut replaced = self.replaced.clone();
        // A replacement between the check and the wait is noticed: it is newer than the mark.
        while !{
            replaced.mark_unchanged();
            is_ready(&self.snapshots.load())
        } {
            if replaced.changed().await.is_err() {
                // The name server has shut down.
                std::future::pending::<()>().await;
            }
        }
    }

    /// Finishes answers under way, saves the state and stops. The error names the tasks that did not finish in time.
    pub async fn shutdown(self) -> Result<(), Unfinished> {
        self.tasks.shutdown(self.drain_timeout).await
    }
}

fn answer_queries(
    opened: Vec<Sockets>,
    config: &Config,
    snapshots: &Arc<ArcSwap<Snapshot>>,
    metrics: &Metrics,
    tasks: &Tasks,
) {
    let log = QueryLog::start(config.log_one_in, tasks);
    let over_tcp = metrics.counts();
    let connection_limiter = tcp::ConnectionLimiter::new(config.tcp);
    for Sockets { udp, tcp, .. } in opened {
        udp::serve(udp, tasks, || {
            let limiter = RateLimiter::new(config.rate_limit.clone(), config.workers);
            Service::new(Arc::clone(snapshots), Transport::Udp, Some(limiter), metrics.counts(), log.clone())
        });
        let (snapshots, counts, log) = (Arc::clone(snapshots), Arc::clone(&over_tcp), log.clone());
        tcp::serve(tcp, &connection_limiter, tasks, move || {
            Service::new(Arc::clone(&snapshots), Transport::Tcp, None, Arc::clone(&counts), log.clone())
        });
    }
}

/// The routes of the private listener.
fn routes(registry: Registry, explanations: Explanations, readiness: ReadinessCheck) -> Router {
    let health = move || std::future::ready(readiness.readiness());
    private_listener::router(Arc::new(registry), health).merge(explain::router(explanations))
}
