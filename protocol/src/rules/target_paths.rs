//! The paths that a target with placeholders can be.

use std::borrow::Cow;

use super::path_pattern::{PathPattern, SplitPath, decode};

/// A piece of a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// Percent-encoded.
    Text(Box<str>),
    /// What was captured under this name.
    Capture(Box<str>),
}

impl Piece {
    fn starts_segment(&self) -> bool {
        matches!(self, Self::Text(text) if text.starts_with('/'))
    }
}

/// The paths that a target can be, whatever is put in. Compared decoded, without the slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TargetPaths {
    tokens: Box<[Token]>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Text(Box<str>),
    /// What a placeholder stands for: text without a slash.
    Segment,
    /// What a wildcard stands for, beside other text in its segment.
    Any,
    /// What a wildcard stands for that is a whole segment, with the slash before it.
    AnySegments,
}

impl TargetPaths {
    /// The paths of `pieces`.
    pub(super) fn new(pieces: &[Piece]) -> Self {
        let (mut tokens, mut text) = (Vec::new(), String::new());
        for (index, piece) in pieces.iter().enumerate() {
            let name = match piece {
                Piece::Text(literal) => {
                    text.push_str(&canonical(literal));
                    continue;
                }
                Piece::Capture(name) => name,
            };
            let is_last = pieces.get(index + 1).is_none_or(Piece::starts_segment);
            let token = match &**name == PathPattern::SPLAT {
                true if text.ends_with('/') && is_last => {
                    text.pop();
                    Token::AnySegments
                }
                true => Token::Any,
                false => Token::Segment,
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
        Self { tokens: tokens.into() }
    }

    /// Whether `path` is one of them. The cost is at most that of each token at each byte.
    pub(super) fn contain(&self, path: &SplitPath<'_>) -> bool {
        let text: String =
            (0..path.len()).filter_map(|at| path.decoded(at)).flat_map(|part| ["/".into(), escaped(part)]).collect();
        // Where the tokens so far can end.
        let mut ends = vec![0];
        for token in &self.tokens {
            ends = ends.iter().flat_map(|start| token.ends(&text, *start)).collect();
            ends.sort_unstable();
            ends.dedup();
        }
        ends.last() == Some(&text.len())
    }
}

impl Token {
    /// Where it can end that begins at `start`.
    fn ends(&self, text: &str, start: usize) -> Vec<usize> {
        let rest = &text[start..];
        let ends_at = |end: &usize| rest.is_char_boundary(*end);
        let ends: Vec<usize> = match self {
            Self::Text(literal) if rest.starts_with(&**literal) => vec![literal.len()],
            Self::Text(_) => Vec::new(),
            Self::Segment => (1..=rest.find('/').unwrap_or(rest.len())).filter(ends_at).collect(),
            Self::Any => (0..=rest.len()).filter(ends_at).collect(),
            Self::AnySegments => {
                let is_end = |end: &usize| *end == rest.len() || rest.as_bytes()[*end] == b'/';
                (0..=rest.len()).filter(is_end).filter(|end| *end == 0 || rest.starts_with('/')).collect()
            }
        };
        ends.into_iter().map(|end| start + end).collect()
    }
}

/// Decoded, with the slashes that are none between segments still encoded.
fn canonical(text: &str) -> String {
    text.split('/').map(|part| escaped(&decode(part)).into_owned()).collect::<Vec<_>>().join("/")
}

fn escaped(segment: &str) -> Cow<'_, str> {
    if segment.contains('/') { segment.replace('/', "%2F").into() } else { segment.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_that_something_put_in_makes() {
        // A name begins with a colon.
        let contains = |pieces: &[&str], path: &str| {
            let piece = |piece: &&str| match piece.strip_prefix(':') {
                Some(name) => Piece::Capture(name.into()),
                None => Piece::Text((*piece).into()),
            };
            TargetPaths::new(&pieces.iter().map(piece).collect::<Vec<_>>()).contain(&SplitPath::new(path))
        };
        for (pieces, path) in [
            (&["/", ":splat"][..], "/"),
            (&["/", ":splat"], "/a/b/"),
            (&["/b/", ":splat"], "/b"),
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
}
