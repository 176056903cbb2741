//! Recursive resolvers as providers run them, with the settings that matter to these tests.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

use super::region::Region;
use crate::hosts::{Host, Process};

/// A recursive resolver. EDNS client subnet (ECS) is RFC 7871.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolver {
    /// Unbound with ECS, in Europe.
    Unbound,
    /// `PowerDNS` Recursor with ECS, in America.
    Recursor,
    /// Unbound without ECS, in Asia.
    UnboundWithoutEcs,
}

/// The name servers that a resolver is configured with.
pub(super) struct Upstream<'a> {
    /// The name server of the parent zone `test`.
    pub(super) parent: Ipv4Addr,
    /// The name servers to which client subnets are sent.
    pub(super) ecs_servers: &'a [Ipv4Addr],
}

impl Resolver {
    /// All resolvers.
    pub const ALL: [Self; 3] = [Self::Unbound, Self::Recursor, Self::UnboundWithoutEcs];

    /// The programs that must be installed.
    pub const PROGRAMS: [&str; 2] = ["unbound", "pdns_recursor"];

    /// Whether it sends client subnets to name servers.
    pub fn sends_client_subnet(self) -> bool {
        self != Self::UnboundWithoutEcs
    }

    /// The region in which name servers locate a client of this resolver: its own or the resolver's.
    pub fn apparent_region(self, client: Region) -> Region {
        if self.sends_client_subnet() { client } else { Region::Asia }
    }

    /// Starts it on a host. Returns before it answers.
    pub(super) async fn start(self, host: &Host, upstream: &Upstream<'_>, folder: &Path) -> Process {
        std::fs::create_dir(folder).unwrap();
        let (program, arguments) = match self {
            Self::Unbound | Self::UnboundWithoutEcs => {
                let config = folder.join("unbound.conf");
                std::fs::write(&config, self.unbound_config(host, upstream, folder)).unwrap();
                ("unbound", vec!["-d".to_owned(), "-c".to_owned(), config.display().to_string()])
            }
            Self::Recursor => ("pdns_recursor", recursor_arguments(host, upstream, folder)),
        };
        host.spawn(program, &arguments, &folder.join("log")).await
    }

    fn unbound_config(self, host: &Host, Upstream { parent, ecs_servers }: &Upstream<'_>, folder: &Path) -> String {
        let modules = if self.sends_client_subnet() { "subnetcache validator iterator" } else { "validator iterator" };
        let mut config = format!(
            "server:\n directory: \"{}\"\n module-config: \"{modules}\"\n chroot: \"\"\n username: \"\"\n pidfile: \"\"\n \
             use-syslog: no\n num-threads: 1\n local-zone: \"test.\" nodefault\n",
            folder.display()
        );
        for address in host.addresses() {
            let any_client = if address.is_ipv4() { "0.0.0.0/0" } else { "::/0" };
            writeln!(config, " interface: {address}\n access-control: {any_client} allow").unwrap();
        }
        if self.sends_client_subnet() {
            config.push_str(" max-client-subnet-ipv4: 24\n max-client-subnet-ipv6: 56\n");
            for server in *ecs_servers {
                writeln!(config, " send-client-subnet: {server}").unwrap();
            }
        }
        writeln!(config, "remote-control:\n control-enable: no").unwrap();
        writeln!(config, "stub-zone:\n name: \"test.\"\n stub-addr: {parent}").unwrap();
        config
    }
}

fn recursor_arguments(host: &Host, Upstream { parent, ecs_servers }: &Upstream<'_>, folder: &Path) -> Vec<String> {
    let list = |addresses: &[IpAddr]| addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>().join(",");
    let ecs_servers: Vec<IpAddr> = ecs_servers.iter().copied().map(IpAddr::from).collect();
    let settings = [
        ("config-dir", folder.display().to_string()),
        ("socket-dir", folder.display().to_string()),
        ("daemon", "no".to_owned()),
        ("write-pid", "no".to_owned()),
        ("disable-syslog", "yes".to_owned()),
        ("local-address", list(&host.addresses())),
        ("allow-from", "0.0.0.0/0,::/0".to_owned()),
        // The default excludes addresses that are reserved for documentation.
        ("dont-query", String::new()),
        ("hint-file", "no".to_owned()),
        ("security-poll-suffix", String::new()),
        ("dnssec", "off".to_owned()),
        ("threads", "1".to_owned()),
        ("forward-zones", format!("test={parent}")),
        ("edns-subnet-allow-list", list(&ecs_servers)),
        ("ecs-add-for", "0.0.0.0/0,::/0".to_owned()),
        ("ecs-ipv4-bits", "24".to_owned()),
        ("ecs-ipv6-bits", "56".to_owned()),
        // The default is a minute, for which SERVFAIL would be answered after the name servers are back.
        ("packetcache-servfail-ttl", "1".to_owned()),
    ];
    settings.into_iter().map(|(name, value)| format!("--{name}={value}")).collect()
}
