//! The accept loop under every HTTP listener, with TLS and without, and what keeps strangers from taking it over.
//!
//! | What a client may take | Bounded by | File |
//! |---|---|---|
//! | Places | Whoever comes gets one; the connection that has done nothing for the longest time gives way | `places.rs` |
//! | Handshakes | Their rate for each address | `handshakes.rs` |
//! | Time | Deadlines that only progress puts off: requests, or bytes taken | `deadlines.rs` |
//! | Requests of a connection | Their number, after which it is closed in order | here |
//! | Memory of the kernel | Bytes that are not sent yet | [`crate::listen`] |
//!
//! `tracked.rs` tells what a connection is doing; `activity.rs` keeps it, and `in_flight.rs` for each request.
//! `response_end.rs` tells a service that asks for it how a response ended.

mod activity;
mod connection_clock;
mod deadlines;
mod handshakes;
mod http1_connection;
mod http2_connection;
mod http2_driver;
mod in_flight;
mod limits;
mod places;
mod request_targets;
mod response_end;
mod tracked;
mod trusted_proxies;

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::service::Service;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;

use self::activity::Activity;
use self::connection_clock::{ConnectionClock, Ended, Step};
use self::deadlines::Due;
use self::places::Places;
use self::request_targets::RequestTargets;
use self::tracked::{TrackedService, TrackedStream};
use crate::open_files;
use crate::tasks::Tasks;
use crate::tls::{TlsAcceptor, TlsSession};

pub use self::limits::{HttpLimits, HttpLimitsError, RawHttpLimits};
pub use self::request_targets::TARGET_MAX;
pub use self::response_end::{ObservedBy, ResponseEnd, ResponseObserver};
pub use self::trusted_proxies::TrustedProxies;

/// A connection, as the service of its requests sees it.
#[derive(Debug)]
pub struct Connection {
    /// The address of the client.
    pub peer: SocketAddr,
    /// What TLS was established for; `None` without TLS.
    pub tls: Option<TlsSession>,
}

/// Serves connections of `listener` with `service` until `tasks` drain: then stops accepting, lets each connection finish its
/// current request, and ends.
pub fn serve<S, B>(name: &'static str, listener: TcpListener, limits: &HttpLimits, tasks: &Tasks, service: S) -> Clients
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    serve_connections(name, listener, None, limits, tasks, move |_| service.clone())
}

