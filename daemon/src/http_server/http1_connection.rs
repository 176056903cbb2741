//! A connection of HTTP/1.1.
//!
//! hyper has some 20 KiB for each, also while a client keeps it open without a request, as browsers do for minutes. One that is idle is put
//! aside: hyper's part of it is dropped, and made anew when the client sends the next byte.

use std::convert::Infallible;
use std::error::Error;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1::{Builder, Parts};
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use super::connection_clock::{ConnectionClock, Ended, Step};
use super::limits::HttpLimits;
use super::request_targets::RequestTargets;
use super::tracked::TrackedService;

/// How long the end of a connection may take that is put aside.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Serves a connection until it ends.
pub(super) async fn serve<I, S, B>(
    mut stream: RequestTargets<I>,
    mut service: TrackedService<S>,
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
    let mut builder = Builder::new();
    // The clock ends a connection whose request is late: with a timer of hyper's, each request would have one.
    builder.header_read_timeout(None).max_buf_size(limits.header_bytes).half_close(false);
    loop {
        let is_open = poll_fn(|context| poll_until_readable(&mut stream, clock, context)).await?;
        if !is_open {
            // With TLS it is told that this is the end.
            let _ = tokio::time::timeout(CLOSE_TIMEOUT, stream.shutdown()).await;
            return Ok(());
        }
        // On the heap, so that nothing is left of it when it is put aside.
        let mut connection = Box::new(builder.serve_connection(TokioIo::new(stream), service));
        let ended = poll_fn(|context| {
            loop {
                if let Poll::Ready(result) = Pin::new(&mut *connection).poll(context) {
                    return Poll::Ready(Some(result.map_err(|error| Ended::Failed(error.into()))));
                }
                match ready!(clock.poll(context, None)) {
                    Step::Close => Pin::new(&mut *connection).graceful_shutdown(),
                    Step::PutAside => return Poll::Ready(None),
                    Step::End(due) => return Poll::Ready(Some(Err(Ended::Overdue(due)))),
                }
            }
        });
        if let Some(result) = ended.await {
            return result;
        }
        let Parts { io, read_buf, service: its_service, .. } = connection.into_parts();
        (stream, service) = (io.into_inner(), its_service);
        stream.put_back(&read_buf);
    }
}

/// Whether there are bytes to read, or else it is to be closed.
fn poll_until_readable<I: AsyncRead + Unpin>(
    stream: &mut RequestTargets<I>,
    clock: &mut ConnectionClock,
    context: &mut Context<'_>,
) -> Poll<Result<bool, Ended>> {
    if let Poll::Ready(read) = stream.poll_pending(context) {
        return Poll::Ready(read.map_err(|error| Ended::Failed(error.into())));
    }
    loop {
        match ready!(clock.poll(context, None)) {
            Step::Close => return Poll::Ready(Ok(false)),
            Step::PutAside => {}
            Step::End(due) => return Poll::Ready(Err(Ended::Overdue(due))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use hyper::service::service_fn;
    use tokio::io::{AsyncReadExt as _, DuplexStream};

    use super::super::activity::Activity;
    use super::*;
    use crate::Tasks;

    /// Sends a request in two parts, and takes the answer.
    async fn ask(client: &mut DuplexStream, path: &str, pause: Duration) {
        client.write_all(format!("GET {path}").as_bytes()).await.unwrap();
        tokio::time::sleep(pause).await;
        client.write_all(b" HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(format!("\r\n\r\n{path}").as_bytes()) {
            assert_ne!(client.read_buf(&mut answer).await.unwrap(), 0, "{}", String::from_utf8_lossy(&answer));
        }
    }

    /// Whether it was put aside before a request or within one.
    #[tokio::test(start_paused = true)]
    async fn connection_that_was_put_aside_goes_on_until_it_has_been_idle_for_too_long() {
        let (tasks, limits, activity) = (Tasks::default(), HttpLimits::default(), Arc::new(Activity::new()));
        let (mut client, stream) = tokio::io::duplex(1 << 16);
        let mut clock = ConnectionClock::new(Arc::clone(&activity), &limits, &tasks);
        let echo = async |request: Request<Incoming>| Ok::<_, Infallible>(Response::new(request.uri().to_string()));
        let service =
            TrackedService { service: service_fn(echo), activity, requests: None, requests_max: limits.requests };
        let server = async { serve(RequestTargets::new(stream), service, &limits, &mut clock).await };
        let reader = async {
            ask(&mut client, "/first", Duration::ZERO).await;
            tokio::time::sleep(Duration::from_secs(20)).await;
            ask(&mut client, "/second", Duration::ZERO).await;
            ask(&mut client, "/third", Duration::from_secs(20)).await;
            let idle_from = tokio::time::Instant::now();
            assert_eq!(client.read(&mut [0; 1]).await.unwrap(), 0);
            assert!(idle_from.elapsed() >= Duration::from_secs(25));
        };
        let (ended, ()) = tokio::join!(server, reader);
        assert!(ended.is_ok());
    }
}
