//! A name server, as a value.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use hyper_util::service::TowerToHyperService;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use verge_daemon::data_dir::DataDirError;
use verge_daemon::feed::LastSeen;
use verge_daemon::http_server::{HttpLimits, serve};
use verge_daemon::listen::{self, ListenError};
use verge_daemon::origins::Origins;
use verge_daemon::private_listener::{self, Readiness};
use verge_daemon::tasks::Unfinished;
use verge_daemon::{Clock, Daemon, DataDir, Tasks};

use crate::assemble::{Assembler, Parts};
use crate::config::{Config, RawConfig};
use crate::dns::rate_limiter::RateLimiter;
use crate::dns::transport::Transport;
use crate::dns::{tcp, udp};
use crate::explain::{self, Explanations};
use crate::follow::Follower;
use crate::health::Prober;
use crate::metrics::{Levels, Metrics};
use crate::place::{OverrideError, Overrides};
use crate::query_log::QueryLog;
use crate::service::Service;
use crate::sources::{DatabaseSource, ZoneSource, ZonesError};
use crate::view::View;

/// A running name server. Dropping it without [`GeoDns::shutdown`] leaves its tasks to the runtime.
pub struct GeoDns {
    addresses: Vec<SocketAddr>,
    private: SocketAddr,
    tasks: Tasks,
    drain_timeout: std::time::Duration,
}

