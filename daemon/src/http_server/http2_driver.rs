//! All of an HTTP/2 connection in one task: hyper would spawn a task for each request, and send each response by itself. Here the requests of
//! a connection are answered in its own task, and what they have to send is sent together, once there is no more to do: in a few TLS
//! records and system calls, however many responses it is.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::activity::Activity;
use super::in_flight::InFlight;

/// How many bytes are collected before they are sent: the payload of four TLS records.
const COLLECTED_MAX: usize = 64 * 1024;

/// So many answered requests are kept in mind before those that have ended are forgotten.
const ANSWERED_MIN: usize = 16;

/// The requests that hyper has read. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Requests(Arc<Mutex<Read>>);

#[derive(Default)]
struct Read {
    /// That of the request that is read next: hyper calls the service with a request, and then hands over what answers it.
    begun: Option<Weak<InFlight>>,
    requests: Vec<Answer>,
}

/// What answers a request.
struct Answer {
    future: BoxFuture<'static, ()>,
    in_flight: Option<Weak<InFlight>>,
}

impl Requests {
    /// Notes the request that hyper is about to hand over.
    pub(super) fn begins(&self, in_flight: &Arc<InFlight>) {
        self.lock().begun = Some(Arc::downgrade(in_flight));
    }

    fn take(&self) -> Vec<Answer> {
        std::mem::take(&mut self.lock().requests)
    }

    fn lock(&self) -> MutexGuard<'_, Read> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Requests {
    fn execute(&self, answer: F) {
        let mut read = self.lock();
        let in_flight = read.begun.take();
        read.requests.push(Answer { future: Box::pin(answer), in_flight });
    }
}

impl Future for Answer {
    /// The request, if pieces of its response are still held.
    type Output = Option<Weak<InFlight>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        ready!(self.future.as_mut().poll(context));
        Poll::Ready(self.in_flight.take().filter(|in_flight| in_flight.strong_count() > 0))
    }
}

impl Answer {
    /// When the client last took a piece of its response. `None` if it waits for something else.
    fn taken_at(&self) -> Option<u64> {
        taken_at(self.in_flight.as_ref()?)
    }

    /// Drops it, and so resets its stream.
    fn give_up(self) {
        if let Some(in_flight) = self.in_flight.and_then(|in_flight| in_flight.upgrade()) {
            in_flight.give_up();
        }
    }
}

fn taken_at(in_flight: &Weak<InFlight>) -> Option<u64> {
    in_flight.upgrade()?.taken_at()
}

/// Drives a connection and its requests.
pub(crate) struct Driver {
    requests: Requests,
    /// Those that wait for something.
    waiting: FuturesUnordered<Answer>,
    /// Those whose responses hyper has in full, and the client may not have; also such that have ended.
    answered: Vec<Weak<InFlight>>,
    /// How many of those there are when it is time to forget what has ended.
    answered_max: usize,
    /// Responses of which the client has taken nothing since then, in milliseconds of [`now`](super::activity::now), were overdue at the last check.
    stalled_before: u64,
    writes: Arc<Writes>,
}

/// What the connection and its stream tell each other.
#[derive(Default)]
struct Writes {
    /// There are bytes that no completed flush has sent: they are collected, or the stream holds them back.
    are_unsent: AtomicBool,
    /// A flush sends them. Otherwise it only seems to: more may follow in the same turn.
    may_flush: AtomicBool,
}

impl Driver {
    /// Drives what reads requests into [`Self::requests`] and writes to the stream that is returned.
    pub(super) fn new<S>(stream: S, activity: Arc<Activity>) -> (Self, CollectedWrites<S>) {
        let writes = Arc::new(Writes::default());
        let stream = CollectedWrites { stream, collected: BytesMut::new(), writes: Arc::clone(&writes), activity };
        let driver = Self {
            requests: Requests::default(),
            waiting: FuturesUnordered::new(),
            answered: Vec::new(),
            answered_max: ANSWERED_MIN,
            stalled_before: 0,
            writes,
        };
        (driver, stream)
    }

    /// Where the connection puts its requests.
    pub(crate) fn requests(&self) -> Requests {
        self.requests.clone()
    }

