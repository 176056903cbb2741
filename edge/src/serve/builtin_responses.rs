//! Answers that are the edge's own: nobody's content, and but for redirects never kept.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version, header};

use super::asset::is_asset;
use super::body::ReplyBody;
use super::framing::Refusal;
use super::request_path::Target;
use super::response_head::NO_STORE;
use super::static_headers::{Stamps, VERGE_EDGE, VERGE_RELEASE};
use crate::cache::Unavailable;

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A small answer.
pub(super) struct Page {
    status: StatusCode,
    media_type: HeaderValue,
    body: Bytes,
    cache_control: HeaderValue,
    extra: Option<(HeaderName, HeaderValue)>,
    release: Option<HeaderValue>,
}

impl Page {
    fn new(status: StatusCode, media_type: HeaderValue, body: Bytes) -> Self {
        Self { status, media_type, body, cache_control: NO_STORE, extra: None, release: None }
    }

    fn text(status: StatusCode, sentence: &'static str) -> Self {
        Self::new(status, TEXT, Bytes::from_static(sentence.as_bytes()))
    }

    pub(super) fn json(status: StatusCode, body: String) -> Self {
        Self::new(status, JSON, body.into())
    }

    fn with(mut self, name: HeaderName, value: &'static str) -> Self {
        self.extra = Some((name, HeaderValue::from_static(value)));
        self
    }

    /// Names the release that has nothing to say.
    pub(super) fn of_release(mut self, release: &HeaderValue) -> Self {
        self.release = Some(release.clone());
        self
    }

    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) fn response(self, head: bool, stamps: &Stamps) -> Response<ReplyBody> {
        let length = HeaderValue::from(self.body.len());
        let mut response = Response::new(if head { ReplyBody::empty() } else { ReplyBody::own(self.body) });
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, self.cache_control);
        headers.insert(header::CONTENT_TYPE, self.media_type);
        headers.insert(header::CONTENT_LENGTH, length);
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(VERGE_EDGE, stamps.edge().clone());
        if let Some(release) = self.release {
            headers.insert(VERGE_RELEASE, release);
        }
        if let Some((name, value)) = self.extra {
            headers.insert(name, value);
        }
        response
    }
}

/// 400, 413 or 405. The first two end the connection: where the next request would start is no longer certain.
pub(super) fn refused(refusal: Refusal, version: Version) -> Page {
    let page = match refusal {
        Refusal::TransferEncoding => Page::text(StatusCode::BAD_REQUEST, "Readers send no bodies.\n"),
        Refusal::Body => Page::text(StatusCode::PAYLOAD_TOO_LARGE, "Readers send no bodies.\n"),
        Refusal::Method => {
            return Page::text(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD are answered here.\n")
                .with(header::ALLOW, "GET, HEAD");
        }
    };
    // HTTP/2 knows no such header: there, the frame of a request is never in doubt.
    if version < Version::HTTP_2 { page.with(header::CONNECTION, "close") } else { page }
}

/// 400: the request does not say whom it is for.
pub(super) fn bad_host() -> Page {
    Page::text(StatusCode::BAD_REQUEST, "The request must name exactly one host.\n")
}

/// 400: the path could be read in two ways.
pub(super) fn bad_path() -> Page {
    Page::text(StatusCode::BAD_REQUEST, "The path cannot be read.\n")
}

/// 404: names neither the host nor any other.
pub(super) fn unknown_host(headers: &HeaderMap) -> Page {
    missing(headers, UNKNOWN_HOST, "Nothing is served at this address.\n")
}

/// 503: a site may be here, but its release is not yet. A 404 would be taken for the truth.
pub(super) fn coming() -> Page {
    Page::text(StatusCode::SERVICE_UNAVAILABLE, "What is served here is still on its way.\n")
        .with(header::RETRY_AFTER, "1")
}

/// 308: another domain stands for this one. Kept for a minute only: where the operator turns the redirect round, readers who kept
/// it would be sent in a circle.
pub(super) fn moved(location: HeaderValue) -> Page {
    let mut page = Page::text(StatusCode::PERMANENT_REDIRECT, "What was here is at another address.\n");
    page.cache_control = HeaderValue::from_static("public, max-age=60");
    page.extra = Some((header::LOCATION, location));
    page
}

/// 404: the site has nothing there, and no page that says so.
pub(super) fn not_found(headers: &HeaderMap, target: &Target<'_>, by_destination: bool) -> Page {
    if is_asset(&target.path) {
        return if by_destination { lost().with(header::VARY, "Sec-Fetch-Dest") } else { lost() };
    }
    let page = missing(headers, NOT_FOUND, "There is nothing at this path.\n");
    if by_destination { page.with(header::VARY, "Accept, Sec-Fetch-Dest") } else { page }
}

/// 404 in one line: for what only a page would ask for, and a page that says so cannot be had.
pub(super) fn lost() -> Page {
    Page::text(StatusCode::NOT_FOUND, "There is nothing at this path.\n")
}

/// 502 or 503: the bytes cannot be had now.
pub(super) fn unavailable(unavailable: Unavailable) -> Page {
    match unavailable {
        Unavailable::Refused => Page::text(StatusCode::BAD_GATEWAY, "The file cannot be had at the moment.\n"),
        Unavailable::Unreachable => {
            Page::text(StatusCode::SERVICE_UNAVAILABLE, "The file cannot be had at the moment.\n")
                .with(header::RETRY_AFTER, "5")
        }
    }
}

/// A page for a person who navigates; a line for everything else, which would only choke on a page.
fn missing(headers: &HeaderMap, page: &'static str, sentence: &'static str) -> Page {
    let accepts = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    let missing = if accepts.is_some_and(|accept| accept.contains("text/html")) {
        let body = Bytes::from_static(page.as_bytes());
        Page::new(StatusCode::NOT_FOUND, HTML, body)
    } else {
        Page::text(StatusCode::NOT_FOUND, sentence)
    };
    missing.with(header::VARY, "Accept")
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

const NOT_FOUND: &str = page!("Not found", "There is nothing at this address. <a href=\"/\">To the start page</a>");
const UNKNOWN_HOST: &str = page!("Not found", "Nothing is served at this address.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_was_chosen_says_by_what() {
        let headers = HeaderMap::new();
        let stamps = Stamps::new(&"test".parse().unwrap());
        let vary = |page: Page| page.response(false, &stamps).headers().get(header::VARY).cloned();
        let at = |path, by_destination| vary(not_found(&headers, &Target::read(path).unwrap(), by_destination));
        assert_eq!(vary(unknown_host(&headers)).unwrap(), "Accept");
        assert_eq!(at("/none", false).unwrap(), "Accept");
        assert_eq!(at("/none", true).unwrap(), "Accept, Sec-Fetch-Dest");
        assert_eq!(at("/none.js", true).unwrap(), "Sec-Fetch-Dest");
        assert_eq!(at("/none.js", false), None);
    }
}
