//! A host and its two addresses.

use std::fs::File;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::namespace::Namespace;
use super::process::Process;

/// A host. Must be stopped by [`Host::stop`], which fails if a task still runs on it.
pub struct Host {
    namespace: Namespace,
    v4: Ipv4Addr,
    v6: Ipv6Addr,
}

impl Host {
    pub(super) fn new(namespace: Namespace, v4: Ipv4Addr, v6: Ipv6Addr) -> Self {
        Self { namespace, v4, v6 }
    }

    /// Its IPv4 address.
    pub fn v4(&self) -> Ipv4Addr {
        self.v4
    }

    /// Its IPv6 address.
    pub fn v6(&self) -> Ipv6Addr {
        self.v6
    }

    /// Its addresses, IPv4 first.
    pub fn addresses(&self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }

    /// Runs `work` on the host: the sockets that it opens and the tasks that it spawns belong to this host.
    pub async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        self.namespace.run(work).await
    }

    /// Like [`Host::run`], for a future that is not `Send`, such as a command's main function.
    pub async fn run_in_place<T: Send + 'static>(&self, work: impl AsyncFnOnce() -> T + Send + 'static) -> T {
        self.run(async move { block_in_place(|| Handle::current().block_on(work())) }).await
    }

    /// Starts a program that stays in the foreground. Its stdout and stderr go to the file `log`.
    pub async fn spawn(&self, program: &str, arguments: &[String], log: &Path) -> Process {
        let (program, arguments) = (program.to_owned(), arguments.to_owned());
        let name = format!("{program} on {}", self.namespace.name());
        let log = File::create(log).unwrap();
        // Spawned from a thread of the host's runtime: when that thread ends, the process is killed.
        self.run(async move { Process::spawn(name, &program, &arguments, log) }).await
    }

    /// Stops the host. All processes and tasks on it must have ended before.
    pub async fn stop(self) {
        self.namespace.stop().await;
    }
}
