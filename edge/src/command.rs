//! The commands of `verge-edge`, beside `check-config`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

use clap::Subcommand;
use verge_daemon::join::{self, JoinArguments, Joins, quoted};
use verge_daemon::run::{Commands, ConfigFile, OriginAccess};
use verge_protocol::api::{Joined, TokenOwner};
use verge_protocol::fleet::EdgeState;

use crate::config::Config;
use crate::edge::Edge;
use crate::tls;

/// The commands.
#[derive(Subcommand)]
pub enum Command {
    /// Become an edge of a fleet: exchange a join code for a token, and write the configuration
    Join(JoinArguments),
}

impl Commands<Edge> for Command {
    fn run(self, config: &ConfigFile<Edge>) -> anyhow::Result<ExitCode> {
        let Self::Join(arguments) = self;
        join::join(&arguments, config, |joined, files| {
            files.note(format!("the key of this edge is {}", files.data.join("edge.key").display()));
            Ok(settings(joined))
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Joins for Edge {
    const TOKEN_FILE: &'static str = "edge.token";

    fn is_for(owner: &TokenOwner) -> bool {
        matches!(owner, TokenOwner::Edge(_))
    }

    fn access(config: &Config) -> OriginAccess {
        config.origin_access()
    }

    fn public_key(data: &Path) -> anyhow::Result<Option<String>> {
        tls::public_key(data).map(Some)
    }
}

/// The settings of an edge that follow from how readers are sent to it.
fn settings(joined: &Joined) -> String {
    let addresses = joined.edge.as_ref().map_or(&[][..], |edge| &edge.addresses);
    let port = joined.edge.as_ref().map_or(EdgeState::PORT, |edge| edge.port);
    // Both families, where there are both; a machine without IPv6 cannot open the second.
    let any: IpAddr =
        if addresses.iter().any(IpAddr::is_ipv6) { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let mut lines = vec![
        format!("listen = {}", quoted(&SocketAddr::new(any, port))),
        format!("tls_listen = {}", quoted(&SocketAddr::new(any, 443))),
        "private_listen = \"127.0.0.1:7501\"".to_owned(),
        format!("base_domain = {}", quoted(&joined.base_domain)),
        "lame_duck_seconds = 75".to_owned(),
    ];
    lines.extend(addresses.first().map(|address| {
        let host = SocketAddr::new(*address, port).to_string();
        let host = if port == EdgeState::PORT { host.trim_end_matches(":80") } else { &host };
        format!("url = {}", quoted(&format!("http://{host}")))
    }));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use verge_protocol::fleet::Force;

    use super::*;

    fn settings_of(addresses: &[&str], port: u16) -> String {
        let edge = EdgeState {
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            port,
            scheme: None,
            location: None,
            regions: [].into(),
            weight: 1,
            force: Force::Auto,
        };
        settings(&Joined {
            owner: TokenOwner::Edge("fra-1".parse().unwrap()),
            token: String::new(),
            base_domain: "sites.example.net".parse().unwrap(),
            edge: Some(edge),
        })
    }

    #[test]
    fn edge_listens_where_readers_are_sent() {
        let v4 = settings_of(&["203.0.113.5"], 80);
        for line in [
            "listen = \"0.0.0.0:80\"",
            "tls_listen = \"0.0.0.0:443\"",
            "base_domain = \"sites.example.net\"",
            "url = \"http://203.0.113.5\"",
        ] {
            assert!(v4.lines().any(|written| written == line), "{line}: {v4}");
        }
        let both = settings_of(&["2001:db8::5", "203.0.113.5"], 8080);
        assert!(
            both.contains("listen = \"[::]:8080\"") && both.contains("url = \"http://[2001:db8::5]:8080\""),
            "{both}"
        );
    }
}