/// Like [`serve`], over TLS if `tls` is given, with a service for each connection.
///
/// A handshake must be complete within [`HttpLimits::header_timeout`], and counts as a connection from its start. One that is not complete
/// when `tasks` drain is broken off.
pub fn serve_connections<F, S, B>(
    name: &'static str,
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    limits: &HttpLimits,
    tasks: &Tasks,
    service_for: F,
) -> Clients
where
    F: Fn(Connection) -> S + Clone + Send + Sync + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let connections = tasks.clone();
    let limits = within_open_files(name, limits.clone());
    let places = Places::new(limits.clone());
    let clients = Clients(Arc::clone(&places));
    let limits = Arc::new(limits);
    let accept = async move {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let place = places.take(name, peer.ip());
                    let occupant = Arc::clone(place.occupant());
                    let (tls, service_for) = (tls.clone(), service_for.clone());
                    let common = Common {
                        peer,
                        limits: Arc::clone(&limits),
                        tasks: connections.clone(),
                        activity: Arc::clone(&occupant.activity),
                    };
                    let task = connections.spawn(name, async move {
                        let stream = TrackedStream { stream, activity: Arc::clone(&common.activity) };
                        // Boxed: a future is held several times over by those around it, as large as the largest of its kind.
                        if let Some(tls) = tls {
                            let turn = place.handshake_turn();
                            Box::pin(secure_connection(stream, &tls, turn, common, service_for)).await;
                        } else {
                            let service = service_for(Connection { peer, tls: None });
                            Box::pin(connection(stream, None, common, service)).await;
                        }
                        drop(place);
                    });
                    let _ = occupant.abort.set(task.abort_handle());
                }
                // Usually out of file descriptors: retrying at once would spin.
                Err(error) => {
                    let closed = if open_files::is_out_of_files(&error) { places.vacate() } else { 0 };
                    tracing::warn!(listener = name, closed, %error, "failed to accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    };
    let draining = tasks.draining().clone();
    drop(tasks.spawn(name, draining.run_until_cancelled_owned(accept)));
    clients
}

/// The limits with no more connections than the process may have files open for.
fn within_open_files(listener: &'static str, limits: HttpLimits) -> HttpLimits {
    let (wanted, connections) = (limits.connections, open_files::connections_max(limits.connections));
    if connections < wanted {
        tracing::info!(listener, wanted, connections, "at most half of the open files (`LimitNOFILE`) are connections");
    }
    HttpLimits { connections, ..limits }
}

/// The clients of a listener.
pub struct Clients(Arc<Places>);

impl Clients {
    /// Closes some of the connections whose clients keep memory from others: those that have taken nothing of a response for `stalled_for`, the
    /// longest first.
    pub fn relieve(&self, stalled_for: Duration) {
        self.0.relieve(stalled_for);
    }
}

/// What every connection has.
struct Common {
    peer: SocketAddr,
    limits: Arc<HttpLimits>,
    tasks: Tasks,
    activity: Arc<Activity>,
}

/// The handshake begins after `turn`.
async fn secure_connection<F, S, B>(
    stream: TrackedStream,
    tls: &TlsAcceptor,
    turn: Duration,
    common: Common,
    service_for: F,
) where
    F: Fn(Connection) -> S,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let peer = common.peer;
    // On the heap: a connection is idle for much longer than it takes to establish it.
    let handshake = Box::pin(async {
        if !turn.is_zero() {
            tokio::time::sleep(turn).await;
        }
        tokio::time::timeout(common.limits.header_timeout, tls.accept(stream)).await
    });
    let (stream, session) = match common.tasks.draining().run_until_cancelled(handshake).await {
        Some(Ok(Ok(established))) => established,
        Some(Ok(Err(error))) => return tracing::debug!(%peer, %error, "TLS handshake failed"),
        Some(Err(_)) => return tracing::debug!(%peer, "TLS handshake timed out"),
        None => return,
    };
    let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let service = service_for(Connection { peer, tls: Some(session) });
    connection(stream, Some(is_http2), common, service).await;
}

/// `is_http2`: as it was negotiated; otherwise the client says it by its first bytes.
async fn connection<I, S, B>(stream: I, is_http2: Option<bool>, common: Common, service: S)
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let Common { peer, limits, tasks, activity } = common;
    let mut stream = if limits.has_bodies || is_http2 == Some(true) {
        RequestTargets::unchanged(stream)
    } else {
        RequestTargets::new(stream)
    };
    let mut clock = ConnectionClock::new(Arc::clone(&activity), &limits, &tasks);
    let service = TrackedService { service, activity, requests: None, requests_max: limits.requests };
    let ended = async {
        let is_http2 = match is_http2 {
            Some(is_http2) => is_http2,
            None => poll_fn(|context| poll_is_http2(&mut stream, &mut clock, context)).await?,
        };
        // Boxed, as above.
        if is_http2 {
            Box::pin(http2_connection::serve(stream, service, &limits, &mut clock)).await
        } else {
            http1_connection::serve(stream, service, &limits, &mut clock).await
        }
    };
    match ended.await {
        Ok(()) => {}
        Err(Ended::Failed(error)) => tracing::debug!(%peer, error, "connection closed with an error"),
        Err(Ended::Overdue(due)) => tracing::debug!(%peer, ?due, "connection closed"),
    }
}

