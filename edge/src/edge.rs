//! The edge as a value: bind, drain, shut down.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use hyper_util::service::TowerToHyperService;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use verge_daemon::feed::LastSeen;
use verge_daemon::http_server::{Clients, Connection, HttpLimits, serve, serve_connections};
use verge_daemon::listen::{self, Listen, ListenError};
use verge_daemon::origins::{Origins, OriginsError};
use verge_daemon::private_listener;
use verge_daemon::tasks::Unfinished;
use verge_daemon::tls::{Certificate, Tickets, TlsAcceptor};
use verge_daemon::{Clock, Tasks};

use crate::access_log::{self, AccessLog};
use crate::cache::BlobCache;
use crate::config::{Config, LogDestination};
use crate::follow::FeedTasks;
use crate::metrics::{GaugeValues, Gauges, Metrics};
use crate::readiness::{ProblemKind, ReadinessCheck};
use crate::release_hosts::ReleaseHosts;
use crate::serve::{HTTPS_PORT, Https, ReaderService, Sources};
use crate::status::{AppliedState, MissingBlobs, ServingStatus};
use crate::store::{BlockingStore, OpenError, Store};
use crate::table::Table;
use crate::tls::{self, Following, PresentedCertificates, TlsStatus};
use crate::upstream::Upstream;

/// A running edge. If it is dropped without [`Edge::shutdown`], its tasks keep running.
pub struct Edge {
    public_addrs: Vec<SocketAddr>,
    tls_addrs: Vec<SocketAddr>,
    private_addr: SocketAddr,
    applied: watch::Receiver<AppliedState>,
    presented: PresentedCertificates,
    tasks: Tasks,
    draining: CancellationToken,
    access_log: Option<access_log::Writer>,
    lame_duck: Duration,
    drain_timeout: Duration,
}

