//! Tests of a stream that holds back what is written until a slow link takes it.

use std::future::poll_fn;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};

use super::*;

/// As a TLS stream over a slow link: takes all that is written, and sends nothing before a flush or a shutdown, the first of which waits
/// for the link.
struct HoldingBack {
    stream: DuplexStream,
    held_back: BytesMut,
    has_waited: bool,
}

impl HoldingBack {
    fn new() -> (Self, DuplexStream) {
        let (near, far) = tokio::io::duplex(1 << 20);
        (Self { stream: near, held_back: BytesMut::new(), has_waited: false }, far)
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.has_waited, true) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        while !self.held_back.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(context, &self.held_back))?;
            self.held_back.advance(sent);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for HoldingBack {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.held_back.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_send(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[tokio::test]
async fn flush_that_waits_for_the_link_is_completed_although_nothing_more_is_written() {
    let (near, mut far) = HoldingBack::new();
    let (mut driver, mut stream) = Driver::new(near, Arc::new(Activity::new()));
    stream.write_all(b"the tail").await.unwrap();
    // It flushes whenever it is polled, as hyper does, and never ends.
    let mut connection = Box::pin(poll_fn(move |context| {
        let _ = Pin::new(&mut stream).poll_flush(context);
        Poll::<()>::Pending
    }));
    let mut read = [0; 8];
    tokio::select! {
        () = poll_fn(|context| driver.poll(connection.as_mut(), context)) => {}
        result = tokio::time::timeout(Duration::from_secs(30), far.read_exact(&mut read)) => {
            result.expect("the tail is not sent").unwrap();
        }
    }
    assert_eq!(&read, b"the tail");
    assert!(!driver.writes.are_unsent.load(Ordering::Relaxed));
}

#[tokio::test]
async fn shutdown_that_waits_for_the_link_sends_all() {
    let (near, mut far) = HoldingBack::new();
    let (mut driver, mut stream) = Driver::new(near, Arc::new(Activity::new()));
    stream.write_all(b"the tail").await.unwrap();
    let mut connection = Box::pin(poll_fn(move |context| Pin::new(&mut stream).poll_shutdown(context)));
    poll_fn(|context| driver.poll(connection.as_mut(), context)).await.unwrap();
    let mut all = Vec::new();
    far.read_to_end(&mut all).await.unwrap();
    assert_eq!(all, b"the tail");
}
