//! The paths that a target with placeholders can be.

use super::path_pattern::Segment;
use super::split_path::{SplitPath, decode};

/// A piece of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Percent-encoded.
    Text(Box<str>),
    /// What was captured under this name.
    Capture(Box<str>),
}

impl Piece {
    /// Whether it stands for what was captured under `name`.
    pub(super) fn is_capture_of(&self, name: &str) -> bool {
        matches!(self, Self::Capture(captured) if **captured == *name)
    }

    /// Whether the segment before it ends where it begins.
    pub(super) fn starts_segment(&self) -> bool {
        matches!(self, Self::Text(text) if text.starts_with('/'))
    }
}

/// The paths that a target can be, whatever is put in: these, and perhaps others. Without the slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TargetPaths {
    /// As they are in a location, and so in the request of a client that follows it.
    encoded: Box<[Token]>,
    /// As people may write them, if that is something else.
    decoded: Option<Box<[Token]>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Text(Box<str>),
    /// What a placeholder of the path stands for: text without a slash.
    Segment,
    /// Any text: what another capture stands for.
    Any,
    /// What such a capture stands for that is a whole segment, with the slash before it.
    AnySegments,
}

impl TargetPaths {
    /// The paths of `pieces`; `is_segment` tells which captures are a segment of the path.
    pub(super) fn new(pieces: &[Piece], is_segment: impl Fn(&str) -> bool) -> Self {
        let encoded = tokens(pieces, &is_segment, str::to_owned);
        let decoded = Some(tokens(pieces, &is_segment, decoded)).filter(|decoded| *decoded != encoded);
        Self { encoded, decoded }
    }

    /// Any path.
    pub(super) fn all() -> Self {
        Self { encoded: Box::new([Token::Any]), decoded: None }
    }

    /// Whether one of them may match a pattern of these segments. It may be said although none does.
    pub(super) fn may_match(&self, pattern: &[Segment]) -> bool {
        let (segments, is_whole) = self.known_segments();
        let mut segments = segments.iter();
        for segment in pattern {
            let known = match (segment, segments.next()) {
                (Segment::Wildcard, _) => return true,
                (_, None) => return !is_whole,
                (_, Some(known)) => known.as_deref(),
            };
            match (segment, known) {
                (Segment::Literal(text), Some(known)) if **text != *known => return false,
                (Segment::Prefix(text), Some(known)) => return known.starts_with(&**text),
                (Segment::Prefix(_), None) => return true,
                _ => {}
            }
        }
        segments.next().is_none()
    }

    /// The segments before the first capture that may have a slash, decoded, `None` for one that depends on a capture; and whether they are
    /// all of the path.
    fn known_segments(&self) -> (Vec<Option<String>>, bool) {
        let mut segments: Vec<Option<String>> = Vec::new();
        for token in &self.encoded {
            match token {
                // What is before the first slash belongs to a segment with a capture.
                Token::Text(text) => {
                    segments.extend(text.split('/').skip(1).map(|part| Some(decode(part).into_owned())));
                }
                Token::Segment => {
                    segments.pop();
                    segments.push(None);
                }
                Token::AnySegments => return (segments, false),
                Token::Any => {
                    segments.pop();
                    return (segments, false);
                }
            }
        }
        (segments, true)
    }

    /// Whether `path` is one of them. The cost is at most that of each piece at each byte of the path.
    pub(super) fn contain(&self, path: &SplitPath<'_>) -> bool {
        let raw: String = (0..path.len()).filter_map(|at| path.raw(at)).flat_map(|segment| ["/", segment]).collect();
        if matches(&self.encoded, &raw) {
            return true;
        }
        let tokens = self.decoded.as_ref().unwrap_or(&self.encoded);
        if raw.contains('%') {
            matches(tokens, &decoded(&raw))
        } else {
            self.decoded.is_some() && matches(tokens, &raw)
        }
    }
}

fn tokens(pieces: &[Piece], is_segment: &impl Fn(&str) -> bool, form: impl Fn(&str) -> String) -> Box<[Token]> {
    let (mut tokens, mut text) = (Vec::new(), String::new());
    let mut pieces = pieces.iter().peekable();
    while let Some(piece) = pieces.next() {
        let name = match piece {
            Piece::Text(literal) => {
                text.push_str(&form(literal));
                // As in a location.
                while text.contains("//") {
                    text = text.replace("//", "/");
                }
                continue;
            }
            Piece::Capture(name) => name,
        };
        if !is_segment(name) {
            // Several side by side may all be empty: they are one.
            let is_another = |piece: &&Piece| matches!(piece, Piece::Capture(name) if !is_segment(name));
            while pieces.next_if(is_another).is_some() {}
        }
        let is_last = pieces.peek().is_none_or(|piece| piece.starts_segment());
        let token = match is_segment(name) {
            true => Token::Segment,
            false if text.ends_with('/') && is_last => {
                text.pop();
                Token::AnySegments
            }
            false => Token::Any,
        };
        if !text.is_empty() {
            tokens.push(Token::Text(std::mem::take(&mut text).into()));
        }
        tokens.push(token);
    }
    let end = text.trim_end_matches('/');
    if !end.is_empty() {
        tokens.push(Token::Text(end.into()));
    }
    tokens.into()
}