/// Whether a client begins with the preface of HTTP/2. One that says nothing takes little memory.
fn poll_is_http2<I: AsyncRead + Unpin>(
    stream: &mut RequestTargets<I>,
    clock: &mut ConnectionClock,
    context: &mut Context<'_>,
) -> Poll<Result<bool, Ended>> {
    if let Poll::Ready(is_http2) = stream.poll_is_http2(context) {
        return Poll::Ready(is_http2.map_err(|error| Ended::Failed(error.into())));
    }
    loop {
        match ready!(clock.poll(context, None)) {
            Step::PutAside => {}
            // It has not asked for anything.
            Step::Close => return Poll::Ready(Err(Ended::Overdue(Due::Idle))),
            Step::End(due) => return Poll::Ready(Err(Ended::Overdue(due))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;

    use http::Version;
    use http_body::Frame;
    use hyper::client::conn::{http1, http2};
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use rustls::pki_types::ServerName;
    use rustls::version::{TLS12, TLS13};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;
    use tokio_rustls::client::TlsStream;

    use super::*;
    use crate::clock::Clock;
    use crate::tls::test_support::{certificate, client};
    use crate::tls::{Certificates, Tickets};

    async fn hello(_: Request<Incoming>) -> Result<Response<String>, Infallible> {
        Ok(Response::new("hello".to_owned()))
    }

    async fn start(tasks: &Tasks) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = HttpLimits { header_timeout: Duration::from_millis(50), ..HttpLimits::default() };
        serve("test", listener, &limits, tasks, service_fn(hello));
        address
    }

    /// A body without end; it is dropped when its connection ends.
    struct Endless {
        _dropped: tokio::sync::mpsc::Sender<()>,
    }

    impl Body for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[7; 10_000])))))
        }
    }

    /// With HTTP/1.1 the kernel takes no more; with HTTP/2 it would, but the window of the stream is closed.
    #[tokio::test]
    async fn clients_that_take_nothing_are_disconnected() {
        let tasks = Tasks::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = HttpLimits { write_timeout: Duration::from_millis(100), ..HttpLimits::default() };
        let (sender, mut dropped) = tokio::sync::mpsc::channel::<()>(1);
        let service = service_fn(move |_: Request<Incoming>| {
            let body = Endless { _dropped: sender.clone() };
            async { Ok::<_, Infallible>(Response::new(body)) }
        });
        serve("test", listener, &limits, &tasks, service);
        let mut reader = TcpStream::connect(address).await.unwrap();
        reader.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        // A window of 0, then `GET /` of a host `a`.
        let mut http2 = TcpStream::connect(address).await.unwrap();
        http2.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x04\0\0\0\0").await.unwrap();
        http2.write_all(b"\0\0\x06\x01\x05\0\0\0\x01\x82\x84\x86\x01\x01a").await.unwrap();
        while tasks.running().get("test") != Some(&3) {
            tokio::task::yield_now().await;
        }
        while tasks.running().get("test") != Some(&1) {
            tokio::task::yield_now().await;
        }
        // It is reset: what it has not read is gone.
        let mut rest = Vec::new();
        assert_eq!(reader.read_to_end(&mut rest).await.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
        // The service goes with the listener, and with it the last sender.
        tasks.shutdown(Duration::from_secs(5)).await.unwrap();
        assert_eq!(dropped.recv().await, None);
    }

    #[tokio::test]
    async fn connection_that_has_had_all_its_requests_is_closed_in_order() {
        let tasks = Tasks::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        serve("test", listener, &HttpLimits { requests: 3, ..HttpLimits::default() }, &tasks, service_fn(hello));
        let mut client = TcpStream::connect(address).await.unwrap();
        for is_last in [false, false, true] {
            client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"hello") {
                assert_ne!(client.read_buf(&mut answer).await.unwrap(), 0);
            }
            let answer = String::from_utf8(answer).unwrap();
            assert_eq!(answer.contains("\r\nconnection: close\r\n"), is_last, "{answer}");
            if is_last {
                assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
            }
        }
        tasks.shutdown(Duration::from_secs(5)).await.unwrap();
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

    const HOST: &str = "a.example";

    /// A TLS listener whose responses name the HTTP version and the server name, and settings of a client that trusts it.
    async fn start_tls(tasks: &Tasks, header_timeout: Duration) -> (SocketAddr, impl Fn(&[&str]) -> TlsConnector) {
        let own = certificate(&[HOST]);
        let certificates = Arc::new(Certificates::default());
        certificates.replace([Arc::clone(&own)]);
        let acceptor = TlsAcceptor::new(certificates, Arc::new(Tickets::new(Clock::system())));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = HttpLimits { header_timeout, ..HttpLimits::default() };
        serve_connections("test", listener, Some(acceptor), &limits, tasks, |connection| {
            let server_name = connection.tls.unwrap().server_name.unwrap();
            service_fn(move |request: Request<Incoming>| {
                let text = format!("{:?} {server_name}", request.version());
                async { Ok::<_, Infallible>(Response::new(text)) }
            })
        });
        let connector = move |alpn: &[&str]| TlsConnector::from(Arc::new(client(&[&own], &[&TLS12, &TLS13], alpn)));
        (address, connector)
    }

    async fn connect(address: SocketAddr, connector: TlsConnector) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(address).await.unwrap();
        connector.connect(ServerName::try_from(HOST).unwrap(), stream).await.unwrap()
    }

    #[tokio::test]
    async fn protocol_over_tls_is_the_negotiated_one() {
        let tasks = Tasks::default();
        let (address, connector) = start_tls(&tasks, Duration::from_secs(30)).await;
        let request = || Request::get("https://a.example/").header("host", HOST).body(String::new()).unwrap();
        let stream = TokioIo::new(connect(address, connector(&["h2", "http/1.1"])).await);
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        let h2 = tasks.spawn("client", async { drop(connection.await) });
        assert_eq!(sender.send_request(request()).await.unwrap().version(), Version::HTTP_2);
        for alpn in [&["http/1.1"][..], &[]] {
            let stream = TokioIo::new(connect(address, connector(alpn)).await);
            let (mut sender, connection) = http1::handshake(stream).await.unwrap();
            drop(tasks.spawn("client", async { drop(connection.await) }));
            let response = sender.send_request(request()).await.unwrap();
            let body = http_body_util::BodyExt::collect(response.into_body()).await.unwrap().to_bytes();
            assert_eq!(body, "HTTP/1.1 a.example");
        }
        drop(sender);
        h2.await.unwrap();
        tasks.shutdown(Duration::from_secs(5)).await.unwrap();
    }

    /// Whether they send nothing, a part of a handshake, or nothing after it.
    #[tokio::test]
    async fn slow_clients_are_disconnected_from_tls() {
        let tasks = Tasks::default();
        let (address, connector) = start_tls(&tasks, Duration::from_millis(300)).await;
        for said in [&[][..], &[22], &[22, 3, 1, 2, 0, 1, 0, 1]] {
            let mut client = TcpStream::connect(address).await.unwrap();
            client.write_all(said).await.unwrap();
            assert_eq!(client.read(&mut [0; 100]).await.unwrap(), 0, "{said:?}");
        }
        for (alpn, said) in
            [("h2", &b""[..]), ("h2", b"PRI * HTTP/2.0\r\n"), ("http/1.1", b""), ("http/1.1", b"GET / ")]
        {
            let mut client = connect(address, connector(&[alpn])).await;
            client.write_all(said).await.unwrap();
            let mut rest = Vec::new();
            let _ = client.read_to_end(&mut rest).await;
            assert!(!rest.windows(4).any(|four| four == b" 200"), "{alpn} {said:?}");
        }
        tasks.shutdown(Duration::from_secs(5)).await.unwrap();
    }

    #[tokio::test]
    async fn draining_breaks_off_handshakes() {
        let tasks = Tasks::default();
        let (address, _) = start_tls(&tasks, Duration::from_hours(1)).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(&[22, 3, 1]).await.unwrap();
        while tasks.running().get("test") != Some(&2) {
            tokio::task::yield_now().await;
        }
        tasks.shutdown(Duration::from_secs(5)).await.unwrap();
        // Ended or reset, as bytes of the client are unread.
        assert!(matches!(client.read(&mut [0; 100]).await, Ok(0) | Err(_)));
    }

    #[tokio::test]
    async fn plain_http_on_a_tls_port_is_refused() {
        let tasks = Tasks::default();
        let (address, _) = start_tls(&tasks, Duration::from_secs(30)).await;
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await;
        assert!(answer.starts_with(&[21, 3]), "expected an alert: {answer:?}");
        tasks.shutdown(Duration::from_secs(5)).await.unwrap();
    }
}
