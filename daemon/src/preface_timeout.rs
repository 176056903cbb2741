//! A timeout for the first bytes of a connection.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// Length of the HTTP/2 connection preface (RFC 9113 §3.4), in bytes. hyper waits for as many to tell HTTP/1.1 from HTTP/2, without a
/// timeout of its own. No HTTP/1.1 request is shorter.
const PREFACE: usize = 24;

/// A stream whose reads fail unless [`PREFACE`] bytes arrive in time. After that it passes everything through.
pub(crate) struct PrefaceTimeout<S> {
    stream: S,
    missing: usize,
    /// `None` once all have arrived.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> PrefaceTimeout<S> {
    /// Wraps a stream that was just accepted.
    pub(crate) fn new(timeout: Duration, stream: S) -> Self {
        Self { stream, missing: PREFACE, deadline: Some(Box::pin(tokio::time::sleep(timeout))) }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PrefaceTimeout<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        match Pin::new(&mut this.stream).poll_read(context, buffer) {
            Poll::Pending => {
                let Some(deadline) = &mut this.deadline else { return Poll::Pending };
                ready!(deadline.as_mut().poll(context));
                Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "timed out waiting for the first bytes of a request",
                )))
            }
            Poll::Ready(read) => {
                if this.deadline.is_some() {
                    this.missing = this.missing.saturating_sub(buffer.filled().len() - before);
                    if this.missing == 0 {
                        this.deadline = None;
                    }
                }
                Poll::Ready(read)
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PrefaceTimeout<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
