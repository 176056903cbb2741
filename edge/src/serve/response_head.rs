//! The head of an answer, and which bytes follow it: all that can be said before any byte is read.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use verge_protocol::{Coding, Lifetime};

use super::conditional::{self, Precondition};
use super::negotiate::negotiate;
use super::range::{self, Span};
use super::repr_digest;
use super::resolve::Found;
use crate::table::{Representation, Resource};

const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const REVALIDATE: HeaderValue = HeaderValue::from_static("public, max-age=0, must-revalidate");
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// What to answer.
pub(crate) struct Plan {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The bytes that follow; never an empty span.
    pub(crate) bytes: Option<Bytes>,
}

/// A span of one representation.
pub(crate) struct Bytes {
    pub(crate) resource: Arc<Resource>,
    pub(crate) coding: Option<Coding>,
    /// The first byte.
    pub(crate) start: u64,
    /// One past the last byte.
    pub(crate) end: u64,
}

/// Plans the answer to a GET, or to a HEAD, which gets GET's headers, looks at no range, and has no bytes (RFC 9110 §9.3.2).
pub(crate) fn plan(found: &Found, headers: &HeaderMap, head: bool) -> Plan {
    match found {
        Found::File(resource) => answer(resource, resource.lifetime(), false, headers, head),
        // A page that answers for other paths is never kept, whatever its own path allows.
        Found::SinglePage(resource) => answer(resource, Lifetime::Revalidate, true, headers, head),
        Found::NotFoundPage { page, by_destination } => miss(page, *by_destination, headers, head),
    }
}

/// In the order of RFC 9110 §13.2.2: the representation is selected, then `If-Match`, `If-None-Match`, then `Range` with
/// `If-Range`. A range is one of the bytes as built, so asking for one selects identity.
fn answer(resource: &Arc<Resource>, lifetime: Lifetime, by_destination: bool, headers: &HeaderMap, head: bool) -> Plan {
    let range = if head { None } else { range::read(headers) };
    let selected = if range.is_some() { resource.identity() } else { negotiate(resource, headers) };
    let cache_control = match lifetime {
        Lifetime::Immutable => IMMUTABLE,
        Lifetime::Revalidate => REVALIDATE,
    };
    match conditional::evaluate(headers, selected.etag()) {
        Precondition::Failed => {
            let mut plan = Plan::new(StatusCode::PRECONDITION_FAILED, NO_STORE);
            plan.vary(resource.has_encodings(), by_destination);
            return plan.without_bytes();
        }
        Precondition::NotModified => {
            let mut plan = Plan::new(StatusCode::NOT_MODIFIED, cache_control);
            plan.vary(resource.has_encodings(), by_destination);
            plan.validator(resource, selected);
            return plan;
        }
        Precondition::Holds => {}
    }
    let size = selected.content().size();
    let span = match range {
        Some(range) if conditional::if_range(headers, selected.etag()) => range.within(size),
        _ => Span::Whole,
    };
    let mut plan = match span {
        Span::Unsatisfiable => {
            let mut plan = Plan::new(StatusCode::RANGE_NOT_SATISFIABLE, NO_STORE);
            plan.vary(resource.has_encodings(), by_destination);
            plan.headers.insert(header::CONTENT_RANGE, range::unsatisfied(size));
            return plan.without_bytes();
        }
        Span::Part { start, end } => {
            let mut plan = Plan::new(StatusCode::PARTIAL_CONTENT, cache_control);
            plan.headers.insert(header::CONTENT_RANGE, range::content_range(start, end, size));
            plan.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(end - start));
            plan.take(resource, None, start, end, head);
            plan
        }
        Span::Whole => {
            let mut plan = Plan::new(StatusCode::OK, cache_control);
            plan.whole(resource, selected, head);
            plan
        }
    };
    plan.vary(resource.has_encodings(), by_destination);
    plan.validator(resource, selected);
    plan.describe(resource);
    plan.headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if repr_digest::wanted(headers) {
        plan.headers.insert(repr_digest::REPR_DIGEST, repr_digest::value(selected.content().digest()));
    }
    plan
}

/// The site's own page for what is not there. It is nobody's representation: no validator, no range.
fn miss(resource: &Arc<Resource>, by_destination: bool, headers: &HeaderMap, head: bool) -> Plan {
    let selected = negotiate(resource, headers);
    let mut plan = Plan::new(StatusCode::NOT_FOUND, NO_STORE);
    plan.vary(resource.has_encodings(), by_destination);
    plan.describe(resource);
    plan.whole(resource, selected, head);
    plan
}

impl Plan {
    fn new(status: StatusCode, cache_control: HeaderValue) -> Self {
        // Room for every header that an answer may have, so that the map never grows.
        let mut headers = HeaderMap::with_capacity(16);
        headers.insert(header::CACHE_CONTROL, cache_control);
        Self { status, headers, bytes: None }
    }

