//! Hosts in network namespaces around one router, on which daemons and third-party programs communicate as on the internet.
//!
//! ```text
//! host ──eth0──veth──┐
//! host ──eth0──veth──┤ router   any addresses: each host has its own, and a route to those of the others
//! host ──eth0──veth──┘
//! ```
//!
//! The namespaces have no names. Each exists as long as a thread or process in it, so nothing remains after a test, however it
//! ends, and the network of the machine is not changed.

mod host;
mod namespace;
mod process;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};

use self::namespace::Namespace;

pub use self::host::Host;
pub use self::process::Process;

/// The address of the router on each link: valid on that link only.
const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 1);
const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// Forwards the packets of all hosts.
pub struct Router {
    namespace: Namespace,
    links: usize,
}

/// The reason why hosts cannot run these programs on this machine; `None`: they can.
pub fn missing_requirement(programs: &[&str]) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root, for network namespaces".to_owned());
    }
    let is_missing = |program: &&&str| {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
        !found.is_ok_and(|status| status.success())
    };
    let required = ["ip", "setpriv"];
    let missing: Vec<&str> = required.iter().chain(programs).filter(is_missing).copied().collect();
    if !missing.is_empty() {
        return Some(format!("needs {}", missing.join(", ")));
    }
    namespace::creation_error().map(|error| format!("needs network namespaces: {error}"))
}

impl Router {
    /// Starts a router without hosts.
    pub async fn start() -> Self {
        let namespace = Namespace::new("router");
        let forwarding = ["ipv4/ip_forward", "ipv6/conf/all/forwarding"].map(|name| format!("/proc/sys/net/{name}"));
        // These files belong to the namespace of the thread that opens them.
        namespace.run(async move { forwarding.map(|file| std::fs::write(file, "1").unwrap()) }).await;
        namespace.ip("link set lo up".to_owned()).await;
        Self { namespace, links: 0 }
    }

    /// Adds a host with these addresses, which no other host may have.
    pub async fn add_host(&mut self, name: &str, v4: Ipv4Addr, v6: Ipv6Addr) -> Host {
        self.links += 1;
        let (namespace, interface) = (Namespace::new(name), format!("veth{}", self.links));
        let create_link = format!(
            "link add {interface} type veth peer name eth0 netns {}\n\
             addr add {GATEWAY_V4}/32 dev {interface}\n\
             addr add {GATEWAY_V6}/64 dev {interface} nodad\n\
             link set {interface} up",
            namespace.path()
        );
        self.namespace.ip(create_link).await;
        let configure_host = format!(
            "link set lo up\n\
             addr add {v4}/32 dev eth0\n\
             addr add {v6}/128 dev eth0 nodad\n\
             link set eth0 up\n\
             route add {GATEWAY_V4} dev eth0 src {v4}\n\
             route add 0.0.0.0/0 via {GATEWAY_V4} src {v4}\n\
             route add ::/0 via {GATEWAY_V6} dev eth0 src {v6}"
        );
        namespace.ip(configure_host).await;
        self.namespace.ip(format!("route add {v4} dev {interface}\nroute add {v6} dev {interface}")).await;
        Host::new(namespace, v4, v6)
    }

    /// Drops all packets from and to a host silently, as if its link were cut.
    pub async fn isolate(&self, host: &Host) {
        self.change_blackholes("add", [("from", host, None), ("to", host, None)]).await;
    }

    /// Undoes [`Router::isolate`].
    pub async fn rejoin(&self, host: &Host) {
        self.change_blackholes("del", [("from", host, None), ("to", host, None)]).await;
    }

    /// Drops all packets between two hosts silently.
    pub async fn disconnect(&self, one: &Host, other: &Host) {
        self.change_blackholes("add", [("from", one, Some(other)), ("from", other, Some(one))]).await;
    }

    /// Undoes [`Router::disconnect`].
    pub async fn reconnect(&self, one: &Host, other: &Host) {
        self.change_blackholes("del", [("from", one, Some(other)), ("from", other, Some(one))]).await;
    }

    async fn change_blackholes(&self, change: &str, rules: [(&str, &Host, Option<&Host>); 2]) {
        for family in ["-4", "-6"] {
            let address = |host: &Host| if family == "-4" { host.v4().to_string() } else { host.v6().to_string() };
            let rules = rules.map(|(direction, host, other)| {
                let other = other.map_or(String::new(), |other| format!(" to {}", address(other)));
                format!("rule {change} {direction} {}{other} blackhole", address(host))
            });
            self.namespace.ip_with(&[family], rules.join("\n")).await;
        }
    }

    /// Stops the router. All hosts must be stopped before.
    pub async fn stop(self) {
        self.namespace.stop().await;
    }
}
