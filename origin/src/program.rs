//! The origin as a program: its configuration file, what `check-config` tries, and how it ends.

use verge_daemon::run::{Needs, Port};
use verge_daemon::{Clock, Daemon};

use crate::certificates;
use crate::config::Config;
use crate::config::raw::RawConfig;
use crate::domains;
use crate::origin::Origin;

impl Daemon for Origin {
    const NAME: &'static str = "verge-origin";
    const ABOUT: &'static str =
        "Verge's origin: store builds, create releases, and publish changes to edges and name servers";
    type RawConfig = RawConfig;
    type Config = Config;

    fn check(raw: RawConfig) -> anyhow::Result<Config> {
        Ok(raw.try_into()?)
    }

    fn check_files(config: &Config) -> anyhow::Result<()> {
        if let Some(files) = &config.api_certificate {
            files.check(Clock::system().now())?;
        }
        for authority in &config.authorities {
            authority.check_files()?;
        }
        // The default one is not a setting: it is made, and `/healthz` tells what is wrong with it.
        config.master_key_file.as_deref().map_or(Ok(()), certificates::check_master_key)
    }

    async fn needs(config: &Config) -> Needs {
        let mut ports = Vec::new();
        ports.extend(Port::tcp("listen", &config.listen).await);
        for listen in &config.tls_listen {
            ports.extend(Port::tcp("tls_listen", listen).await);
        }
        if let Some(listen) = &config.challenge_listen {
            ports.extend(Port::tcp("challenge_listen", listen).await);
        }
        ports.extend(Port::tcp("private_listen", &config.private_listen).await);
        let resolver = domains::check_resolver(config.resolver, config.resolver_timeout, config.sites_url.base()).await;
        Needs { data: config.data.clone(), ports, origins: None, findings: vec![resolver] }
    }

    async fn bind(config: Config) -> anyhow::Result<Self> {
        Self::bind_with_clock(config, Clock::system()).await
    }

    async fn shutdown(self) {
        if let Err(unfinished) = Self::shutdown(self).await {
            tracing::warn!(%unfinished, "tasks were cancelled at the drain timeout");
        }
    }
}
