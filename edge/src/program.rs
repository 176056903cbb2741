//! The edge as a program: its configuration file, what `check-config` tries, and how it ends.

use verge_daemon::run::{Needs, Port};
use verge_daemon::{Clock, Daemon};

use crate::config::Config;
use crate::config::raw::RawConfig;
use crate::edge::Edge;

impl Daemon for Edge {
    const NAME: &'static str = "verge-edge";
    const ABOUT: &'static str = "Follows a Verge origin and serves its sites to readers";
    type RawConfig = RawConfig;
    type Config = Config;

    fn check(raw: RawConfig) -> anyhow::Result<Config> {
        Ok(raw.try_into()?)
    }

    fn check_files(config: &Config) -> anyhow::Result<()> {
        for files in &config.certificates {
            files.check(Clock::system().now())?;
        }
        if let Some(access_log) = &config.access_log {
            access_log.check()?;
        }
        Ok(())
    }

    async fn needs(config: &Config) -> Needs {
        let mut ports = Vec::new();
        for listen in &config.listen {
            ports.extend(Port::tcp("listen", listen).await);
        }
        for listen in &config.tls_listen {
            ports.extend(Port::tcp("tls_listen", listen).await);
        }
        ports.extend(Port::tcp("private_listen", &config.private_listen).await);
        let origins = config.origin_access();
        Needs { data: config.data.clone(), ports, origins: Some(origins), findings: Vec::new() }
    }

    async fn bind(config: Config) -> anyhow::Result<Self> {
        Ok(Self::bind(config).await?)
    }

    async fn start_draining(&self) {
        self.start_draining().await;
    }

    async fn shutdown(self) {
        if let Err(unfinished) = Self::shutdown(self).await {
            tracing::warn!(%unfinished, "tasks were aborted at the drain timeout");
        }
    }
}
