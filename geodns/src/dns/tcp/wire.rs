//! A client's connection that knows when nothing is under way on it, and ends then if it is told to.

use std::io::{self, IoSlice, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Sleep, sleep};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::idle::{Idle, Idlers};

/// What hickory reads questions from and writes answers to. It reads only while no answer is left to be written: where there is
/// nothing to read, nothing is under way.
///
/// Once the connection is to end, its bytes end where they have not come yet: what has come before is answered, and the answers are
/// written, as for a client that will ask no more.
pub(super) struct Wire {
    stream: TcpStream,
    idle: Idle,
    told_to_end: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

/// For how long a client may take nothing of its answers, when there are more than the system keeps for it: it has a place that others
/// could have.
const PATIENCE: Duration = Duration::from_secs(3);

impl Wire {
    /// Ends when `end` is cancelled, as those of `idlers` may do.
    pub(super) fn new(stream: TcpStream, idlers: Idlers, end: CancellationToken) -> Self {
        Self {
            stream,
            idle: Idle::new(idlers, end.clone()),
            told_to_end: Box::pin(end.cancelled_owned()),
            stalled: None,
        }
    }

    /// What came of an attempt to write, or an error if nothing could be written for too long.
    fn within_patience<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(PATIENCE)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let read = Pin::new(&mut wire.stream).poll_read(context, buffer);
        if read.is_ready() {
            return read;
        }
        wire.idle.begin();
        ready!(wire.told_to_end.as_mut().poll(context));
        // What has come may not be known to the runtime yet. Closed on, it would be answered with a reset, at which the client may
        // throw away answers too.
        match (&*SockRef::from(&wire.stream)).read(buffer.initialize_unfilled()) {
            Ok(length) => buffer.advance(length),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        wire.idle.end();
        let written = Pin::new(&mut wire.stream).poll_write(context, bytes);
        wire.within_patience(context, written)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        wire.idle.end();
        let written = Pin::new(&mut wire.stream).poll_write_vectored(context, slices);
        wire.within_patience(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
