//! The path of a request (RFC 3986 §3.3), percent-decoded once.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use verge_protocol::SitePath;

/// The path is malformed or ambiguous, so it is not looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid path: expected percent-encoded UTF-8 without dot segments, encoded slashes, backslashes and control characters"
)]
pub(crate) struct InvalidPath;

/// The path of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestPath<'a> {
    /// Without leading and trailing slash; empty for the root. Contains no dot segments, control characters or backslashes.
    pub(crate) decoded: Cow<'a, str>,
    /// Whether it ended with a slash; true for the root.
    pub(crate) has_trailing_slash: bool,
    /// Whether no file can have this path: a segment other than the last is empty, or it is too long.
    pub(crate) unmatchable: bool,
}

impl<'a> RequestPath<'a> {
    /// Parses the path of a request's URI, which starts with a slash.
    pub(crate) fn parse(path: &'a str) -> Result<Self, InvalidPath> {
        let path = path.strip_prefix('/').ok_or(InvalidPath)?;
        let raw = path.strip_suffix('/');
        let has_trailing_slash = raw.is_some() || path.is_empty();
        let raw = raw.unwrap_or(path);
        let decoded = decode(raw)?;
        let has_empty_segment = decoded.starts_with('/') || decoded.ends_with('/') || decoded.contains("//");
        let unmatchable = has_empty_segment || decoded.len() > SitePath::MAX;
        let is_forbidden = |character: char| character.is_control() || character == '\\';
        if decoded.contains(is_forbidden) || decoded.split('/').any(|segment| segment == "." || segment == "..") {
            return Err(InvalidPath);
        }
        let unmatchable = unmatchable || (raw.is_empty() && !path.is_empty());
        Ok(Self { decoded, has_trailing_slash, unmatchable })
    }
}

fn decode(raw: &str) -> Result<Cow<'_, str>, InvalidPath> {
    let mut rest = raw.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        match rest.get(at + 1..at + 3) {
            // Decoded, it would be indistinguishable from a separator.
            Some([b'2', b'f' | b'F']) => return Err(InvalidPath),
            Some([high, low]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest = &rest[at + 3..],
            _ => return Err(InvalidPath),
        }
    }
    percent_decode_str(raw).decode_utf8().map_err(|_| InvalidPath)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(path: &str) -> (String, bool, bool) {
        let parsed = RequestPath::parse(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        (parsed.decoded.into_owned(), parsed.has_trailing_slash, parsed.unmatchable)
    }

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
            assert_eq!(parse(path), (decoded.to_owned(), has_trailing_slash, false), "{path}");
        }
    }

    #[test]
    fn path_with_an_empty_segment_is_unmatchable() {
        for path in ["//", "//a", "/a//", "/a//b", "///"] {
            assert!(RequestPath::parse(path).unwrap().unmatchable, "{path}");
        }
    }

    #[test]
    fn malformed_or_ambiguous_path_is_invalid() {
        for path in [
            "",
            "a",
            "*",
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
        ] {
            assert_eq!(RequestPath::parse(path), Err(InvalidPath), "{path}");
        }
    }

    proptest! {
        #[test]
        fn parsed_path_is_a_site_path_or_unmatchable(path in "/([./a%\\\\]|%2e|%2f|%00|%5c|ü){0,8}") {
            if let Ok(parsed) = RequestPath::parse(&path) {
                prop_assert!(parsed.unmatchable || parsed.decoded.is_empty() || parsed.decoded.parse::<SitePath>().is_ok());
            }
        }

        #[test]
        fn arbitrary_paths_do_not_panic(path in "\\PC{0,30}") {
            let _ = RequestPath::parse(&path);
        }
    }
}
