//! Paths of files within a site.

use std::fmt;
use std::str::FromStr;

use crate::serde_text::serde_as_text;

/// The path of a file within its site: decoded, relative, separated by `/`, without a leading slash: `assets/app-1f2e.js`.
///
/// It has no empty, `.` or `..` segment, no backslash and no control character, so it can neither escape a folder nor split a
/// header, whatever it is joined to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SitePath(Box<str>);

/// Why a text is not a valid path of a file in a site.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It is empty.
    #[error("the path must not be empty")]
    Empty,
    /// It is longer than [`SitePath::MAX`].
    #[error("the path `{0}…` is longer than {max} bytes", max = SitePath::MAX)]
    TooLong(String),
    /// It has an empty segment: a leading, trailing or double slash.
    #[error("the path `{0}` has an empty segment")]
    EmptySegment(String),
    /// It has a `.` or `..` segment.
    #[error("the path `{0}` has a `.` or `..` segment")]
    DotSegment(String),
    /// It contains a backslash, NUL or other control character.
    #[error("the path {path:?} contains {character:?}", path = .0, character = .1)]
    Character(String, char),
}

impl SitePath {
    /// Maximum length, in bytes.
    pub const MAX: usize = 1024;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part after the last slash.
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&*self.0, |(_, name)| name)
    }
}

impl FromStr for SitePath {
    type Err = PathError;

    fn from_str(path: &str) -> Result<Self, PathError> {
        if path.is_empty() {
            return Err(PathError::Empty);
        }
        if path.len() > Self::MAX {
            return Err(PathError::TooLong(path.chars().take(60).collect()));
        }
        if let Some(character) = path.chars().find(|character| character.is_control() || *character == '\\') {
            return Err(PathError::Character(path.to_owned(), character));
        }
        for segment in path.split('/') {
            match segment {
                "" => return Err(PathError::EmptySegment(path.to_owned())),
                "." | ".." => return Err(PathError::DotSegment(path.to_owned())),
                _ => {}
            }
        }
        Ok(Self(path.into()))
    }
}

impl fmt::Display for SitePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for SitePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Allows look-ups in maps by `&str`: order and hash are those of the text.
impl std::borrow::Borrow<str> for SitePath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

serde_as_text!(SitePath);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn path_that_could_escape_is_rejected() {
        let error = |path: &str| path.parse::<SitePath>().unwrap_err();
        assert_eq!(error(""), PathError::Empty);
        for path in ["/a", "a/", "a//b", "/"] {
            assert_eq!(error(path), PathError::EmptySegment(path.into()));
        }
        for path in ["..", "a/../b", "./a", "a/."] {
            assert_eq!(error(path), PathError::DotSegment(path.into()));
        }
        for (path, character) in [("a\\b", '\\'), ("a\0b", '\0'), ("a\r\nb", '\r'), ("a\u{7f}", '\u{7f}')] {
            assert_eq!(error(path), PathError::Character(path.into(), character));
        }
        assert!(matches!(error(&"a".repeat(SitePath::MAX + 1)), PathError::TooLong(_)));
    }

    #[test]
    fn ordinary_path_is_unchanged() {
        for path in ["index.html", "a/b c/ü.js", ".well-known/x", "...", "a+b%20", "~x"] {
            assert_eq!(path.parse::<SitePath>().unwrap().as_str(), path);
        }
        assert_eq!("a/b.js".parse::<SitePath>().unwrap().file_name(), "b.js");
    }

    proptest! {
        #[test]
        fn accepted_path_stays_within_folder(path in "[./\\\\a\u{0}]{0,12}") {
            if let Ok(path) = path.parse::<SitePath>() {
                let joined = std::path::Path::new("site").join(path.as_str());
                prop_assert!(joined.components().skip(1).all(|part| matches!(part, std::path::Component::Normal(_))));
            }
        }
    }
}
