//! Cross-origin access (Fetch Standard §3.2, "CORS protocol"): which responses scripts of other origins may read.
//!
//! Nothing that a site serves to everybody depends on who asks, so every response at a site's path may be read by everybody: files, its
//! 404s, and redirects, without which a `fetch` could not follow them. Other responses may not: the health page, hosts without a site.

use http::{HeaderMap, HeaderName, HeaderValue, header};

/// What the answer to a preflight says besides the origin: which requests scripts of other origins may make, and how long browsers may
/// remember that, in seconds (Firefox keeps it no longer than a day, Chrome for two hours).
pub(super) const PREFLIGHT: [(HeaderName, &str); 3] = [
    (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD"),
    (header::ACCESS_CONTROL_ALLOW_HEADERS, "*"),
    (header::ACCESS_CONTROL_MAX_AGE, "86400"),
];

/// Lets scripts of all origins read the response. They get it without credentials only, which is what `*` means.
pub(super) fn allow_any_origin(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
}

/// Whether scripts of all origins may read a response with these headers.
pub(super) fn allows_any_origin(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
}

/// Whether an `OPTIONS` request with these headers is a browser's preflight.
pub(super) fn is_preflight(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ORIGIN) && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}
