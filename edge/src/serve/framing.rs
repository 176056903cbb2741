//! Message framing. Requests with a body are refused and the connection is closed, which rules out request smuggling
//! (RFC 9112 §11.2).

use std::pin::{Pin, pin};
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Uri, header};
use http_body::Body;
use verge_daemon::http_server::TARGET_MAX;

/// How long the end of an HTTP/2 request is awaited whose headers did not end it.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FramingError {
    /// 400: it has `Transfer-Encoding`.
    TransferEncoding,
    /// 413: it has a body.
    Body,
    /// 414: path and query, or the authority, are longer than [`TARGET_MAX`].
    Target,
    /// 405: the method is not GET, HEAD or OPTIONS.
    Method,
    /// 417: it expects something else than `100-continue` (RFC 9110 §10.1.1).
    Expectation,
}

/// How the framing of a request says that it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// With its headers, or with a body without bytes.
    WithoutBody,
    /// With a body, or the body is broken off.
    WithBody,
}

/// Checks framing, target, method and expectations of a request.
pub(crate) fn check(method: &Method, uri: &Uri, headers: &HeaderMap, end: End) -> Result<(), FramingError> {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(FramingError::TransferEncoding);
    }
    if end == End::WithBody || !declares_no_body(headers) {
        return Err(FramingError::Body);
    }
    if is_too_long(uri) {
        return Err(FramingError::Target);
    }
    if ![Method::GET, Method::HEAD, Method::OPTIONS].contains(method) {
        return Err(FramingError::Method);
    }
    let is_harmless = |expectation: &HeaderValue| expectation.as_bytes().eq_ignore_ascii_case(b"100-continue");
    if !headers.get_all(header::EXPECT).iter().all(is_harmless) {
        return Err(FramingError::Expectation);
    }
    Ok(())
}

/// Whether each `Content-Length`, if there are any, is 0.
pub(crate) fn declares_no_body(headers: &HeaderMap) -> bool {
    let is_zero = |length: &HeaderValue| length.as_bytes().iter().all(|byte| *byte == b'0');
    headers.get_all(header::CONTENT_LENGTH).iter().all(is_zero)
}

/// Reads a body until its end, its first byte, or [`END_TIMEOUT`]. An HTTP/2 request may end with an empty DATA frame, or with trailers,
/// instead of its headers (RFC 9113 §8.1).
pub(crate) async fn end_of<B: Body>(body: B) -> End {
    let is_empty = async {
        let mut body = pin!(body);
        while let Some(frame) = std::future::poll_fn(|context| Pin::as_mut(&mut body).poll_frame(context)).await {
            match frame.map(http_body::Frame::into_data) {
                Ok(Ok(data)) if bytes::Buf::has_remaining(&data) => return false,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        true
    };
    match tokio::time::timeout(END_TIMEOUT, is_empty).await {
        Ok(true) => End::WithoutBody,
        Ok(false) | Err(_) => End::WithBody,
    }
}

fn is_too_long(uri: &Uri) -> bool {
    let authority = uri.authority().map_or("", http::uri::Authority::as_str);
    let path = uri.path_and_query().map_or("", http::uri::PathAndQuery::as_str);
    authority.len().max(path.len()) > TARGET_MAX
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::task::Poll;

    use bytes::Bytes;
    use http::{HeaderName, HeaderValue};
    use http_body::Frame;

    use super::*;

    fn check_request(method: &Method, fields: &[(HeaderName, &'static str)], end: End) -> Result<(), FramingError> {
        let fields = fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        check(method, &Uri::from_static("/"), &fields.collect(), end)
    }

    #[test]
    fn request_with_a_body_or_another_method_is_refused() {
        let ended = End::WithoutBody;
        assert_eq!(check_request(&Method::GET, &[], ended), Ok(()));
        assert_eq!(check_request(&Method::HEAD, &[(header::CONTENT_LENGTH, "0")], ended), Ok(()));
        assert_eq!(check_request(&Method::GET, &[], End::WithBody), Err(FramingError::Body));
        assert_eq!(
            check_request(&Method::POST, &[(header::CONTENT_LENGTH, "1")], End::WithBody),
            Err(FramingError::Body)
        );
        assert_eq!(check_request(&Method::GET, &[(header::CONTENT_LENGTH, "x")], ended), Err(FramingError::Body));
        let both = [(header::CONTENT_LENGTH, "0"), (header::TRANSFER_ENCODING, "chunked")];
        assert_eq!(check_request(&Method::GET, &both, ended), Err(FramingError::TransferEncoding));
        assert_eq!(
            check_request(&Method::GET, &[(header::TRANSFER_ENCODING, "identity")], ended),
            Err(FramingError::TransferEncoding)
        );
        assert_eq!(check_request(&Method::OPTIONS, &[], ended), Ok(()));
        assert_eq!(check_request(&Method::OPTIONS, &[], End::WithBody), Err(FramingError::Body));
        assert_eq!(check_request(&Method::POST, &[], ended), Err(FramingError::Method));
    }

    #[test]
    fn expectation_other_than_100_continue_is_refused() {
        let expect = |value| check_request(&Method::GET, &[(header::EXPECT, value)], End::WithoutBody);
        assert_eq!([expect("100-continue"), expect("100-Continue")], [Ok(()); 2]);
        assert_eq!([expect("200-ok"), expect(""), expect("100-continue, x")], [Err(FramingError::Expectation); 3]);
    }

    #[test]
    fn target_longer_than_the_limit_is_refused() {
        let check_target = |length: usize| {
            let target = format!("/{}", "a".repeat(length - 1)).parse().unwrap();
            check(&Method::GET, &target, &HeaderMap::new(), End::WithoutBody)
        };
        assert_eq!((check_target(TARGET_MAX), check_target(TARGET_MAX + 1)), (Ok(()), Err(FramingError::Target)));
    }

    /// A body of frames, then its end, or an error.
    struct Frames(Vec<Result<Frame<Bytes>, &'static str>>);

    impl Body for Frames {
        type Data = Bytes;
        type Error = &'static str;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
            Poll::Ready((!self.0.is_empty()).then(|| self.0.remove(0)))
        }
    }

    /// A body that never ends.
    struct Endless;

    impl Body for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    #[tokio::test(start_paused = true)]
    async fn body_without_bytes_is_none() {
        let data = |bytes: &'static str| Ok(Frame::data(Bytes::from_static(bytes.as_bytes())));
        let trailers = || Ok(Frame::trailers(HeaderMap::new()));
        for frames in [vec![], vec![data("")], vec![data(""), data("")], vec![trailers()]] {
            assert_eq!(end_of(Frames(frames)).await, End::WithoutBody);
        }
        for frames in [vec![data("a")], vec![data(""), data("a")], vec![Err("reset")], vec![data(""), Err("reset")]] {
            assert_eq!(end_of(Frames(frames)).await, End::WithBody);
        }
        assert_eq!(end_of(Endless).await, End::WithBody);
    }
}
