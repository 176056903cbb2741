//! Preconditions on entity tags (RFC 9110 §13).
//!
//! Responses have strong tags and no `Last-Modified`, so preconditions on dates are ignored (§13.1.3, §13.1.4).

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// The result of the preconditions of a GET or HEAD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Precondition {
    /// Respond as if there were no preconditions.
    Holds,
    /// 304: the reader has this representation.
    NotModified,
    /// 412: the reader expects another representation.
    Failed,
}

/// Evaluates `If-Match`, then `If-None-Match`, in the order of §13.2.2, against the tag of the selected representation.
pub(crate) fn evaluate(headers: &HeaderMap, etag: &HeaderValue) -> Precondition {
    if headers.contains_key(header::IF_MATCH) && !any_matches(headers, &header::IF_MATCH, etag, Comparison::Strong) {
        return Precondition::Failed;
    }
    if any_matches(headers, &header::IF_NONE_MATCH, etag, Comparison::Weak) {
        return Precondition::NotModified;
    }
    Precondition::Holds
}

/// Whether `Range` applies: there is no `If-Range`, or it is the tag of this representation (§13.1.5). A date never matches.
pub(crate) fn if_range_holds(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let mut fields = headers.get_all(header::IF_RANGE).iter();
    match (fields.next(), fields.next()) {
        (None, _) => true,
        (Some(tag), None) => tag == etag,
        (Some(_), Some(_)) => false,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

fn any_matches(headers: &HeaderMap, name: &HeaderName, etag: &HeaderValue, comparison: Comparison) -> bool {
    headers.get_all(name).iter().any(|field| list_matches(field.as_bytes(), etag.as_bytes(), comparison))
}

/// Whether a list of tags contains `etag`, or is `*`. The rest of the list is ignored after a syntax error (§8.8.3). It cannot be
/// split at commas, since tags may contain them.
fn list_matches(list: &[u8], etag: &[u8], comparison: Comparison) -> bool {
    if list.trim_ascii() == b"*" {
        return true;
    }
    let mut rest = list;
    loop {
        while let [b' ' | b'\t' | b',', after @ ..] = rest {
            rest = after;
        }
        let (weak, opaque) = match rest {
            [b'W', b'/', after @ ..] => (true, after),
            _ => (false, rest),
        };
        let Some(b'"') = opaque.first() else { return false };
        let Some(end) = opaque.iter().skip(1).position(|byte| *byte == b'"') else { return false };
        let (tag, after) = opaque.split_at(end + 2);
        if tag == etag && (comparison == Comparison::Weak || !weak) {
            return true;
        }
        // Two tags without a separator are a syntax error.
        if !matches!(after, [] | [b' ' | b'\t' | b',', ..]) {
            return false;
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn evaluate_with(fields: &[(HeaderName, &'static str)]) -> Precondition {
        let headers: HeaderMap =
            fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect();
        evaluate(&headers, &HeaderValue::from_static("\"a\""))
    }

    #[test]
    fn if_none_match_compares_weakly() {
        for (value, outcome) in [
            ("\"a\"", Precondition::NotModified),
            ("W/\"a\"", Precondition::NotModified),
            ("*", Precondition::NotModified),
            (" * ", Precondition::NotModified),
            ("\"b\", \"a\"", Precondition::NotModified),
            ("\"b\",W/\"a\"", Precondition::NotModified),
            (", ,\"a\"", Precondition::NotModified),
            ("\"b,\", \"a\"", Precondition::NotModified),
            ("\"b\"", Precondition::Holds),
            ("\"b, \"a\"\"", Precondition::Holds),
            ("a", Precondition::Holds),
            ("w/\"a\"", Precondition::Holds),
            ("\"a", Precondition::Holds),
            ("", Precondition::Holds),
            ("\"b\"\"a\"", Precondition::Holds),
            ("*, \"b\"", Precondition::Holds),
        ] {
            assert_eq!(evaluate_with(&[(header::IF_NONE_MATCH, value)]), outcome, "{value}");
        }
    }

    #[test]
    fn if_match_compares_strongly_and_precedes_if_none_match() {
        for (value, outcome) in [
            ("\"a\"", Precondition::Holds),
            ("*", Precondition::Holds),
            ("\"b\", \"a\"", Precondition::Holds),
            ("W/\"a\"", Precondition::Failed),
            ("\"b\"", Precondition::Failed),
            ("", Precondition::Failed),
        ] {
            assert_eq!(evaluate_with(&[(header::IF_MATCH, value)]), outcome, "{value}");
        }
        let both = |matched| evaluate_with(&[(header::IF_MATCH, matched), (header::IF_NONE_MATCH, "\"a\"")]);
        assert_eq!(both("\"b\""), Precondition::Failed);
        assert_eq!(both("\"a\""), Precondition::NotModified);
    }

    #[test]
    fn preconditions_on_dates_are_ignored() {
        let date = "Sat, 29 Oct 2044 19:43:31 GMT";
        assert_eq!(evaluate_with(&[(header::IF_MODIFIED_SINCE, date)]), Precondition::Holds);
        assert_eq!(
            evaluate_with(&[(header::IF_UNMODIFIED_SINCE, "Sat, 29 Oct 1994 19:43:31 GMT")]),
            Precondition::Holds
        );
    }

    #[test]
    fn if_range_with_another_tag_or_a_date_does_not_hold() {
        let etag = HeaderValue::from_static("\"a\"");
        let holds =
            |value| if_range_holds(&HeaderMap::from_iter([(header::IF_RANGE, HeaderValue::from_static(value))]), &etag);
        assert!(holds("\"a\"") && if_range_holds(&HeaderMap::new(), &etag));
        assert!(!holds("W/\"a\"") && !holds("\"b\"") && !holds("*") && !holds("Sat, 29 Oct 1994 19:43:31 GMT"));
    }

    proptest! {
        #[test]
        fn arbitrary_lists_do_not_panic(list: Vec<u8>) {
            let _ = list_matches(&list, b"\"a\"", Comparison::Weak);
        }

        #[test]
        fn tag_at_any_position_in_the_list_matches(
            before in prop::collection::vec("(W/)?\"[b-z,]{0,3}\"", 0..4),
            after in prop::collection::vec("(W/)?\"[b-z,]{0,3}\"", 0..4),
        ) {
            let list = [before.clone(), vec!["\"a\"".to_owned()], after.clone()].concat().join(", ");
            prop_assert!(list_matches(list.as_bytes(), b"\"a\"", Comparison::Strong));
            let others = [before, after].concat().join(",");
            prop_assert!(!list_matches(others.as_bytes(), b"\"a\"", Comparison::Weak));
        }
    }
}
