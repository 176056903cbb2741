//! Machines of one's own: network namespaces around one router, where real programs and our daemons meet as on the internet.
//!
//! ```text
//! host ──eth0──cable──┐
//! host ──eth0──cable──┤ router   any addresses: every host has its own, and a route to each other's
//! host ──eth0──cable──┘
//! ```
//!
//! A namespace has no name anywhere. It is there for as long as a thread or a program in it is, so that nothing of it is left
//! behind, whatever becomes of a test; and the network of the machine itself is not touched.

mod host;
mod namespace;
mod program;

use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::{Command, Stdio};

use self::namespace::Namespace;

pub use self::host::Host;
pub use self::program::Program;

/// What everybody's packets pass through.
pub struct Router {
    namespace: Namespace,
    cables: usize,
}

/// Why there can be no hosts that run these programs; `None`: there can.
pub fn missing(programs: &[&str]) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("needs root, for network namespaces".to_owned());
    }
    let runs = |program: &&&str| {
        let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).status();
        !found.is_ok_and(|status| status.success())
    };
    let wanted = ["ip", "setpriv"];
    let missing: Vec<&str> = wanted.iter().chain(programs).filter(runs).copied().collect();
    if !missing.is_empty() {
        return Some(format!("needs {}", missing.join(", ")));
    }
    namespace::forbidden().map(|error| format!("needs network namespaces: {error}"))
}

impl Router {
    /// A router without hosts.
    pub async fn start() -> Self {
        let namespace = Namespace::new("router");
        let forward = ["ipv4/ip_forward", "ipv6/conf/all/forwarding"].map(|name| format!("/proc/sys/net/{name}"));
        // Such a file is that of whoever opens it, so it must be opened in there.
        namespace.run(async move { forward.map(|file| std::fs::write(file, "1").unwrap()) }).await;
        namespace.ip("link set lo up".to_owned()).await;
        Self { namespace, cables: 0 }
    }

    /// A host at these addresses, which no other host has.
    pub async fn add(&mut self, name: &str, v4: Ipv4Addr, v6: Ipv6Addr) -> Host {
        self.cables += 1;
        let (namespace, port) = (Namespace::new(name), format!("port{}", self.cables));
        let plug = format!(
            "link add {port} type veth peer name eth0 netns {}\n\
             addr add {GATEWAY_V4}/32 dev {port}\n\
             addr add {GATEWAY_V6}/64 dev {port} nodad\n\
             link set {port} up",
            namespace.path()
        );
        self.namespace.ip(plug).await;
        let settle = format!(
            "link set lo up\n\
             addr add {v4}/32 dev eth0\n\
             addr add {v6}/128 dev eth0 nodad\n\
             link set eth0 up\n\
             route add {GATEWAY_V4} dev eth0 src {v4}\n\
             route add 0.0.0.0/0 via {GATEWAY_V4} src {v4}\n\
             route add ::/0 via {GATEWAY_V6} dev eth0 src {v6}"
        );
        namespace.ip(settle).await;
        self.namespace.ip(format!("route add {v4} dev {port}\nroute add {v6} dev {port}")).await;
        Host::new(namespace, v4, v6)
    }

    /// Loses every packet from and to a host, without a word to anybody: as when its cable is cut.
    pub async fn cut(&self, host: &Host) {
        self.change_rules("add", [("from", host, None), ("to", host, None)]).await;
    }

    /// Undoes [`Router::cut`].
    pub async fn mend(&self, host: &Host) {
        self.change_rules("del", [("from", host, None), ("to", host, None)]).await;
    }

    /// Loses every packet between two hosts.
    pub async fn part(&self, one: &Host, other: &Host) {
        self.change_rules("add", [("from", one, Some(other)), ("from", other, Some(one))]).await;
    }

    /// Undoes [`Router::part`].
    pub async fn join(&self, one: &Host, other: &Host) {
        self.change_rules("del", [("from", one, Some(other)), ("from", other, Some(one))]).await;
    }

    async fn change_rules(&self, change: &str, rules: [(&str, &Host, Option<&Host>); 2]) {
        for family in ["-4", "-6"] {
            let address = |host: &Host| if family == "-4" { host.v4().to_string() } else { host.v6().to_string() };
            let rules = rules.map(|(way, host, other)| {
                let other = other.map_or(String::new(), |other| format!(" to {}", address(other)));
                format!("rule {change} {way} {}{other} blackhole", address(host))
            });
            self.namespace.ip_with(&[family], rules.join("\n")).await;
        }
    }

    /// Ends it, after its hosts.
    pub async fn stop(self) {
        self.namespace.stop().await;
    }
}

/// The router's end of every cable: addresses that mean something on one cable only.
const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(169, 254, 0, 1);
const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