    /// Polls the connection and its requests until neither can do more, and then sends what they have written.
    pub(crate) fn poll<C: Future>(
        &mut self,
        mut connection: Pin<&mut C>,
        context: &mut Context<'_>,
    ) -> Poll<C::Output> {
        loop {
            if let Poll::Ready(output) = connection.as_mut().poll(context) {
                return Poll::Ready(output);
            }
            if self.poll_requests(context) {
                continue;
            }
            if !self.writes.are_unsent.load(Ordering::Relaxed) {
                return Poll::Pending;
            }
            self.writes.may_flush.store(true, Ordering::Relaxed);
            let polled = connection.as_mut().poll(context);
            self.writes.may_flush.store(false, Ordering::Relaxed);
            if polled.is_ready() || !self.poll_requests(context) {
                return polled;
            }
        }
    }

    /// Whether one of them has ended, or may have something to send.
    fn poll_requests(&mut self, context: &mut Context<'_>) -> bool {
        let mut has_progressed = false;
        for mut request in self.requests.take() {
            has_progressed = true;
            // Most are answered at once.
            match Pin::new(&mut request).poll(context) {
                Poll::Ready(in_flight) => self.answered.extend(in_flight),
                Poll::Pending => self.waiting.push(request),
            }
        }
        while let Poll::Ready(Some(in_flight)) = self.waiting.poll_next_unpin(context) {
            has_progressed = true;
            self.answered.extend(in_flight);
        }
        if self.answered.len() > self.answered_max {
            self.forget_ended();
        }
        has_progressed
    }

    fn forget_ended(&mut self) {
        self.answered.retain(|in_flight| in_flight.strong_count() > 0);
        self.answered_max = ANSWERED_MIN.max(2 * self.answered.len());
    }

    /// When the client last took a piece of the response of which it has taken nothing for the longest time, among those that it could take.
    pub(super) fn oldest_taken_at(&mut self) -> Option<u64> {
        self.forget_ended();
        let waiting = self.waiting.iter().filter_map(Answer::taken_at);
        waiting.chain(self.answered.iter().filter_map(taken_at)).min()
    }

    /// Whether there are responses that the client was taking at the last check.
    pub(super) fn is_busy(&self) -> bool {
        let is_taken = |taken_at: u64| taken_at >= self.stalled_before;
        !self.waiting.is_empty() || self.answered.iter().filter_map(taken_at).any(is_taken)
    }

    /// Resets the streams of responses of which the client has taken nothing since `milliseconds` of [`now`](super::activity::now).
    /// Whether none of such a response is left: of one that is with hyper in full, the stream cannot be reset.
    pub(super) fn end_stalled(&mut self, milliseconds: u64, context: &Context<'_>) -> bool {
        self.stalled_before = milliseconds;
        let is_stalled = |taken_at: u64| taken_at < milliseconds;
        if self.waiting.iter().filter_map(Answer::taken_at).any(is_stalled) {
            let all = std::mem::take(&mut self.waiting);
            let (stalled, others): (Vec<_>, Vec<_>) =
                all.into_iter().partition(|request| request.taken_at().is_some_and(is_stalled));
            self.waiting = others.into_iter().collect();
            stalled.into_iter().for_each(Answer::give_up);
            // Those that are left have to be polled to be woken again.
            context.waker().wake_by_ref();
        }
        !self.answered.iter().filter_map(taken_at).any(is_stalled)
    }
}

/// A stream that collects what is written until the [`Driver`] has it sent, or until it is much.
pub(crate) struct CollectedWrites<S> {
    stream: S,
    collected: BytesMut,
    writes: Arc<Writes>,
    activity: Arc<Activity>,
}

impl<S: AsyncWrite + Unpin> CollectedWrites<S> {
    fn collect(&mut self, bytes: &[u8]) -> usize {
        let length = bytes.len().min(COLLECTED_MAX - self.collected.len());
        self.collected.extend_from_slice(&bytes[..length]);
        self.writes.are_unsent.store(true, Ordering::Relaxed);
        length
    }

