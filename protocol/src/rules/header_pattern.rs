//! Patterns of paths in header rules: `/assets/*`, `/*.js`, `/:lang/feed`.

use std::fmt;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

use super::path_pattern::is_too_long;
use crate::nfc::nfc;
use crate::serde_text::serde_as_text;

/// The paths that a header rule is for. Letters match in both cases, and the slash at the end of pattern and path does not matter.
///
/// `*` stands for any text, with slashes; as a whole segment for any number of segments. A segment `:name` stands for one segment that
/// is not empty.
#[derive(Clone)]
pub struct HeaderPattern {
    text: Box<str>,
    tokens: Box<[Token]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// This text, in lowercase; with the slash before each segment.
    Text(Box<str>),
    /// A segment that is not empty.
    Placeholder,
    /// Any text.
    Any,
    /// Nothing, or a slash and any text.
    AnySegments,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderPatternError {
    /// It has no leading slash.
    #[error("invalid path `{0}`: expected a leading slash")]
    Relative(String),
    /// It is longer than any path, or has more segments.
    #[error("invalid path `{0}…`: it is longer than any path, or has too many segments")]
    TooLong(String),
}

/// The form of a path that patterns are compared with: decoded, in lowercase, in Unicode normalization form C, without the slash at its end.
#[derive(Debug)]
pub struct FoldedPath(String);

impl FoldedPath {
    /// Of `path`, which starts with a slash, percent-encoded. What is not UTF-8 is replaced.
    pub fn new(path: &str) -> Self {
        let folded = fold(path);
        Self(folded.strip_suffix('/').map(str::to_owned).unwrap_or(folded))
    }

    /// The segments from the first slash on.
    pub(super) fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/').skip(1)
    }
}

/// Decoded, in lowercase, in normalization form C.
fn fold(text: &str) -> String {
    // Character by character: in a text, the lowercase of a sigma depends on what follows.
    let lower: String = percent_decode_str(text).decode_utf8_lossy().chars().flat_map(char::to_lowercase).collect();
    nfc(&lower).into_owned()
}

impl HeaderPattern {
    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The segments before the first that has a placeholder or wildcard, in lowercase.
    pub(super) fn literal_segments(&self) -> impl Iterator<Item = &str> {
        let (text, is_cut) = match self.tokens.first() {
            Some(Token::Text(text)) => (&**text, matches!(self.tokens.get(1), Some(Token::Any | Token::Placeholder))),
            _ => ("", false),
        };
        // What is before a wildcard in the same segment is no whole segment.
        let whole = if is_cut { text.rsplit_once('/').map_or("", |(whole, _)| whole) } else { text };
        whole.split('/').skip(1)
    }

    /// Whether it matches.
    pub fn matches(&self, path: &FoldedPath) -> bool {
        matches(&self.tokens, &path.0)
    }
}

/// Only wildcards can end at different places. It is enough to try other ends of the last one: all that comes between two wildcards may
/// be matched as early as possible, since the later one takes the rest.
fn matches(tokens: &[Token], text: &str) -> bool {
    let (mut next, mut at) = (0, 0);
    // The wildcard to continue from: the token after it, and where it ends.
    let mut wildcard: Option<(usize, usize, bool)> = None;
    loop {
        let rest = &text[at..];
        let step = match tokens.get(next) {
            None if rest.is_empty() => return true,
            None => None,
            Some(Token::Any) => {
                wildcard = Some((next + 1, at, false));
                Some(0)
            }
            Some(Token::AnySegments) => {
                wildcard = Some((next + 1, at, true));
                Some(0)
            }
            Some(Token::Text(literal)) => {
                let is_whole = |after: &str| after.is_empty() || after.starts_with('/');
                let needs_whole = tokens.get(next + 1) == Some(&Token::AnySegments);
                let after = rest.strip_prefix(&**literal).filter(|after| !needs_whole || is_whole(after));
                after.map(|_| literal.len())
            }
            Some(Token::Placeholder) => Some(rest.find('/').unwrap_or(rest.len())).filter(|length| *length > 0),
        };
        if let Some(length) = step {
            next += 1;
            at += length;
            continue;
        }
        let Some((after, end, needs_slash)) = wildcard else { return false };
        let Some(character) = text[end..].chars().next().filter(|first| !needs_slash || *first == '/') else {
            return false;
        };
        let mut end = end + character.len_utf8();
        // The next text decides how far the wildcard goes at least.
        if let Some(Token::Text(literal)) = tokens.get(after) {
            let Some(skipped) = text[end..].find(&**literal) else { return false };
            end += skipped;
        }
        wildcard = Some((after, end, false));
        (next, at) = (after, end);
    }
}

impl FromStr for HeaderPattern {
    type Err = HeaderPatternError;

