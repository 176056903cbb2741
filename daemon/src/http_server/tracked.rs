//! A service whose requests tell the [`Activity`] of their connection, and the stream of the connection.

use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Version, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::service::Service;
use pin_project_lite::pin_project;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::activity::Activity;
use super::http2_driver::Requests;
use super::in_flight::{HTTP2_PIECE_MAX, InFlight, PIECE_MAX};
use super::response_end::Observed;

/// Counts the requests of a connection.
pub(super) struct TrackedService<S> {
    pub(super) service: S,
    pub(super) activity: Arc<Activity>,
    /// Where an HTTP/2 connection puts its requests.
    pub(super) requests: Option<Requests>,
    /// The response to the request of this number says that it is the last (RFC 9112 §9.6). HTTP/2 has other means.
    pub(super) requests_max: u32,
}

impl<S, B> Service<Request<Incoming>> for TrackedService<S>
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible>,
    B: Body<Data = Bytes>,
{
    type Response = Response<TrackedBody<B>>;
    type Error = Infallible;
    type Future = TrackedResponse<S::Future>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let in_flight = InFlight::begin(&self.activity);
        if let Some(requests) = &self.requests {
            requests.begins(&in_flight);
        }
        let is_http2 = request.version() == Version::HTTP_2;
        TrackedResponse {
            response: self.service.call(request),
            piece_max: if is_http2 { HTTP2_PIECE_MAX } else { PIECE_MAX },
            is_last: !is_http2 && self.activity.begun() >= self.requests_max,
            in_flight: Some(in_flight),
        }
    }
}

pin_project! {
    /// A response to come.
    pub(super) struct TrackedResponse<F> {
        #[pin]
        response: F,
        piece_max: usize,
        is_last: bool,
        // `None` once it has come.
        in_flight: Option<Arc<InFlight>>,
    }
}

impl<F, B> Future for TrackedResponse<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: Body<Data = Bytes>,
{
    type Output = Result<Response<TrackedBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let polled = this.response.poll(context);
        let polled = match this.in_flight {
            Some(in_flight) => in_flight.polled(polled),
            None => polled,
        };
        let Ok(mut response) = ready!(polled);
        if *this.is_last {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        let (piece_max, in_flight) = (*this.piece_max, this.in_flight.take());
        if let Some(in_flight) = &in_flight {
            in_flight.observe(Observed::find(response.extensions_mut()));
            in_flight.note_end(|| response.body().is_end_stream());
        }
        Poll::Ready(Ok(response.map(|body| TrackedBody { body, rest: Bytes::new(), piece_max, in_flight })))
    }
}

pin_project! {
    /// The body of a response, in pieces.
    pub(super) struct TrackedBody<B> {
        #[pin]
        body: B,
        // What follows the last piece.
        rest: Bytes,
        piece_max: usize,
        in_flight: Option<Arc<InFlight>>,
    }
}

impl<B: Body<Data = Bytes>> Body for TrackedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let mut this = self.project();
        let Some(in_flight) = this.in_flight else { return this.body.poll_frame(context) };
        let polled = if this.rest.is_empty() {
            this.body.as_mut().poll_frame(context)
        } else {
            Poll::Ready(Some(Ok(Frame::data(std::mem::take(this.rest)))))
        };
        let polled = in_flight.polled(polled).map_ok(|frame| {
            frame.map_data(|mut bytes| {
                if bytes.len() > *this.piece_max {
                    *this.rest = bytes.split_off(*this.piece_max);
                }
                in_flight.hold(bytes)
            })
        });
        in_flight.note_end(|| match &polled {
            Poll::Ready(Some(Ok(_))) => this.rest.is_empty() && this.body.is_end_stream(),
            Poll::Ready(None) => true,
            Poll::Ready(Some(Err(_))) | Poll::Pending => false,
        });
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(rest + body.lower());
        if let Some(upper) = body.upper() {
            hint.set_upper(rest + upper);
        }
        hint
    }
}

/// Counts the bytes that are written to a connection. If it is given up while the kernel cannot send what it has, it is reset: the kernel would
/// keep the bytes, and offer them to the client, for many minutes.
pub(super) struct TrackedStream {
    pub(super) stream: TcpStream,
    pub(super) activity: Arc<Activity>,
}

impl TrackedStream {
    /// `length` bytes were to be written.
    fn wrote(&self, length: usize, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(bytes)) => self.activity.wrote(bytes, bytes < length),
            Poll::Ready(Err(_)) => self.activity.close(),
            Poll::Pending => self.activity.wrote(0, true),
        }
        written
    }
}

impl Drop for TrackedStream {
    fn drop(&mut self) {
        self.activity.close();
        if self.activity.is_blocked() {
            let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for TrackedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        if read.is_ready() {
            self.activity.has_read();
        }
        read
    }
}

impl AsyncWrite for TrackedStream {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(bytes.len(), written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.wrote(slices.iter().map(|slice| slice.len()).sum(), written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