    /// Hands all collected bytes to the stream, which may hold them back until it is flushed, as TLS does.
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.collected.is_empty() {
            let sent = ready!(Pin::new(&mut self.stream).poll_write(context, &self.collected))?;
            if sent == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.collected.advance(sent);
        }
        // An idle connection keeps no memory for it.
        self.collected = BytesMut::new();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for CollectedWrites<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        // Of HTTP/2, a client that sends nothing more takes nothing more. What is held is dropped before the stream.
        let is_end = match &read {
            Poll::Ready(Ok(())) => buffer.filled().len() == before && buffer.remaining() > 0,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        if is_end {
            self.activity.close();
        }
        read
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for CollectedWrites<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if self.collected.len() == COLLECTED_MAX {
            ready!(self.poll_send(context))?;
        }
        Poll::Ready(Ok(slices.iter().map(|slice| self.collect(slice)).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.writes.may_flush.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        ready!(self.poll_send(context))?;
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        self.writes.are_unsent.store(false, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_send(context))?;
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod slow_link_tests;
#[cfg(test)]
mod stalled_stream_tests;

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    /// Polls once.
    fn poll_once<F: Future + Unpin>(mut future: F) -> Poll<F::Output> {
        let mut context = Context::from_waker(std::task::Waker::noop());
        Pin::new(&mut future).poll(&mut context)
    }

    #[tokio::test]
    async fn writes_are_collected_until_the_driver_has_them_sent_or_they_are_much() {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let (driver, mut stream) = Driver::new(near, Arc::new(Activity::new()));
        stream.write_all(b"one ").await.unwrap();
        stream.flush().await.unwrap();
        stream.write_all(b"two").await.unwrap();
        let mut read = [0; 7];
        assert!(poll_once(Box::pin(far.read(&mut read))).is_pending());
        driver.writes.may_flush.store(true, Ordering::Relaxed);
        stream.flush().await.unwrap();
        driver.writes.may_flush.store(false, Ordering::Relaxed);
        far.read_exact(&mut read).await.unwrap();
        assert_eq!(&read, b"one two");
        assert!(!driver.writes.are_unsent.load(Ordering::Relaxed));
        let much = vec![7; 3 * COLLECTED_MAX + 5];
        stream.write_all(&much).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut all = Vec::new();
        far.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, much);
    }

    /// A connection that has a request for each byte, answers it when it is read, and ends at the end of the stream.
    #[tokio::test]
    async fn answers_of_one_turn_are_sent_together_and_late_ones_when_they_are_ready() {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let (mut driver, mut stream) = Driver::new(near, Arc::new(Activity::new()));
        let requests = driver.requests();
        let (late, is_late) = tokio::sync::oneshot::channel::<()>();
        let answers: Arc<Mutex<Vec<u8>>> = Arc::default();
        let mut is_late = Some(is_late);
        let mut connection = Box::pin(poll_fn(|context| {
            let mut byte = [0; 1];
            loop {
                let mut buffer = ReadBuf::new(&mut byte);
                let read = Pin::new(&mut stream).poll_read(context, &mut buffer);
                if !matches!(read, Poll::Ready(Ok(()))) {
                    break;
                }
                let Some(byte) = buffer.filled().first().copied() else { return Poll::Ready(()) };
                let answers = Arc::clone(&answers);
                let wait = (byte == b'3').then(|| is_late.take().unwrap());
                hyper::rt::Executor::execute(&requests, async move {
                    if let Some(wait) = wait {
                        wait.await.unwrap();
                    }
                    answers.lock().unwrap().push(byte);
                });
            }
            let written = std::mem::take(&mut *answers.lock().unwrap());
            if !written.is_empty() {
                assert!(matches!(Pin::new(&mut stream).poll_write(context, &written), Poll::Ready(Ok(_))));
            }
            assert!(Pin::new(&mut stream).poll_flush(context).is_ready());
            Poll::Pending
        }));
        far.write_all(b"1234").await.unwrap();
        let mut read = [0; 8];
        assert!(poll_once(Box::pin(poll_fn(|context| driver.poll(connection.as_mut(), context)))).is_pending());
        assert_eq!(far.read(&mut read).await.unwrap(), 3);
        assert_eq!(&read[..3], b"124");
        late.send(()).unwrap();
        assert!(poll_once(Box::pin(poll_fn(|context| driver.poll(connection.as_mut(), context)))).is_pending());
        assert_eq!(far.read(&mut read).await.unwrap(), 1);
        far.shutdown().await.unwrap();
        poll_fn(|context| driver.poll(connection.as_mut(), context)).await;
    }
}
