//! Readers send no bodies: what says otherwise is refused, and the connection closed, so that nobody can hide a second
//! request in a first (RFC 9112 §11.2).

use http::{HeaderMap, Method, header};

/// Why a request is not looked at any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// 400: it has a transfer coding.
    TransferEncoding,
    /// 413: it has a body.
    Body,
    /// 405: it wants something else than to read.
    Method,
}

/// Checks the frame of a request. `ended` tells whether the request is over with its headers.
pub(crate) fn check(method: &Method, headers: &HeaderMap, ended: bool) -> Result<(), Refusal> {
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(Refusal::TransferEncoding);
    }
    let says_nothing_follows = |length: &http::HeaderValue| length.as_bytes().iter().all(|byte| *byte == b'0');
    if !ended || !headers.get_all(header::CONTENT_LENGTH).iter().all(says_nothing_follows) {
        return Err(Refusal::Body);
    }
    if method != Method::GET && method != Method::HEAD {
        return Err(Refusal::Method);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn ask(method: &Method, fields: &[(HeaderName, &'static str)], ended: bool) -> Result<(), Refusal> {
        let fields = fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        check(method, &fields.collect(), ended)
    }

    #[test]
    fn readers_send_no_bodies() {
        assert_eq!(ask(&Method::GET, &[], true), Ok(()));
        assert_eq!(ask(&Method::HEAD, &[(header::CONTENT_LENGTH, "0")], true), Ok(()));
        assert_eq!(ask(&Method::GET, &[], false), Err(Refusal::Body));
        assert_eq!(ask(&Method::POST, &[(header::CONTENT_LENGTH, "1")], false), Err(Refusal::Body));
        assert_eq!(ask(&Method::GET, &[(header::CONTENT_LENGTH, "x")], true), Err(Refusal::Body));
        let both = [(header::CONTENT_LENGTH, "0"), (header::TRANSFER_ENCODING, "chunked")];
        assert_eq!(ask(&Method::GET, &both, true), Err(Refusal::TransferEncoding));
        assert_eq!(ask(&Method::GET, &[(header::TRANSFER_ENCODING, "identity")], true), Err(Refusal::TransferEncoding));
        assert_eq!(ask(&Method::POST, &[], true), Err(Refusal::Method));
    }
}
