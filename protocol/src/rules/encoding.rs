//! What is percent-encoded in locations.

use percent_encoding::{AsciiSet, CONTROLS};

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
