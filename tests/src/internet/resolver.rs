//! Resolvers as providers run them, with the settings that matter here.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use super::Region;
use crate::hosts::{Host, Process};

/// A resolver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolver {
    /// Unbound that sends client subnets, in Europe.
    Unbound,
    /// `PowerDNS` Recursor that sends client subnets, in America.
    Recursor,
    /// Unbound that sends none, in Asia.
    Silent,
}

/// What a resolver has to be told.
pub(super) struct Upstream<'a> {
    /// Where the name server of the domain above is.
    pub(super) parent: Ipv4Addr,
    /// Whom client subnets are sent to.
    pub(super) nodes: &'a [Ipv4Addr],
}

impl Resolver {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Unbound, Self::Recursor, Self::Silent];

    /// What they need installed.
    pub const PROGRAMS: [&str; 2] = ["unbound", "pdns_recursor"];

    /// Whether it tells name servers where clients are.
    pub fn sends_subnets(self) -> bool {
        self != Self::Silent
    }

    /// Where name servers take its clients of that region to be.
    pub fn places(self, client: Region) -> Region {
        if self.sends_subnets() { client } else { Region::Asia }
    }

    /// Starts it on a host. It is not there at once.
    pub(super) async fn start(self, host: &Host, upstream: &Upstream<'_>, folder: &Path) -> Process {
        std::fs::create_dir(folder).unwrap();
        let (program, arguments) = match self {
            Self::Unbound | Self::Silent => {
                let config = folder.join("unbound.conf");
                std::fs::write(&config, self.unbound(host, upstream, folder)).unwrap();
                ("unbound", vec!["-d".to_owned(), "-c".to_owned(), config.display().to_string()])
            }
            Self::Recursor => ("pdns_recursor", recursor(host, upstream, folder)),
        };
        host.spawn(program, &arguments, &folder.join("log")).await
    }

    fn unbound(self, host: &Host, Upstream { parent, nodes }: &Upstream<'_>, folder: &Path) -> String {
        let modules = if self.sends_subnets() { "subnetcache validator iterator" } else { "validator iterator" };
        let mut config = format!(
            "server:\n directory: \"{}\"\n module-config: \"{modules}\"\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n \
             use-syslog: no\n num-threads: 1\n local-zone: \"test.\" nodefault\n",
            folder.display()
        );
        for address in host.addresses() {
            let everybody = if address.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
            writeln!(config, " interface: {address}\n access-control: {everybody} allow").unwrap();
        }
        if self.sends_subnets() {
            config.push_str(" max-client-subnet-ipv4: 24\n max-client-subnet-ipv6: 56\n");
            for node in *nodes {
                writeln!(config, " send-client-subnet: {node}").unwrap();
            }
        }
        writeln!(config, "remote-control:\n control-enable: no").unwrap();
        writeln!(config, "stub-zone:\n name: \"test.\"\n stub-addr: {parent}").unwrap();
        config
    }
}

fn recursor(host: &Host, Upstream { parent, nodes }: &Upstream<'_>, folder: &Path) -> Vec<String> {
    let list = |addresses: &[IpAddr]| addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(",");
    let nodes: Vec<IpAddr> = nodes.iter().copied().map(IpAddr::from).collect();
    let settings = [
        ("config-dir", folder.display().to_string()),
        ("socket-dir", folder.display().to_string()),
        ("daemon", "no".to_owned()),
        ("write-pid", "no".to_owned()),
        ("disable-syslog", "yes".to_owned()),
        ("local-address", list(&host.addresses())),
        ("allow-from", "0.0.0.0/0,::/0".to_owned()),
        // By default it asks nobody at addresses for documentation.
        ("dont-query", String::new()),
        ("hint-file", "no".to_owned()),
        ("security-poll-suffix", String::new()),
        ("dnssec", "off".to_owned()),
        ("threads", "1".to_owned()),
        ("forward-zones", format!("test={parent}")),
        ("edns-subnet-allow-list", list(&nodes)),
        ("ecs-add-for", "0.0.0.0/0,::/0".to_owned()),
        ("ecs-ipv4-bits", "24".to_owned()),
        ("ecs-ipv6-bits", "56".to_owned()),
        // A minute by default, for which nobody who asked while all name servers were away learns that they are back.
        ("packetcache-servfail-ttl", "1".to_owned()),
    ];
    settings.into_iter().map(|(name, value)| format!("--{name}={value}")).collect()
}
