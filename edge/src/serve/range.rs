//! One range of bytes (RFC 9110 §14).

use http::{HeaderMap, HeaderValue, header};

/// A `Range` field that asks for one range of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ByteRange {
    /// From this offset to that one, both included; to the end for `None`.
    From(u64, Option<u64>),
    /// This many bytes at the end.
    Suffix(u64),
}

/// What a range comes to for a representation of a known size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    /// 200: all of it, since there is nothing to take a part of.
    Whole,
    /// 206: the bytes from `start` up to, not including, `end`; never empty.
    Part {
        /// The first byte.
        start: u64,
        /// One past the last byte.
        end: u64,
    },
    /// 416.
    Unsatisfiable,
}

/// Reads the `Range` of a request. `None` where it is to be ignored: another unit, bad syntax, or several ranges, which
/// would cost more to send than the whole.
pub(crate) fn read(headers: &HeaderMap) -> Option<ByteRange> {
    let mut fields = headers.get_all(header::RANGE).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return None };
    parse(field.to_str().ok()?)
}

fn parse(field: &str) -> Option<ByteRange> {
    let (unit, set) = field.split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = set.trim_matches([' ', '\t']).split_once('-')?;
    if first.is_empty() {
        return Some(ByteRange::Suffix(number(last)?));
    }
    let first = number(first)?;
    let last = if last.is_empty() { None } else { Some(number(last)?) };
    // A last position before the first makes the field invalid, and what is invalid is ignored (§14.1.1).
    if last.is_some_and(|last| last < first) { None } else { Some(ByteRange::From(first, last)) }
}

/// Digits only; a number past what fits is as good as the greatest.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

impl ByteRange {
    /// Cuts the range to a representation of `size` bytes.
    pub(crate) fn within(self, size: u64) -> Span {
        match self {
            Self::Suffix(0) => Span::Unsatisfiable,
            Self::Suffix(_) if size == 0 => Span::Whole,
            Self::Suffix(length) => Span::Part { start: size.saturating_sub(length), end: size },
            Self::From(first, _) if first >= size => Span::Unsatisfiable,
            Self::From(first, last) => {
                Span::Part { start: first, end: last.map_or(size, |last| last.saturating_add(1).min(size)) }
            }
        }
    }
}

/// The `Content-Range` of a part.
pub(crate) fn content_range(start: u64, end: u64, size: u64) -> HeaderValue {
    let text = format!("bytes {start}-{}/{size}", end - 1);
    HeaderValue::try_from(text).expect("digits and a slash are a header value")
}

/// The `Content-Range` of a 416.
pub(crate) fn unsatisfied(size: u64) -> HeaderValue {
    HeaderValue::try_from(format!("bytes */{size}")).expect("digits and a slash are a header value")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_range_of_bytes_is_read() {
        for (field, range) in [
            ("bytes=0-0", Some(ByteRange::From(0, Some(0)))),
            ("bytes=5-", Some(ByteRange::From(5, None))),
            ("bytes=-5", Some(ByteRange::Suffix(5))),
            ("BYTES=1-2", Some(ByteRange::From(1, Some(2)))),
            ("bytes= 1-2 ", Some(ByteRange::From(1, Some(2)))),
            ("bytes=0-99999999999999999999999", Some(ByteRange::From(0, Some(u64::MAX)))),
            ("bytes=2-1", None),
            ("bytes=0-0,2-2", None),
            ("bytes=0-0,", None),
            ("bytes=-", None),
            ("bytes=", None),
            ("bytes", None),
            ("bytes=+1-2", None),
            ("bytes=1-2-3", None),
            ("bytes=--1", None),
            ("bytes =1-2", None),
            ("items=0-5", None),
            ("bytes=a-b", None),
        ] {
            assert_eq!(parse(field), range, "{field}");
        }
    }

    #[test]
    fn ranges_are_cut_to_what_there_is() {
        for (range, size, span) in [
            (ByteRange::From(0, Some(99)), 10, Span::Part { start: 0, end: 10 }),
            (ByteRange::From(9, None), 10, Span::Part { start: 9, end: 10 }),
            (ByteRange::From(10, None), 10, Span::Unsatisfiable),
            (ByteRange::From(0, Some(u64::MAX)), 10, Span::Part { start: 0, end: 10 }),
            (ByteRange::Suffix(99), 10, Span::Part { start: 0, end: 10 }),
            (ByteRange::Suffix(1), 10, Span::Part { start: 9, end: 10 }),
            (ByteRange::Suffix(0), 10, Span::Unsatisfiable),
            (ByteRange::From(0, None), 0, Span::Unsatisfiable),
            (ByteRange::Suffix(5), 0, Span::Whole),
        ] {
            assert_eq!(range.within(size), span, "{range:?} of {size}");
        }
    }

    #[test]
    fn two_range_fields_are_ignored() {
        let mut headers = HeaderMap::new();
        headers.append(header::RANGE, HeaderValue::from_static("bytes=0-1"));
        assert_eq!(read(&headers), Some(ByteRange::From(0, Some(1))));
        headers.append(header::RANGE, HeaderValue::from_static("bytes=2-3"));
        assert_eq!(read(&headers), None);
    }

    proptest! {
        #[test]
        fn a_part_is_a_slice(size in 0_usize..50, first in 0_usize..60, length in 1_usize..60, open: bool, suffix: bool) {
            let whole: Vec<usize> = (0..size).collect();
            let (range, wanted) = if suffix {
                (format!("bytes=-{length}"), &whole[size.saturating_sub(length)..])
            } else if open {
                (format!("bytes={first}-"), whole.get(first..).unwrap_or_default())
            } else {
                let end = (first + length).min(size);
                (format!("bytes={first}-{}", first + length - 1), whole.get(first..end).unwrap_or_default())
            };
            match parse(&range).unwrap().within(size as u64) {
                Span::Part { start, end } => {
                    let bounds = usize::try_from(start).unwrap()..usize::try_from(end).unwrap();
                    prop_assert!(!bounds.is_empty());
                    prop_assert_eq!(&whole[bounds], wanted);
                }
                Span::Unsatisfiable | Span::Whole => prop_assert!(wanted.is_empty()),
            }
        }

        #[test]
        fn arbitrary_fields_never_panic(field in "(bytes=)?[0-9,= -]{0,30}", size: u64) {
            if let Some(Span::Part { start, end }) = parse(&field).map(|range| range.within(size)) {
                prop_assert!(start < end && end <= size);
            }
        }
    }
}
