//! A bad line between two ends: slow, and cut now and then.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use verge_daemon::Tasks;

/// Passes bytes on to another address, until its connection is cut.
pub struct Proxy {
    address: SocketAddr,
    tasks: Tasks,
    cuts: Arc<AtomicU64>,
}

/// How bad the line is.
#[derive(Debug, Clone, Copy)]
pub struct Line {
    /// Each way.
    pub delay: Duration,
    /// A connection is cut after so many bytes towards the target; `u64::MAX`: never.
    pub cut_after: u64,
}

impl Proxy {
    /// Listens on a free port, for connections to `target`.
    pub async fn start(target: SocketAddr, line: Line) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tasks, cuts) = (Tasks::default(), Arc::new(AtomicU64::new(0)));
        let accept = {
            let (tasks, cuts) = (tasks.clone(), Arc::clone(&cuts));
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let cuts = Arc::clone(&cuts);
                    drop(tasks.spawn("proxied connection", async move {
                        if matches!(pass(client, target, line).await, Ok(Ended::Cut)) {
                            cuts.fetch_add(1, Ordering::Relaxed);
                        }
                    }));
                }
            }
        };
        let draining = tasks.draining().clone();
        drop(tasks.spawn("proxy", draining.run_until_cancelled_owned(accept)));
        Self { address, tasks, cuts }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has cut.
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::Relaxed)
    }

    /// Cuts what is left, and ends.
    pub async fn stop(self) {
        let _ = self.tasks.shutdown(Duration::ZERO).await;
    }
}

enum Ended {
    Closed,
    Cut,
}

async fn pass(client: TcpStream, target: SocketAddr, line: Line) -> io::Result<Ended> {
    let server = TcpStream::connect(target).await?;
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    tokio::select! {
        up = copy(client_read, server_write, line.delay, line.cut_after) => up,
        down = copy(server_read, client_write, line.delay, u64::MAX) => down,
    }
}

async fn copy(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    delay: Duration,
    cut_after: u64,
) -> io::Result<Ended> {
    let mut buffer = vec![0; 16 * 1024];
    let mut passed = 0;
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            to.shutdown().await?;
            return Ok(Ended::Closed);
        }
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        passed += count as u64;
        if passed > cut_after {
            return Ok(Ended::Cut);
        }
        to.write_all(&buffer[..count]).await?;
    }
}
