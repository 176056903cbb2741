//! The head of a response and the span of bytes that follows it: everything that is decided before a blob is read.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use verge_protocol::{Coding, Lifetime};

use super::accept;
use super::common_headers::NO_STORE;
use super::conditional::{self, Precondition};
use super::cors;
use super::negotiate::negotiate;
use super::range::{self, Span};
use super::repr_digest;
use super::resolve::Resolution;
use crate::table::{Representation, Resource};

const IMMUTABLE: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
const REVALIDATE: HeaderValue = HeaderValue::from_static("public, max-age=0, must-revalidate");

/// The head of a response, and its body.
pub(crate) struct ResponseHead {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The bytes to send; `None` if there are none.
    pub(crate) body: Option<BodySpan>,
}

/// A span of one representation; never empty.
pub(crate) struct BodySpan {
    pub(crate) resource: Arc<Resource>,
    pub(crate) coding: Option<Coding>,
    /// The first byte.
    pub(crate) start: u64,
    /// One past the last byte.
    pub(crate) end: u64,
}

/// Which request headers select among the responses of a path.
#[derive(Clone, Copy)]
struct Choices {
    /// `Accept`: a page has a Markdown twin.
    by_type: bool,
    /// `Accept-Encoding`: the page or its twin has encodings.
    by_encoding: bool,
    /// `Sec-Fetch-Dest`.
    by_destination: bool,
}

impl Choices {
    fn of_file(file: &Resource) -> Self {
        let by_encoding = file.has_encodings() || file.markdown().is_some_and(|twin| twin.has_encodings());
        Self { by_type: file.markdown().is_some(), by_encoding, by_destination: false }
    }

    /// Of a page at paths that are not its own: there it has no twin.
    fn of_fallback(page: &Resource, by_destination: bool) -> Self {
        Self { by_type: false, by_encoding: page.has_encodings(), by_destination }
    }
}

impl ResponseHead {
    /// The head of the response to a GET, or to a HEAD, which gets the headers of GET, ignores `Range`, and has no body
    /// (RFC 9110 §9.3.2).
    pub(crate) fn build(resolution: &Resolution, headers: &HeaderMap, is_head: bool) -> Self {
        match resolution {
            Resolution::File(file) => {
                let choices = Choices::of_file(file);
                let resource = resolution.sent(|| accept::prefers_markdown(headers));
                Self::of_file(resource, file.lifetime(), choices, headers, is_head)
            }
            // The fallback page answers for many paths, so it is always revalidated, whatever the lifetime of its own path.
            Resolution::SinglePage(page) => {
                Self::of_file(page, Lifetime::Revalidate, Choices::of_fallback(page, true), headers, is_head)
            }
            // Another release may rewrite the path to another file.
            Resolution::Rewritten(file) => {
                Self::of_file(file, Lifetime::Revalidate, Choices::of_fallback(file, false), headers, is_head)
            }
            Resolution::ErrorPage { status, page, by_destination } => {
                Self::of_error_page(*status, page, *by_destination, headers, is_head)
            }
        }
    }