    fn from_str(text: &str) -> Result<Self, HeaderPatternError> {
        if !text.starts_with('/') {
            return Err(HeaderPatternError::Relative(text.to_owned()));
        }
        if is_too_long(text) {
            return Err(HeaderPatternError::TooLong(text.chars().take(60).collect()));
        }
        let mut tokens = Vec::new();
        let mut literal = String::new();
        let mut push = |token: Token, literal: &mut String| {
            if !literal.is_empty() {
                tokens.push(Token::Text(std::mem::take(literal).into()));
            }
            // Any text has any segments in it.
            let is_included =
                token == Token::AnySegments && matches!(tokens.last(), Some(Token::Any | Token::AnySegments));
            if !is_included {
                tokens.push(token);
            }
        };
        for segment in text.split('/').filter(|segment| !segment.is_empty()) {
            if segment == "*" {
                push(Token::AnySegments, &mut literal);
                continue;
            }
            literal.push('/');
            if segment.len() > 1 && segment.starts_with(':') {
                push(Token::Placeholder, &mut literal);
                continue;
            }
            for (index, part) in segment.split('*').enumerate() {
                if index > 0 {
                    push(Token::Any, &mut literal);
                }
                literal.push_str(&fold(part));
            }
        }
        if !literal.is_empty() {
            tokens.push(Token::Text(literal.into()));
        }
        Ok(Self { text: text.into(), tokens: tokens.into() })
    }
}

impl fmt::Display for HeaderPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl fmt::Debug for HeaderPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl PartialEq for HeaderPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for HeaderPattern {}

serde_as_text!(HeaderPattern);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Tries all ways to match.
    fn can_match(tokens: &[Token], text: &str) -> bool {
        let Some((first, rest)) = tokens.split_first() else { return text.is_empty() };
        let mut ends = (0..=text.len()).filter(|end| text.is_char_boundary(*end));
        match first {
            Token::Text(literal) => text.strip_prefix(&**literal).is_some_and(|text| can_match(rest, text)),
            Token::Placeholder => {
                let end = text.find('/').unwrap_or(text.len());
                end > 0 && can_match(rest, &text[end..])
            }
            Token::Any => ends.any(|end| can_match(rest, &text[end..])),
            Token::AnySegments => ends.any(|end| (end == 0 || text.starts_with('/')) && can_match(rest, &text[end..])),
        }
    }

    proptest! {
        #[test]
        fn one_pass_finds_what_trying_all_ways_finds(
            pattern in "(/(a|b|\\*|:x|a\\*|\\*b|a\\*b)){0,5}/?",
            path in "(/[ab]{0,2}){0,6}",
        ) {
            let pattern: HeaderPattern = format!("/{}", pattern.trim_start_matches('/')).parse().unwrap();
            let path = FoldedPath::new(&path);
            prop_assert_eq!(pattern.matches(&path), can_match(&pattern.tokens, &path.0), "{} {:?}", pattern, path);
        }
    }

    fn is_match(pattern: &str, path: &str) -> bool {
        pattern.parse::<HeaderPattern>().unwrap().matches(&FoldedPath::new(path))
    }

    #[test]
    fn pattern_matches_as_documented() {
        for (pattern, path) in [
            ("/", "/"),
            ("/a", "/a/"),
            ("/a/", "/A"),
            ("/Ä", "/%C3%A4"),
            ("/ΑΣ*", "/ΑΣ.html"),
            ("/*Σ", "/ΑΣ"),
            ("/\u{e4}/*", "/A%CC%88/x"),
            ("/*", "/"),
            ("/*", "/a/b"),
            ("/a/*", "/a"),
            ("/a/*", "/a/"),
            ("/a/*", "/a/b/c/"),
            ("/*.js", "/a/b.js"),
            ("/*.js", "/.js"),
            ("/a/*.*.js", "/a/b/c.d.js"),
            ("/*/b/*", "/x/y/b/z"),
            ("/*/b/*", "/b"),
            ("/*/b", "/b/b"),
            ("/:a/b", "/x/b"),
            ("/*/:a/x", "/p/q/x"),
            ("/*/:a/x", "/q/x"),
            ("/a*z/:p", "/abz/1"),
            ("/a*", "/a/b"),
            ("/assets/*-hash.*", "/assets/x/app-hash.css"),
        ] {
            assert!(is_match(pattern, path), "{pattern} {path}");
        }
        for (pattern, path) in [
            ("/", "/a"),
            ("/a", "/ab"),
            ("/a/*", "/ab"),
            ("/*.js", "/a.jsx"),
            ("/:a", "/"),
            ("/:a", "/a/b"),
            ("/:a/b", "//b"),
            ("/*/b", "/ab"),
            ("/*/:a/x", "/x"),
            ("/a*z/:p", "/abz"),
            ("/x-:a", "/x-1"),
        ] {
            assert!(!is_match(pattern, path), "{pattern} {path}");
        }
    }

    #[test]
    fn relative_pattern_is_rejected() {
        assert!("a".parse::<HeaderPattern>().is_err() && "".parse::<HeaderPattern>().is_err());
        assert!("https://a.example/".parse::<HeaderPattern>().is_err());
    }
}
