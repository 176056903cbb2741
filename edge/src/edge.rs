//! An edge, as a value.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper_util::service::TowerToHyperService;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use verge_daemon::feed::LastSeen;
use verge_daemon::http_server::{HttpLimits, serve};
use verge_daemon::listen::{self, ListenError};
use verge_daemon::origins::Origins;
use verge_daemon::private_listener::{self, Readiness};
use verge_daemon::tasks::Unfinished;
use verge_daemon::{Clock, Daemon, Tasks};

use crate::cache::Blobs;
use crate::config::{Config, RawConfig};
use crate::follow::Follower;
use crate::metrics::{Gauges, Levels, Metrics};
use crate::serve::Readers;
use crate::status::{Applied, Status};
use crate::store::{Disk, OpenError, Store};
use crate::table::Table;
use crate::upstream::Upstream;

/// A running edge. Dropping it without [`Edge::shutdown`] leaves its tasks to the runtime.
pub struct Edge {
    public: Vec<SocketAddr>,
    private: SocketAddr,
    applied: watch::Receiver<Applied>,
    tasks: Tasks,
    draining: CancellationToken,
    lame_duck: Duration,
    drain_timeout: Duration,
}

/// Why an edge cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Nobody to follow.
    #[error("no origin is named")]
    NoOrigin,
    /// No way in for readers.
    #[error("no address for readers is named")]
    NoListener,
    /// The data folder.
    #[error(transparent)]
    Data(#[from] OpenError),
    /// A port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// An opened port that does not know its own address.
    #[error("an open port has no address")]
    Address(#[source] std::io::Error),
    /// The client of the origins cannot be made.
    #[error("no connection to origins can be set up")]
    Client(#[from] reqwest::Error),
    /// Reading the data folder crashed.
    #[error("the data folder could not be read")]
    Crashed(#[from] tokio::task::JoinError),
}

impl Edge {
    /// Starts an edge: returns when its ports are open and what its disk holds is served again. It does not wait for an
    /// origin; see [`Edge::applied`].
    pub async fn bind(config: Config) -> Result<Self, BindError> {
        Self::bind_at(config, Clock::system()).await
    }

    /// The same, by another clock.
    pub async fn bind_at(config: Config, clock: Clock) -> Result<Self, BindError> {
        if config.origins.is_empty() {
            return Err(BindError::NoOrigin);
        }
        if config.listen.is_empty() {
            return Err(BindError::NoListener);
        }
        let tasks = Tasks::default();
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let disk = {
            let (data, budget) = (config.data.clone(), config.disk_cache.0);
            let (clock, metrics) = (clock.clone(), metrics.clone());
            let open = tokio::task::spawn_blocking(move || Store::open(&data, budget, clock, metrics));
            Disk::new(open.await??, tasks.clone())
        };
        let user_agent = concat!("verge-edge/", env!("CARGO_PKG_VERSION"));
        let failures = metrics.upstream_failures.clone();
        let origins = Origins::new(config.origins, config.token, user_agent, failures)?;
        let upstream = Upstream::new(origins, metrics.clone());
        let mut listeners = Vec::new();
        for listen in config.listen {
            listeners.push(listen::tcp("readers", listen).await?);
        }
        let private_listener = listen::tcp("health and metrics", config.private_listen).await?;
        let public = listeners.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>();
        let public = public.map_err(BindError::Address)?;
        let first = public[0];
        let private = private_listener.local_addr().map_err(BindError::Address)?;

        let table = Arc::new(ArcSwap::<Table>::default());
        let last_seen = LastSeen::never();
        let follower = Follower {
            upstream: upstream.clone(),
            disk: disk.clone(),
            table: Arc::clone(&table),
            clock: clock.clone(),
            metrics: metrics.clone(),
            last_seen: last_seen.clone(),
            url: config.url.or_else(|| first.ip().is_loopback().then(|| format!("http://{first}"))),
        };
        let booted = follower.boot().await;
        let applied = booted.applied();
        let blobs = Blobs::new(config.memory_cache.0, disk.clone(), upstream, tasks.clone());
        // Whoever leaves serves on for a while; whoever drains has left.
        let draining = tasks.draining().child_token();
        let status = Status { edge: config.name, applied: applied.clone(), last_seen, draining: draining.clone() };
        registry.register_collector(Box::new(Gauges(levels(status.clone(), blobs.clone(), disk))));
        let health = {
            let status = status.clone();
            move || {
                std::future::ready(if status.can_serve() {
                    Readiness::Ready
                } else {
                    Readiness::NotReady("nothing to serve yet".to_owned())
                })
            }
        };
        let router = private_listener::router(Arc::new(registry), health);
        serve("private listener", private_listener, HttpLimits::default(), &tasks, TowerToHyperService::new(router));
        let readers = Readers::new(table, blobs, clock, config.base_domains, status, &metrics);
        for listener in listeners {
            serve("readers", listener, HttpLimits::default(), &tasks, readers.clone());
        }
        booted.run(&tasks);
        tracing::info!(readers = ?public, private = %private, "listening");
        let Config { lame_duck, drain_timeout, .. } = config;
        Ok(Self { public, private, applied, tasks, draining, lame_duck, drain_timeout })
    }

    /// Where readers come in, and what the origin is told unless [`Config::url`] says otherwise.
    pub fn public_addr(&self) -> SocketAddr {
        self.public[0]
    }

    /// Everywhere that readers come in, in the order of [`Config::listen`].
    pub fn public_addrs(&self) -> &[SocketAddr] {
        &self.public
    }

    /// Where `/healthz` and `/metrics` are.
    pub fn private_addr(&self) -> SocketAddr {
        self.private
    }

    /// How far it serves what the origin says, to be looked at or waited for.
    pub fn applied(&self) -> watch::Receiver<Applied> {
        self.applied.clone()
    }

    /// Its tasks: what it is at, and whether anything is left after [`Edge::shutdown`].
    pub fn tasks(&self) -> Tasks {
        self.tasks.clone()
    }

    /// Says to whoever asks how it is that it is draining, and goes on following and serving for [`Config::lame_duck`]. The
    /// origin hears of it at [`Edge::shutdown`]: until then pushes can count on it.
    pub async fn start_draining(&self) {
        self.draining.cancel();
        if !self.lame_duck.is_zero() {
            tracing::info!(seconds = self.lame_duck.as_secs(), "serving on until readers are sent elsewhere");
            tokio::time::sleep(self.lame_duck).await;
        }
    }

    /// Says that it is draining, stops accepting, finishes what is under way within [`Config::drain`], and is gone. The error
    /// names what was cut off.
    pub async fn shutdown(self) -> Result<(), Unfinished> {
        self.tasks.shutdown(self.drain_timeout).await
    }
}

fn levels(status: Status, blobs: Blobs, disk: Disk) -> impl Fn() -> Levels + Send + Sync + 'static {
    move || {
        let applied = status.applied.borrow();
        let position = applied.position.unwrap_or_default();
        Levels {
            memory_bytes: blobs.memory_bytes(),
            disk_bytes: disk.used(),
            generation: position.generation.0,
            applied: position.seq.0,
            lagging: applied.lagging.len() as u64,
            unknown_keys: applied.unknown as u64,
            origin_last_seen_seconds: status.last_seen.elapsed().map(|ago| ago.as_secs_f64()),
        }
    }
}

impl Daemon for Edge {
    const NAME: &'static str = "verge-edge";
    const ABOUT: &'static str = "Follows a Verge origin and serves its sites to readers";
    type RawConfig = RawConfig;
    type Config = Config;

    fn check(raw: RawConfig) -> anyhow::Result<Config> {
        Ok(raw.try_into()?)
    }

    async fn bind(config: Config) -> anyhow::Result<Self> {
        Ok(Self::bind(config).await?)
    }

    async fn start_draining(&self) {
        self.start_draining().await;
    }

    async fn shutdown(self) {
        if let Err(unfinished) = Self::shutdown(self).await {
            tracing::warn!(%unfinished, "not everything finished in time");
        }
    }
}
