//! Patterns of paths in redirect rules: `/blog/:slug`, `/old/*`.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;

use percent_encoding::{AsciiSet, utf8_percent_encode};

use super::encoding::MUST_ENCODE;
use super::split_path::{SplitPath, decode};
use crate::path::SitePath;
use crate::serde_text::serde_as_text;

/// The path that a redirect rule is for.
///
/// A segment is a literal, a placeholder `:name` for one segment that is not empty, or the wildcard `*` for any number of segments; the
/// wildcard may follow text in its segment, as in `/a*`. A `*` or `:` elsewhere is literal. Literals are compared decoded, in
/// Unicode normalization form C, and case-sensitively; the slash at the end of the pattern and of the path does not matter.
#[derive(Clone)]
pub struct PathPattern {
    text: Box<str>,
    segments: Box<[Segment]>,
}

/// A segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Segment {
    /// This segment, decoded. An empty one, and a dot segment, match nothing.
    Literal(Box<str>),
    /// Any segment that is not empty, captured under this name.
    Placeholder(Box<str>),
    /// Any number of segments. The first one of a pattern is captured under [`PathPattern::SPLAT`].
    Wildcard,
    /// A segment that begins with this decoded text, and any number of segments after it. What follows the text is captured as for a
    /// wildcard.
    Prefix(Box<str>),
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathPatternError {
    /// It has no leading slash.
    #[error("invalid path `{0}`: expected a leading slash")]
    Relative(String),
    /// It has a query.
    #[error("invalid path `{0}`: a query is written as `key=value` after the path")]
    Query(String),
    /// It has too many wildcards.
    #[error("invalid path `{0}`: expected at most one `*` before the last segment, and no two side by side")]
    Wildcards(String),
    /// It is longer than any path, or has more segments.
    #[error("invalid path `{0}…`: expected at most {max} bytes and {segments} segments", max = SitePath::MAX, segments = SEGMENTS_MAX)]
    TooLong(String),
    /// It has a fragment, which browsers do not send.
    #[error("invalid path `{0}`: browsers do not send what follows `#`")]
    Fragment(String),
}

/// The segments that a pattern may have: matching goes as deep.
const SEGMENTS_MAX: usize = 128;

/// Whether a pattern is longer than the path of any file, or has too many segments.
pub(super) fn is_too_long(pattern: &str) -> bool {
    pattern.len() > SitePath::MAX || pattern.split('/').count() > SEGMENTS_MAX
}

impl PathPattern {
    /// The name of what a wildcard stands for.
    pub const SPLAT: &str = "splat";

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its segments.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Whether it stands for one path.
    pub fn is_literal(&self) -> bool {
        self.segments.iter().all(|segment| matches!(segment, Segment::Literal(_)))
    }

