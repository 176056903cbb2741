//! A deadline for the first bytes of a connection.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// The length of HTTP/2's connection preface (RFC 9113 §3.4): until so much has come, hyper tells the versions apart, without any
/// time-out of its own. No HTTP/1.1 request is shorter.
const PREFACE: usize = 24;

/// A stream whose reads fail once the deadline has passed without [`PREFACE`] bytes. After those, it is the stream it wraps.
pub(crate) struct PrefaceTimeout<S> {
    stream: S,
    missing: usize,
    /// `None` once all have come.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> PrefaceTimeout<S> {
    /// Wraps a stream that has just been accepted.
    pub(crate) fn within(time: Duration, stream: S) -> Self {
        Self { stream, missing: PREFACE, deadline: Some(Box::pin(tokio::time::sleep(time))) }
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
                Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the first bytes of a request did not come")))
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
