//! The path of a request (RFC 3986 §3.3), percent-decoded once, in the form of Unicode in which names are looked up.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use verge_protocol::SitePath;
use verge_protocol::nfc::nfc;

/// The target of the request has no path, such as `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid path: expected a leading slash")]
pub(crate) struct InvalidPath;

/// The path of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestPath<'a> {
    /// Without leading and trailing slash; empty for the root. In Unicode normalization form C, as the paths of files are; but if it can
    /// name no file, as it was, with what is not UTF-8 replaced.
    pub(crate) decoded: Cow<'a, str>,
    /// Whether it ended with a slash; true for the root.
    pub(crate) has_trailing_slash: bool,
    /// Whether a segment other than the last is empty.
    pub(crate) has_doubled_slash: bool,
    /// Whether no file can have this path, with doubled slashes or without: it is no percent-encoded UTF-8, is too long, or has dot segments,
    /// encoded slashes, backslashes or control characters.
    names_no_file: bool,
}

impl<'a> RequestPath<'a> {
    /// Parses the path of a request's URI, which starts with a slash.
    pub(crate) fn parse(path: &'a str) -> Result<Self, InvalidPath> {
        let path = path.strip_prefix('/').ok_or(InvalidPath)?;
        let raw = path.strip_suffix('/');
        let has_trailing_slash = raw.is_some() || path.is_empty();
        let raw = raw.unwrap_or(path);
        let has_doubled_slash =
            raw.starts_with('/') || raw.ends_with('/') || raw.contains("//") || (raw.is_empty() && !path.is_empty());
        let is_forbidden = |character: char| character.is_control() || character == '\\';
        let is_name = |decoded: &str| {
            decoded.len() <= SitePath::MAX
                && !decoded.contains(is_forbidden)
                && decoded.split('/').all(|segment| segment != "." && segment != "..")
        };
        // What is too long is not composed; what is composed may be longer.
        let composed = decode(raw).filter(|decoded| is_name(decoded)).map(compose);
        let (decoded, names_no_file) = match composed {
            Some(decoded) if is_name(&decoded) => (decoded, false),
            _ => (percent_decode_str(raw).decode_utf8_lossy(), true),
        };
        Ok(Self { decoded, has_trailing_slash, has_doubled_slash, names_no_file })
    }

    /// Whether a file can have this path.
    pub(crate) fn can_match(&self) -> bool {
        !self.names_no_file && !self.has_doubled_slash
    }

    /// The decoded path with each slash once, if it has some doubled and a file can have it then.
    pub(crate) fn with_single_slashes(&self) -> Option<String> {
        let is_candidate = self.has_doubled_slash && !self.names_no_file;
        is_candidate
            .then(|| self.decoded.split('/').filter(|segment| !segment.is_empty()).collect::<Vec<_>>().join("/"))
    }
}

/// `None`: it is not percent-encoded UTF-8, or not unambiguous.
fn decode(raw: &str) -> Option<Cow<'_, str>> {
    let mut rest = raw.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        match rest.get(at + 1..at + 3) {
            // Decoded, it would be indistinguishable from a separator.
            Some([b'2', b'f' | b'F']) => return None,
            Some([high, low]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest = &rest[at + 3..],
            _ => return None,
        }
    }
    percent_decode_str(raw).decode_utf8().ok()
}

/// In normalization form C; what is ASCII costs nothing.
fn compose(decoded: Cow<'_, str>) -> Cow<'_, str> {
    match nfc(&decoded) {
        Cow::Borrowed(_) => decoded,
        Cow::Owned(composed) => Cow::Owned(composed),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn path_is_decoded_once() {
        for (path, decoded, has_trailing_slash) in [
            ("/", "", true),
            ("/a/b.js", "a/b.js", false),
            ("/a/", "a", true),
            ("/a%20b+c", "a b+c", false),
            ("/%C3%BC.js", "ü.js", false),
            ("/ü.js", "ü.js", false),
            ("/%2520", "%20", false),
            ("/...", "...", false),
            ("/.well-known/x", ".well-known/x", false),
        ] {
            let parsed = RequestPath::parse(path).unwrap();
            assert_eq!((&*parsed.decoded, parsed.has_trailing_slash), (decoded, has_trailing_slash), "{path}");
            assert!(parsed.can_match() && parsed.with_single_slashes().is_none(), "{path}");
        }
    }

    #[test]
    fn decomposed_path_is_composed() {
        for path in ["/cafe%CC%81/A%CC%8A.js", "/caf%C3%A9/%C3%85.js", "/caf%C3%A9/A\u{30a}.js"] {
            assert_eq!(RequestPath::parse(path).unwrap().decoded, "caf\u{e9}/\u{c5}.js", "{path}");
        }
        let parsed = RequestPath::parse("//cafe%CC%81").unwrap();
        assert_eq!(parsed.with_single_slashes().as_deref(), Some("caf\u{e9}"));
        // Each of these characters is three in form C.
        let longer = format!("/{}", "%F0%9D%85%A0".repeat(SitePath::MAX / 4));
        assert!(!RequestPath::parse(&longer).unwrap().can_match());
    }

    #[test]
    fn path_with_an_empty_segment_has_a_form_without() {
        for (path, single) in
            [("//", ""), ("//a", "a"), ("/a//", "a"), ("/a//b", "a/b"), ("///", ""), ("/a%20b///c//", "a b/c")]
        {
            let parsed = RequestPath::parse(path).unwrap();
            assert!(!parsed.can_match(), "{path}");
            assert_eq!(parsed.with_single_slashes().as_deref(), Some(single), "{path}");
        }
    }

    #[test]
    fn malformed_or_ambiguous_path_names_no_file() {
        for path in [
            "/..",
            "/../a",
            "/a/../b",
            "/a/..",
            "/.",
            "/a/./b",
            "/%2e%2E/a",
            "/a/%2e",
            "/a%2fb",
            "/a%2Fb",
            "/a\\b",
            "/a%5cb",
            "/%00",
            "/a%0d%0ab",
            "/%7f",
            "/%c2%80",
            "/%",
            "/%4",
            "/%zz",
            "/a%ff",
            "/%C3",
            "//..//a",
            "//a%2fb",
        ] {
            let parsed = RequestPath::parse(path).unwrap();
            assert!(!parsed.can_match() && parsed.with_single_slashes().is_none(), "{path}");
        }
        assert_eq!(["", "a", "*"].map(RequestPath::parse), [Err(InvalidPath), Err(InvalidPath), Err(InvalidPath)]);
    }

    proptest! {
        #[test]
        fn path_that_can_match_is_that_of_a_file(path in "/([./a%\\\\]|%2e|%2f|%00|%5c|ü|u|\u{308}){0,8}") {
            let parsed = RequestPath::parse(&path).unwrap();
            if parsed.can_match() {
                prop_assert!(parsed.decoded.is_empty() || parsed.decoded.parse::<SitePath>().is_ok());
            }
            if let Some(single) = parsed.with_single_slashes() {
                prop_assert!(single.is_empty() || single.parse::<SitePath>().is_ok());
            }
        }

        #[test]
        fn arbitrary_paths_do_not_panic(path in "\\PC{0,30}") {
            let _ = RequestPath::parse(&path);
        }
    }
}
