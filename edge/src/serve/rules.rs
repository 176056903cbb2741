//! What the redirect rules of a site say about a request.

use http::{HeaderValue, StatusCode, Uri};
use verge_protocol::rules::{Action, RedirectMatcher, RuleRequest, SplitPath};

/// The host of a request, as far as a site's rules depend on it.
pub(crate) struct SiteHost<'a> {
    /// In lowercase, without the port.
    pub(crate) name: &'a str,
    /// The port, if the request names one.
    pub(crate) port: Option<u16>,
    pub(crate) is_tls: bool,
    /// Whether it is not the site's own host or domain.
    pub(crate) is_preview: bool,
}

/// The first rule that applies to a request.
pub(crate) struct AppliedRule {
    /// Its number in the manifest.
    pub(crate) index: usize,
    pub(crate) outcome: RuleOutcome,
    /// Whether it comes before a file at the path.
    pub(crate) is_forced: bool,
    /// Whether it is for one path.
    pub(crate) is_literal: bool,
    /// The path that it redirects to, percent-encoded, if that is on the host and port of the request.
    pub(crate) redirects_to: Option<String>,
}

impl AppliedRule {
    pub(crate) fn is_redirect(&self) -> bool {
        matches!(self.outcome, RuleOutcome::Redirect { .. })
    }
}

/// What a rule does.
pub(crate) enum RuleOutcome {
    Redirect {
        status: StatusCode,
        location: HeaderValue,
    },
    /// The file at `path`, which begins with a slash and is percent-encoded, with `status`.
    Page {
        path: String,
        status: StatusCode,
    },
}

/// The first of `rules` that applies.
pub(crate) fn find(rules: &RedirectMatcher, uri: &Uri, host: &SiteHost<'_>) -> Option<AppliedRule> {
    if rules.rules().is_empty() {
        return None;
    }
    let path = SplitPath::new(uri.path());
    let scheme = if host.is_tls { "https" } else { "http" };
    let request = RuleRequest::new(scheme, host.name, host.port, &path, uri.query());
    let found = rules.find(&request)?;
    let (rule, captures) = (found.rule, &found.captures);
    let redirects_to = (matches!(rule.action(), Action::Redirect(_)) && rule.stays_on_origin(&request))
        .then(|| rule.to().path(captures));
    let outcome = match rule.action() {
        Action::Redirect(status) => {
            let location = rule.to().location(captures, uri.query());
            // Rules have ASCII hosts, and all else is percent-encoded.
            let location = HeaderValue::try_from(location).ok()?;
            RuleOutcome::Redirect { status: StatusCode::from_u16(status).ok()?, location }
        }
        Action::Rewrite => {
            let path = rule.to().path(captures);
            RuleOutcome::Page { path, status: StatusCode::OK }
        }
        Action::Error(status) => {
            let path = rule.to().path(captures);
            RuleOutcome::Page { path, status: StatusCode::from_u16(status).ok()? }
        }
    };
    let (index, is_forced, is_literal) = (found.index, rule.is_forced(), rule.from().is_literal());
    Some(AppliedRule { index, outcome, is_forced, is_literal, redirects_to })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use verge_protocol::rules::redirect::Fields;

    use super::*;

    fn outcome(from: &str, to: &str, status: u16, target: &str) -> String {
        let fields = Fields { from: from.to_owned(), query: BTreeMap::new(), to: to.to_owned(), status, force: false };
        let rules = RedirectMatcher::new(vec![fields.try_into().unwrap()]);
        let host = SiteHost { name: "a.example", port: None, is_tls: true, is_preview: false };
        match find(&rules, &target.parse().unwrap(), &host).map(|rule| rule.outcome) {
            None => "-".to_owned(),
            Some(RuleOutcome::Redirect { status, location }) => {
                format!("{} {}", status.as_u16(), location.to_str().unwrap())
            }
            Some(RuleOutcome::Page { path, status }) => format!("{} {path}", status.as_u16()),
        }
    }

    #[test]
    fn rule_becomes_a_redirect_or_a_page() {
        assert_eq!(outcome("/n/*", "/m/:splat", 302, "/n/a%20b?c"), "302 /m/a%20b?c");
        assert_eq!(outcome("/n/*", "/m/:splat", 200, "/n/x"), "200 /m/x");
        assert_eq!(outcome("/*", "/index.html", 200, "/n/x"), "200 /index.html");
        assert_eq!(outcome("/gone/*", "/404.html", 410, "/gone/x"), "410 /404.html");
        assert_eq!(outcome("/a", "/b", 301, "/c"), "-");
    }
}
