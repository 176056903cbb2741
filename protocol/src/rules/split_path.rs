//! The path of a request as segments.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;
use unicode_normalization::char::decompose_canonical;

use crate::nfc::nfc;

/// The path of a request, split into segments and each of them decoded.
#[derive(Debug)]
pub struct SplitPath<'a> {
    /// Without the leading slash.
    path: &'a str,
    /// The byte range of each segment in `path`, and the segment decoded.
    segments: Vec<(usize, usize, Cow<'a, str>)>,
}

impl<'a> SplitPath<'a> {
    /// Splits `path`, which starts with a slash, as it is in a request: percent-encoded. What is not UTF-8 is replaced in the decoded
    /// segments.
    pub fn new(path: &'a str) -> Self {
        let path = path.strip_prefix('/').unwrap_or(path);
        let named = path.strip_suffix('/').unwrap_or(path);
        let mut segments = Vec::new();
        let mut start = 0;
        for segment in named.split('/').take(if path.is_empty() { 0 } else { usize::MAX }) {
            segments.push((start, start + segment.len(), decode(segment)));
            start += segment.len() + 1;
        }
        Self { path, segments }
    }

    /// The number of segments; a slash at the end begins none.
    pub fn len(&self) -> usize {
        self.segments.len()
    }

    /// Whether it is the root.
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty()
    }

    /// The segment at `index`, decoded.
    pub fn decoded(&self, index: usize) -> Option<&str> {
        self.segments.get(index).map(|(_, _, decoded)| &**decoded)
    }

    pub(super) fn raw(&self, index: usize) -> Option<&'a str> {
        self.segments.get(index).map(|(start, end, _)| &self.path[*start..*end])
    }

    /// The path, as in the request, with its leading slash.
    pub(super) fn is_same_as(&self, path: &str) -> bool {
        path.strip_prefix('/').is_some_and(|path| path.trim_end_matches('/') == self.path.trim_end_matches('/'))
    }

    /// Where the segment begins, in bytes.
    pub(super) fn start(&self, index: usize) -> Option<usize> {
        self.segments.get(index).map(|(start, _, _)| *start)
    }

    /// The path, as in the request, from a byte to before the segment `end`, without slashes around it; to its end, with the last slash, if
    /// there is no `end`.
    pub(super) fn between(&self, start: usize, end: Option<usize>) -> &'a str {
        let end = match end {
            None => self.path.len(),
            Some(0) => 0,
            Some(end) => self.segments[end - 1].1,
        };
        self.path.get(start..end).unwrap_or_default()
    }

    /// Where what follows the decoded text `prefix` in the segment `index` begins, in bytes; after a slash if that comes first.
    pub(super) fn end_of_prefix(&self, index: usize, prefix: &str) -> Option<usize> {
        let (raw, decoded) = (self.raw(index)?, self.decoded(index)?);
        if !decoded.starts_with(prefix) {
            return None;
        }
        let end = self.start(index)? + length_of(raw, prefix)?;
        Some(if self.path[end..].starts_with('/') { end + 1 } else { end })
    }
}

/// Decoded and composed.
pub(super) fn decode(segment: &str) -> Cow<'_, str> {
    match percent_decode_str(segment).decode_utf8_lossy() {
        Cow::Borrowed(text) => nfc(text),
        Cow::Owned(text) => nfc(&text).into_owned().into(),
    }
}

/// The bytes of the shortest start of `raw`, percent-encoded, that decodes to `prefix`, which is composed. Bytes that are not UTF-8 are no
/// part of one.
fn length_of(raw: &str, prefix: &str) -> Option<usize> {
    // Decomposed, texts are as long as all of their characters: only one start can be the prefix.
    let decomposed_length = |character: char| {
        let mut length = 0;
        decompose_canonical(character, |_| length += 1);
        length
    };
    let mut missing: usize = prefix.chars().map(decomposed_length).sum();
    let (mut bytes, mut length) = (Vec::new(), 0);
    let mut rest = raw.bytes().enumerate();
    while missing > 0 {
        // A character, decoded.
        let (at, mut byte) = rest.next()?;
        length = at + 1;
        if byte == b'%'
            && let Some(digits) = raw.get(at + 1..at + 3)
            && digits.bytes().all(|digit| digit.is_ascii_hexdigit())
        {
            byte = u8::from_str_radix(digits, 16).ok()?;
            length = at + 3;
            rest.nth(1);
        }
        bytes.push(byte);
        match std::str::from_utf8(&bytes) {
            Ok(text) => {
                missing = missing.checked_sub(text.chars().map(decomposed_length).sum())?;
                bytes.clear();
            }
            // The first bytes of a character.
            Err(error) if error.error_len().is_none() => {}
            Err(_) => return None,
        }
    }
    (decode(&raw[..length]) == prefix).then_some(length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The shortest start that decodes to the text is found.
        #[test]
        fn length_of_a_start_is_found_without_trying(
            raw in "(a|b|e|é|e\u{301}|%C3%A9|%65|%cc%81|\u{323}|%|%2){0,6}", length in 0..6_usize,
        ) {
            let decoded = decode(&raw).into_owned();
            let prefix: String = decoded.chars().take(length).collect();
            if nfc(&prefix) == prefix && !prefix.is_empty() && !prefix.contains('\u{fffd}') {
                let is_end = |end: &usize| raw.is_char_boundary(*end) && decode(&raw[..*end]) == *prefix;
                let expected = (1..=raw.len()).find(is_end);
                prop_assert_eq!(length_of(&raw, &prefix), expected, "{} {}", raw, prefix);
            }
        }
    }
}
