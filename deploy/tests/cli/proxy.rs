//! An unreliable link: a proxy that cuts connections after a number of bytes, or is unreachable for a while.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// A running proxy; stopped when dropped.
pub(crate) struct Proxy {
    pub(crate) url: String,
    cuts: Arc<AtomicUsize>,
    _task: JoinSet<()>,
}

impl Proxy {
    /// Forwards to the origin at `url`, and cuts each connection after `bytes` from the client.
    pub(crate) async fn cutting_after(url: &str, bytes: usize) -> Self {
        Self::cutting(url, move |_| bytes).await
    }

    /// Forwards to the origin at `url`; `budget` is how many bytes connection number n, from 1, may carry from the client.
    pub(crate) async fn cutting(url: &str, budget: impl Fn(usize) -> usize + Send + 'static) -> Self {
        let target = url.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let cuts = Arc::new(AtomicUsize::new(0));
        let counted = cuts.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut links = JoinSet::new();
            for number in 1.. {
                let (client, _) = listener.accept().await.unwrap();
                let (target, cuts, bytes) = (target.clone(), counted.clone(), budget(number));
                links.spawn(async move { forward(client, &target, bytes, &cuts).await });
            }
        });
        Self { url, cuts, _task: task }
    }

    /// Forwards `connections` connections, is unreachable for a moment, and then forwards all again.
    pub(crate) async fn away_after(url: &str, connections: usize) -> Self {
        let target = url.strip_prefix("http://").unwrap().to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cuts = Arc::new(AtomicUsize::new(0));
        let counted = cuts.clone();
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut last = listener.accept().await.unwrap().0;
            for _ in 1..connections {
                forward(last, &target, usize::MAX, &counted).await;
                last = listener.accept().await.unwrap().0;
            }
            drop(listener);
            forward(last, &target, usize::MAX, &counted).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            let listener = TcpListener::bind(address).await.unwrap();
            loop {
                let (client, _) = listener.accept().await.unwrap();
                forward(client, &target, usize::MAX, &counted).await;
            }
        });
        Self { url: format!("http://{address}"), cuts, _task: task }
    }

    pub(crate) fn cuts(&self) -> usize {
        self.cuts.load(Ordering::Relaxed)
    }
}

async fn forward(client: TcpStream, target: &str, mut budget: usize, cuts: &AtomicUsize) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_origin, mut to_origin) = TcpStream::connect(target).await.unwrap().into_split();
    let up = async {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match from_client.read(&mut buffer).await {
                Ok(read) if read > 0 && read <= budget => {
                    budget -= read;
                    if to_origin.write_all(&buffer[..read]).await.is_err() {
                        return;
                    }
                }
                Ok(read) if read > 0 => {
                    cuts.fetch_add(1, Ordering::Relaxed);
                    return;
                }
                _ => return,
            }
        }
    };
    let down = tokio::io::copy(&mut from_origin, &mut to_client);
    // When one direction ends, the connection is closed in both.
    tokio::select! {
        () = up => {}
        _ = down => {}
    }
}
