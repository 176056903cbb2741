//! Responses that the edge makes itself: errors, redirects, and the health page. Only redirects may be cached.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri, Version, header};
use verge_protocol::{DomainName, SiteName};

use super::asset::is_asset;
use super::body::ResponseBody;
use super::common_headers::{CommonHeaders, NO_STORE, VERGE_EDGE, VERGE_RELEASE};
use super::framing::FramingError;
use super::request_path::RequestPath;
use super::{cors, former_worker, redirect};
use crate::cache::Unavailable;
use crate::metrics::CacheResult;

const REVALIDATE: HeaderValue = HeaderValue::from_static("public, max-age=0, must-revalidate");
/// The methods that every path supports.
const ALLOW: &str = "GET, HEAD, OPTIONS";

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const SCRIPT: HeaderValue = HeaderValue::from_static("text/javascript; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A small response, held in memory as a whole.
pub(super) struct BuiltinResponse {
    status: StatusCode,
    /// `None` if there is no content, and nothing is said about it.
    media_type: Option<HeaderValue>,
    body: Bytes,
    cache_control: HeaderValue,
    /// Of a name that is here twice, the last value counts.
    extra: Vec<(HeaderName, HeaderValue)>,
    is_of_site: bool,
    release: Option<HeaderValue>,
}

impl BuiltinResponse {
    fn new(status: StatusCode, media_type: HeaderValue, body: Bytes) -> Self {
        Self { media_type: Some(media_type), body, ..Self::empty(status) }
    }

    /// Without content: for statuses that have none (RFC 9110 §15.3.5).
    fn empty(status: StatusCode) -> Self {
        let (media_type, body, cache_control, extra) = (None, Bytes::new(), NO_STORE, Vec::new());
        Self { status, media_type, body, cache_control, extra, is_of_site: false, release: None }
    }

    fn text(status: StatusCode, sentence: &'static str) -> Self {
        Self::new(status, TEXT, Bytes::from_static(sentence.as_bytes()))
    }

    pub(super) fn json(status: StatusCode, body: String) -> Self {
        Self::new(status, JSON, body.into())
    }

    fn with_header(mut self, name: HeaderName, value: &'static str) -> Self {
        self.extra.push((name, HeaderValue::from_static(value)));
        self
    }

    /// Adds the `Location`, for a minute.
    fn moved_to(mut self, location: HeaderValue) -> Self {
        self.cache_control = HeaderValue::from_static("public, max-age=60");
        self.extra.push((header::LOCATION, location));
        self
    }

    /// Adds the `Verge-Release` of the channel at the host, whose response this is.
    pub(super) fn with_release(mut self, release: &HeaderValue) -> Self {
        self.release = Some(release.clone());
        self.of_site()
    }

    /// It is the response of a site: scripts of other origins may read it.
    pub(super) fn of_site(mut self) -> Self {
        self.is_of_site = true;
        self
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn into_response(self, is_head: bool, common: &CommonHeaders) -> Response<ResponseBody> {
        let length = HeaderValue::from(self.body.len());
        let body = if is_head { ResponseBody::empty(CacheResult::None) } else { ResponseBody::builtin(self.body) };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        // For every header that a response may have, so that the map never grows.
        headers.reserve(16);
        headers.insert(header::CACHE_CONTROL, self.cache_control);
        if let Some(media_type) = self.media_type {
            headers.insert(header::CONTENT_TYPE, media_type);
            headers.insert(header::CONTENT_LENGTH, length);
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        }
        if self.is_of_site {
            cors::allow_any_origin(headers);
        }
        headers.insert(VERGE_EDGE, common.edge().clone());
        if let Some(release) = self.release {
            headers.insert(VERGE_RELEASE, release);
        }
        for (name, value) in self.extra {
            headers.insert(name, value);
        }
        response
    }
}

/// 400, 413, 414, 405 or 417. After the first two the start of the next request is uncertain, and of a target that is too long the rest is
/// dropped: they close the connection.
pub(super) fn framing_error(error: FramingError, version: Version) -> BuiltinResponse {
    const NO_BODY: &str = "Requests must not have a body.\n";
    let response = match error {
        FramingError::TransferEncoding => BuiltinResponse::text(StatusCode::BAD_REQUEST, NO_BODY),
        FramingError::Body => BuiltinResponse::text(StatusCode::PAYLOAD_TOO_LARGE, NO_BODY),
        FramingError::Target => BuiltinResponse::text(StatusCode::URI_TOO_LONG, "The address is too long.\n"),
        FramingError::Method => {
            return BuiltinResponse::text(
                StatusCode::METHOD_NOT_ALLOWED,
                "Only GET, HEAD and OPTIONS are supported.\n",
            )
            .with_header(header::ALLOW, ALLOW);
        }
        FramingError::Expectation => {
            return BuiltinResponse::text(StatusCode::EXPECTATION_FAILED, "The expectation cannot be met.\n");
        }
    };
    // HTTP/2 has no `Connection` header, and its framing is never ambiguous.
    if version < Version::HTTP_2 { response.with_header(header::CONNECTION, "close") } else { response }
}

/// 204: the answer to `OPTIONS` (RFC 9110 §9.3.7). `is_preflight`: of a browser, for a path of a site. Every path has the same one but for
/// header rules, since a preflight has no credentials and must not be redirected.
pub(super) fn options(is_preflight: bool) -> BuiltinResponse {
    let response = BuiltinResponse::empty(StatusCode::NO_CONTENT).with_header(header::ALLOW, ALLOW);
    if !is_preflight {
        return response;
    }
    cors::PREFLIGHT.into_iter().fold(response.of_site(), |response, (name, value)| response.with_header(name, value))
}

/// 400: no host, several, or an invalid one.
pub(super) fn invalid_host() -> BuiltinResponse {
    BuiltinResponse::text(StatusCode::BAD_REQUEST, "The request must name exactly one valid host.\n")
}

/// 400: a request target without a path.
pub(super) fn invalid_path() -> BuiltinResponse {
    BuiltinResponse::text(StatusCode::BAD_REQUEST, "The request must name a path.\n")
}

/// 404: no site at the host. Names neither this host nor another.
pub(super) fn unknown_host(headers: &HeaderMap) -> BuiltinResponse {
    html_or_text(headers, UNKNOWN_HOST, "There is no site at this address.\n")
}

/// 410: the bytes of the file were erased from the site.
pub(super) fn erased() -> BuiltinResponse {
    BuiltinResponse::text(StatusCode::GONE, "This file has been removed.\n")
}

/// 503: there is a site, or may be one, whose release is not on this edge yet. A 404 would be taken as definite.
pub(super) fn pending() -> BuiltinResponse {
    BuiltinResponse::text(StatusCode::SERVICE_UNAVAILABLE, "This site is not ready yet. Try again in a moment.\n")
        .with_header(header::RETRY_AFTER, "1")
}

/// 308: the domain redirects to `to`, on the port of the request. 400 if the request has no path. Cached for a minute only: if the operator
/// reverses the redirect, readers with the old one would be sent in a loop. With a port it is not cached: the request named it, and whoever
/// shares a cache with the reader would be sent there too.
pub(super) fn redirect(to: &DomainName, port: Option<u16>, uri: &Uri) -> BuiltinResponse {
    let Some(location) = redirect::location(to, port, uri) else { return invalid_path() };
    let text = "This site has moved to another address.\n";
    let mut response = BuiltinResponse::text(StatusCode::PERMANENT_REDIRECT, text).moved_to(location);
    if port.is_some() {
        response.cache_control = NO_STORE;
    }
    response
}

/// 308: the page or file has another address. A later release may have it elsewhere.
pub(super) fn moved(location: HeaderValue) -> BuiltinResponse {
    ruled_redirect(StatusCode::PERMANENT_REDIRECT, location)
}

/// As a redirect rule of the site says. A later release may have another rule.
pub(super) fn ruled_redirect(status: StatusCode, location: HeaderValue) -> BuiltinResponse {
    let mut response = BuiltinResponse::text(status, "This page has another address.\n").moved_to(location);
    response.cache_control = REVALIDATE;
    response
}

/// 401: the path has a password, and the request has none or another.
pub(super) fn password_required(site: &SiteName) -> BuiltinResponse {
    let mut response = BuiltinResponse::text(StatusCode::UNAUTHORIZED, "This page needs a user name and a password.\n");
    // A name of a site has no quote.
    let challenge = HeaderValue::try_from(format!("Basic realm=\"{site}\", charset=\"UTF-8\""));
    response.extra.push((header::WWW_AUTHENTICATE, challenge.expect("a site's name is a-z, 0-9 and hyphens")));
    response
}

/// 308: the host is served over TLS. Cached for a minute only, because a browser keeps it as long as it may.
pub(super) fn to_https(location: HeaderValue) -> BuiltinResponse {
    BuiltinResponse::text(StatusCode::PERMANENT_REDIRECT, "This site is served over https.\n").moved_to(location)
}

/// 421: the certificate of the connection is not for the host (RFC 9110 §15.5.20). A client that reuses a connection for several hosts
/// repeats the request on another one.
pub(super) fn misdirected() -> BuiltinResponse {
    BuiltinResponse::text(StatusCode::MISDIRECTED_REQUEST, "This connection is not for the host of the request.\n")
}

/// 200: the answer to a certificate authority, a token and the digest of a public key.
pub(super) fn challenge(authorization: String) -> BuiltinResponse {
    BuiltinResponse::new(StatusCode::OK, HeaderValue::from_static("application/octet-stream"), authorization.into())
}

/// 200: a service worker that ends itself, in place of one that only an earlier release had.
pub(super) fn former_worker() -> BuiltinResponse {
    BuiltinResponse::new(StatusCode::OK, SCRIPT, Bytes::from_static(former_worker::SCRIPT.as_bytes()))
}

/// 404: the site has no file at the path, and no `404.html`.
pub(super) fn not_found(headers: &HeaderMap, path: &RequestPath<'_>, by_destination: bool) -> BuiltinResponse {
    if is_asset(&path.decoded) {
        let response = not_found_text();
        return if by_destination { response.with_header(header::VARY, "Sec-Fetch-Dest") } else { response };
    }
    let response = html_or_text(headers, NOT_FOUND, NOT_FOUND_TEXT);
    if by_destination { response.with_header(header::VARY, "Accept, Sec-Fetch-Dest") } else { response }
}

/// 404 as text: for assets, and where the site's `404.html` is unavailable.
pub(super) fn not_found_text() -> BuiltinResponse {
    BuiltinResponse::text(StatusCode::NOT_FOUND, NOT_FOUND_TEXT)
}

/// 502 or 503: the file exists, but a blob of it is unavailable.
pub(super) fn unavailable(unavailable: Unavailable) -> BuiltinResponse {
    const UNAVAILABLE: &str = "This file is temporarily unavailable. Try again in a moment.\n";
    match unavailable {
        Unavailable::Refused => BuiltinResponse::text(StatusCode::BAD_GATEWAY, UNAVAILABLE),
        Unavailable::Unreachable => {
            BuiltinResponse::text(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE).with_header(header::RETRY_AFTER, "5")
        }
    }
}

/// 404 as HTML for requests that accept it, such as navigations, and as text for all others.
fn html_or_text(headers: &HeaderMap, html: &'static str, text: &'static str) -> BuiltinResponse {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let response = if accept.is_some_and(|accept| accept.contains("text/html")) {
        BuiltinResponse::new(StatusCode::NOT_FOUND, HTML, Bytes::from_static(html.as_bytes()))
    } else {
        BuiltinResponse::text(StatusCode::NOT_FOUND, text)
    };
    response.with_header(header::VARY, "Accept")
}

macro_rules! page {
    ($title:literal, $sentence:literal) => {
        concat!(
            "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">",
            "<meta name=\"viewport\" content=\"width=device-width\"><title>",
            $title,
            "</title><style>:root{color-scheme:light dark}body{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;",
            "margin:20vh auto;padding:0 1.5rem}</style><h1>",
            $title,
            "</h1><p>",
            $sentence,
            "</p>\n"
        )
    };
}

const NOT_FOUND_TEXT: &str = "There is nothing at this path.\n";
const NOT_FOUND: &str = page!("Page not found", "This page does not exist. <a href=\"/\">Go to the home page</a>");
const UNKNOWN_HOST: &str = page!("Site not found", "There is no site at this address.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn not_found_responses_vary_by_the_headers_that_selected_them() {
        let headers = HeaderMap::new();
        let common = CommonHeaders::new(&"test".parse().unwrap());
        let vary =
            |response: BuiltinResponse| response.into_response(false, &common).headers().get(header::VARY).cloned();
        let at = |path, by_destination| vary(not_found(&headers, &RequestPath::parse(path).unwrap(), by_destination));
        assert_eq!(vary(unknown_host(&headers)).unwrap(), "Accept");
        assert_eq!(at("/none", false).unwrap(), "Accept");
        assert_eq!(at("/none", true).unwrap(), "Accept, Sec-Fetch-Dest");
        assert_eq!(at("/none.js", true).unwrap(), "Sec-Fetch-Dest");
        assert_eq!(at("/none.js", false), None);
    }
}