    /// The names that it captures.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Literal(_) => None,
            Segment::Placeholder(name) => Some(&**name),
            Segment::Wildcard | Segment::Prefix(_) => Some(Self::SPLAT),
        })
    }

    /// Why it can match no path, if so.
    pub fn unmatchable(&self) -> Option<&'static str> {
        self.segments.iter().find_map(|segment| match segment {
            Segment::Literal(text) => never_matches(text),
            Segment::Placeholder(_) | Segment::Wildcard | Segment::Prefix(_) => None,
        })
    }

    /// Whether a `*` is written where it stands for nothing but itself.
    pub fn has_literal_wildcard(&self) -> bool {
        let written = self.text.split('/').skip(1).zip(&self.segments);
        written.into_iter().any(|(text, segment)| matches!(segment, Segment::Literal(_)) && text.contains('*'))
    }

    /// Paths that it matches, percent-encoded, such that a pattern that matches all of them matches whatever this one does.
    pub fn examples(&self) -> Vec<String> {
        /// A segment that no pattern names.
        const OTHER: &str = "%EE%80%80";
        /// As browsers send it, so that a location with the same segment is the same text.
        const ENCODED: &AsciiSet = &MUST_ENCODE.add(b'%').add(b'/').add(b'?');
        let encoded = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
        let mut examples = vec![String::new()];
        for segment in &self.segments {
            let ends: Vec<String> = match segment {
                Segment::Literal(text) => vec![format!("/{}", encoded(text))],
                Segment::Placeholder(_) => vec![format!("/{OTHER}")],
                Segment::Wildcard => [0, 1, 3].map(|count| format!("/{OTHER}").repeat(count)).into(),
                Segment::Prefix(text) => {
                    ["", OTHER, &format!("/{OTHER}/{OTHER}")].map(|end| format!("/{}{end}", encoded(text))).into()
                }
            };
            examples = examples.iter().flat_map(|start| ends.iter().map(move |end| format!("{start}{end}"))).collect();
        }
        examples
    }

    /// Whether something may follow its first wildcard, and end with another one.
    pub(super) fn has_two_wildcards(&self) -> bool {
        self.segments.iter().filter(|segment| segment.is_wildcard()).count() > 1
    }

    /// What it captures of `path`; `None` if it does not match. Of two ways to match, a wildcard takes as much as possible.
    ///
    /// Takes time in proportion to the path and the pattern.
    pub fn captures<'p>(&'p self, path: &SplitPath<'p>) -> Option<Captures<'p>> {
        let mut captures = Captures::default();
        let Some(at) = self.segments.iter().position(Segment::is_wildcard) else {
            let is_match = path.len() == self.segments.len() && capture_each(&self.segments, path, 0, &mut captures);
            return is_match.then_some(captures);
        };
        let (head, rest) = self.segments.split_at(at);
        let (wildcard, tail) = rest.split_first()?;
        if !capture_each(head, path, 0, &mut captures) {
            return None;
        }
        // The byte where what the wildcard stands for begins, and the first segment that may follow it.
        let (start, next) = match wildcard {
            Segment::Prefix(prefix) => (path.end_of_prefix(at, prefix)?, at + 1),
            _ => (path.start(at).unwrap_or(usize::MAX), at),
        };
        let Some((last, before)) = tail.split_last() else {
            captures.push(PathPattern::SPLAT, path.between(start, None));
            return Some(captures);
        };
        if !last.is_wildcard() {
            // All that follows it is fixed, and ends with the path.
            let end = path.len().checked_sub(tail.len()).filter(|end| *end >= next)?;
            captures.push(PathPattern::SPLAT, path.between(start, Some(end)));
            return capture_each(tail, path, end, &mut captures).then_some(captures);
        }
        let end = last_occurrence(before, last, path, next)?;
        captures.push(PathPattern::SPLAT, path.between(start, Some(end)));
        let is_match = capture_each(before, path, end, &mut captures);
        let at = end + before.len();
        let start = match last {
            Segment::Prefix(prefix) => path.end_of_prefix(at, prefix)?,
            _ => path.start(at).unwrap_or(usize::MAX),
        };
        captures.push(PathPattern::SPLAT, path.between(start, None));
        is_match.then_some(captures)
    }
}

impl Segment {
    /// Whether it may stand for any number of segments.
    pub(super) fn is_wildcard(&self) -> bool {
        matches!(self, Self::Wildcard | Self::Prefix(_))
    }
}

/// Why a literal segment matches none of a path, if so. Clients resolve dot segments, and no file has an empty one.
fn never_matches(literal: &str) -> Option<&'static str> {
    match literal {
        "" => Some("an empty segment matches nothing"),
        "." | ".." => Some("a dot segment matches nothing"),
        _ => None,
    }
}

/// Whether `pattern`, which has no wildcard, matches the segments of `path` from `at` on; `captures` gets what it captures.
fn capture_each<'p>(pattern: &'p [Segment], path: &SplitPath<'p>, at: usize, captures: &mut Captures<'p>) -> bool {
    pattern.iter().zip(at..).all(|(segment, at)| match segment {
        Segment::Literal(text) => path.decoded(at) == Some(text) && never_matches(text).is_none(),
        Segment::Placeholder(name) => match path.raw(at).filter(|raw| !raw.is_empty()) {
            Some(raw) => {
                captures.push(name, raw);
                true
            }
            None => false,
        },
        Segment::Wildcard | Segment::Prefix(_) => false,
    })
}

