//! Request bodies: their size, and the progress that their clients must make.

mod pace;

use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use tokio::time::{Instant, timeout};

use self::pace::Pace;
use super::error::ApiError;

/// The largest request body in bytes, unless a handler has its own limit.
pub(super) const BODY_MAX: usize = 1 << 20;

/// A request body as it arrives. A client that sends too little is answered 408, and its connection is closed since the body has no end.
pub(super) struct BodyReader {
    body: axum::body::BodyDataStream,
    pace: Pace,
}

impl BodyReader {
    pub(super) fn new(body: Body) -> Self {
        Self { body: body.into_data_stream(), pace: Pace::default() }
    }

    /// The next bytes; `None` is the end. Only the time in which this waits counts against the client.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, ApiError> {
        loop {
            let start = Instant::now();
            let received = timeout(self.pace.patience(), self.body.next()).await;
            let bytes = match received {
                Ok(None) => return Ok(None),
                Ok(Some(Err(_))) => {
                    return Err(ApiError::bad_request("truncated_body", "the connection was cut in the body"));
                }
                Ok(Some(Ok(bytes))) => bytes,
                Err(_) => Bytes::new(),
            };
            let checked = self.pace.waited(start.elapsed(), bytes.len());
            checked.map_err(|slow| {
                ApiError::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", slow.to_string())
                    .hint("send the request again, over a faster connection")
            })?;
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
    }
}

/// An error if the request says that its body is longer than `max`.
fn check_announced_length(request: &Request, max: usize) -> Result<(), ApiError> {
    let text = request.headers().get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let length = text.and_then(|text| text.parse::<usize>().ok());
    if length.is_some_and(|length| length > max) { Err(too_large(max)) } else { Ok(()) }
}

/// Reads a body of at most `max` bytes. One whose length is announced is refused before it is read if that is more.
pub(super) async fn read_body(request: Request, max: usize) -> Result<Bytes, ApiError> {
    check_announced_length(&request, max)?;
    let mut reader = BodyReader::new(request.into_body());
    let Some(first) = reader.next().await? else { return Ok(Bytes::new()) };
    let mut whole = BytesMut::from(first);
    while whole.len() <= max {
        let Some(bytes) = reader.next().await? else { return Ok(whole.freeze()) };
        whole.extend_from_slice(&bytes);
    }
    Err(too_large(max))
}

fn too_large(max: usize) -> ApiError {
    let message = format!("the body has more than {max} bytes");
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "limit_exceeded", message)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use axum::Router;
    use axum::http::header;
    use axum::response::IntoResponse as _;
    use axum::routing::post;
    use futures_util::stream;
    use hyper_util::service::TowerToHyperService;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::Notify;
    use verge_daemon::Tasks;
    use verge_daemon::http_server::{self, HttpLimits};

    use super::*;

    /// A body that sends `bytes` bytes every `interval`, without end.
    fn endless(bytes: usize, interval: Duration) -> Body {
        Body::from_stream(stream::unfold((), move |()| async move {
            tokio::time::sleep(interval).await;
            Some((Ok::<_, std::convert::Infallible>(vec![b'['; bytes]), ()))
        }))
    }

    async fn refused(body: Body, max: usize) -> (StatusCode, Duration) {
        let start = Instant::now();
        let error = read_body(Request::new(body), max).await.unwrap_err();
        (error.into_response().status(), start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn slow_or_silent_body_is_given_up() {
        let byte_a_second = endless(1, Duration::from_secs(1));
        assert_eq!(refused(byte_a_second, 1 << 20).await, (StatusCode::REQUEST_TIMEOUT, Duration::from_mins(1)));
        let silent = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        assert_eq!(refused(silent, 1 << 20).await, (StatusCode::REQUEST_TIMEOUT, Duration::from_secs(30)));
        // Frames without bytes are no progress.
        let empty = endless(0, Duration::from_secs(1));
        assert_eq!(refused(empty, 1 << 20).await, (StatusCode::REQUEST_TIMEOUT, Duration::from_secs(30)));
    }

    #[tokio::test(start_paused = true)]
    async fn body_at_a_modest_rate_is_read_for_as_long_as_it_takes() {
        let hour = 3600 * 300;
        let (status, time) = refused(endless(300, Duration::from_secs(1)), hour).await;
        assert_eq!((status, time), (StatusCode::PAYLOAD_TOO_LARGE, Duration::from_secs(3601)));
    }

    #[tokio::test(start_paused = true)]
    async fn body_that_is_announced_as_too_large_is_not_read() {
        let silent = Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>());
        let request = Request::builder().header(header::CONTENT_LENGTH, 11).body(silent).unwrap();
        let error = read_body(request, 10).await.unwrap_err();
        assert_eq!(error.into_response().status(), StatusCode::PAYLOAD_TOO_LARGE);
        let exact = read_body(Request::new(Body::from("0123456789")), 10).await.unwrap();
        assert_eq!(exact, "0123456789");
    }

    /// As strangers hold a request open: what they say arrives, and nothing more.
    #[tokio::test]
    async fn silent_body_is_answered_and_its_connection_closed() {
        let (begun, tasks) = (Arc::new(Notify::new()), Tasks::default());
        let handler = {
            let begun = Arc::clone(&begun);
            move |request: Request| async move {
                begun.notify_one();
                read_body(request, 1 << 20).await.map(drop)
            }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let service = TowerToHyperService::new(Router::new().route("/", post(handler)));
        http_server::serve("test", listener, &HttpLimits::default(), &tasks, service);
        client.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n[").await.unwrap();
        begun.notified().await;
        tokio::time::pause();
        let (start, mut answer) = (Instant::now(), String::new());
        client.read_to_string(&mut answer).await.unwrap();
        assert!(start.elapsed() < Duration::from_secs(31), "{:?}", start.elapsed());
        assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("no data was received for 30 s"), "{answer}");
        assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    }
}
