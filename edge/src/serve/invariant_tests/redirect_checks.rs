//! Redirects end, and lead where they may.

use std::collections::HashSet;

use percent_encoding::percent_decode_str;
use reqwest::Url;
use verge_daemon::http_server::TARGET_MAX;
use verge_protocol::rules::Origin;

use super::*;

/// After so many redirects, more than a browser follows, it is a loop.
const REDIRECTS_MAX: usize = 50;

/// Follows the redirects from `request` on.
///
/// The edge's own redirect, to the address of a page, is never followed by another of them. What does not end goes through two rules or more.
pub(super) fn check(case: &Case<'_>, request: &TestRequest) -> TestCaseResult {
    let mut request = request.clone();
    let (mut rules, mut was_own) = (Vec::new(), false);
    for _ in 0..REDIRECTS_MAX {
        let answer = case.ask(&request);
        let Some(location) = answer.field("location") else { return Ok(()) };
        match case.resolution(&request) {
            Err(Unresolved::Moved(_)) => {
                prop_assert!(!was_own, "two redirects to an address of a page");
                prop_assert_eq!(answer.status, 308);
                prop_assert_eq!(query(location), query(&request.target));
                check_location(location, None)?;
                was_own = true;
            }
            Err(Unresolved::Redirect { .. }) => {
                let index = case.rule_index(&request).unwrap();
                let rule = &case.site.redirects[index];
                prop_assert_eq!(answer.status, rule.status());
                if !rule.to().as_str().contains('?') {
                    prop_assert_eq!(query(location), query(&request.target));
                }
                check_location(location, rule.to().origin())?;
                rules.push(index);
                was_own = false;
            }
            _ => prop_assert!(false, "a redirect without a reason"),
        }
        let Some(next) = followed(&request, location) else { return Ok(()) };
        request = next;
    }
    let last: HashSet<usize> = rules.iter().rev().take(REDIRECTS_MAX / 2).copied().collect();
    prop_assert!(
        last.len() >= 2,
        "a loop of the rule {:?}",
        last.iter().map(|index| &case.site.redirects[*index]).next()
    );
    Ok(())
}

/// Decoded: what must be percent-encoded in a URI is.
fn query(target: &str) -> Option<String> {
    let (_, query) = target.split_once('?')?;
    Some(percent_decode_str(query).decode_utf8_lossy().into_owned())
}

/// A location is on the site, or on the host that its rule names.
fn check_location(location: &str, origin: Option<&Origin>) -> TestCaseResult {
    let here = Url::parse("http://demo.localhost/some/where").unwrap();
    let url = here.join(location).unwrap();
    if let Some(origin) = origin {
        prop_assert!(location.strip_prefix(origin.as_str()).is_some_and(|rest| rest.starts_with('/')));
        prop_assert_eq!(url.origin(), Url::parse(origin.as_str()).unwrap().origin());
    } else {
        prop_assert!(location.starts_with('/') && !location.starts_with("//") && !location.contains('\\'));
        prop_assert_eq!(url.origin(), here.origin());
    }
    Ok(())
}

/// The request of a client that follows a redirect; `None` if it is for another site, needs TLS, or is too long to be made.
fn followed(request: &TestRequest, location: &str) -> Option<TestRequest> {
    let (host, target) = match location.strip_prefix("http://") {
        Some(rest) => {
            let (host, target) = rest.split_at(rest.find('/')?);
            (host.to_owned(), target)
        }
        None => (request.host.clone(), location),
    };
    let is_here = target.starts_with('/') && (host == "demo.localhost" || host.starts_with("demo.localhost:"));
    let target = target.to_owned();
    (is_here && target.len() < TARGET_MAX).then(|| TestRequest { host, target, ..request.clone() })
}
