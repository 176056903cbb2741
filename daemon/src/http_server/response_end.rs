//! Telling a service how its responses ended: when the kernel had all of them, or when they were broken off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use http::Extensions;

/// How a response ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseEnd {
    /// Bytes of the body that the connection has taken, without framing. They are on their way: whether the client got them is not known. Of a
    /// stream that an HTTP/2 client resets, those are counted too that were ready to be sent.
    pub sent_bytes: u64,
    /// Whether these are all.
    pub is_complete: bool,
}

/// Is told how a response ended. It must not block.
pub trait ResponseObserver: Send + Sync {
    /// The response has ended. Called once.
    fn ended(&self, end: ResponseEnd);
}

/// Observes the end of the response whose extensions have it.
#[derive(Clone)]
pub struct ObservedBy(pub Arc<dyn ResponseObserver>);

/// A response whose end is observed.
pub(super) struct Observed {
    observer: Arc<dyn ResponseObserver>,
    /// Bytes of the body that were handed over.
    handed_over: AtomicU64,
    /// Bytes of those that the connection has taken.
    taken: AtomicU64,
    has_all_been_handed_over: AtomicBool,
}

impl Observed {
    /// The observer that a response has, if it has one.
    pub(super) fn find(extensions: &mut Extensions) -> Option<Box<Self>> {
        if extensions.is_empty() {
            return None;
        }
        let ObservedBy(observer) = extensions.remove()?;
        let (handed_over, taken) = (AtomicU64::new(0), AtomicU64::new(0));
        Some(Box::new(Self { observer, handed_over, taken, has_all_been_handed_over: AtomicBool::new(false) }))
    }

    /// Notes that so many bytes are handed over.
    pub(super) fn hands_over(&self, bytes: usize) {
        self.handed_over.fetch_add(bytes as u64, Relaxed);
    }

    /// Notes that the connection has taken so many bytes.
    pub(super) fn takes(&self, bytes: usize) {
        self.taken.fetch_add(bytes as u64, Relaxed);
    }

    /// Notes that nothing more will be handed over.
    pub(super) fn has_handed_over_all(&self) {
        self.has_all_been_handed_over.store(true, Relaxed);
    }

    /// Tells the observer.
    pub(super) fn end(&self) {
        let sent_bytes = self.taken.load(Relaxed);
        let is_complete = self.has_all_been_handed_over.load(Relaxed) && sent_bytes == self.handed_over.load(Relaxed);
        self.observer.ended(ResponseEnd { sent_bytes, is_complete });
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::SocketAddr;
    use std::pin::Pin;
    use std::task::{Context, Poll};
    use std::time::Duration;

    use bytes::Bytes;
    use http::{Request, Response};
    use http_body::{Body, Frame, SizeHint};
    use hyper::body::Incoming;
    use hyper::client::conn::http2::{self, SendRequest};
    use hyper::service::service_fn;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::mpsc;

    use super::super::{Clients, HttpLimits, serve};
    use super::*;
    use crate::tasks::Tasks;

    struct Ends(mpsc::UnboundedSender<ResponseEnd>);

    impl ResponseObserver for Ends {
        fn ended(&self, end: ResponseEnd) {
            let _ = self.0.send(end);
        }
    }

    /// A body of pieces of a size, which fails after the last if `is_broken`.
    struct Pieces {
        size: usize,
        left: usize,
        is_broken: bool,
    }

    impl Body for Pieces {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            if self.left == 0 {
                return Poll::Ready(self.is_broken.then_some(Err("broken")));
            }
            self.left -= 1;
            Poll::Ready(Some(Ok(Frame::data(vec![7; self.size].into()))))
        }

        fn is_end_stream(&self) -> bool {
            self.left == 0 && !self.is_broken
        }

        fn size_hint(&self) -> SizeHint {
            if self.is_broken { SizeHint::new() } else { SizeHint::with_exact((self.size * self.left) as u64) }
        }
    }

    /// Serves `<size>/<pieces>` and `<size>/<pieces>/broken`.
    async fn start(tasks: &Tasks) -> (SocketAddr, mpsc::UnboundedReceiver<ResponseEnd>) {
        let (address, _, ends) = start_with(tasks, &HttpLimits::default()).await;
        (address, ends)
    }

