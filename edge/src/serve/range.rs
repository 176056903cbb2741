//! Range requests for one range of bytes (RFC 9110 §14).

use http::{HeaderMap, HeaderValue, header};

/// The range of a `Range` field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ByteRange {
    /// From the first offset to the last, inclusive; to the end for `None`.
    From(u64, Option<u64>),
    /// The last bytes, this many.
    Suffix(u64),
}

/// A range applied to a representation of known size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Span {
    /// 200: the whole representation, because it is empty.
    Whole,
    /// 206: the bytes from `start` to `end`, exclusive; never empty.
    Part {
        /// The first byte.
        start: u64,
        /// One past the last byte.
        end: u64,
    },
    /// 416: no byte of the range exists.
    Unsatisfiable,
}

/// Parses the `Range` of a request. `None` if it is to be ignored: another unit, a syntax error, or several ranges, which would cost
/// more to send than the whole representation.
pub(crate) fn parse(headers: &HeaderMap) -> Option<ByteRange> {
    let mut fields = headers.get_all(header::RANGE).iter();
    let (Some(field), None) = (fields.next(), fields.next()) else { return None };
    parse_field(field.to_str().ok()?)
}

fn parse_field(field: &str) -> Option<ByteRange> {
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
    // A last position before the first makes the field invalid, so it is ignored (§14.1.1).
    if last.is_some_and(|last| last < first) { None } else { Some(ByteRange::From(first, last)) }
}

/// Parses digits. A number that does not fit is clamped.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

impl ByteRange {
    /// Applies the range to a representation of `size` bytes.
    pub(crate) fn apply_to(self, size: u64) -> Span {
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

/// The `Content-Range` of a 206.
pub(crate) fn content_range(start: u64, end: u64, size: u64) -> HeaderValue {
    let text = format!("bytes {start}-{}/{size}", end - 1);
    HeaderValue::try_from(text).expect("digits and a slash are a header value")
}

/// The `Content-Range` of a 416.
pub(crate) fn unsatisfied_content_range(size: u64) -> HeaderValue {
    HeaderValue::try_from(format!("bytes */{size}")).expect("digits and a slash are a header value")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn range_field_parses_only_with_one_range_of_bytes() {
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
            assert_eq!(parse_field(field), range, "{field}");
        }
    }

    #[test]
    fn range_is_clamped_to_the_representation() {
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
            assert_eq!(range.apply_to(size), span, "{range:?} of {size}");
        }
    }

    #[test]
    fn several_range_fields_are_ignored() {
        let mut headers = HeaderMap::new();
        headers.append(header::RANGE, HeaderValue::from_static("bytes=0-1"));
        assert_eq!(parse(&headers), Some(ByteRange::From(0, Some(1))));
        headers.append(header::RANGE, HeaderValue::from_static("bytes=2-3"));
        assert_eq!(parse(&headers), None);
    }

    proptest! {
        #[test]
        fn applied_range_is_the_slice_it_names(size in 0_usize..50, first in 0_usize..60, length in 1_usize..60, open: bool, suffix: bool) {
            let whole: Vec<usize> = (0..size).collect();
            let (range, wanted) = if suffix {
                (format!("bytes=-{length}"), &whole[size.saturating_sub(length)..])
            } else if open {
                (format!("bytes={first}-"), whole.get(first..).unwrap_or_default())
            } else {
                let end = (first + length).min(size);
                (format!("bytes={first}-{}", first + length - 1), whole.get(first..end).unwrap_or_default())
            };
            match parse_field(&range).unwrap().apply_to(size as u64) {
                Span::Part { start, end } => {
                    let bounds = usize::try_from(start).unwrap()..usize::try_from(end).unwrap();
                    prop_assert!(!bounds.is_empty());
                    prop_assert_eq!(&whole[bounds], wanted);
                }
                Span::Unsatisfiable | Span::Whole => prop_assert!(wanted.is_empty()),
            }
        }

        #[test]
        fn arbitrary_fields_yield_valid_parts(field in "(bytes=)?[0-9,= -]{0,30}", size: u64) {
            if let Some(Span::Part { start, end }) = parse_field(&field).map(|range| range.apply_to(size)) {
                prop_assert!(start < end && end <= size);
            }
        }
    }
}