fn matches(tokens: &[Token], text: &str) -> bool {
    // Most paths are those of no target.
    if let Some(Token::Text(first)) = tokens.first()
        && !text.starts_with(&**first)
    {
        return false;
    }
    // Where the tokens so far can end, in order.
    let ends = tokens.iter().fold(vec![0], |starts, token| token.ends(text, &starts));
    ends.last() == Some(&text.len())
}

impl Token {
    /// Where it can end if it begins at one of `starts`. Both are in order, each once; the cost is that of going through `text` and `starts`.
    fn ends(&self, text: &str, starts: &[usize]) -> Vec<usize> {
        match self {
            Self::Text(literal) => {
                let follows = |start: &&usize| text[**start..].starts_with(&**literal);
                starts.iter().filter(follows).map(|start| start + literal.len()).collect()
            }
            Self::Segment => {
                let mut ends = Vec::new();
                // Up to here the segment of an earlier start has been gone through.
                let mut done = 0;
                for start in starts.iter().filter(|start| !text[**start..].starts_with('/')) {
                    let from = done.max(*start);
                    let characters = text[from..].char_indices().take_while(|(_, character)| *character != '/');
                    ends.extend(characters.map(|(at, character)| from + at + character.len_utf8()));
                    done = ends.last().copied().unwrap_or(from).max(from);
                }
                ends
            }
            Self::Any => {
                let first = starts.first().copied().unwrap_or(usize::MAX);
                (first..=text.len()).filter(|end| text.is_char_boundary(*end)).collect()
            }
            Self::AnySegments => {
                let is_boundary = |at: &usize| *at == text.len() || text.as_bytes()[*at] == b'/';
                let first = starts.iter().copied().find(is_boundary).unwrap_or(usize::MAX);
                (first..=text.len()).filter(is_boundary).collect()
            }
        }
    }
}

/// Decoded, with the slashes that are none between segments still encoded.
fn decoded(text: &str) -> String {
    let segment = |segment| decode(segment).replace('/', "%2F");
    text.split('/').map(segment).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::super::path_pattern::PathPattern;
    use super::*;

    #[test]
    fn paths_are_those_that_something_put_in_makes() {
        // A name begins with a colon.
        let contains = |pieces: &[&str], path: &str| {
            let piece = |piece: &&str| match piece.strip_prefix(':') {
                Some(name) => Piece::Capture(name.into()),
                None => Piece::Text((*piece).into()),
            };
            TargetPaths::new(&pieces.iter().map(piece).collect::<Vec<_>>(), |name| name != PathPattern::SPLAT)
                .contain(&SplitPath::new(path))
        };
        for (pieces, path) in [
            (&["/", ":splat"][..], "/"),
            (&["/", ":splat"], "/a/b/"),
            (&["/b/", ":splat"], "/b"),
            (&["/b//c/", ":splat"], "/b/c/x"),
            (&["/", ":splat", "%CC%96"], "/q%CC%81%CC%96"),
            (&["/b/", ":splat", "/"], "/b/x"),
            (&["/", ":splat", "/b"], "/b"),
            (&["/", ":splat", "/b"], "/a/b"),
            (&["/", ":splat", ".html"], "/a/b.html"),
            (&["/i/", ":id", ".png"], "/i/a.png"),
            (&["/i/", ":id", ".png"], "/i/a%2Epng.png"),
            (&["/x-", ":a", "/%C3%BC"], "/x-1/u%CC%88"),
            (&["/", ":splat", "/", ":splat"], "/a/b/c"),
        ] {
            assert!(contains(pieces, path), "{pieces:?} {path}");
        }
        for (pieces, path) in [
            (&["/b/", ":splat"][..], "/bc"),
            (&["/b/", ":splat"], "/B/c"),
            (&["/", ":splat", "/b"], "/ab"),
            (&["/i/", ":id", ".png"], "/i/.png"),
            (&["/i/", ":id", ".png"], "/i/a/b.png"),
            (&["/", ":a"], "/"),
            (&["/", ":a", "/x"], "/a%2Fx"),
        ] {
            assert!(!contains(pieces, path), "{pieces:?} {path}");
        }
    }

    #[test]
    fn long_path_is_gone_through_once_for_each_piece() {
        let splat = || Piece::Capture(PathPattern::SPLAT.into());
        let pieces = [Piece::Text("/".into()), splat(), Piece::Text("/a/a/".into()), splat(), Piece::Text("/b".into())];
        let path = "/a".repeat(50_000);
        let paths = TargetPaths::new(&pieces, |_| false);
        assert!(!paths.contain(&SplitPath::new(&path)));
        assert!(paths.contain(&SplitPath::new(&(path + "/b"))));
    }
}
