//! Where a redirect rule leads: a path of the site, or a URL, with what the rule captured.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::{AsciiSet, utf8_percent_encode};

use super::encoding::MUST_ENCODE;
use super::origin::Origin;
use super::path_pattern::{Captures, PathPattern, Segment};
use super::split_path::{SplitPath, decode};
use super::target_paths::{Piece, TargetPaths};

/// The target of a redirect rule, parsed for the names that the rule captures.
///
/// A name stands for what was captured in path, query and fragment, never in the host: a request cannot choose the host of a redirect.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    text: Box<str>,
    /// `None`: that of the request.
    origin: Option<Origin>,
    path: Box<[Piece]>,
    query: Option<Box<[Piece]>>,
    fragment: Option<Box<[Piece]>>,
}

/// Why a text is no target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It begins neither with one slash nor with a scheme.
    #[error(
        "invalid target `{0}`: expected a path that begins with one `/`, or a URL that begins with `https://` or `http://`"
    )]
    Start(String),
    /// It is too long, or has too many placeholders.
    #[error("invalid target `{0}…`: expected at most {TARGET_MAX} bytes and {CAPTURES_MAX} placeholders")]
    TooLong(String),
    /// The host is invalid.
    #[error("invalid target `{0}`: expected a host name, without placeholders or user")]
    Host(String),
}

/// The length of a target, in bytes.
const TARGET_MAX: usize = 2048;

/// Besides, clients encode an apostrophe in a query (URL Standard §1.3, "special-query percent-encode set").
const MUST_ENCODE_IN_QUERY: &AsciiSet = &MUST_ENCODE.add(b'\'');

/// The placeholders of a target: each may stand for a text as long as a request.
const CAPTURES_MAX: usize = 16;

