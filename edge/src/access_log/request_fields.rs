//! What is kept of a request until its response has ended: copies, as a part of a request's head keeps all of it in memory, and no longer than
//! is logged. User names and passwords in URLs are left out (RFC 9110 §4.2.4).

use http::{HeaderMap, HeaderName, Method, Request, Uri, header};

use super::line::{HOST_MAX, METHOD_MAX, REFERER_MAX, TARGET_MAX, USER_AGENT_MAX};

pub(super) struct RequestFields {
    pub(super) method: Method,
    /// Path and query, or the authority of `CONNECT`.
    pub(super) target: Box<[u8]>,
    /// As the client has sent it: the authority of the target, or `Host`.
    pub(super) host: Option<Box<[u8]>>,
    pub(super) referer: Option<Box<[u8]>>,
    pub(super) user_agent: Option<Box<[u8]>>,
}

impl RequestFields {
    pub(super) fn of<B>(request: &Request<B>) -> Self {
        let (uri, headers) = (request.uri(), request.headers());
        Self {
            // What is left of a token is one.
            method: Method::from_bytes(start(request.method().as_str().as_bytes(), METHOD_MAX)).unwrap_or_default(),
            target: target(uri),
            host: host(uri, headers),
            referer: first(headers, &header::REFERER).map(referer),
            user_agent: first(headers, &header::USER_AGENT).map(|value| start(value, USER_AGENT_MAX).into()),
        }
    }
}

fn first<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    headers.get(name).map(http::HeaderValue::as_bytes)
}

/// One byte more than is logged, so that the line shows that the value is cut.
fn start(value: &[u8], length_max: usize) -> &[u8] {
    &value[..value.len().min(length_max + 1)]
}

fn target(uri: &Uri) -> Box<[u8]> {
    let target = match (uri.path_and_query(), uri.authority()) {
        (Some(path_and_query), _) => path_and_query.as_str().as_bytes(),
        (None, Some(authority)) => without_userinfo(authority.as_str().as_bytes()),
        (None, None) => b"",
    };
    start(target, TARGET_MAX).into()
}

fn host(uri: &Uri, headers: &HeaderMap) -> Option<Box<[u8]>> {
    let value = match uri.authority() {
        Some(authority) => authority.as_str().as_bytes(),
        None => first(headers, &header::HOST)?,
    };
    Some(start(without_userinfo(value), HOST_MAX).into())
}

fn without_userinfo(authority: &[u8]) -> &[u8] {
    let end = authority.iter().rposition(|byte| *byte == b'@');
    end.map_or(authority, |end| &authority[end + 1..])
}

fn referer(value: &[u8]) -> Box<[u8]> {
    let slashes = value.windows(2).position(|pair| pair == b"//");
    let has_authority = |at: &usize| *at == 0 || value[at - 1] == b':';
    let Some(begin) = slashes.filter(has_authority).map(|at| at + 2) else { return start(value, REFERER_MAX).into() };
    let (scheme, rest) = value.split_at(begin);
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    // Of a long value, only the start is copied.
    let parts = [scheme, without_userinfo(authority), rest].map(|part| start(part, REFERER_MAX));
    start(&parts.concat(), REFERER_MAX).into()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use bytes::Bytes;
    use http::HeaderValue;

    use super::*;

    /// The head of a request, as hyper shares it.
    struct Head {
        bytes: Vec<u8>,
        _alive: Arc<()>,
    }

    impl AsRef<[u8]> for Head {
        fn as_ref(&self) -> &[u8] {
            &self.bytes
        }
    }

    fn request(uri: &str, headers: &[(HeaderName, &str)]) -> Request<()> {
        let mut request = Request::builder().uri(uri);
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        request.body(()).unwrap()
    }

    fn text(value: Option<&[u8]>) -> Option<&str> {
        value.map(|value| std::str::from_utf8(value).unwrap())
    }

    #[test]
    fn head_of_the_request_is_not_kept_and_long_fields_are_cut() {
        let alive = Arc::new(());
        let mut request = Request::new(());
        let shared = |bytes| Bytes::from_owner(Head { bytes, _alive: Arc::clone(&alive) });
        for name in [header::HOST, header::REFERER, header::USER_AGENT] {
            request.headers_mut().insert(name, HeaderValue::from_maybe_shared(shared(vec![b'a'; 10_000])).unwrap());
        }
        let path = [b"/".as_slice(), &[b'a'; 10_000]].concat();
        *request.uri_mut() = Uri::from_maybe_shared(shared(path)).unwrap();
        *request.method_mut() = Method::from_bytes(&[b'A'; 10_000]).unwrap();
        let fields = RequestFields::of(&request);
        drop(request);
        assert_eq!(Arc::strong_count(&alive), 1);
        let length = |field: &Option<Box<[u8]>>| field.as_ref().unwrap().len();
        let lengths = [length(&fields.host), length(&fields.referer), length(&fields.user_agent)];
        assert_eq!(lengths, [HOST_MAX + 1, REFERER_MAX + 1, USER_AGENT_MAX + 1]);
        assert_eq!((fields.method.as_str().len(), fields.target.len()), (METHOD_MAX + 1, TARGET_MAX + 1));
    }

    #[test]
    fn host_and_target_have_no_userinfo() {
        for (uri, host_header, target, host) in [
            ("http://user:pw@a.example:80/x@y?z@", "b", "/x@y?z@", Some("a.example:80")),
            ("http://a.example/", "b", "/", Some("a.example")),
            ("/", "user:pw@b", "/", Some("b")),
            ("/", "x@user:pw@b", "/", Some("b")),
            ("user:pw@a.example:443", "b", "a.example:443", Some("a.example:443")),
        ] {
            let fields = RequestFields::of(&request(uri, &[(header::HOST, host_header)]));
            assert_eq!((text(Some(&fields.target)), text(fields.host.as_deref())), (Some(target), host), "{uri}");
        }
        assert!(RequestFields::of(&request("/", &[])).host.is_none());
    }

    #[test]
    fn referer_has_no_userinfo() {
        let long = format!("https://{}:pw@a.example/x", "u".repeat(5000));
        for (value, expected) in [
            ("https://user:pw@a.example/x@y?z#@", "https://a.example/x@y?z#@"),
            ("https://user@a.example", "https://a.example"),
            ("https://x@user:pw@a.example?q", "https://a.example?q"),
            ("//user:pw@a.example/", "//a.example/"),
            ("https://a.example/x@y", "https://a.example/x@y"),
            ("/a//b@c", "/a//b@c"),
            ("about:blank", "about:blank"),
            ("", ""),
            ("//", "//"),
            (&long, "https://a.example/x"),
        ] {
            let fields = RequestFields::of(&request("/", &[(header::REFERER, value)]));
            assert_eq!(text(fields.referer.as_deref()), Some(expected), "{value}");
        }
    }
}
