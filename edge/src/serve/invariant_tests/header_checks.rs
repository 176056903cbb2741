//! Header rules apply where they should, and nowhere else.

use verge_protocol::rules::HeaderChange;

use super::*;

/// Checks a header that only rules set, the lifetime, and the CORS header.
pub(super) fn check(case: &Case<'_>, request: &TestRequest, answer: &Answer) -> TestCaseResult {
    let path = request.uri().path().to_owned();
    let by_rule = |name: &str| case.site.header(&path, name);
    if answer.is_redirect() || answer.is_refused() {
        prop_assert_eq!(answer.field("x-rule"), None);
        return Ok(());
    }
    prop_assert_eq!(answer.field("x-rule"), by_rule("x-rule").and_then(HeaderChange::value));
    if by_rule("vary").is_some() {
        prop_assert!(answer.varies_by("cookie"));
    }
    if by_rule("access-control-allow-origin").is_some() {
        prop_assert_eq!(answer.field("access-control-allow-origin"), None);
    }
    let headers = request.headers();
    let is_of_file = [200, 206, 304].contains(&answer.status)
        && match case.resolution(request) {
            // Its Markdown twin is another file.
            Ok(Resolution::File(file)) => file.markdown().is_none() || !accept::prefers_markdown(&headers),
            Ok(Resolution::Rewritten(_)) => true,
            _ => false,
        };
    match by_rule("cache-control") {
        Some(_) if is_of_file => prop_assert!(answer.has_directive("max-age=60")),
        _ => prop_assert!(!answer.has_directive("max-age=60")),
    }
    if by_rule("content-type").is_some() && is_of_file && answer.status != 304 {
        prop_assert_eq!(answer.field("content-type"), Some("text/html"));
    }
    Ok(())
}