impl Target {
    /// Parses `text`. The rule captures `names`; a name of the text that is longer than one of them, such as `:ids`, is that one and a
    /// literal rest, and a name that is not among them is literal.
    pub fn parse<'n>(text: &str, names: impl Iterator<Item = &'n str>) -> Result<Self, TargetError> {
        let too_long = || TargetError::TooLong(text.chars().take(60).collect());
        if text.len() > TARGET_MAX {
            return Err(too_long());
        }
        let mut names: Vec<&str> = names.collect();
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        let (rest, fragment) = text.split_once('#').map_or((text, None), |(rest, fragment)| (rest, Some(fragment)));
        let (rest, query) = rest.split_once('?').map_or((rest, None), |(rest, query)| (rest, Some(query)));
        let (origin, path) = match split_scheme(rest) {
            Some((scheme, rest)) => {
                let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
                let origin = Origin::parse(scheme, authority).ok_or_else(|| TargetError::Host(text.to_owned()))?;
                (Some(origin), path)
            }
            None if rest.starts_with('/') && !rest.starts_with("//") && !rest.starts_with("/\\") => (None, rest),
            None => return Err(TargetError::Start(text.to_owned())),
        };
        let may_be_capture = |segment: &str| segment.contains(':') || is_dot_segment(segment);
        let path = normalized(if path.is_empty() { "/" } else { path }, |segment| !may_be_capture(segment));
        let path = pieces(&path, &names, MUST_ENCODE);
        let query = query.map(|query| pieces(query, &names, MUST_ENCODE_IN_QUERY));
        let fragment = fragment.map(|fragment| pieces(fragment, &names, MUST_ENCODE));
        let all = path.iter().chain(query.iter().flatten()).chain(fragment.iter().flatten());
        let captures = all.filter(|piece| matches!(piece, Piece::Capture(_)));
        if captures.count() > CAPTURES_MAX {
            return Err(too_long());
        }
        Ok(Self { text: text.into(), origin, path, query, fragment })
    }

    /// The target as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Scheme, host and port; `None`: those of the request.
    pub fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// Whether path or query depend on what the rule captures.
    pub fn has_captures(&self) -> bool {
        let is_capture = |piece: &Piece| matches!(piece, Piece::Capture(_));
        self.path.iter().chain(self.query.iter().flatten()).any(is_capture)
    }

    /// Whether the path depends on what the rule captures under `name`.
    pub(super) fn has_in_path(&self, name: &str) -> bool {
        self.path.iter().any(|piece| matches!(piece, Piece::Capture(captured) if **captured == *name))
    }

    /// The names on which the path depends, each as often as it is put in.
    pub(super) fn names_in_path(&self) -> impl Iterator<Item = &str> {
        self.path.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Capture(name) => Some(&**name),
        })
    }

    /// Whether `text`, percent-encoded and without a slash, may be a dot segment of the path, or part of one, where it is put in for `name`.
    pub(super) fn may_make_dot_segment(&self, name: &str, text: &str) -> bool {
        // Those of `%2e` and its like.
        if !text.bytes().all(|byte| b".%2eE".contains(&byte)) {
            return false;
        }
        let mut put_in = self.path.iter().enumerate().filter(|(_, piece)| piece.is_capture_of(name));
        is_dot_segment(text) || !put_in.all(|(index, _)| self.is_whole_segment(index))
    }

    /// Whether nothing else is in a segment with the piece of the path at `index`.
    fn is_whole_segment(&self, index: usize) -> bool {
        let before = index.checked_sub(1).and_then(|before| self.path.get(before));
        before.is_some_and(|piece| matches!(piece, Piece::Text(text) if text.ends_with('/')))
            && self.path.get(index + 1).is_none_or(Piece::starts_segment)
    }

    /// Whether its path has fewer segments than each path that `from` matches, whatever is captured; empty ones do not count. It may be so
    /// although `false` is said.
    pub(super) fn is_shorter_than(&self, from: &PathPattern) -> bool {
        let has_wildcard = from.segments().iter().any(Segment::is_wildcard);
        // What a wildcard stands for has as many segments in the one as in the other, if it is put in once, and by itself.
        let is_splat = |name: &str| has_wildcard && name == PathPattern::SPLAT;
        let mut splats =
            self.path.iter().enumerate().filter(|(_, piece)| has_wildcard && piece.is_capture_of(PathPattern::SPLAT));
        if splats.next().is_some_and(|(index, _)| !self.is_whole_segment(index)) || splats.next().is_some() {
            return false;
        }
        let of_request = from.segments().iter().filter(|segment| match segment {
            Segment::Literal(text) => !text.is_empty(),
            Segment::Placeholder(name) => !is_splat(name),
            // What is captured may be a part of it.
            Segment::Wildcard | Segment::Prefix(_) => false,
        });
        let mut path = String::new();
        for piece in &self.path {
            match piece {
                Piece::Text(text) => path.push_str(text),
                Piece::Capture(name) if is_splat(name) => {}
                Piece::Capture(_) => path.push('x'),
            }
        }
        let of_target = path.split('/').filter(|segment| !segment.is_empty());
        of_target.count() < of_request.count()
    }

    /// The number of texts and placeholders that it consists of. Each is kept in memory by itself, those of the path a few times.
    pub fn pieces(&self) -> usize {
        let of = |part: &Option<Box<[Piece]>>| part.as_ref().map_or(0, |pieces| pieces.len());
        self.path.len() + of(&self.query) + of(&self.fragment)
    }

    /// The paths that it can be for the rule with the path pattern `from`, if they depend on what is captured.
    pub(super) fn paths(&self, from: &PathPattern) -> Option<TargetPaths> {
        let is_capture = |piece: &Piece| matches!(piece, Piece::Capture(_));
        self.path.iter().any(is_capture).then(|| {
            let is_segment = |name: &str| name != PathPattern::SPLAT && from.names().any(|known| known == name);
            if without_captures(&self.path).split('/').any(is_dot_segment) {
                return TargetPaths::all();
            }
            TargetPaths::new(&self.path, is_segment)
        })
    }

    /// Paths that it is for requests of the rule with the path pattern `from`.
    pub(super) fn examples(&self, from: &PathPattern) -> Vec<String> {
        let path = |request: &String| {
            let request = SplitPath::new(request);
            from.captures(&request).map(|captures| self.path(&captures))
        };
        from.examples().iter().filter_map(path).collect()
    }

    /// The bytes of path and query before captures are encoded and slashes made one; without a query that is passed on.
    pub(super) fn length(&self, captures: &Captures<'_>) -> usize {
        let length = |piece: &Piece| match piece {
            Piece::Text(literal) => literal.len(),
            Piece::Capture(name) => captures.get(name).map_or(0, str::len),
        };
        self.path.iter().chain(self.query.iter().flatten()).map(length).sum()
    }

    /// Whether something captured becomes a dot segment of the path, by itself or with what is beside it.
    ///
    /// Takes time in proportion to what is captured, not to the path that it would make: only the ends of a capture can be in one segment with
    /// something else.
    pub(super) fn captures_dot_segment(&self, captures: &Captures<'_>) -> bool {
        // The segment at hand, as far as it may be one of dots, and whether something captured is in it.
        let (mut segment, mut is_captured) = (String::new(), false);
        for (index, piece) in self.path.iter().enumerate() {
            let (text, is_capture) = match piece {
                Piece::Text(literal) => (&**literal, false),
                Piece::Capture(name) => (captures.get(name).unwrap_or_default(), true),
            };
            let (end, after) = text.split_once('/').map_or((text, None), |(end, after)| (end, Some(after)));
            if segment.len() <= DOT_SEGMENT_MAX {
                segment.push_str(end);
            }
            is_captured |= is_capture && !end.is_empty();
            let Some(after) = after else { continue };
            if is_captured && is_dot_segment(&segment) {
                return true;
            }
            let (whole, start) = after.rsplit_once('/').map_or(("", after), |(whole, start)| (whole, start));
            let is_first = || !self.path[..index].contains(piece);
            if is_capture && is_first() && whole.split('/').any(is_dot_segment) {
                return true;
            }
            segment.clear();
            segment.push_str(start);
            is_captured = is_capture && !start.is_empty();
        }
        is_captured && is_dot_segment(&segment)
    }

    /// The path, percent-encoded. It begins with one slash, and has no empty segment but the last. Nor has it dot segments: a client takes them
    /// out of a location (URL Standard §4.4).
    pub fn path(&self, captures: &Captures<'_>) -> String {
        normalized(&expand(&self.path, captures, MUST_ENCODE), |_| true).into_owned()
    }

    /// The query, percent-encoded; `None`: it has none.
    pub fn query(&self, captures: &Captures<'_>) -> Option<String> {
        self.query.as_ref().map(|query| expand(query, captures, MUST_ENCODE_IN_QUERY))
    }

    /// The whole location. The query of the request is passed on only if the target has none.
    ///
    /// Without an origin it begins with one slash, so that it leads to the host of the request.
    pub fn location(&self, captures: &Captures<'_>, request_query: Option<&str>) -> String {
        let mut location = self.origin.as_ref().map(Origin::as_str).unwrap_or_default().to_owned();
        location.push_str(&self.path(captures));
        let passed_on = || request_query.map(|query| utf8_percent_encode(query, MUST_ENCODE).to_string());
        if let Some(query) = self.query(captures).or_else(passed_on) {
            location.push('?');
            location.push_str(&query);
        }
        if let Some(fragment) = &self.fragment {
            location.push('#');
            location.push_str(&expand(fragment, captures, MUST_ENCODE));
        }
        location
    }
}

