//! The name server as a program: its configuration file, what `check-config` tries, and how it ends.

use std::net::SocketAddr;

use verge_daemon::Daemon;
use verge_daemon::run::{Needs, Port};

use crate::config::Config;
use crate::config::raw::RawConfig;
use crate::dns::sockets;
use crate::geodns::GeoDns;

impl Daemon for GeoDns {
    const NAME: &'static str = "verge-geodns";
    const ABOUT: &'static str = "Answer DNS for your zones and direct readers to the nearest healthy edge";
    type RawConfig = RawConfig;
    type Config = Config;

    fn check(raw: RawConfig) -> anyhow::Result<Config> {
        Ok(raw.try_into()?)
    }

    fn check_files(config: &Config) -> anyhow::Result<()> {
        config.check_files()
    }

    async fn needs(config: &Config) -> Needs {
        let dns = |address: &SocketAddr| Port::new("listen", *address, sockets::open(*address, 1));
        let mut ports: Vec<Port> = config.listen.iter().map(dns).collect();
        ports.extend(Port::tcp("private_listen", &config.private_listen).await);
        let origins = config.origin_access();
        Needs { data: config.data.clone(), ports, origins: Some(origins), findings: Vec::new() }
    }

    async fn bind(config: Config) -> anyhow::Result<Self> {
        Ok(Self::bind(config).await?)
    }

    async fn shutdown(self) {
        if let Err(unfinished) = Self::shutdown(self).await {
            tracing::warn!(%unfinished, "some tasks did not finish in time");
        }
    }
}
