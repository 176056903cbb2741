//! Cross-origin access (Fetch Standard §3.2, "CORS protocol"): which responses scripts of other origins may read, and `OPTIONS`.
//!
//! Nothing that a site serves to everybody depends on who asks, so every response at a site's path may be read by everybody: files, its
//! 404s, and redirects, without which a `fetch` could not follow them. Other responses may not: the health page, hosts without a site.

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::builtin_responses::BuiltinResponse;

/// The methods that every path supports.
pub(super) const ALLOW: &str = "GET, HEAD, OPTIONS";

/// How long browsers may remember the answer to a preflight, in seconds. Firefox keeps it no longer than this, Chrome for two hours.
const MAX_AGE: &str = "86400";

/// Lets scripts of all origins read the response. They get it without credentials only, which is what `*` means.
pub(super) fn allow_any_origin(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
}

/// Whether scripts of all origins may read a response with these headers.
pub(super) fn allows_any_origin(headers: &HeaderMap) -> bool {
    headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
}

/// 204: the answer to `OPTIONS` (RFC 9110 §9.3.7). To a preflight for a path of a site also which requests scripts of other origins may
/// make. A preflight must not be redirected, and it has no credentials, so the answer is the same for every path.
pub(super) fn options(method: &Method, headers: &HeaderMap, is_of_site: bool) -> Option<BuiltinResponse> {
    if method != Method::OPTIONS {
        return None;
    }
    let response = BuiltinResponse::empty(StatusCode::NO_CONTENT).with_header(header::ALLOW, ALLOW);
    let has = |name: HeaderName| headers.contains_key(name);
    if !(is_of_site && has(header::ORIGIN) && has(header::ACCESS_CONTROL_REQUEST_METHOD)) {
        return Some(response);
    }
    let response = response
        .of_site()
        .with_header(header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD")
        .with_header(header::ACCESS_CONTROL_ALLOW_HEADERS, "*")
        .with_header(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    Some(response)
}
