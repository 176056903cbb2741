//! A connection of HTTP/2.

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Poll, ready};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::Service;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};

use super::activity::Activity;
use super::connection_clock::{ConnectionClock, Ended, Step};
use super::http2_driver::Driver;
use super::in_flight::HTTP2_PIECE_MAX;
use super::limits::HttpLimits;
use super::request_targets::RequestTargets;
use super::tracked::TrackedService;

/// How many bytes of a response hyper takes that the client has no window for, or its line no room: the rest can be given up.
const STREAM_BUFFER_MAX: usize = 4 * HTTP2_PIECE_MAX;

/// Serves a connection until it ends.
pub(super) async fn serve<I, S, B>(
    stream: RequestTargets<I>,
    service: TrackedService<S>,
    limits: &HttpLimits,
    clock: &mut ConnectionClock,
) -> Result<(), Ended>
where
    I: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Send + Sync + 'static,
    S::Future: Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let activity = Arc::clone(&service.activity);
    let (mut driver, stream) = Driver::new(stream, Arc::clone(&activity));
    let mut builder = Builder::new(driver.requests());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.http2_streams)
        .max_send_buf_size(STREAM_BUFFER_MAX)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(limits.header_timeout)
        // Not before a client is overdue that takes nothing of a response: hyper drops what it holds before it ends the connection.
        .keep_alive_timeout(limits.header_timeout.max(limits.write_timeout));
    let service = TrackedService { requests: Some(driver.requests()), ..service };
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    // Dropped before the connection, which drops what it holds before its stream.
    let _closes = ClosesWhenDropped(activity);
    let ended = poll_fn(|context| {
        loop {
            if let Poll::Ready(result) = driver.poll(connection.as_mut(), context) {
                return Poll::Ready(result.map_err(|error| Ended::Failed(error.into())));
            }
            match ready!(clock.poll(context, Some(&mut driver))) {
                Step::Close => connection.as_mut().graceful_shutdown(),
                Step::PutAside => {}
                Step::End(due) => return Poll::Ready(Err(Ended::Overdue(due))),
            }
        }
    });
    ended.await
}

/// Notes that a connection is closed, when it is dropped.
struct ClosesWhenDropped(Arc<Activity>);

impl Drop for ClosesWhenDropped {
    fn drop(&mut self) {
        self.0.close();
    }
}
