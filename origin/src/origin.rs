//! The origin as a value.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hyper_util::service::TowerToHyperService;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use verge_daemon::http_server::{self, Connection, HttpLimits};
use verge_daemon::private_listener::{self, Readiness};
use verge_daemon::tasks::Unfinished;
use verge_daemon::{Clock, DataDir, Secret, Tasks, error_chain, listen};
use verge_protocol::api::{Problem, TokenOwner};
use verge_protocol::{EdgeName, KeyPin};

use crate::api_tls::ApiTls;
use crate::app_state::AppState;
use crate::certificates::ApiCertificate;
use crate::composition::{Parts, compose};
use crate::config::Config;
use crate::http;
use crate::inheritance_expiry;
use crate::metrics::Metrics;
use crate::problems::Problems;
use crate::store::{Blobs, Database};
use crate::token;

/// A running origin.
pub struct Origin {
    app: AppState,
    tasks: Tasks,
    addr: SocketAddr,
    tls_addrs: Vec<SocketAddr>,
    challenge_addr: Option<SocketAddr>,
    private_addr: SocketAddr,
    admin_token: Secret,
    drain_timeout: Duration,
    _data: DataDir,
}

impl Origin {
    /// Opens the stores and the listeners. Timestamps are taken from `clock`.
    pub async fn bind_with_clock(config: Config, clock: Clock) -> anyhow::Result<Self> {
        let api = listen::tcp("the API", config.listen.clone()).await?;
        let mut secured = Vec::new();
        for listen in config.tls_listen.clone() {
            secured.push(listen::tcp("the API over TLS", listen).await?);
        }
        let tls_addrs = secured.iter().map(TcpListener::local_addr).collect::<Result<Vec<_>, _>>()?;
        let challenges = match config.challenge_listen.clone() {
            Some(listen) => Some(listen::tcp("challenges", listen).await?),
            None => None,
        };
        let challenge_addr = challenges.as_ref().map(TcpListener::local_addr).transpose()?;
        let private = listen::tcp("health and metrics", config.private_listen.clone()).await?;
        let (addr, private_addr) = (api.local_addr()?, private.local_addr()?);

        let data = DataDir::open(&config.data)?;
        let blobs = Blobs::open(&config.data.join("objects")).await?;
        let database = Database::open(&config.data.join("origin.db"), clock.now()).await?;
        let added = database.add_missing_release_rows().await?;
        if added > 0 {
            tracing::info!(releases = added, "releases were added to the change feed");
        }
        let admin_token = admin_token(&data, &database, &clock).await?;

        let metrics = Arc::new(Metrics::default());
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let tasks = Tasks::default();
        let tls = if secured.is_empty() {
            ApiTls::default()
        } else {
            ApiTls::start(config.api_certificate.clone(), &data, &clock, &tasks).await?
        };
        let api_certificate = config.api_name.clone().map(|name| ApiCertificate::open(name, tls.clone(), data.path()));
        let parts = Parts { metrics, database, blobs: blobs.clone(), tls: tls.clone(), api_certificate };
        let api_certificate = parts.api_certificate.clone();
        let app = Box::pin(compose(&config, clock.clone(), &tasks, parts)).await?;

        start_background_tasks(&config, &app, &tasks).await?;
        let limits = &config.http_limits;
        let router = http::router(app.clone());
        let service_for =
            move |connection: Connection| TowerToHyperService::new(http::service_of(&router, &connection));
        http_server::serve_connections("api", api, None, limits, &tasks, service_for.clone());
        if let (Some(listener), Some(certificate)) = (challenges, api_certificate) {
            let service = TowerToHyperService::new(http::challenges::router(certificate));
            http_server::serve("challenges", listener, limits, &tasks, service);
        }
        let acceptor = tls.acceptor(&clock);
        for listener in secured {
            let service_for = service_for.clone();
            http_server::serve_connections(
                "api over TLS",
                listener,
                Some(acceptor.clone()),
                limits,
                &tasks,
                service_for,
            );
        }
        let health = {
            let problems = app.problems.clone();
            move || {
                let problems = problems.clone();
                async move { readiness(&problems).await }
            }
        };
        let problems = app.problems.clone().keep_metrics(tasks.draining().clone());
        drop(tasks.spawn("check storage", problems));
        drop(tasks.spawn("delete unfinished files", delete_unfinished(blobs)));
        let router =
            private_listener::at_hosts(private_listener::router(Arc::new(registry), health), &config.private_hosts);
        http_server::serve("private", private, &HttpLimits::default(), &tasks, TowerToHyperService::new(router));
        let pin = tls.pin().map(tracing::field::display);
        tracing::info!(%addr, ?tls_addrs, pin, %private_addr, data = %config.data.display(), "origin started");
        Ok(Self {
            app,
            tasks,
            addr,
            tls_addrs,
            challenge_addr,
            private_addr,
            admin_token,
            drain_timeout: config.drain_timeout,
            _data: data,
        })
    }

    /// The address of the API.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The addresses of the API over TLS, in the order of [`Config::tls_listen`].
    pub fn tls_addrs(&self) -> &[SocketAddr] {
        &self.tls_addrs
    }

    /// The address where the name of the API is proven, if there is one.
    pub fn challenge_addr(&self) -> Option<SocketAddr> {
        self.challenge_addr
    }