/// The last segment from `next` on at which `pattern`, which has no wildcard, matches, before what `last` matches.
///
/// Compares all places at once, a bit for each (Shift-And): a pattern has at most as many segments as there are bits.
fn last_occurrence(pattern: &[Segment], last: &Segment, path: &SplitPath<'_>, next: usize) -> Option<usize> {
    const { assert!(SEGMENTS_MAX <= 128, "a bit for each segment") };
    let mut literals: HashMap<&str, u128> = HashMap::new();
    let mut placeholders = 0;
    for (segment, bit) in pattern.iter().zip((0..128).map(|place| 1_u128 << place)) {
        match segment {
            Segment::Literal(text) => *literals.entry(text).or_default() |= bit,
            _ => placeholders |= bit,
        }
    }
    let whole = 1_u128 << pattern.len().checked_sub(1)?;
    let (mut matched, mut found) = (0_u128, None);
    for at in next..path.len() {
        let segment = path.decoded(at)?;
        let possible = literals.get(segment).copied().unwrap_or(0) | if segment.is_empty() { 0 } else { placeholders };
        matched = ((matched << 1) | 1) & possible;
        let follows = || match last {
            Segment::Prefix(prefix) => path.decoded(at + 1).is_some_and(|segment| segment.starts_with(&**prefix)),
            _ => true,
        };
        if matched & whole != 0 && follows() {
            found = Some(at + 1 - pattern.len());
        }
    }
    found
}

impl FromStr for PathPattern {
    type Err = PathPatternError;

