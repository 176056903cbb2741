//! A network namespace and an async runtime whose threads are in it.

use std::future::Future;
use std::io::Write as _;
use std::panic::resume_unwind;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use verge_test_kit::until;

/// How long the shutdown of the runtime waits for blocking threads: they only still run after a failed test.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// A network namespace with its runtime. If it is dropped without [`Namespace::stop`], running tasks are cancelled.
pub(super) struct Namespace {
    name: String,
    handle: Handle,
    path: String,
    shutdown: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// The error of creating a namespace in this process; `None`: namespaces can be created.
pub(super) fn creation_error() -> Option<nix::Error> {
    thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET).err()).join().unwrap()
}

impl Namespace {
    /// Creates a namespace whose only interface is a loopback interface that is down.
    pub(super) fn new(name: &str) -> Self {
        let (started_sender, started) = std::sync::mpsc::channel();
        let (shutdown, shutdown_requested) = oneshot::channel();
        let run_runtime = move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            // Threads inherit the namespace of the thread that spawns them, as child processes do.
            let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            let thread_path = std::fs::read_link("/proc/thread-self").unwrap();
            started_sender.send((runtime.handle().clone(), thread_path)).unwrap();
            let _ = runtime.block_on(shutdown_requested);
            runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(run_runtime).unwrap();
        let (handle, thread_path) = started.recv().unwrap();
        let path = format!("/proc/{}/ns/net", thread_path.display());
        Self { name: name.to_owned(), handle, path, shutdown: Some(shutdown), thread: Some(thread) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The path by which `ip` names it.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Runs `work` in the namespace, with all tasks and processes that it starts.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        self.handle.spawn(work).await.unwrap_or_else(|error| resume_unwind(error.into_panic()))
    }

    /// Runs commands of `ip`, one per line.
    pub(super) async fn ip(&self, commands: String) {
        self.ip_with(&[], commands).await;
    }

    /// Like [`Namespace::ip`], with options for all of the commands.
    pub(super) async fn ip_with(&self, options: &[&str], commands: String) {
        let mut ip = Command::new("ip");
        ip.args(options).args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let output = async move {
            let mut child = ip.spawn().unwrap();
            child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
            (child.wait_with_output().unwrap(), commands)
        };
        let (output, commands) = self.run(output).await;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip failed in namespace {}: {stderr}\n{commands}", self.name);
    }

    /// Stops the runtime; fails if its tasks do not end.
    pub(super) async fn stop(mut self) {
        let metrics = self.handle.metrics();
        until(format_args!("all tasks on {} to end", self.name), async || metrics.num_alive_tasks() == 0).await;
        drop(self.shutdown.take());
        let thread = self.thread.take().unwrap();
        tokio::task::spawn_blocking(move || thread.join().unwrap()).await.unwrap();
    }
}
