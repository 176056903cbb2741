//! The program as a process of its own, with a home of its own.

use std::io::{BufRead as _, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

/// How long a cluster may take to start or to end: longer than any drain, so that a hang is told from slowness.
const DEADLINE: Duration = Duration::from_secs(10);

/// A home, a folder for what is temporary, and a project whose `dist` holds a page.
pub(super) struct Home(tempfile::TempDir);

impl Home {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in ["home", "tmp", "dist"] {
            std::fs::create_dir(folder.path().join(name)).unwrap();
        }
        std::fs::write(folder.path().join("dist/index.html"), "<!doctype html>one").unwrap();
        Self(folder)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Starts `verge up`.
    pub(super) fn up(&self, arguments: &[&str]) -> Up {
        let mut command = Command::new(env!("CARGO_BIN_EXE_verge"));
        command.arg("up").args(arguments).current_dir(self.0.path()).env_clear();
        command.env("HOME", self.at("home")).env("VERGE_PROFILE", self.at("home/profile.toml"));
        command.env("TMPDIR", self.at("tmp"));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = spawn_blocking({
            let mut stderr = child.stderr.take().unwrap();
            move || read(&mut stderr)
        });
        let stdout = child.stdout.take().map(BufReader::new);
        Up { child, stdout, stderr }
    }

    /// Runs another command, in which the profile says where everything is. Its one line of JSON.
    #[cfg(target_os = "linux")]
    pub(super) async fn verge(&self, arguments: &[&str]) -> serde_json::Value {
        let mut command = Command::new(env!("CARGO_BIN_EXE_verge"));
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env_clear()
            .env("VERGE_PROFILE", self.at("home/profile.toml"));
        let ran = spawn_blocking(move || command.stdin(Stdio::null()).output().unwrap()).await.unwrap();
        serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"))
    }

    /// What there is that should be gone at the end.
    pub(super) fn temporary(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.at("tmp")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Waits until a temporary data folder is there and so many parts of the cluster have theirs in it.
    pub(super) async fn until_parts_exist(&self, parts: usize) {
        let count = || {
            let data = self.temporary().first().map(|name| self.at("tmp").join(name))?;
            std::fs::read_dir(data).ok().map(Iterator::count)
        };
        let exist = async {
            while count().is_none_or(|count| count < parts) {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(DEADLINE, exist).await.expect("it starts within the deadline");
    }
}

/// A running `verge up`; killed when dropped.
pub(super) struct Up {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: JoinHandle<String>,
}

/// How it ended, and all that it said but for what was read before.
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Up {
    /// The first line on stdout, which says that it is ready.
    pub(super) async fn told(&mut self) -> serde_json::Value {
        let mut stdout = self.stdout.take().unwrap();
        let reading = spawn_blocking(move || {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            (stdout, line)
        });
        let (stdout, line) = timeout(DEADLINE, reading).await.expect("it is ready within the deadline").unwrap();
        self.stdout = Some(stdout);
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"))
    }

    /// Sends a signal, and waits for the end.
    pub(super) async fn end(self, signal: &str) -> Ended {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        self.ended().await
    }

    /// Waits for the end.
    pub(super) async fn ended(mut self) -> Ended {
        let exited = async {
            loop {
                if let Some(status) = self.child.try_wait().unwrap() {
                    return status;
                }
                sleep(Duration::from_millis(5)).await;
            }
        };
        let status = timeout(DEADLINE, exited).await.expect("it ends within the deadline");
        let stdout = self.stdout.take().map(|mut stdout| read(&mut stdout)).unwrap_or_default();
        Ended { code: status.code(), stdout, stderr: (&mut self.stderr).await.unwrap() }
    }
}

impl Drop for Up {
    fn drop(&mut self) {
        // Gone already, unless a test failed; only this child is meant in any case.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(from: &mut impl Read) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).unwrap();
    text
}

/// The edge that has an address, of those that were told.
#[cfg(target_os = "linux")]
pub(super) fn edge_at(told: &serde_json::Value, address: std::net::Ipv4Addr) -> &serde_json::Value {
    let is_there = |edge: &&serde_json::Value| {
        let at: std::net::SocketAddr = edge["address"].as_str().unwrap().parse().unwrap();
        at.ip() == address
    };
    told["edges"].as_array().unwrap().iter().find(is_there).unwrap_or_else(|| panic!("no edge is at {address}: {told}"))
}

/// Asks the edge at `url` for a page of `host`. The whole answer.
pub(super) async fn get(url: &str, host: &str, path: &str) -> String {
    let mut connection = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer
}

/// A port that is taken, with room above it for those of a cluster.
pub(super) async fn taken_port() -> TcpListener {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if verge::up::Ports::new(listener.local_addr().unwrap().port()).is_ok() {
            return listener;
        }
    }
}
