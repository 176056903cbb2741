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
    use hyper::service::service_fn;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::mpsc;

    use super::super::{HttpLimits, serve};
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
        serve("test", listener, &HttpLimits::default(), tasks, service);
        (address, receiver)
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
}