/// Why a name server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The data folder.
    #[error(transparent)]
    Data(#[from] DataDirError),
    /// A zone file has mistakes.
    #[error("these zones cannot be served:\n{0}")]
    Zones(String),
    /// Prefixes that cannot have a place.
    #[error("in `places`")]
    Places(#[from] OverrideError),
    /// A port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The client of the origins, or that of the edges' health, cannot be made.
    #[error("no connection to origins or edges can be set up")]
    Client(#[from] reqwest::Error),
    /// Reading files crashed.
    #[error("zones and database could not be read")]
    Crashed(#[from] tokio::task::JoinError),
}

impl From<ZonesError> for BindError {
    fn from(error: ZonesError) -> Self {
        Self::Zones(error.to_string())
    }
}

/// Those without which answers would no longer be what they should.
const TASKS: [&str; 6] = ["dns over udp", "dns over tcp: accepting", "feed", "follow", "health", "view"];

/// The ports of one address.
struct Opened {
    udp: udp::Sockets,
    tcp: TcpListener,
    address: SocketAddr,
}

impl GeoDns {
    /// Starts a name server: returns when its ports are open, and it answers from its zone files and from what it last knew. It
    /// waits neither for an origin nor for a probe.
    pub async fn bind(config: Config) -> Result<Self, BindError> {
        Self::bind_at(config, Clock::system()).await
    }

    /// The same, by another clock.
    pub async fn bind_at(config: Config, clock: Clock) -> Result<Self, BindError> {
        let tasks = Tasks::default();
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry, config.zones.iter().map(|zone| zone.name.to_string()).collect());
        let overrides = Arc::new(Overrides::new(config.places.iter().copied())?);
        let folder = Arc::new(DataDir::open(&config.data)?);
        let (zones, database) = {
            let (configs, path) = (config.zones.clone(), config.database.clone());
            let (bad_zones, bad_databases) = (metrics.zone_failures.clone(), metrics.database_failures.clone());
            let read = move || {
                let zones = ZoneSource::open(&configs, bad_zones)?;
                Ok::<_, ZonesError>((zones, DatabaseSource::open(path, bad_databases)))
            };
            tokio::task::spawn_blocking(read).await??
        };

        let user_agent = concat!("verge-geodns/", env!("CARGO_PKG_VERSION"));
        let failures = metrics.origin_failures.clone();
        let origins = Origins::new(config.origins.clone(), config.token.clone(), user_agent, failures)?;
        let last_seen = LastSeen::never();
        let follower = Follower { origins, folder, last_seen: last_seen.clone(), counts: metrics.follow.clone() };
        let booted = follower.boot().await;
        let prober = Prober::new(config.health.clone(), booted.told(), booted.remembered(), clock)?;
        let parts = Parts {
            zones: zones.zones(),
            database: database.database(),
            told: booted.told(),
            health: prober.table(),
            bases: config.bases(),
            overrides,
            policy: config.answers,
            named: metrics.edges().clone(),
            node: config.name.as_str().into(),
        };
        let assembler = tokio::task::spawn_blocking(move || Assembler::new(parts)).await?;
        let views = assembler.views();

        let mut opened = Vec::new();
        for address in &config.listen {
            opened.push(open(*address, config.workers)?);
        }
        let private_listener = listen::tcp("health, metrics and explanations", config.private_listen.clone()).await?;
        let unusable = |source| ListenError::Unusable { what: "health, metrics and explanations", source };
        let private = private_listener.local_addr().map_err(unusable)?;
        let addresses = opened.iter().map(|opened| opened.address).collect();

        let levels = Levels { views: Arc::clone(&views), health: prober.table(), told: booted.told(), last_seen };
        registry.register_collector(Box::new(levels));
        let explanations =
            Explanations { views: Arc::clone(&views), health: prober.table(), node: config.name.clone() };
        let router = routes(registry, explanations, tasks.clone());
        serve("private listener", private_listener, HttpLimits::default(), &tasks, TowerToHyperService::new(router));
        answer(opened, &config, &views, &metrics, &tasks);
        assembler.run(&tasks);
        zones.run(&tasks);
        database.run(&tasks);
        prober.run(&tasks);
        booted.run(&tasks);
        tracing::info!(dns = ?addresses, %private, "listening");
        Ok(Self { addresses, private, tasks, drain_timeout: config.drain_timeout })
    }

    /// Where it is asked first of all.
    pub fn dns_addr(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// Everywhere it is asked.
    pub fn dns_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where `/healthz`, `/metrics` and `/explain` are.
    pub fn private_addr(&self) -> SocketAddr {
        self.private
    }

    /// Its tasks: what it is at, and whether anything is left after [`GeoDns::shutdown`].
    pub fn tasks(&self) -> Tasks {
        self.tasks.clone()
    }

    /// Answers what has come over TCP, stops answering, saves what it knows, and is gone. The error names what was cut off.
    pub async fn shutdown(self) -> Result<(), Unfinished> {
        self.tasks.shutdown(self.drain_timeout).await
    }
}

/// Opens TCP and UDP on the same port, also where that is yet to be chosen. TCP first: it is refused where somebody listens
/// already, while sockets for UDP would join theirs and take questions away from them.
fn open(address: SocketAddr, workers: usize) -> Result<Opened, ListenError> {
    const TRIES: usize = 16;
    let what = "dns";
    let mut tries = 0;
    loop {
        tries += 1;
        let refused = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::AddrInUse => ListenError::Taken { what, address },
            _ => ListenError::Refused { what, address, source },
        };
        let tcp = tcp::open(address).map_err(refused)?;
        let chosen = tcp.local_addr().map_err(|source| ListenError::Unusable { what, source })?;
        match udp::open(chosen, workers) {
            Ok(udp) => return Ok(Opened { udp, tcp, address: chosen }),
            // Free for TCP is not free for UDP.
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && address.port() == 0 && tries < TRIES => {}
            Err(error) => return Err(refused(error)),
        }
    }
}

fn answer(opened: Vec<Opened>, config: &Config, views: &Arc<ArcSwap<View>>, metrics: &Metrics, tasks: &Tasks) {
    let log = QueryLog::start(config.log_one_in, tasks);
    let over_tcp = metrics.counts();
    let limiter = tcp::ConnectionLimiter::new(config.tcp);
    for Opened { udp, tcp, .. } in opened {
        udp::serve(udp, tasks, || {
            let limiter = RateLimiter::new(config.rate_limit.clone(), config.workers);
            Service::new(Arc::clone(views), Transport::Udp, Some(limiter), metrics.counts(), log.clone())
        });
        let (views, counts, log) = (Arc::clone(views), Arc::clone(&over_tcp), log.clone());
        tcp::serve(tcp, &limiter, tasks, move || {
            Service::new(Arc::clone(&views), Transport::Tcp, None, Arc::clone(&counts), log.clone())
        });
    }
}

/// The private listener. The node is healthy while it answers from something that was told, and takes in what is told: what is
/// old is in the metrics.
fn routes(registry: Registry, explanations: Explanations, tasks: Tasks) -> Router {
    let views = Arc::clone(&explanations.views);
    let health = move || {
        let running = tasks.running();
        let ended = TASKS.iter().find(|name| !running.contains_key(*name));
        std::future::ready(match ended {
            Some(name) => Readiness::NotReady(format!("the task `{name}` has ended")),
            None if !views.load().told => Readiness::NotReady(
                "no origin has told yet what there is: names that are not known get SERVFAIL".to_owned(),
            ),
            None => Readiness::Ready,
        })
    };
    private_listener::router(Arc::new(registry), health).merge(explain::router(explanations))
}

impl Daemon for GeoDns {
    const NAME: &'static str = "verge-geodns";
    const ABOUT: &'static str = "Answers DNS for your zones and leads readers to the nearest edge";
    type RawConfig = RawConfig;
    type Config = Config;

    fn check(raw: RawConfig) -> anyhow::Result<Config> {
        Ok(raw.try_into()?)
    }

    fn check_files(config: &Config) -> anyhow::Result<()> {
        config.check_files()
    }

    async fn bind(config: Config) -> anyhow::Result<Self> {
        Ok(Self::bind(config).await?)
    }

    async fn shutdown(self) {
        if let Err(unfinished) = Self::shutdown(self).await {
            tracing::warn!(%unfinished, "not everything finished in time");
        }
    }
}
