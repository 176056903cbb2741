//! A machine.

use std::fs::File;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use tokio::runtime::Handle;
use tokio::task::block_in_place;

use super::namespace::Namespace;
use super::program::Program;

/// A machine with two addresses. To be ended by [`Host::stop`], which fails if a task was left behind.
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

    /// Both.
    pub fn addresses(&self) -> [IpAddr; 2] {
        [self.v4.into(), self.v6.into()]
    }

    /// Does something on it: sockets that are opened meanwhile, tasks too, are this machine's.
    pub async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        self.namespace.run(work).await
    }

    /// The same for what cannot move between threads, such as the work of a command's main thread.
    pub async fn run_in_place<T: Send + 'static>(&self, work: impl AsyncFnOnce() -> T + Send + 'static) -> T {
        self.run(async move { block_in_place(|| Handle::current().block_on(work())) }).await
    }

    /// Runs a program on it, in the foreground, until it is dropped. What it says goes to `log`.
    pub async fn start(&self, program: &str, arguments: &[String], log: &Path) -> Program {
        let (program, arguments) = (program.to_owned(), arguments.to_owned());
        let name = format!("{program} on {}", self.namespace.name());
        let log = File::create(log).unwrap();
        // Started by one of the runtime's own threads, with whose end it ends too.
        self.run(async move { Program::start(name, &program, &arguments, log) }).await
    }

    /// Ends it, after all that was started on it.
    pub async fn stop(self) {
        self.namespace.stop().await;
    }
}
