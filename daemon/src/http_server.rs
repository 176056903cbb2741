//! The accept loop under every HTTP listener.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::preface_timeout::PrefaceTimeout;
use crate::tasks::Tasks;

/// Limits of a listener.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// Concurrent connections; more wait in the kernel's accept queue.
    pub connections: usize,
    /// Time from the start of a connection, or the end of the previous request, to the end of the next request's headers.
    pub header_timeout: Duration,
    /// Size of a request's headers, in bytes.
    pub header_bytes: usize,
    /// Concurrent requests on one HTTP/2 connection.
    pub http2_streams: u32,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            header_timeout: Duration::from_secs(30),
            header_bytes: 16 * 1024,
            http2_streams: 128,
        }
    }
}

/// Serves connections of `listener` with `service` until `tasks` drain: then stops accepting, lets each connection finish its
/// current request, and ends.
pub fn serve<S, B>(name: &'static str, listener: TcpListener, limits: HttpLimits, tasks: &Tasks, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let connections = tasks.clone();
    let slots = Arc::new(Semaphore::new(limits.connections));
    let accept = async move {
        let mut was_full = false;
        loop {
            let full = slots.available_permits() == 0;
            if full && !was_full {
                tracing::warn!(
                    listener = name,
                    limit = limits.connections,
                    "connection limit reached: new connections must wait"
                );
            }
            was_full = full;
            let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let connection = connection(stream, peer, limits, connections.clone(), service.clone());
                    drop(connections.spawn(name, async move {
                        connection.await;
                        drop(slot);
                    }));
                }
                // Usually out of file descriptors: retrying at once would spin.
                Err(error) => {
                    tracing::warn!(listener = name, %error, "failed to accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    };
    let draining = tasks.draining().clone();
    drop(tasks.spawn(name, draining.run_until_cancelled_owned(accept)));
}

async fn connection<S, B>(stream: TcpStream, peer: SocketAddr, limits: HttpLimits, tasks: Tasks, service: S)
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    // Responses are written in full; Nagle's algorithm would only delay them.
    let _ = stream.set_nodelay(true);
    let mut builder = auto::Builder::new(tasks.clone());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(limits.header_bytes)
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.http2_streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(limits.header_timeout)
        .keep_alive_timeout(limits.header_timeout);
    let connection =
        builder.serve_connection(TokioIo::new(PrefaceTimeout::new(limits.header_timeout, stream)), service);
    let mut connection = std::pin::pin!(connection);
    let result = tokio::select! {
        result = connection.as_mut() => result,
        () = tasks.draining().cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%peer, error, "connection closed with an error");
    }
}

#[cfg(test)]
mod tests {
    use hyper::service::service_fn;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    async fn hello(_: Request<Incoming>) -> Result<Response<String>, Infallible> {
        Ok(Response::new("hello".to_owned()))
    }

    async fn start(tasks: &Tasks) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = HttpLimits { header_timeout: Duration::from_millis(50), ..HttpLimits::default() };
        serve("test", listener, limits, tasks, service_fn(hello));
        address
    }

    /// Without the timeout, a client that sends nothing, or half of a preface, would keep a connection slot forever.
    #[tokio::test]
    async fn slow_clients_are_disconnected() {
        let tasks = Tasks::default();
        let address = start(&tasks).await;
        for said in ["", "P", "PRI * HTTP/2.0\r\n", "GET / HTTP/1.1\r\nHost: a\r\n"] {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(said.as_bytes()).await.unwrap();
            let mut rest = Vec::new();
            let _ = client.read_to_end(&mut rest).await;
            assert!(!rest.windows(5).any(|five| five == b"hello"), "{said:?}");
        }
        tasks.shutdown(Duration::from_secs(5)).await.unwrap();
    }

    #[tokio::test]
    async fn draining_finishes_current_request_and_accepts_no_other() {
        let tasks = Tasks::default();
        let address = start(&tasks).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("hello"), "{answer}");
        tasks.shutdown(Duration::from_secs(5)).await.unwrap();
        assert!(TcpStream::connect(address).await.is_err());
    }
}