    /// In the order of RFC 9110 §13.2.2: the representation is selected, then `If-Match` and `If-None-Match` are evaluated, then
    /// `Range` with `If-Range`. Ranges are served of the representation as built only, so `Range` selects it.
    fn of_file(
        resource: &Arc<Resource>,
        lifetime: Lifetime,
        choices: Choices,
        headers: &HeaderMap,
        is_head: bool,
    ) -> Self {
        let range = if is_head { None } else { range::parse(headers) };
        let selected = if range.is_some() { resource.identity() } else { negotiate(resource, headers) };
        let cache_control = match lifetime {
            Lifetime::Immutable => IMMUTABLE,
            Lifetime::Revalidate => REVALIDATE,
        };
        match conditional::evaluate(headers, selected.etag()) {
            Precondition::Failed => {
                let mut head = Self::new(StatusCode::PRECONDITION_FAILED, NO_STORE);
                head.insert_vary(choices);
                return head.with_empty_body();
            }
            Precondition::NotModified => {
                let mut head = Self::new(StatusCode::NOT_MODIFIED, cache_control);
                head.insert_vary(choices);
                head.insert_validator(selected);
                return head;
            }
            Precondition::Holds => {}
        }
        let size = selected.content().size();
        let span = match range {
            Some(range) if conditional::if_range_holds(headers, selected.etag()) => range.apply_to(size),
            _ => Span::Whole,
        };
        let mut head = match span {
            Span::Unsatisfiable => {
                let mut head = Self::new(StatusCode::RANGE_NOT_SATISFIABLE, NO_STORE);
                head.insert_vary(choices);
                head.headers.insert(header::CONTENT_RANGE, range::unsatisfied_content_range(size));
                return head.with_empty_body();
            }
            Span::Part { start, end } => {
                let mut head = Self::new(StatusCode::PARTIAL_CONTENT, cache_control);
                head.headers.insert(header::CONTENT_RANGE, range::content_range(start, end, size));
                head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(end - start));
                head.insert_content_encoding(selected);
                head.set_body(resource, None, start, end, is_head);
                head
            }
            Span::Whole => {
                let mut head = Self::new(StatusCode::OK, cache_control);
                head.set_whole_body(resource, selected, is_head);
                head
            }
        };
        head.insert_vary(choices);
        head.insert_validator(selected);
        head.insert_content_type(resource);
        head.headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        if repr_digest::is_wanted(headers) {
            head.headers.insert(repr_digest::REPR_DIGEST, repr_digest::value(selected.content().digest()));
        }
        head
    }

    /// An error with the site's own page. Preconditions and ranges do not apply, since the page is not a representation of the
    /// requested resource.
    fn of_error_page(
        status: StatusCode,
        resource: &Arc<Resource>,
        by_destination: bool,
        headers: &HeaderMap,
        is_head: bool,
    ) -> Self {
        let selected = negotiate(resource, headers);
        let mut head = Self::new(status, NO_STORE);
        head.insert_vary(Choices::of_fallback(resource, by_destination));
        head.insert_content_type(resource);
        head.set_whole_body(resource, selected, is_head);
        head
    }

    fn new(status: StatusCode, cache_control: HeaderValue) -> Self {
        // Capacity for every header that a response may have, so that the map never grows.
        let mut headers = HeaderMap::with_capacity(16);
        headers.insert(header::CACHE_CONTROL, cache_control);
        cors::allow_any_origin(&mut headers);
        Self { status, headers, body: None }
    }

    /// For statuses that may have a body, but get none.
    fn with_empty_body(mut self) -> Self {
        self.headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
        self
    }

    fn set_whole_body(&mut self, resource: &Arc<Resource>, selected: &Representation, is_head: bool) {
        self.headers.insert(header::CONTENT_LENGTH, selected.content_length().clone());
        self.insert_content_encoding(selected);
        self.set_body(resource, selected.coding(), 0, selected.content().size(), is_head);
    }

    fn insert_content_encoding(&mut self, selected: &Representation) {
        if let Some(coding) = selected.content_encoding() {
            self.headers.insert(header::CONTENT_ENCODING, coding.clone());
        }
    }

    fn set_body(&mut self, resource: &Arc<Resource>, coding: Option<Coding>, start: u64, end: u64, is_head: bool) {
        if !is_head && start < end {
            self.body = Some(BodySpan { resource: Arc::clone(resource), coding, start, end });
        }
    }

    /// `Vary` on every response that was selected by request headers, including a 304 and errors.
    fn insert_vary(&mut self, choices: Choices) {
        let by_destination = choices.by_destination;
        let vary = match (choices.by_type, choices.by_encoding) {
            (false, false) if by_destination => "Sec-Fetch-Dest",
            (false, false) => return,
            (false, true) if by_destination => "Accept-Encoding, Sec-Fetch-Dest",
            (false, true) => "Accept-Encoding",
            // Only a file has a twin, and only a fallback depends on the destination.
            (true, false) => "Accept",
            (true, true) => "Accept, Accept-Encoding",
        };
        self.headers.insert(header::VARY, HeaderValue::from_static(vary));
    }

    fn insert_validator(&mut self, selected: &Representation) {
        self.headers.insert(header::ETAG, selected.etag().clone());
    }

    fn insert_content_type(&mut self, resource: &Resource) {
        self.headers.insert(header::CONTENT_TYPE, resource.media_type().clone());
        self.headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::manifest::File;

    use super::*;
    use crate::test_support::{encoded, file};

    fn resource(path: &str, lifetime: Lifetime) -> Arc<Resource> {
        let file = encoded(encoded(file(path, "", lifetime), Coding::Br, "br!"), Coding::Gzip, "gzip");
        Arc::new(Resource::new(path, file))
    }

    /// The head as text: the status, the span of the body with its coding, and the headers.
    fn head_of(resolution: &Resolution, method: &str, fields: &[(&str, &'static str)]) -> String {
        let field = |(name, value): &(&str, &'static str)| (name.parse().unwrap(), HeaderValue::from_static(value));
        let head = ResponseHead::build(resolution, &fields.iter().map(field).collect(), method == "HEAD");
        let text = |(name, value): (&http::HeaderName, &HeaderValue)| format!("{name}: {}", value.to_str().unwrap());
        let mut lines: Vec<String> = head.headers.iter().map(text).collect();
        lines.sort();
        let body = head.body.map(|span| format!(" {}..{} {:?}", span.start, span.end, span.coding));
        format!("> {method} {fields:?}\n{}{}\n{}", head.status.as_u16(), body.unwrap_or_default(), lines.join("\n"))
    }

    #[test]
    fn file_headers() {
        let script = Resolution::File(resource("app.js", Lifetime::Immutable));
        let heads = [
            head_of(&script, "GET", &[]),
            head_of(&script, "GET", &[("accept-encoding", "gzip, br")]),
            head_of(&script, "HEAD", &[("accept-encoding", "gzip"), ("range", "bytes=0-0")]),
            head_of(&script, "GET", &[("accept-encoding", "br"), ("range", "bytes=2-3")]),
            head_of(&script, "GET", &[("range", "bytes=99-")]),
            head_of(&script, "GET", &[("range", "bytes=0-0"), ("if-range", "\"x\"")]),
            head_of(&script, "GET", &[("if-none-match", "*"), ("range", "bytes=0-0")]),
            head_of(&script, "GET", &[("if-match", "\"x\"")]),
        ];
        insta::assert_snapshot!(heads.join("\n\n"));
    }

    #[test]
    fn font_headers() {
        let font = Resolution::File(resource("a.woff2", Lifetime::Revalidate));
        let heads = [
            head_of(&font, "GET", &[("want-repr-digest", "sha-256=5")]),
            head_of(&font, "GET", &[("if-none-match", "*")]),
        ];
        insta::assert_snapshot!(heads.join("\n\n"));
    }

    #[test]
    fn headers_of_a_file_that_the_build_has_encoded() {
        let file = File { content_encoding: Some(Coding::Gzip), ..file("app.js", "", Lifetime::Revalidate) };
        let script = Resolution::File(Arc::new(Resource::new("app.js.gz", file)));
        let heads = [
            head_of(&script, "GET", &[]),
            head_of(&script, "GET", &[("accept-encoding", "br, gzip;q=0, identity")]),
            head_of(&script, "HEAD", &[]),
            head_of(&script, "GET", &[("range", "bytes=2-3")]),
            head_of(&script, "GET", &[("range", "bytes=99-")]),
            head_of(&script, "GET", &[("if-none-match", "*")]),
        ];
        insta::assert_snapshot!(heads.join("\n\n"));
    }

    #[test]
    fn fallback_page_headers() {
        let page = Resolution::SinglePage(resource("index.html", Lifetime::Immutable));
        let page_404 = resource("404.html", Lifetime::Immutable);
        let missing = Resolution::ErrorPage { status: StatusCode::NOT_FOUND, page: page_404, by_destination: true };
        let heads = [
            head_of(&page, "GET", &[("accept-encoding", "br")]),
            head_of(&page, "GET", &[("if-none-match", "*")]),
            head_of(&missing, "GET", &[("if-none-match", "*"), ("range", "bytes=0-0")]),
            head_of(&missing, "HEAD", &[("accept-encoding", "br")]),
        ];
        insta::assert_snapshot!(heads.join("\n\n"));
    }
}
