//! The parsers of what readers send, as the fuzz targets in `fuzz/` run them. No part of the crate's interface.
//!
//! Each function takes any bytes, and panics if what was parsed is not as its module guarantees.

use http::{HeaderMap, HeaderName, HeaderValue, Uri, Version, header};
use verge_protocol::{Coding, SitePath};

use super::range::{self, Span};
use super::request_path::RequestPath;
use super::{accept, asset, conditional, host, negotiate, redirect};

/// The path of a request.
pub fn request_path(target: &[u8]) {
    let Ok(uri) = Uri::try_from(target) else { return };
    let Ok(path) = RequestPath::parse(uri.path()) else { return };
    let is_file = |name: &str| name.is_empty() || name.parse::<SitePath>().is_ok();
    assert!(!path.can_match() || is_file(&path.decoded), "{path:?}");
    assert!(path.with_single_slashes().is_none_or(|name| is_file(&name)), "{path:?}");
    let _ = asset::is_asset(&path.decoded);
    let location = redirect::canonical_location(&uri, "/").expect("it has a path");
    let location = location.as_bytes();
    assert!(location.starts_with(b"/") && !location.starts_with(b"//") && !location.contains(&b'\\'), "{location:?}");
}

/// `Range`.
pub fn range(field: &[u8]) {
    let Some(range) = with_field(header::RANGE, field).and_then(|headers| range::parse(&headers)) else { return };
    for size in [0, 1, 10, 256 * 1024, u64::MAX] {
        if let Span::Part { start, end } = range.apply_to(size) {
            assert!(start < end && end <= size, "{range:?} of {size}");
            let _ = range::content_range(start, end, size);
        }
    }
}

/// `Accept-Encoding`.
pub fn accept_encoding(field: &[u8]) {
    let Some(headers) = with_field(header::ACCEPT_ENCODING, field) else { return };
    let mentions = |text: &[u8]| field.windows(text.len()).any(|part| part.eq_ignore_ascii_case(text));
    for only in Coding::ALL {
        let best = negotiate::best_coding(&headers, |coding| coding == only);
        assert!(best.is_none_or(|coding| coding == only && (mentions(b"*") || mentions(only.token().as_bytes()))));
    }
}

/// `Accept`.
pub fn accept(field: &[u8]) {
    let Some(headers) = with_field(header::ACCEPT, field) else { return };
    let mentions = |text: &[u8]| field.windows(text.len()).any(|part| part.eq_ignore_ascii_case(text));
    assert!(!accept::prefers_markdown(&headers) || mentions(b"text/markdown") || mentions(b"text/html"));
}

/// `If-Match` and `If-None-Match`.
pub fn entity_tags(field: &[u8]) {
    let etag = HeaderValue::from_static("\"a\"");
    let matches = |name| with_field(name, field).map(|headers| conditional::evaluate(&headers, &etag));
    let (Some(strong), Some(weak)) = (matches(header::IF_MATCH), matches(header::IF_NONE_MATCH)) else { return };
    let is_weak_match = weak == conditional::Precondition::NotModified;
    assert!(strong == conditional::Precondition::Failed || is_weak_match, "what is equal strongly is so weakly");
}

/// `Host`.
pub fn host(field: &[u8]) {
    let Some(headers) = with_field(header::HOST, field) else { return };
    if let Ok(host) = host::parse(&Uri::from_static("/"), &headers, Version::HTTP_11) {
        assert!(!host.name.is_empty() && !host.name.bytes().any(|byte| byte.is_ascii_uppercase() || byte == b'/'));
    }
}

fn with_field(name: HeaderName, value: &[u8]) -> Option<HeaderMap> {
    Some(HeaderMap::from_iter([(name, HeaderValue::from_bytes(value).ok()?)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corpora_of_fuzz_targets_pass() {
        for (name, target) in [
            ("request_path", request_path as fn(&[u8])),
            ("range", range),
            ("accept_encoding", accept_encoding),
            ("accept", accept),
            ("entity_tags", entity_tags),
            ("host", host),
        ] {
            let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
            let files: Vec<_> = std::fs::read_dir(&corpus).unwrap().collect();
            assert!(!files.is_empty(), "{name}");
            for file in files {
                target(&std::fs::read(file.unwrap().path()).unwrap());
            }
        }
    }
}
