//! Which path a request asks for (RFC 3986 §3.3): split into segments, decoded once.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use verge_protocol::SitePath;

/// A path that is not looked up in anything: it could be read in two ways, or hides something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the path has dot segments, an encoded slash, a backslash, control characters, or is not percent-encoded UTF-8"
)]
pub(crate) struct BadPath;

/// A path, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    /// Without slashes at its ends; empty for the root. Neither dot segments nor control characters nor backslashes are in
    /// it, so what is looked up is what the reader meant.
    pub(crate) path: Cow<'a, str>,
    /// Whether a slash stood at its end. The root's counts.
    pub(crate) slash: bool,
    /// Whether no file has such a path: a segment other than the last is empty, or it is too long.
    pub(crate) hollow: bool,
}

impl<'a> Target<'a> {
    /// Reads the path of a request's URI, which starts with a slash.
    pub(crate) fn read(path: &'a str) -> Result<Self, BadPath> {
        let path = path.strip_prefix('/').ok_or(BadPath)?;
        let raw = path.strip_suffix('/');
        let slash = raw.is_some() || path.is_empty();
        let raw = raw.unwrap_or(path);
        let decoded = decode(raw)?;
        let empty_segment = decoded.starts_with('/') || decoded.ends_with('/') || decoded.contains("//");
        let hollow = empty_segment || decoded.len() > SitePath::MAX;
        let hidden = |character: char| character.is_control() || character == '\\';
        if decoded.contains(hidden) || decoded.split('/').any(|segment| segment == "." || segment == "..") {
            return Err(BadPath);
        }
        Ok(Self { path: decoded, slash, hollow: hollow || (raw.is_empty() && !path.is_empty()) })
    }
}

fn decode(raw: &str) -> Result<Cow<'_, str>, BadPath> {
    let mut rest = raw.as_bytes();
    while let Some(at) = rest.iter().position(|byte| *byte == b'%') {
        match rest.get(at + 1..at + 3) {
            // A slash that is part of a name would look like one that parts names, once decoded.
            Some([b'2', b'f' | b'F']) => return Err(BadPath),
            Some([high, low]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => rest = &rest[at + 3..],
            _ => return Err(BadPath),
        }
    }
    percent_decode_str(raw).decode_utf8().map_err(|_| BadPath)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(path: &str) -> (String, bool, bool) {
        let target = Target::read(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        (target.path.into_owned(), target.slash, target.hollow)
    }

    #[test]
    fn paths_are_decoded_once() {
        for (path, decoded, slash) in [
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
            assert_eq!(read(path), (decoded.to_owned(), slash, false), "{path}");
        }
    }

    #[test]
    fn a_doubled_slash_names_no_file() {
        for path in ["//", "//a", "/a//", "/a//b", "///"] {
            assert!(Target::read(path).unwrap().hollow, "{path}");
        }
    }

    #[test]
    fn what_could_mislead_is_refused() {
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
            assert_eq!(Target::read(path), Err(BadPath), "{path}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_a_site_path_or_names_no_file(path in "/([./a%\\\\]|%2e|%2f|%00|%5c|ü){0,8}") {
            if let Ok(target) = Target::read(&path) {
                prop_assert!(target.hollow || target.path.is_empty() || target.path.parse::<SitePath>().is_ok());
            }
        }

        #[test]
        fn arbitrary_paths_never_panic(path in "\\PC{0,30}") {
            let _ = Target::read(&path);
        }
    }
}
