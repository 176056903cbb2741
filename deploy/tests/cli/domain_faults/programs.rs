//! Name servers and resolvers that are not Verge's, as processes on loopback.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running program; ends when dropped.
pub(super) struct Program {
    log: PathBuf,
    child: Child,
}

/// Whether all are installed. If not, `tests/run` is told that a test was skipped, past the capture of the test harness.
pub(super) fn are_installed(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_missing = |program: &&&str| !std::env::split_paths(&path).any(|directory| directory.join(program).exists());
    let missing: Vec<&str> = programs.iter().filter(is_missing).copied().collect();
    if !missing.is_empty() {
        let _ = std::io::stderr().write_all(format!("skipped: needs {}\n", missing.join(", ")).as_bytes());
    }
    missing.is_empty()
}

/// An address of loopback at which nothing listens at `port`.
pub(super) fn is_free(address: Ipv4Addr, port: u16) -> bool {
    UdpSocket::bind((address, port)).is_ok() && std::net::TcpListener::bind((address, port)).is_ok()
}

impl Program {
    fn start(directory: &Path, program: &str, arguments: &[&str]) -> Self {
        let log = directory.join("log");
        let file = File::create(&log).unwrap();
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file);
        Self { log, child: command.spawn().unwrap() }
    }

    /// Knot DNS with these zone files, each named as its zone.
    pub(super) fn knot(directory: &Path, listen: SocketAddr, zones: &[(String, String)]) -> Self {
        std::fs::create_dir_all(directory).unwrap();
        let path = directory.display();
        let mut config = format!(
            "server:\n  listen: {}@{}\n  rundir: \"{path}\"\n  background-workers: 1\n  udp-workers: 1\n  tcp-workers: 1\n\
             database:\n  storage: \"{path}/db\"\nlog:\n  - target: stderr\n    any: warning\n\
             template:\n  - id: default\n    storage: \"{path}\"\n    journal-content: none\n    zonefile-load: whole\nzone:\n",
            listen.ip(),
            listen.port()
        );
        for (name, text) in zones {
            let file = format!("{name}.zone");
            std::fs::write(directory.join(&file), text).unwrap();
            writeln!(config, "  - domain: \"{name}\"\n    file: \"{file}\"").unwrap();
        }
        std::fs::write(directory.join("knot.conf"), config).unwrap();
        Self::start(directory, "knotd", &["-c", directory.join("knot.conf").to_str().unwrap()])
    }

    /// Unbound, which asks these addresses for these zones, and trusts a DS record.
    pub(super) fn unbound(directory: &Path, listen: SocketAddr, stubs: &[(String, SocketAddr)], ds: &str) -> Self {
        std::fs::create_dir_all(directory).unwrap();
        let mut config = format!(
            "server:\n  interface: {}\n  port: {}\n  directory: \"{}\"\n  module-config: \"validator iterator\"\n  chroot: \"\"\n  \
             username: \"\"\n  pidfile: \"\"\n  use-syslog: no\n  num-threads: 1\n  do-not-query-localhost: no\n  ede: yes\n  \
             trust-anchor: \"{ds}\"\nremote-control:\n  control-enable: no\n",
            listen.ip(),
            listen.port(),
            directory.display()
        );
        for (zone, server) in stubs {
            writeln!(config, "stub-zone:\n  name: \"{zone}\"\n  stub-addr: {}@{}", server.ip(), server.port()).unwrap();
        }
        std::fs::write(directory.join("unbound.conf"), config).unwrap();
        Self::start(directory, "unbound", &["-d", "-c", directory.join("unbound.conf").to_str().unwrap()])
    }

    /// Waits until it answers queries.
    pub(super) async fn wait_until_up(&mut self, address: SocketAddr) {
        for _ in 0..600 {
            if tokio::net::TcpStream::connect(address).await.is_ok() {
                return;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "{}", std::fs::read_to_string(&self.log).unwrap());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("it does not listen at {address}: {}", std::fs::read_to_string(&self.log).unwrap());
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Signs a zone, with signatures that have expired. Returns the signed zone, and the DS record of its key.
pub(super) fn sign_long_ago(directory: &Path, zone: &str, text: &str) -> (String, String) {
    std::fs::create_dir_all(directory).unwrap();
    std::fs::write(directory.join("zone"), text).unwrap();
    let run = |program: &str, arguments: &[&str]| {
        let output = Command::new(program).args(arguments).current_dir(directory).output().unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let key = run("ldns-keygen", &["-k", "-a", "ECDSAP256SHA256", zone]);
    run("ldns-signzone", &["-i", "20200101000000", "-e", "20200201000000", "-f", "signed", "zone", &key]);
    let ds = std::fs::read_to_string(directory.join(format!("{key}.ds"))).unwrap();
    (std::fs::read_to_string(directory.join("signed")).unwrap(), ds.split_whitespace().collect::<Vec<_>>().join(" "))
}