fn split_scheme(text: &str) -> Option<(&'static str, &str)> {
    ["https", "http"].into_iter().find_map(|scheme| {
        let (start, rest) = (text.get(..scheme.len())?, text.get(scheme.len()..)?);
        Some((scheme, rest.strip_prefix("://").filter(|_| start.eq_ignore_ascii_case(scheme))?))
    })
}

/// Splits `text` at the longest of `names`, which are ordered by length, after each colon.
fn pieces(text: &str, names: &[&str], must_encode: &'static AsciiSet) -> Box<[Piece]> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let captured = rest.strip_prefix(':').and_then(|rest| names.iter().find(|name| rest.starts_with(**name)));
        if let Some(name) = captured {
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal).into()));
            }
            pieces.push(Piece::Capture((*name).into()));
            rest = &rest[1 + name.len()..];
        } else {
            literal.extend(utf8_percent_encode(character.encode_utf8(&mut [0; 4]), must_encode));
            rest = &rest[character.len_utf8()..];
        }
    }
    if !literal.is_empty() {
        pieces.push(Piece::Text(literal.into()));
    }
    pieces.into()
}

fn expand(pieces: &[Piece], captures: &Captures<'_>, must_encode: &'static AsciiSet) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(literal) => text.push_str(literal),
            Piece::Capture(name) => {
                text.extend(utf8_percent_encode(captures.get(name).unwrap_or_default(), must_encode));
            }
        }
    }
    text
}

fn without_captures(pieces: &[Piece]) -> String {
    let text = |piece: &Piece| match piece {
        Piece::Text(literal) => literal.to_string(),
        Piece::Capture(_) => String::new(),
    };
    pieces.iter().map(text).collect()
}

/// The length of the longest dot segment, in bytes: `%2e%2e`.
const DOT_SEGMENT_MAX: usize = 6;

