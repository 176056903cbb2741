//! What has a password is sent to nobody without it.

use super::*;

/// The credentials that rules know: `ann:x`, `bob:y`.
const KNOWN: [&str; 2] = ["Basic YW5uOng=", "Basic Ym9iOnk="];

/// Compares a response with that of the same site without passwords.
pub(super) fn check(case: &Case<'_>, request: &TestRequest, answer: &Answer) -> TestCaseResult {
    if case.site.passwords.is_empty() {
        prop_assert_ne!(answer.status, 401);
        return Ok(());
    }
    let open = Site { passwords: Vec::new(), ..case.site.clone() };
    let open = ask(&case.fixture.serve(&open), request);
    if answer.is_refused() {
        prop_assert_eq!(answer, &open);
        return Ok(());
    }
    let of_file = case.resolution(request).ok();
    let sent = of_file.map(|resolution| {
        let headers = request.headers();
        format!("/{}", resolution.sent(|| accept::prefers_markdown(&headers)).path().replace('%', "%25"))
    });
    let is_protected =
        case.site.is_protected(request.uri().path()) || sent.is_some_and(|path| case.site.is_protected(&path));
    if answer.status == 401 {
        prop_assert!(case.site.passwords.iter().any(|rule| !rule.only_previews));
        prop_assert_eq!((answer.field("location"), answer.field("etag")), (None, None));
        prop_assert!(answer.body.is_empty() || answer.body.starts_with(b"This page needs"));
        return Ok(());
    }
    // With the password, or without need of one: as if there were none.
    let parts = |answer: &Answer| {
        let field = |name: &str| answer.field(name).map(str::to_owned);
        (answer.status, answer.body.clone(), field("etag"), field("location"), field("content-type"), field("x-rule"))
    };
    prop_assert_eq!(parts(answer), parts(&open));
    if is_protected {
        prop_assert!(KNOWN.contains(&request.field("authorization")), "sent without a password");
        prop_assert!(answer.has_directive("private") && !answer.has_directive("public"));
        prop_assert!(!answer.has_directive("s-maxage=90"));
        prop_assert_ne!(answer.field("access-control-allow-origin"), Some("*"));
    }
    // A cache never gives a response to one who would have got another.
    for authorization in ["", KNOWN[0], KNOWN[1]] {
        let other = case.ask(&request.with("authorization", authorization));
        let is_kept = |answer: &Answer| !answer.has_directive("no-store") && !answer.has_directive("private");
        prop_assert!(parts(&other) == parts(answer) || (!is_kept(answer) && !is_kept(&other)));
    }
    Ok(())
}
