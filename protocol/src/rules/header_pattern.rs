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

    /// The text.
    pub(super) fn as_str(&self) -> &str {
        &self.0
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

    /// The segments before the first that has a wildcard, in lowercase, `None` for a placeholder; and the text before the wildcard in its own
    /// segment.
    pub(super) fn start(&self) -> (Vec<Option<&str>>, &str) {
        let mut segments = Vec::new();
        for token in &self.tokens {
            match token {
                Token::Text(text) => segments.extend(text.split('/').skip(1).map(Some)),
                // After a slash, which began its segment.
                Token::Placeholder => {
                    segments.pop();
                    segments.push(None);
                }
                Token::AnySegments => break,
                // What is before a wildcard in the same segment is no whole segment.
                Token::Any => {
                    let prefix = segments.pop().flatten().unwrap_or_default();
                    return (segments, prefix);
                }
            }
        }
        (segments, "")
    }

    /// The text with which a path ends that it matches, after a wildcard; empty if there is none.
    pub(super) fn suffix(&self) -> &str {
        match self.tokens.last() {
            Some(Token::Text(text)) if self.tokens.iter().any(Token::is_wildcard) => text,
            _ => "",
        }
    }

    /// The segments that it has.
    pub(super) fn segments(&self) -> usize {
        self.text.split('/').filter(|segment| !segment.is_empty()).count()
    }

    /// The placeholders between two wildcards; `None` without two wildcards.
    pub(super) fn placeholders_between_wildcards(&self) -> Option<usize> {
        let first = self.tokens.iter().position(Token::is_wildcard)?;
        let last = self.tokens.iter().rposition(Token::is_wildcard).filter(|last| *last > first)?;
        Some(self.tokens[first..last].iter().filter(|token| **token == Token::Placeholder).count())
    }

    /// Whether it matches.
    pub fn matches(&self, path: &FoldedPath) -> bool {
        matches(&self.tokens, &path.0)
    }
}

/// What is between two wildcards is compared with the text at each place.
///
/// Between wildcards are blocks of text and placeholders. The first block is at the start of the text, the last one at its end; each other
/// one is taken as early as possible, since the wildcard after it takes the rest. A placeholder ends where its segment does: so what begins
/// earlier ends no later.
fn matches(tokens: &[Token], text: &str) -> bool {
    let Some(first) = tokens.iter().position(Token::is_wildcard) else {
        return end_of(tokens, text, 0, false) == Some(text.len());
    };
    let last = tokens.iter().rposition(Token::is_wildcard).unwrap_or(first);
    let Some(limit) = start_of(&tokens[last + 1..], text) else { return false };
    let needs_whole = |wildcard: usize| tokens[wildcard] == Token::AnySegments;
    let mut end = end_of(&tokens[..first], text, 0, needs_whole(first));
    let mut wildcard = first;
    while wildcard < last {
        let Some(next) = (wildcard + 1..=last).find(|at| tokens[*at].is_wildcard()) else { break };
        let block = &tokens[wildcard + 1..next];
        end = end.and_then(|end| end_of_first(block, text, end, needs_whole(next)));
        wildcard = next;
    }
    end.is_some_and(|end| end <= limit)
}

/// Where `block`, which has no wildcard, ends if it begins at `start`; at the end of a segment if that is needed.
fn end_of(block: &[Token], text: &str, start: usize, needs_whole: bool) -> Option<usize> {
    let mut rest = &text[start..];
    for token in block {
        rest = match token {
            Token::Text(literal) => rest.strip_prefix(&**literal)?,
            Token::Placeholder => {
                let length = rest.find('/').unwrap_or(rest.len());
                rest.get(length..).filter(|_| length > 0)?
            }
            Token::Any | Token::AnySegments => return None,
        };
    }
    (!needs_whole || rest.is_empty() || rest.starts_with('/')).then(|| text.len() - rest.len())
}

/// Where `block`, which has no wildcard, ends at the first place from `start` on.
fn end_of_first(block: &[Token], text: &str, start: usize, needs_whole: bool) -> Option<usize> {
    let Some(Token::Text(literal)) = block.first() else { return end_of(block, text, start, needs_whole) };
    if block.len() == 1 && !needs_whole {
        return text[start..].find(&**literal).map(|at| start + at + literal.len());
    }
    // A search that begins anew where the rest does not follow costs much more than a comparison at each place.
    let begins = |at: &usize| text.as_bytes()[*at..].starts_with(literal.as_bytes());
    (start..text.len()).filter(begins).find_map(|at| end_of(block, text, at, needs_whole))
}

/// Where `block`, which has no wildcard, begins if it ends with the text.
fn start_of(block: &[Token], text: &str) -> Option<usize> {
    let mut rest = text;
    for token in block.iter().rev() {
        rest = match token {
            Token::Text(literal) => rest.strip_suffix(&**literal)?,
            Token::Placeholder => {
                let start = rest.rfind('/').map_or(0, |slash| slash + 1);
                rest.get(..start).filter(|_| start < rest.len())?
            }
            Token::Any | Token::AnySegments => return None,
        };
    }
    Some(rest.len())
}

impl Token {
    fn is_wildcard(&self) -> bool {
        matches!(self, Self::Any | Self::AnySegments)
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
            // Any text has any segments in it, and any other text.
            let is_included = match tokens.last() {
                Some(Token::Any) => token.is_wildcard(),
                Some(Token::AnySegments) => token == Token::AnySegments,
                _ => false,
            };
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
            pattern in "(/(a|b|\\*|:x|a\\*|\\*b|a\\*b|\\*\\*a)){0,6}/?",
            path in "(/[ab]{0,2}){0,8}",
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