    /// For statuses that allow a body and get none.
    fn without_bytes(mut self) -> Self {
        self.headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        self
    }

    fn whole(&mut self, resource: &Arc<Resource>, selected: &Representation, head: bool) {
        self.headers.insert(header::CONTENT_LENGTH, selected.length().clone());
        if let Some(token) = selected.token() {
            self.headers.insert(header::CONTENT_ENCODING, token.clone());
        }
        self.take(resource, selected.coding(), 0, selected.content().size(), head);
    }

    fn take(&mut self, resource: &Arc<Resource>, coding: Option<Coding>, start: u64, end: u64, head: bool) {
        if !head && start < end {
            self.bytes = Some(Bytes { resource: Arc::clone(resource), coding, start, end });
        }
    }

    /// What a cache must know to tell two answers apart: on every answer where there was a choice.
    fn vary(&mut self, by_encoding: bool, by_destination: bool) {
        let vary = match (by_encoding, by_destination) {
            (false, false) => return,
            (true, false) => "Accept-Encoding",
            (false, true) => "Sec-Fetch-Dest",
            (true, true) => "Accept-Encoding, Sec-Fetch-Dest",
        };
        self.headers.insert(header::VARY, HeaderValue::from_static(vary));
    }

    fn validator(&mut self, resource: &Resource, selected: &Representation) {
        self.headers.insert(header::ETAG, selected.etag().clone());
        if resource.is_font() {
            self.headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
    }

    fn describe(&mut self, resource: &Resource) {
        self.headers.insert(header::CONTENT_TYPE, resource.media_type().clone());
        self.headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::{encoded, file};

    fn resource(path: &str, lifetime: Lifetime) -> Arc<Resource> {
        let file = encoded(encoded(file(path, "", lifetime), Coding::Br, "br!"), Coding::Gzip, "gzip");
        Arc::new(file.into())
    }

    /// The answer as text: its status, the span of bytes with its coding, and its headers.
    fn ask(found: &Found, method: &str, fields: &[(&str, &'static str)]) -> String {
        let field = |(name, value): &(&str, &'static str)| (name.parse().unwrap(), HeaderValue::from_static(value));
        let plan = plan(found, &fields.iter().map(field).collect(), method == "HEAD");
        let text = |(name, value): (&http::HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        let mut lines: Vec<String> = plan.headers.iter().map(text).collect();
        lines.sort();
        let bytes = plan.bytes.map(|bytes| format!(" {}..{} {:?}", bytes.start, bytes.end, bytes.coding));
        format!("> {method} {fields:?}\n{}{}\n{}", plan.status.as_u16(), bytes.unwrap_or_default(), lines.join("\n"))
    }

    #[test]
    fn a_file() {
        let script = Found::File(resource("app.js", Lifetime::Immutable));
        let answers = [
            ask(&script, "GET", &[]),
            ask(&script, "GET", &[("accept-encoding", "gzip, br")]),
            ask(&script, "HEAD", &[("accept-encoding", "gzip"), ("range", "bytes=0-0")]),
            ask(&script, "GET", &[("accept-encoding", "br"), ("range", "bytes=2-3")]),
            ask(&script, "GET", &[("range", "bytes=99-")]),
            ask(&script, "GET", &[("range", "bytes=0-0"), ("if-range", "\"x\"")]),
            ask(&script, "GET", &[("if-none-match", "*"), ("range", "bytes=0-0")]),
            ask(&script, "GET", &[("if-match", "\"x\"")]),
        ];
        insta::assert_snapshot!(answers.join("\n\n"));
    }

    #[test]
    fn a_font() {
        let font = Found::File(resource("a.woff2", Lifetime::Revalidate));
        let answers =
            [ask(&font, "GET", &[("want-repr-digest", "sha-256=5")]), ask(&font, "GET", &[("if-none-match", "*")])];
        insta::assert_snapshot!(answers.join("\n\n"));
    }

    #[test]
    fn pages_that_answer_for_other_paths() {
        let page = Found::SinglePage(resource("index.html", Lifetime::Immutable));
        let page_404 = resource("404.html", Lifetime::Immutable);
        let missing = Found::NotFoundPage { page: page_404, by_destination: true };
        let answers = [
            ask(&page, "GET", &[("accept-encoding", "br")]),
            ask(&page, "GET", &[("if-none-match", "*")]),
            ask(&missing, "GET", &[("if-none-match", "*"), ("range", "bytes=0-0")]),
            ask(&missing, "HEAD", &[("accept-encoding", "br")]),
        ];
        insta::assert_snapshot!(answers.join("\n\n"));
    }
}