    async fn start_with(
        tasks: &Tasks,
        limits: &HttpLimits,
    ) -> (SocketAddr, Clients, mpsc::UnboundedReceiver<ResponseEnd>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, receiver) = mpsc::unbounded_channel();
        let observer = Arc::new(Ends(sender));
        let service = service_fn(move |request: Request<Incoming>| {
            let mut parts = request.uri().path().split('/').skip(1);
            let mut number = || parts.next().unwrap().parse().unwrap();
            let mut response =
                Response::new(Pieces { size: number(), left: number(), is_broken: parts.next().is_some() });
            response.extensions_mut().insert(ObservedBy(Arc::<Ends>::clone(&observer)));
            async { Ok::<_, Infallible>(response) }
        });
        let clients = serve("test", listener, limits, tasks, service);
        (address, clients, receiver)
    }

    async fn connect(address: SocketAddr, path: &str) -> TcpStream {
        let mut client = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        client
    }

    #[tokio::test]
    async fn response_that_is_read_is_complete_with_all_its_bytes() {
        let tasks = Tasks::default();
        let (address, mut ends) = start(&tasks).await;
        for (path, sent_bytes) in [("/0/0", 0), ("/5/1", 5), ("/5/3", 15), ("/100000/20", 2_000_000)] {
            connect(address, path).await.read_to_end(&mut Vec::new()).await.unwrap();
            assert_eq!(ends.recv().await, Some(ResponseEnd { sent_bytes, is_complete: true }), "{path}");
        }
        tasks.shutdown(Duration::from_secs(5)).await.unwrap();
    }

    #[tokio::test]
    async fn response_whose_body_fails_is_incomplete() {
        let tasks = Tasks::default();
        let (address, mut ends) = start(&tasks).await;
        connect(address, "/5/3/broken").await.read_to_end(&mut Vec::new()).await.unwrap();
        assert!(!ends.recv().await.unwrap().is_complete);
        tasks.shutdown(Duration::from_secs(5)).await.unwrap();
    }

    /// The last piece is larger than what the kernel takes: all of the body has been handed over, and not all of it is sent.
    #[tokio::test]
    async fn response_whose_client_leaves_is_incomplete_with_what_was_taken() {
        let tasks = Tasks::default();
        let (address, mut ends) = start(&tasks).await;
        for path in ["/100000/1000", "/50000000/1"] {
            let mut client = connect(address, path).await;
            client.read_exact(&mut vec![0; 100_000]).await.unwrap();
            drop(client);
            let end = ends.recv().await.unwrap();
            assert!(!end.is_complete && (99_000..50_000_000).contains(&end.sent_bytes), "{path}: {end:?}");
        }
        tasks.shutdown(Duration::from_secs(5)).await.unwrap();
    }

    /// More than the client of [`connect_http2`] takes, and little enough that hyper takes all of it.
    const QUEUED: &str = "/25000/1";

    /// A connection whose streams take 20,000 bytes each until they are read.
    async fn connect_http2(address: SocketAddr, tasks: &Tasks) -> SendRequest<String> {
        let stream = TcpStream::connect(address).await.unwrap();
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(20_000);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        drop(tasks.spawn("client", async { drop(connection.await) }));
        sender
    }

    /// A connection that has requested `/65536/1`, with a window of a mebibyte or of 65,535 bytes.
    async fn connect_raw_http2(address: SocketAddr, is_wide: bool) -> TcpStream {
        let mut client = TcpStream::connect(address).await.unwrap();
        client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
        if is_wide {
            client.write_all(b"\0\0\x06\x04\0\0\0\0\0\0\x04\0\x10\0\0\0\0\x04\x08\0\0\0\0\0\0\x10\0\0").await.unwrap();
        } else {
            client.write_all(b"\0\0\0\x04\0\0\0\0\0").await.unwrap();
        }
        client.write_all(b"\0\0\x0f\x01\x05\0\0\0\x01\x82\x86\x04\x08/65536/1\x01\x01a").await.unwrap();
        client
    }

    /// Reads so many bytes of a response, or as many as it has.
    async fn read_raw_http2(client: &mut TcpStream, length_min: usize) -> usize {
        let mut length = 0;
        while length < length_min {
            let mut head = [0; 9];
            client.read_exact(&mut head).await.unwrap();
            let frame = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            client.read_exact(&mut vec![0; frame]).await.unwrap();
            let is_data = head[3] == 0;
            length += if is_data { frame } else { 0 };
            if is_data && head[4] & 1 == 1 {
                break;
            }
        }
        length
    }

    async fn request(sender: &mut SendRequest<String>, path: &str) -> Response<Incoming> {
        let request = Request::get(format!("http://a{path}")).body(String::new()).unwrap();
        sender.send_request(request).await.unwrap()
    }

    async fn assert_is_incomplete(ends: &mut mpsc::UnboundedReceiver<ResponseEnd>, sent_max: u64) {
        let end = tokio::time::timeout(Duration::from_secs(20), ends.recv()).await.unwrap().unwrap();
        assert!(!end.is_complete && end.sent_bytes <= sent_max, "{end:?}");
    }

    #[tokio::test]
    async fn http2_response_whose_client_closes_the_connection_is_incomplete() {
        let tasks = Tasks::default();
        let (address, mut ends) = start(&tasks).await;
        let mut client = connect_raw_http2(address, false).await;
        assert_eq!(read_raw_http2(&mut client, 65_535).await, 65_535);
        drop(client);
        assert_is_incomplete(&mut ends, 3 * 16_384).await;
        tasks.shutdown(Duration::from_secs(5)).await.unwrap();
    }

    #[tokio::test]
    async fn http2_response_whose_connection_stalls_is_incomplete() {
        let tasks = Tasks::default();
        let limits = HttpLimits { write_timeout: Duration::from_millis(200), ..HttpLimits::default() };
        let (address, _, mut ends) = start_with(&tasks, &limits).await;
        let mut sender = connect_http2(address, &tasks).await;
        let _response = request(&mut sender, QUEUED).await;
        assert_is_incomplete(&mut ends, 20_000).await;
        tasks.shutdown(Duration::from_secs(5)).await.unwrap();
    }

    /// A frozen client answers no pings.
    #[tokio::test]
    async fn http2_response_whose_client_answers_no_pings_is_incomplete() {
        let tasks = Tasks::default();
        let (header_timeout, write_timeout) = (Duration::from_millis(150), Duration::from_millis(400));
        let limits = HttpLimits { header_timeout, write_timeout, write_rate: 1 << 16, ..HttpLimits::default() };
        let (address, _, mut ends) = start_with(&tasks, &limits).await;
        let _client = connect_raw_http2(address, false).await;
        assert_is_incomplete(&mut ends, 3 * 16_384).await;
        tasks.shutdown(Duration::from_secs(5)).await.unwrap();
    }

    #[tokio::test]
    async fn http2_response_whose_connection_is_closed_for_its_memory_is_incomplete() {
        let tasks = Tasks::default();
        let (address, clients, mut ends) = start_with(&tasks, &HttpLimits::default()).await;
        let mut sender = connect_http2(address, &tasks).await;
        let _response = request(&mut sender, QUEUED).await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        clients.relieve(Duration::from_millis(10));
        assert_is_incomplete(&mut ends, 20_000).await;
        tasks.shutdown(Duration::from_secs(5)).await.unwrap();
    }

    /// The streams share the window of the connection, which the first has used up: hyper holds back the only piece of the second.
    #[tokio::test]
    async fn http2_response_that_is_held_back_and_given_up_is_incomplete() {
        let tasks = Tasks::default();
        let limits =
            HttpLimits { write_timeout: Duration::from_millis(200), write_rate: 1 << 16, ..HttpLimits::default() };
        let (address, _, mut ends) = start_with(&tasks, &limits).await;
        let stream = TcpStream::connect(address).await.unwrap();
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.initial_stream_window_size(1 << 20).initial_connection_window_size(65_535);
        let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        drop(tasks.spawn("client", async { drop(connection.await) }));
        let _first = request(&mut sender, "/1000000/1").await;
        let _second = request(&mut sender, "/5000/1").await;
        // Other requests keep the connection.
        let mut broken = 0;
        while broken < 2 {
            assert_eq!(request(&mut sender, "/0/0").await.status(), 200);
            while let Ok(end) = ends.try_recv() {
                if end != (ResponseEnd { sent_bytes: 0, is_complete: true }) {
                    assert!(!end.is_complete, "{end:?}");
                    broken += 1;
                }
            }
        }
        drop(sender);
        tasks.shutdown(Duration::from_secs(5)).await.unwrap();
    }

    #[tokio::test]
    async fn http2_response_that_is_read_is_complete_although_its_client_leaves_at_once() {
        let tasks = Tasks::default();
        let (address, mut ends) = start(&tasks).await;
        let mut client = connect_raw_http2(address, true).await;
        assert_eq!(read_raw_http2(&mut client, usize::MAX).await, 65_536);
        drop(client);
        assert_eq!(ends.recv().await, Some(ResponseEnd { sent_bytes: 65_536, is_complete: true }));
        tasks.shutdown(Duration::from_secs(5)).await.unwrap();
    }

    /// The end of its requests is not the end of what it takes.
    #[tokio::test]
    async fn response_whose_client_ends_its_requests_is_complete() {
        let tasks = Tasks::default();
        let (address, mut ends) = start(&tasks).await;
        let mut client = connect(address, "/5/3").await;
        client.shutdown().await.unwrap();
        client.read_to_end(&mut Vec::new()).await.unwrap();
        assert_eq!(ends.recv().await, Some(ResponseEnd { sent_bytes: 15, is_complete: true }));
        tasks.shutdown(Duration::from_secs(5)).await.unwrap();
    }
}