    /// The pin of the identity key, if the API over TLS presents that.
    pub fn pin(&self) -> Option<KeyPin> {
        self.app.tls.pin()
    }

    /// The address of the private listener.
    pub fn private_addr(&self) -> SocketAddr {
        self.private_addr
    }

    /// The administrator's token.
    pub fn admin_token(&self) -> &Secret {
        &self.admin_token
    }

    /// Waits until every one of these edges is live, has applied the origin's current position, and lags with no channel. Woken by the
    /// edges' reports; does not poll. Never returns if an edge never gets there. Cancel-safe.
    pub async fn wait_until_caught_up(&self, edges: &[EdgeName]) {
        let mut report_changes = self.app.edge_reports.subscribe();
        while !self.app.edge_reports.are_caught_up(edges, self.app.feed.position()) {
            report_changes.changed().await.expect("the sender is in `self.app`");
        }
    }

    /// Stops accepting, finishes the requests in progress within [`Config::drain_timeout`], and closes the database. The error names
    /// the tasks that were cancelled.
    pub async fn shutdown(self) -> Result<(), Unfinished> {
        let finished = self.tasks.shutdown(self.drain_timeout).await;
        self.app.database.close().await;
        finished
    }
}

/// What goes on beside requests, until the tasks drain.
async fn start_background_tasks(config: &Config, app: &AppState, tasks: &Tasks) -> anyhow::Result<()> {
    let checks = app.domains.clone().check_periodically(config.domain_check_interval, tasks.draining().clone());
    drop(tasks.spawn("check domains", checks));
    app.publisher.rollouts.resume().await?;
    let expiry = inheritance_expiry::run(
        app.database.clone(),
        app.feed.clone(),
        app.channel_deletion.expiry_clock.clone(),
        config.expiry_check_interval,
        tasks.draining().clone(),
    );
    drop(tasks.spawn("end inheritance", expiry));
    // After the rollouts of the last process have locked their channels.
    let deletions = app.channel_deletion.clone();
    let deletions = deletions.delete_ended_periodically(config.expiry_check_interval, tasks.draining().clone());
    drop(tasks.spawn("delete channels", deletions));
    let removal = app.erasures.removal.clone();
    let removal = removal.remove_periodically(config.expiry_check_interval, tasks.draining().clone());
    drop(tasks.spawn("remove erased blobs", removal));
    let collector = Arc::clone(&app.collector);
    let collections = collector.collect_periodically(config.collection_interval, tasks.draining().clone());
    drop(tasks.spawn("collect what is not needed", collections));
    if !config.authorities.is_empty()
        && let Err(error) = app.vault.ensure_ticket_secret(&app.feed).await
    {
        tracing::error!(error = error_chain(&error), "failed to make the secret of session tickets");
    }
    let issuer = Arc::clone(&app.issuer).run(config.certificate_interval, tasks.draining().clone());
    drop(tasks.spawn("order certificates", issuer));
    let upkeep = app.issuer.upkeep(config.rollout_timing.live);
    let upkeep = upkeep.run(config.certificate_interval, tasks.draining().clone());
    drop(tasks.spawn("follow certificates", upkeep));
    Ok(())
}

/// Whether the origin is ready. It is not while writes fail: reads are served all the same.
async fn readiness(problems: &Problems) -> Readiness {
    let problems = match problems.list().await {
        Ok(problems) => problems,
        Err(error) => return Readiness::NotReady(error_chain(&error)),
    };
    // Anybody can send an unknown token: that must not change the health.
    let own = problems.iter().filter(|problem| !matches!(problem, Problem::UnknownTokens { .. }));
    let texts = own.map(ToString::to_string).collect::<Vec<_>>();
    if problems.iter().any(|problem| matches!(problem, Problem::WritesFail { .. } | Problem::PushesFail { .. })) {
        Readiness::NotReady(texts.join("\n"))
    } else if texts.is_empty() {
        Readiness::Ready
    } else {
        Readiness::Degraded(texts)
    }
}

async fn delete_unfinished(blobs: Blobs) {
    match blobs.delete_unfinished().await {
        Ok(0) => {}
        Ok(files) => tracing::info!(files, "deleted unfinished files of an earlier process"),
        Err(error) => tracing::error!(%error, "failed to delete unfinished files of an earlier process"),
    }
}

/// The administrator's token, from the file `admin-token`, which is created at the first start and readable by its owner alone.
async fn admin_token(data: &DataDir, database: &Database, clock: &Clock) -> anyhow::Result<Secret> {
    const FILE: &str = "admin-token";
    let path = data.path().join(FILE);
    if !path.try_exists()? {
        data.replace(FILE, format!("{}\n", token::generate().expose()).as_bytes())?;
    }
    let text = std::fs::read_to_string(&path)?;
    let text = text.trim();
    let digest = token::digest(text)
        .with_context(|| format!("invalid token in {}: delete the file to generate a new one", path.display()))?;
    // At a start on a full disk, only what is missing is written.
    if database.token_owner(digest).await? != Some(TokenOwner::Admin) {
        database.put_token(digest, &TokenOwner::Admin, clock.now()).await?;
    }
    Ok(Secret::new(text))
}
