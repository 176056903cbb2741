//! Message framing. Requests with a body are refused and the connection is closed, which rules out request smuggling
//! (RFC 9112 §11.2).

use http::{HeaderMap, Method, header};

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FramingError {
    /// 400: it has `Transfer-Encoding`.
    TransferEncoding,
    /// 413: it has a body.
    Body,
    /// 405: the method is not GET, HEAD or OPTIONS.
    Method,
}

/// Checks the framing and the method of a request. `has_ended` tells whether the request ended with its headers.
pub(crate) fn check(method: &Method, headers: &HeaderMap, has_ended: bool) -> Result<(), FramingError> {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(FramingError::TransferEncoding);
    }
    let is_zero = |length: &http::HeaderValue| length.as_bytes().iter().all(|byte| *byte == b'0');
    if !has_ended || !headers.get_all(header::CONTENT_LENGTH).iter().all(is_zero) {
        return Err(FramingError::Body);
    }
    if ![Method::GET, Method::HEAD, Method::OPTIONS].contains(method) {
        return Err(FramingError::Method);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn check_request(
        method: &Method,
        fields: &[(HeaderName, &'static str)],
        has_ended: bool,
    ) -> Result<(), FramingError> {
        let fields = fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        check(method, &fields.collect(), has_ended)
    }

    #[test]
    fn request_with_a_body_or_another_method_is_refused() {
        assert_eq!(check_request(&Method::GET, &[], true), Ok(()));
        assert_eq!(check_request(&Method::HEAD, &[(header::CONTENT_LENGTH, "0")], true), Ok(()));
        assert_eq!(check_request(&Method::GET, &[], false), Err(FramingError::Body));
        assert_eq!(check_request(&Method::POST, &[(header::CONTENT_LENGTH, "1")], false), Err(FramingError::Body));
        assert_eq!(check_request(&Method::GET, &[(header::CONTENT_LENGTH, "x")], true), Err(FramingError::Body));
        let both = [(header::CONTENT_LENGTH, "0"), (header::TRANSFER_ENCODING, "chunked")];
        assert_eq!(check_request(&Method::GET, &both, true), Err(FramingError::TransferEncoding));
        assert_eq!(
            check_request(&Method::GET, &[(header::TRANSFER_ENCODING, "identity")], true),
            Err(FramingError::TransferEncoding)
        );
        assert_eq!(check_request(&Method::OPTIONS, &[], true), Ok(()));
        assert_eq!(check_request(&Method::OPTIONS, &[], false), Err(FramingError::Body));
        assert_eq!(check_request(&Method::POST, &[], true), Err(FramingError::Method));
    }
}
