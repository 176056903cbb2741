//! `verge up` as a process with its own home directory.

use std::io::{BufRead as _, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{sleep, timeout};

/// The longest time to start or end: longer than the drain timeout.
const DEADLINE: Duration = Duration::from_secs(10);

/// A home directory, a directory for temporary files, and a project whose `dist` has a page.
pub(super) struct Home(tempfile::TempDir);

impl Home {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for name in ["home", "tmp", "dist"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        std::fs::write(dir.path().join("dist/index.html"), "<!doctype html>one").unwrap();
        Self(dir)
    }

    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::create_dir_all(self.at(name).parent().unwrap()).unwrap();
        std::fs::write(self.at(name), text).unwrap();
    }

    pub(super) fn read(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.at(name)).ok()
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

    /// Runs another command with the profile of `verge up`, and returns its JSON.
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

    /// The files in `TMPDIR`.
    pub(super) fn temporary(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.at("tmp")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// Waits until this many daemons have a directory in the temporary data directory.
    pub(super) async fn until_dirs_exist(&self, daemons: usize) {
        let count = || {
            let data = self.temporary().first().map(|name| self.at("tmp").join(name))?;
            std::fs::read_dir(data).ok().map(Iterator::count)
        };
        let exist = async {
            while count().is_none_or(|count| count < daemons) {
                sleep(Duration::from_millis(1)).await;
            }
        };
        timeout(DEADLINE, exist).await.expect("the directories exist within the deadline");
    }
}

/// A running `verge up`; killed when dropped.
pub(super) struct Up {
    child: Child,
    stdout: Option<BufReader<ChildStdout>>,
    stderr: JoinHandle<String>,
}

/// The exit code, and the output that was not read before.
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) stdout: String,
    pub(super) stderr: String,
}

impl Up {
    /// Waits for the first line on stdout, the summary.
    pub(super) async fn ready(&mut self) -> serde_json::Value {
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

    /// Sends a signal, and waits until the process ends.
    pub(super) async fn end(self, signal: &str) -> Ended {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", signal, &id]).status().unwrap().success());
        self.ended().await
    }

    /// Waits until the process ends.
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
        // The process has ended, unless a test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn read(from: &mut impl Read) -> String {
    let mut text = String::new();
    from.read_to_string(&mut text).unwrap();
    text
}

/// The edge with this address in the summary.
#[cfg(target_os = "linux")]
pub(super) fn edge_at(summary: &serde_json::Value, address: std::net::Ipv4Addr) -> &serde_json::Value {
    let is_there = |edge: &&serde_json::Value| {
        let at: std::net::SocketAddr = edge["address"].as_str().unwrap().parse().unwrap();
        at.ip() == address
    };
    summary["edges"]
        .as_array()
        .unwrap()
        .iter()
        .find(is_there)
        .unwrap_or_else(|| panic!("no edge is at {address}: {summary}"))
}

/// Requests a page of `host` from the edge at `url`, and returns the whole response.
pub(super) async fn get(url: &str, host: &str, path: &str) -> String {
    let mut connection = TcpStream::connect(url.strip_prefix("http://").unwrap()).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer
}

/// A port in use, low enough for the ports of a cluster.
pub(super) async fn taken_port() -> TcpListener {
    loop {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        if verge::up::Ports::new(listener.local_addr().unwrap().port()).is_ok() {
            return listener;
        }
    }
}