    fn from_str(text: &str) -> Result<Self, PathPatternError> {
        let error = |kind: fn(String) -> PathPatternError| Err(kind(text.to_owned()));
        let Some(path) = text.strip_prefix('/') else { return error(PathPatternError::Relative) };
        if path.contains('?') {
            return error(PathPatternError::Query);
        }
        if path.contains('#') {
            return error(PathPatternError::Fragment);
        }
        if is_too_long(path) {
            return Err(PathPatternError::TooLong(text.chars().take(60).collect()));
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        let count = if path.is_empty() { 0 } else { path.split('/').count() };
        let segments = path.split('/').take(count).map(|segment| {
            let name = segment.strip_prefix(':').filter(|name| !name.is_empty());
            match (segment, name) {
                ("*", _) => Segment::Wildcard,
                (_, Some(name)) => Segment::Placeholder(name.into()),
                _ => match segment.strip_suffix('*').filter(|prefix| !prefix.contains('*')) {
                    Some(prefix) => Segment::Prefix(decode(prefix).into()),
                    None => Segment::Literal(decode(segment).into()),
                },
            }
        });
        let segments: Box<[Segment]> = segments.collect();
        let before_last = segments.split_last().map_or(&[][..], |(_, before)| before);
        let are_side_by_side = segments.windows(2).any(|pair| pair.iter().all(Segment::is_wildcard));
        if are_side_by_side || before_last.iter().filter(|segment| segment.is_wildcard()).count() > 1 {
            return error(PathPatternError::Wildcards);
        }
        Ok(Self { text: text.into(), segments })
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Debug for PathPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for PathPattern {}

serde_as_text!(PathPattern);

/// What a rule captured of a request: names with texts, percent-encoded as in the request.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Captures<'a>(Vec<(&'a str, Cow<'a, str>)>);

impl<'a> Captures<'a> {
    pub(super) fn push(&mut self, name: &'a str, text: impl Into<Cow<'a, str>>) {
        self.0.push((name, text.into()));
    }

    /// The first text of this name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(captured, _)| *captured == name).map(|(_, text)| &**text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Tries all ways to match, those first in which a wildcard takes much.
    fn captures_by_trying<'p>(
        pattern: &'p [Segment],
        path: &SplitPath<'p>,
        at: usize,
        captures: &mut Captures<'p>,
    ) -> bool {
        let Some((first, rest)) = pattern.split_first() else { return at == path.len() };
        let (start, next) = match first {
            Segment::Literal(text) => {
                return path.decoded(at) == Some(text) && captures_by_trying(rest, path, at + 1, captures);
            }
            Segment::Placeholder(name) => {
                let Some(raw) = path.raw(at).filter(|raw| !raw.is_empty()) else { return false };
                captures.push(name, raw);
                return captures_by_trying(rest, path, at + 1, captures);
            }
            Segment::Wildcard => (path.start(at).unwrap_or(usize::MAX), at),
            Segment::Prefix(prefix) => match path.end_of_prefix(at, prefix) {
                Some(start) => (start, at + 1),
                None => return false,
            },
        };
        if rest.is_empty() {
            captures.push(PathPattern::SPLAT, path.between(start, None));
            return true;
        }
        (next..=path.len()).rev().any(|end| {
            let before = captures.0.len();
            captures.push(PathPattern::SPLAT, path.between(start, Some(end)));
            captures_by_trying(rest, path, end, captures) || {
                captures.0.truncate(before);
                false
            }
        })
    }

    proptest! {
        #[test]
        fn one_pass_captures_what_trying_all_ways_captures(
            pattern in "/((a|b|:x|\\*|a\\*)(/(a|b|:y)){1,3}(/\\*|/a\\*|/:z/)?)?",
            path in "/{1,2}((a|b|ab|%61)/?){0,7}",
        ) {
            let pattern: PathPattern = pattern.parse().unwrap();
            let path = SplitPath::new(&path);
            let mut expected = Captures::default();
            let expected = captures_by_trying(&pattern.segments, &path, 0, &mut expected).then_some(expected);
            prop_assert_eq!(pattern.captures(&path), expected, "{} {:?}", pattern, path);
        }
    }

    fn captured(pattern: &str, path: &str, name: &str) -> Option<String> {
        let pattern: PathPattern = pattern.parse().unwrap();
        let path = SplitPath::new(path);
        pattern.captures(&path).map(|captures| captures.get(name).unwrap_or_default().to_owned())
    }

    #[test]
    fn literal_pattern_matches_the_decoded_path_with_or_without_last_slash() {
        for (pattern, path) in [
            ("/a", "/a"),
            ("/a", "/a/"),
            ("/a/", "/a"),
            ("/", "/"),
            ("/ü", "/%C3%BC"),
            ("/%C3%BC", "/ü"),
            ("/%61", "/a"),
        ] {
            assert!(captured(pattern, path, "").is_some(), "{pattern} {path}");
        }
        for (pattern, path) in
            [("/a", "/A"), ("/a", "/"), ("/a", "/a//"), ("/a", "//a"), ("/", "/a"), ("/a/b", "/a%2Fb")]
        {
            assert!(captured(pattern, path, "").is_none(), "{pattern} {path}");
        }
    }

    #[test]
    fn placeholder_captures_one_segment_as_requested() {
        assert_eq!(captured("/:a/x", "/q%20r/x/", "a").unwrap(), "q%20r");
        assert_eq!(captured("/:a/:b", "/1/2", "b").unwrap(), "2");
        assert_eq!(captured("/:id.html", "/1.html", "id.html").unwrap(), "1.html");
        for (pattern, path) in
            [("/:a", "/"), ("/:a/:b", "/1"), ("/:a", "/1/2"), ("/x-:a", "/x-1"), ("/:", "/1"), ("/:a/b", "//b")]
        {
            assert_eq!(captured(pattern, path, "a"), None, "{pattern} {path}");
        }
    }

    #[test]
    fn wildcard_captures_any_number_of_segments() {
        for (pattern, path, splat) in [
            ("/n/*", "/n", ""),
            ("/n/*", "/n/", ""),
            ("/n/*", "/n/x/y/", "x/y/"),
            ("/n/*", "/n//x", "/x"),
            ("/n/*", "/n/%2F", "%2F"),
            ("/*", "/", ""),
            ("/a/*/b", "/a/b", ""),
            ("/a/*/b", "/a/x/y/b/", "x/y"),
            ("/a/*/b", "/a/b/b", "b"),
            ("/a/*/b/*", "/a/x/b/y/b/z", "x/b/y"),
            ("/*/:x", "/a/b/c", "a/b"),
            ("/a*", "/abc", "bc"),
            ("/a*", "/a/b/c", "b/c"),
            ("/a*", "/ab/", "b/"),
            ("/%C3%BC*", "/%c3%bcx/y", "x/y"),
            ("/a*/b", "/ax/y/b", "x/y"),
            ("/a*/b", "/a/b", ""),
            ("/a*/b", "/a/x/b/", "x"),
            ("/p/a*/b/*", "/p/ax/b/c", "x"),
            ("/a*/:x", "/a/b/c", "b"),
        ] {
            assert_eq!(captured(pattern, path, "splat").as_deref(), Some(splat), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("/n/*", "/nx"),
            ("/a/*/b", "/a/x/bb"),
            ("/j/*.html", "/j/x.html"),
            ("/a*", "/b"),
            ("/*/:x", "/"),
            ("/a*/b", "/axb"),
            ("/a*/b", "/a"),
        ] {
            assert_eq!(captured(pattern, path, "splat"), None, "{pattern} {path}");
        }
    }

    #[test]
    fn pattern_that_can_match_nothing_is_known() {
        let unmatchable = |text: &str| text.parse::<PathPattern>().unwrap().unmatchable().is_some();
        assert!(["/a//b", "//h/x", "/c//", "/a/../b", "/x/.", "/%2e/*", "/*//b/*"].into_iter().all(unmatchable));
        assert!(!["/", "/*", "/a*", "/.*", "/...", "/:a/b", "/a/*/b/*"].into_iter().any(unmatchable));
        for (pattern, path) in
            [("/a//b", "/a//b"), ("//h/x", "//h/x"), ("/c//", "/c//"), ("/a/../b", "/a/../b"), ("/*//b/*", "/a//b/c")]
        {
            assert_eq!(captured(pattern, path, ""), None, "{pattern} {path}");
        }
        assert_eq!(captured("/.*", "/.a/b", "splat").as_deref(), Some("a/b"));
    }

    #[test]
    fn wildcard_that_stands_for_itself_is_known() {
        let has_one = |text: &str| text.parse::<PathPattern>().unwrap().has_literal_wildcard();
        assert!(["/j/*.html", "/a**", "/a*b/c", "/x/*y"].into_iter().all(has_one));
        assert!(!["/", "/*", "/a*", "/a%2Ab", "/a%2A*", "/:a*"].into_iter().any(has_one));
    }

    #[test]
    fn invalid_pattern_is_rejected() {
        let error = |text: &str| text.parse::<PathPattern>().unwrap_err();
        assert!(matches!(error("a"), PathPatternError::Relative(_)));
        assert!(matches!(error(""), PathPatternError::Relative(_)));
        assert!(matches!(error("/a?b=c"), PathPatternError::Query(_)));
        assert!(matches!(error("/a#b"), PathPatternError::Fragment(_)));
        assert!(matches!(error(&"/a".repeat(129)), PathPatternError::TooLong(_)));
        assert!(matches!(error(&format!("/{}", "a".repeat(1025))), PathPatternError::TooLong(_)));
        for wildcards in ["/*/a/*/b", "/*/*", "/a*/*", "/a*/b/*/c"] {
            assert!(matches!(error(wildcards), PathPatternError::Wildcards(_)), "{wildcards}");
        }
    }
}