/// Whether `segment`, percent-encoded, stands for its own folder or for the one above (URL Standard §4.1, "single-dot" and "double-dot URL path
/// segment").
fn is_dot_segment(segment: &str) -> bool {
    let dot = |text: &str| -> Option<usize> {
        ["%2e", "%2E", "."].into_iter().find(|dot| text.starts_with(dot)).map(str::len)
    };
    let after = dot(segment).map(|length| &segment[length..]);
    after.is_some_and(|rest| rest.is_empty() || dot(rest) == Some(rest.len()))
}

/// `path` without empty segments, but for the last, and without dot segments. One that stands for the folder above a segment that is not
/// `known` stays.
fn normalized(path: &str, known: impl Fn(&str) -> bool) -> Cow<'_, str> {
    if !path.contains("//") && !path.split('/').any(is_dot_segment) {
        return path.into();
    }
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        let is_dots = is_dot_segment(segment);
        if is_dots && decode(segment) == "." {
            continue;
        }
        if !is_dots || segments.last().is_some_and(|last| !known(last)) {
            segments.push(segment);
        } else {
            segments.pop();
        }
    }
    let ends_as_folder = path.rsplit('/').next().is_some_and(|last| last.is_empty() || is_dot_segment(last));
    let slash = if ends_as_folder && !segments.is_empty() { "/" } else { "" };
    format!("/{}{slash}", segments.join("/")).into()
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn location(from: &str, to: &str, path: &str, query: Option<&str>) -> String {
        let from: PathPattern = from.parse().unwrap();
        let target = Target::parse(to, from.names()).unwrap();
        target.location(&from.captures(&SplitPath::new(path)).unwrap(), query)
    }

    #[test]
    fn captured_texts_are_put_in() {
        for (from, to, path, expected) in [
            ("/n/*", "/m/:splat", "/n/x/y/", "/m/x/y/"),
            ("/b/*", "/x/:splat/y", "/b", "/x/y"),
            ("/b/*", "/x?p=:splat&q=2", "/b/a/c", "/x?p=a/c&q=2"),
            ("/:a/:b", "/m/:b/:a", "/1/2", "/m/2/1"),
            ("/:a/:ab", "/x/:ab/:a", "/1/2", "/x/2/1"),
            ("/:x", "/q/:y/:x/:xx", "/1", "/q/:y/1/1x"),
            ("/:a-b", "/m/:a-b", "/1", "/m/1"),
            ("/a/*", "https://x.example:81/:splat", "/a/b", "https://x.example:81/b"),
            ("/a", "HTTPS://X.Example", "/a", "https://x.example/"),
            ("/wiki/*", "/w/Help:Contents", "/wiki/", "/w/Help:Contents"),
            ("/a", "/ü b", "/a", "/%C3%BC%20b"),
            ("/a/*", "/p?q=it's:splat#/:splat", "/a/b's", "/p?q=it%27sb%27s#/b's"),
            ("/a/:b", "https://a.example/#sec-:b x", "/a/c", "https://a.example/#sec-c%20x"),
            ("/a/*", "/x/../:splat", "/a/b", "/b"),
            ("/a/*", "/../.././x/%2e%2E/:splat/.", "/a/b/c", "/b/c/"),
            ("/a/*", "/x/:splat/..", "/a/b/c/", "/x/b/"),
            ("/a/*", "/.:splat/..", "/a/well", "/"),
            ("/a/*", "/.../:splat.", "/a/b", "/.../b."),
            ("/:a/:b", "/:a/../:b/../../x", "/1/2", "/x"),
        ] {
            assert_eq!(location(from, to, path, None), expected, "{from} {to}");
        }
    }

    #[test]
    fn query_of_the_request_is_passed_on_if_the_target_has_none() {
        assert_eq!(location("/a", "/b", "/a", Some("x=\"1\"")), "/b?x=%221%22");
        assert_eq!(location("/a", "/b#c", "/a", Some("x=1")), "/b?x=1#c");
        assert_eq!(location("/a", "/b?y=2", "/a", Some("x=1")), "/b?y=2");
        assert_eq!(location("/a", "/b?", "/a", Some("x=1")), "/b?");
    }

    #[test]
    fn captured_text_cannot_choose_the_host() {
        for path in ["/n//evil.example", "/n///evil.example/", "/n/\\evil.example", "/n/%2F%2Fevil.example", "/n/@evil"]
        {
            let location = location("/n/*", "/:splat", path, None);
            assert!(location.starts_with('/') && !location.starts_with("//") && !location.contains('\\'), "{location}");
        }
        assert_eq!(
            location("/n/*", "https://a.example/:splat", "/n//evil.example", None),
            "https://a.example/evil.example"
        );
    }

    #[test]
    fn captured_dot_segment_is_found_with_what_is_beside_it() {
        let captures_dot_segment = |from: &str, to: &str, path: &str| {
            let from: PathPattern = from.parse().unwrap();
            let target = Target::parse(to, from.names()).unwrap();
            target.captures_dot_segment(&from.captures(&SplitPath::new(path)).unwrap())
        };
        for (from, to, path) in [
            ("/f/:a", "/x/:a/y", "/f/.."),
            ("/f/:a", "/x/:a/y", "/f/%2e."),
            ("/f/:a", "/x/:a", "/f/."),
            ("/f/:a", "/x/.:a/y", "/f/%2E"),
            ("/f/:a", "/x/.%:a/y", "/f/2e"),
            ("/f/:a", "/x/%:a", "/f/2E"),
            ("/f/:a", "/x/%2:a.", "/f/e"),
            ("/:a/:b", "/x/%:a:b", "/2/e"),
            ("/f/*", "/x/:splat/y", "/f/a/../b"),
            ("/f/*", "/x/:splat", "/f/a/.."),
            ("/f/*", "/x/:splat/:splat", "/f/../a"),
            ("/f/*", "/x/.:splat", "/f/./a"),
            ("/f/*", "/x/:splat.", "/f/a/%2e"),
            ("/f/*", "/x/%:splat:splat", "/f/2e/."),
            ("/f/*", "/:splat:splat", "/f/./x/."),
        ] {
            assert!(captures_dot_segment(from, to, path), "{from} {to} {path}");
        }
        for (from, to, path) in [
            ("/f/:a", "/x/../:a/./y", "/f/b"),
            ("/f/:a", "/x/:a", "/f/..."),
            ("/f/:a", "/x/:a..", "/f/b"),
            ("/f/:a", "/x/.%:a", "/f/2f"),
            ("/f/*", "/x/.:splat./y", "/f"),
            ("/f/*", "/x/.:splat/y", "/f/"),
            ("/f/*", "/x/:splat", "/f/a/.../..b/%2e%2e%2e/c"),
            ("/f/*", "/x/?y=:splat", "/f/../a"),
        ] {
            assert!(!captures_dot_segment(from, to, path), "{from} {to} {path}");
        }
    }

    proptest! {
        /// Of a segment in which something is captured, each is found.
        #[test]
        fn captured_dot_segment_is_found_as_in_the_whole_path(
            to in "(/|:a|:splat|\\.|%|2e|x){0,9}", path in "/(x|\\.|%|2e|2E){1,2}(/?(\\.|%|2e|x)){0,6}",
        ) {
            // Each capture is marked by a byte that no path has.
            let from: PathPattern = "/:a/*".parse().unwrap();
            let target = Target::parse(&format!("/x{to}"), from.names()).unwrap();
            let split = SplitPath::new(&path);
            let captures = from.captures(&split).unwrap();
            let marked = |piece: &Piece| match piece {
                Piece::Text(literal) => literal.to_string(),
                Piece::Capture(name) => captures.get(name).unwrap_or_default().chars().flat_map(|c| ['\n', c]).collect(),
            };
            let whole: String = target.path.iter().map(marked).collect();
            let is_found = |segment: &str| {
                let bare = segment.replace('\n', "");
                segment.contains('\n') && matches!(&*decode(&bare), "." | "..")
            };
            prop_assert_eq!(target.captures_dot_segment(&captures), whole.replace("\n/", "/").split('/').any(is_found));
        }
    }

    #[test]
    fn invalid_target_is_rejected() {
        let error = |to: &str| Target::parse(to, ["splat"].into_iter()).unwrap_err();
        for to in ["", "a", "//a.example", "/\\a.example", "ftp://a.example", "javascript:alert(1)"] {
            assert!(matches!(error(to), TargetError::Start(_)), "{to}");
        }
        for to in [
            "https://",
            "https://:splat/a",
            "https://:splat.a.example",
            "https://a@b.example",
            "https://bücher.example",
            "http://a:b",
            "http://a:+80",
            "http://a:65536",
        ] {
            assert!(matches!(error(to), TargetError::Host(_)), "{to}");
        }
    }
}
