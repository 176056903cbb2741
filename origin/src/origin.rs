//! The origin as a value.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hyper_util::service::TowerToHyperService;
use prometheus_client::registry::Registry;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::watch;
use verge_daemon::http_server::{self, HttpLimits};
use verge_daemon::private_listener::{self, Readiness};
use verge_daemon::tasks::Unfinished;
use verge_daemon::{Clock, Daemon, DataDir, Secret, Tasks, listen};

use crate::app::App;
use crate::config::{Config, RawConfig};
use crate::domains::{self, Resolver};
use crate::edge_reports::EdgeReports;
use crate::http;
use crate::metrics::Metrics;
use crate::store::{Blobs, Database, Holder};
use crate::token;
use crate::channel_locks::ChannelLocks;
use crate::uploads::Uploads;

/// A running origin.
pub struct Origin {
    app: Arc<App>,
    address: SocketAddr,
    private_address: SocketAddr,
    admin_token: Secret,
    drain_timeout: Duration,
    _data: DataDir,
}

impl Origin {
    /// Opens the stores and the ports; `clock` tells the time that is written down.
    pub async fn bind_at(config: Config, clock: Clock) -> anyhow::Result<Self> {
        let api = listen::tcp("the API", config.listen).await?;
        let private = listen::tcp("health and metrics", config.private_listen).await?;
        let (address, private_address) = (api.local_addr()?, private.local_addr()?);

        let data = DataDir::open(&config.data)?;
        let blobs = Blobs::open(&config.data.join("objects")).await?;
        let database = Database::open(&config.data.join("origin.db"), clock.now()).await?;
        let admin_token = admin_token(&config.data.join("admin-token"), &database, &clock).await?;

        let metrics = Arc::new(Metrics::default());
        let mut registry = Registry::default();
        metrics.register(&mut registry);
        let tasks = Tasks::default();
        let app = Arc::new(App {
            news: watch::Sender::new(database.position().await?),
            database,
            blobs,
            clock,
            tasks: tasks.clone(),
            edge_reports: EdgeReports::default(),
            channel_locks: ChannelLocks::default(),
            uploads: Uploads::default(),
            metrics,
            limits: config.limits,
            sites_url: config.sites_url,
            resolver: Resolver::new(config.resolver, config.resolver_patience),
            encode_budget: config.encode_budget,
        });

        drop(tasks.spawn("recheck domains", domains::recheck(Arc::clone(&app), config.domain_period)));
        let limits = HttpLimits::default();
        let router = http::router(Arc::clone(&app));
        http_server::serve("api", api, limits, &tasks, TowerToHyperService::new(router));
        let health = {
            let database = app.database.clone();
            move || {
                let database = database.clone();
                async move {
                    match database.position().await {
                        Ok(_) => Readiness::Ready,
                        Err(error) => Readiness::NotReady(error.to_string()),
                    }
                }
            }
        };
        let router = private_listener::router(Arc::new(registry), health);
        http_server::serve("private", private, limits, &tasks, TowerToHyperService::new(router));
        tracing::info!(%address, private = %private_address, data = %config.data.display(), "the origin is up");
        Ok(Self { app, address, private_address, admin_token, drain_timeout: config.drain_timeout, _data: data })
    }

    /// Where the API listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where health and metrics listen.
    pub fn private_address(&self) -> SocketAddr {
        self.private_address
    }

    /// Accepts no more, finishes what is under way within [`Config::drain`], and is gone. The error names what was cut off.
    pub async fn shutdown(self) -> Result<(), Unfinished> {
        let finished = self.app.tasks.shutdown(self.drain_timeout).await;
        self.app.database.close().await;
        finished
    }

    /// The administrator's token.
    pub fn admin_token(&self) -> &Secret {
        &self.admin_token
    }
}

impl Daemon for Origin {
    const NAME: &'static str = "verge-origin";
    const ABOUT: &'static str = "Verge's origin: takes builds, makes releases of them, and tells the edges";
    type RawConfig = RawConfig;
    type Config = Config;

    fn check(raw: RawConfig) -> anyhow::Result<Config> {
        raw.check()
    }

    async fn bind(config: Config) -> anyhow::Result<Self> {
        Self::bind_at(config, Clock::system()).await
    }

    async fn shutdown(self) {
        if let Err(unfinished) = Self::shutdown(self).await {
            tracing::warn!(%unfinished, "not everything finished in time");
        }
    }
}

/// The administrator's token: made at the first start, and kept in a file that only the owner reads.
async fn admin_token(file: &Path, database: &Database, clock: &Clock) -> anyhow::Result<Secret> {
    if !tokio::fs::try_exists(file).await? {
        let token = token::generate();
        let new = file.with_extension("new");
        let mut options = tokio::fs::OpenOptions::new();
        let mut handle = options.create(true).truncate(true).write(true).mode(0o600).open(&new).await?;
        handle.write_all(format!("{}\n", token.expose()).as_bytes()).await?;
        handle.sync_all().await?;
        tokio::fs::rename(new, file).await?;
    }
    let text = tokio::fs::read_to_string(file).await?;
    let text = text.trim();
    let digest = token::digest(text)
        .with_context(|| format!("{} does not hold a whole token: delete it to have a new one", file.display()))?;
    database.put_token(digest, &Holder::Admin, clock.now()).await?;
    Ok(Secret::new(text))
}