/// Why an edge cannot start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// [`Config::origins`] is empty.
    #[error("no origin is configured")]
    NoOrigin,
    /// [`Config::listen`] is empty.
    #[error("no listen address is configured")]
    NoListener,
    /// The data directory cannot be opened.
    #[error(transparent)]
    Data(#[from] OpenError),
    /// The access log cannot be opened.
    #[error("failed to open the access log {0}: check `path` in the section `[access_log]`")]
    AccessLog(String, #[source] std::io::Error),
    /// A listener cannot be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The address of a listener cannot be read.
    #[error("failed to read the address of a listener")]
    LocalAddr(#[source] std::io::Error),
    /// The client of the origins cannot be created.
    #[error(transparent)]
    Origins(#[from] OriginsError),
    /// The saved certificates cannot be read.
    #[error("failed to read the saved certificates in the data directory")]
    Certificates(#[source] std::io::Error),
    /// The task that opens the data directory panicked.
    #[error("failed to open the data directory")]
    Panicked(#[from] tokio::task::JoinError),
}

impl Edge {
    /// Starts an edge. Returns once its listeners are open and it serves what is on its disk; does not wait for an origin, see
    /// [`Edge::applied`].
    pub async fn bind(config: Config) -> Result<Self, BindError> {
        Self::bind_with_clock(config, Clock::system()).await
    }

    /// [`Edge::bind`] with another clock.
    pub async fn bind_with_clock(config: Config, clock: Clock) -> Result<Self, BindError> {
        if config.origins.is_empty() {
            return Err(BindError::NoOrigin);
        }
        if config.listen.is_empty() {
            return Err(BindError::NoListener);
        }
        let tasks = Tasks::default();
        let mut registry = Registry::default();
        let metrics = Metrics::new(&mut registry);
        let (access_log, log_writer) = open_access_log(&config, &clock, &metrics)?.unzip();
        let (store, last_seen) = open_store(&config, clock.clone(), metrics.clone()).await?;
        let store = Store::new(store, tasks.clone());
        let user_agent = concat!("verge-edge/", env!("CARGO_PKG_VERSION"));
        let failures = metrics.upstream_failures.clone();
        let origins = Origins::new(config.origins, config.origin_pin, &config.token, user_agent, failures)?;
        let upstream = Upstream::new(origins, metrics.clone());
        let (listeners, public_addrs) = listen_for("readers", config.listen).await?;
        let (tls_listeners, tls_addrs) = listen_for("readers over TLS", config.tls_listen).await?;
        let private_listener = listen::tcp("health and metrics", config.private_listen).await?;
        let public_addr = public_addrs[0];
        let private_addr = private_listener.local_addr().map_err(BindError::LocalAddr)?;

        let blobs = BlobCache::new(config.memory_cache.0, config.memory_in_flight.0, &store, &upstream, &tasks);
        let (table, missing_blobs) = (Arc::new(ArcSwap::<Table>::default()), MissingBlobs::default());
        let feed_tasks = FeedTasks {
            upstream: upstream.clone(),
            store: store.clone(),
            blobs: blobs.clone(),
            table: Arc::clone(&table),
            clock: clock.clone(),
            metrics: metrics.clone(),
            last_seen: last_seen.clone(),
            missing_blobs: missing_blobs.clone(),
            prefetch_bandwidth: config.prefetch_bandwidth,
            name: config.name.clone(),
            has_tls: !tls_addrs.is_empty(),
            url: config.url.or_else(|| public_addr.ip().is_loopback().then(|| format!("http://{public_addr}"))),
        };
        let restored = feed_tasks.restore().await;
        let (applied, challenges) = (restored.applied(), restored.challenges());
        let (releases, erased) = (restored.releases(), restored.erased());
        let release_hosts =
            ReleaseHosts::new(releases, erased, store.clone(), upstream.clone(), metrics.clone(), tasks.clone());
        // Cancelled by `start_draining`, and by shutdown, which drains the tasks too.
        let draining = tasks.draining().child_token();
        let presented = PresentedCertificates::new(clock.clone());
        let tickets = Arc::new(Tickets::new(clock.clone()));
        // Sessions resume at this edge until it knows the fleet's secret.
        tickets.set_secret(&rand::random::<[u8; 32]>());
        let fleet = if tls_addrs.is_empty() { None } else { Some(restored.certificates()) };
        if let Some(fleet) = fleet.clone() {
            let (tickets, name) = (Arc::clone(&tickets), config.name.clone());
            let following = Following { upstream: upstream.clone(), tickets, name };
            let has_rows = restored.has_rows();
            let followed = tls::follow(fleet, config.data, has_rows, &presented, following, &tasks);
            followed.await.map_err(BindError::Certificates)?;
        }
        let tls = TlsStatus::watch(config.certificates, fleet, &presented, clock.clone(), &tasks).await;
        let status = ServingStatus {
            edge: config.name,
            applied: applied.clone(),
            last_seen,
            missing_blobs,
            tls,
            draining: draining.clone(),
        };
        let check = ReadinessCheck { status: status.clone(), store };
        registry.register_collector(Box::new(Gauges(gauge_values(check.clone(), blobs.clone()))));
        let readiness = move || std::future::ready(check.readiness());
        let router = private_listener::router(Arc::new(registry), readiness);
        let router = private_listener::at_hosts(router, &config.private_hosts);
        serve("private listener", private_listener, &HttpLimits::default(), &tasks, TowerToHyperService::new(router));
        let https = tls_addrs.first().map(|address| Https {
            certificates: Arc::clone(presented.certificates()),
            port: config.https_port.unwrap_or(if address.ip().is_loopback() { address.port() } else { HTTPS_PORT }),
            clock,
        });
        let memory = blobs.clone();
        let sources = Sources { table, release_hosts, blobs, challenges, https };
        let readers = ReaderService::new(sources, config.base_domains, status, &metrics, access_log);
        let acceptor = TlsAcceptor::new(Arc::clone(presented.certificates()), tickets);
        let clients = serve_readers(&readers, listeners, (tls_listeners, acceptor), &config.limits, &tasks);
        drop(tasks.spawn("relief of memory", relieve_memory(memory, clients, tasks.draining().clone())));
        restored.spawn(&tasks);
        tracing::info!(readers = ?public_addrs, readers_tls = ?tls_addrs, private = %private_addr, "listening");
        let Config { lame_duck, drain_timeout, .. } = config;
        Ok(Self {
            public_addrs,
            tls_addrs,
            private_addr,
            applied,
            presented,
            tasks,
            draining,
            access_log: log_writer,
            lame_duck,
            drain_timeout,
        })
    }

    /// The first listener for readers, which reports name unless [`Config::url`] is set.
    pub fn public_addr(&self) -> SocketAddr {
        self.public_addrs[0]
    }

    /// All listeners for readers, in the order of [`Config::listen`].
    pub fn public_addrs(&self) -> &[SocketAddr] {
        &self.public_addrs
    }

    /// All listeners for readers over TLS, in the order of [`Config::tls_listen`].
    pub fn tls_addrs(&self) -> &[SocketAddr] {
        &self.tls_addrs
    }

    /// The listener for `/healthz` and `/metrics`.
    pub fn private_addr(&self) -> SocketAddr {
        self.private_addr
    }

    /// Has `provide` be called for each server name without a certificate, while the client waits. A certificate that it returns is presented in
    /// place of those of [`Config::certificates`], until their files change.
    pub fn provide_certificates(
        &self,
        provide: impl Fn(&str) -> BoxFuture<'static, Option<Arc<Certificate>>> + Send + Sync + 'static,
    ) {
        self.presented.set_provider(provide);
    }

    /// How far the edge has applied the feed; can be waited on.
    pub fn applied(&self) -> watch::Receiver<AppliedState> {
        self.applied.clone()
    }

    /// The tasks of this edge, for example to check that none is left after [`Edge::shutdown`].
    pub fn tasks(&self) -> Tasks {
        self.tasks.clone()
    }

    /// Reports `draining` on the health page, and keeps following and serving for [`Config::lame_duck`] before it returns. The
    /// origin learns it only from [`Edge::shutdown`]: until then rollouts wait for this edge as usual.
    pub async fn start_draining(&self) {
        self.draining.cancel();
        if !self.lame_duck.is_zero() {
            tracing::info!(
                seconds = self.lame_duck.as_secs(),
                "draining: still serving until readers are directed elsewhere"
            );
            tokio::time::sleep(self.lame_duck).await;
        }
    }

    /// Tells the origin that it is draining, stops accepting connections, and finishes open requests within
    /// [`Config::drain_timeout`]. The error names the tasks that were aborted.
    pub async fn shutdown(self) -> Result<(), Unfinished> {
        let finished = self.tasks.shutdown(self.drain_timeout).await;
        if let Some(access_log) = self.access_log {
            access_log.finish().await;
        }
        finished
    }
}

/// Opens the data directory, and returns when the last process saw an origin.
async fn open_store(config: &Config, clock: Clock, metrics: Metrics) -> Result<(BlockingStore, LastSeen), BindError> {
    let (data, budget) = (config.data.clone(), config.disk_cache.0);
    let open = tokio::task::spawn_blocking(move || {
        let now = clock.now();
        let store = BlockingStore::open(&data, budget, clock, metrics)?;
        let seen_before = store.load_origin_contact().and_then(|at| now.since(at));
        Ok::<_, OpenError>((store, LastSeen::before(seen_before)))
    });
    Ok(open.await??)
}

/// Opens the access log, if there is one.
fn open_access_log(
    config: &Config,
    clock: &Clock,
    metrics: &Metrics,
) -> Result<Option<(AccessLog, access_log::Writer)>, BindError> {
    let Some(log) = &config.access_log else { return Ok(None) };
    let trusted_proxies = config.limits.trusted_proxies.clone();
    let dropped = metrics.access_log_dropped_lines.clone();
    AccessLog::open(log, trusted_proxies, clock.clone(), dropped).map(Some).map_err(|error| {
        let destination = match &log.destination {
            LogDestination::Stdout => "on standard output".to_owned(),
            LogDestination::File(path) => path.display().to_string(),
        };
        BindError::AccessLog(destination, error)
    })
}

/// Serves readers on all listeners, those with TLS after those without.
fn serve_readers(
    readers: &ReaderService,
    plain: Vec<TcpListener>,
    (encrypted, acceptor): (Vec<TcpListener>, TlsAcceptor),
    limits: &HttpLimits,
    tasks: &Tasks,
) -> Vec<Clients> {
    let plain = plain.into_iter().map(|listener| ("readers", listener, None));
    let encrypted = encrypted.into_iter().map(|listener| ("readers over TLS", listener, Some(acceptor.clone())));
    let listeners = plain.chain(encrypted).map(|(name, listener, tls)| {
        let (readers, limits_of_clients) = (readers.clone(), limits.clone());
        let service_for = move |connection: Connection| {
            let limited = limits_of_clients.limited(connection.peer.ip());
            readers.for_connection(connection, limited)
        };
        serve_connections(name, listener, tls, limits, tasks, service_for)
    });
    listeners.collect()
}

/// Closes connections of readers that take nothing of a response while others wait for the memory.
async fn relieve_memory(blobs: BlobCache, clients: Vec<Clients>, draining: CancellationToken) {
    const STALLED_FOR: Duration = Duration::from_secs(15);
    const PAUSE: Duration = Duration::from_secs(1);
    while draining.run_until_cancelled(blobs.memory_exhausted()).await.is_some() {
        for clients in &clients {
            clients.relieve(STALLED_FOR);
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Opens listeners, and returns them with their addresses.
async fn listen_for(what: &'static str, listen: Vec<Listen>) -> Result<(Vec<TcpListener>, Vec<SocketAddr>), BindError> {
    let mut listeners = Vec::new();
    for listen in listen {
        listeners.push(listen::tcp(what, listen).await?);
    }
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>();
    Ok((listeners, addresses.map_err(BindError::LocalAddr)?))
}

fn gauge_values(check: ReadinessCheck, blobs: BlobCache) -> impl Fn() -> GaugeValues + Send + Sync + 'static {
    move || {
        let problems = check.problems();
        let ReadinessCheck { status, store } = &check;
        let applied = status.applied.borrow();
        let position = applied.position.unwrap_or_default();
        GaugeValues {
            memory_cache_bytes: blobs.memory_bytes(),
            disk_cache_bytes: store.used_bytes(),
            generation: position.generation.0,
            applied: position.seq.0,
            lagging: applied.lagging.iter().map(|lag| (lag.site.clone(), lag.channel.clone())).collect(),
            purging: applied.purging.len() as u64,
            unknown_rows: applied.unknown as u64,
            missing_blobs: status.missing_blobs.get(),
            problems: ProblemKind::ALL.map(|kind| {
                let count = problems.iter().filter(|problem| problem.kind == kind).count();
                (kind.name(), count as u64)
            }),
            certificate_expiry_seconds: status.tls.expiry_seconds(),
            origin_last_seen_seconds: status.last_seen.elapsed().map(|ago| ago.as_secs_f64()),
        }
    }
}
