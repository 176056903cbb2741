//! A bad link between a client and a server: slow, cut now and then, away for a while.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use verge_daemon::Tasks;

/// How connections through the proxy behave.
pub struct Link {
    delay: Duration,
    budget: Box<dyn Fn(usize) -> usize + Send + Sync>,
    away_after: Option<(usize, Duration)>,
}

impl Link {
    /// A good link.
    pub fn good() -> Self {
        Self { delay: Duration::ZERO, budget: Box::new(|_| usize::MAX), away_after: None }
    }

    /// Delays all bytes, each way.
    #[must_use]
    pub fn delayed(self, delay: Duration) -> Self {
        Self { delay, ..self }
    }

    /// Cuts each connection once it would carry more bytes towards the server than `budget` says for its number, counted from 1.
    #[must_use]
    pub fn cut_after(self, budget: impl Fn(usize) -> usize + Send + Sync + 'static) -> Self {
        Self { budget: Box::new(budget), ..self }
    }

    /// Refuses new connections while it carries connection `number`, counted from 1, and for `time` after its end.
    #[must_use]
    pub fn away_after(self, number: usize, time: Duration) -> Self {
        Self { away_after: Some((number, time)), ..self }
    }
}

/// A running proxy. Stops when dropped.
pub struct Proxy {
    address: SocketAddr,
    cuts: Arc<AtomicUsize>,
    tasks: Tasks,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1 and forwards connections to `target`.
    pub async fn start(target: SocketAddr, link: Link) -> Self {
        let mut listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tasks, cuts) = (Tasks::default(), Arc::new(AtomicUsize::new(0)));
        let accept = {
            let (tasks, cuts) = (tasks.clone(), Arc::clone(&cuts));
            async move {
                for number in 1.. {
                    let (client, _) = listener.accept().await.unwrap();
                    let (delay, budget, cuts) = (link.delay, (link.budget)(number), Arc::clone(&cuts));
                    let forwarded = async move {
                        if let Ok(End::Cut) = forward(client, target, delay, budget).await {
                            cuts.fetch_add(1, Ordering::Relaxed);
                        }
                    };
                    match link.away_after {
                        Some((last, time)) if number == last => {
                            drop(listener);
                            forwarded.await;
                            tokio::time::sleep(time).await;
                            listener = TcpListener::bind(address).await.unwrap();
                        }
                        _ => drop(tasks.spawn("proxied connection", forwarded)),
                    }
                }
            }
        };
        drop(tasks.spawn("proxy", accept));
        Self { address, cuts, tasks }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, without a trailing slash.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections were cut because of their budget.
    pub fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }

    /// Cuts all connections and refuses new ones.
    pub async fn stop(self) {
        let _ = self.tasks.shutdown(Duration::ZERO).await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

enum End {
    Closed,
    Cut,
}

/// Whichever direction ends first takes the other with it: both ends see the connection break.
async fn forward(client: TcpStream, target: SocketAddr, delay: Duration, budget: usize) -> io::Result<End> {
    let server = TcpStream::connect(target).await?;
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        end = copy(from_client, to_server, delay, budget) => end,
        end = copy(from_server, to_client, delay, usize::MAX) => end,
    }
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, delay: Duration, budget: usize) -> io::Result<End> {
    let mut buffer = vec![0; 16 * 1024];
    let mut left = budget;
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            to.shutdown().await?;
            return Ok(End::Closed);
        }
        let Some(rest) = left.checked_sub(count) else { return Ok(End::Cut) };
        left = rest;
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        to.write_all(&buffer[..count]).await?;
    }
}
