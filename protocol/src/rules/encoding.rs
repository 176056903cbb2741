//! What is percent-encoded in locations, and how a query is decoded.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str};

/// Characters that must be percent-encoded in a path or query (RFC 3986 §3.3, §3.4), though requests may contain them.
pub const MUST_ENCODE: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// Decodes a name or a value of a query as a form (URL Standard §5.1).
pub(super) fn decode_form(text: &str) -> String {
    let spaces = if text.contains('+') { Cow::Owned(text.replace('+', " ")) } else { Cow::Borrowed(text) };
    percent_decode_str(&spaces).decode_utf8_lossy().into_owned()
}
