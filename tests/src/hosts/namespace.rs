//! A network namespace, and the threads that live there.

use std::future::Future;
use std::io::Write as _;
use std::panic::resume_unwind;
use std::process::{Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use verge_test_kit::STUCK;

/// How long a blocking thread may take to notice, when a test failed and nobody ended what runs.
const ABANDONED: Duration = Duration::from_secs(1);

/// A network of its own, and an async runtime whose threads are there. Dropped without [`Namespace::stop`], it leaves what still
/// runs to its fate.
pub(super) struct Namespace {
    name: String,
    handle: Handle,
    path: String,
    end: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Why this process may not make namespaces.
pub(super) fn forbidden() -> Option<nix::Error> {
    thread::spawn(|| unshare(CloneFlags::CLONE_NEWNET).err()).join().unwrap()
}

impl Namespace {
    /// A new one, without any link but a loopback interface that is down.
    pub(super) fn new(name: &str) -> Self {
        let (born, birth) = std::sync::mpsc::channel();
        let (end, ended) = oneshot::channel();
        let live = move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            // A thread is born where the one that starts it is: these, and all that they start.
            let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            born.send((runtime.handle().clone(), std::fs::read_link("/proc/thread-self").unwrap())).unwrap();
            let _ = runtime.block_on(ended);
            runtime.shutdown_timeout(ABANDONED);
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(live).unwrap();
        let (handle, of_thread) = birth.recv().unwrap();
        let path = format!("/proc/{}/ns/net", of_thread.display());
        Self { name: name.to_owned(), handle, path, end: Some(end), thread: Some(thread) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where `ip` finds it.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Works in there, and so do all tasks and programs that it starts.
    pub(super) async fn run<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) -> T {
        self.handle.spawn(work).await.unwrap_or_else(|error| resume_unwind(error.into_panic()))
    }

    /// Lets `ip` change it, a command a line.
    pub(super) async fn ip(&self, commands: String) {
        self.ip_with(&[], commands).await;
    }

    /// The same, with options for all of the commands.
    pub(super) async fn ip_with(&self, options: &[&str], commands: String) {
        let mut ip = Command::new("ip");
        ip.args(options).args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        let output = async move {
            let mut child = ip.spawn().unwrap();
            child.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
            (child.wait_with_output().unwrap(), commands)
        };
        let (output, commands) = self.run(output).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ip refuses, in {}: {said}\n{commands}", self.name);
    }

    /// Ends it, and fails if a task was left behind.
    pub(super) async fn stop(mut self) {
        let metrics = self.handle.metrics();
        let gone = async {
            while metrics.num_alive_tasks() > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let gone = tokio::time::timeout(STUCK, gone).await;
        assert!(gone.is_ok(), "{} tasks were left behind on {}", metrics.num_alive_tasks(), self.name);
        drop(self.end.take());
        let thread = self.thread.take().unwrap();
        tokio::task::spawn_blocking(move || thread.join().unwrap()).await.unwrap();
    }
}
