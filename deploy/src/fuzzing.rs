//! The parsers of rules, as the fuzz targets in `fuzz/` run them. No part of the crate's interface.
//!
//! Each function takes the text of a file, and after a zero byte the path of a request, and panics if the rules do other than they
//! guarantee.

use verge_protocol::Rules;
use verge_protocol::rules::{
    Action, FoldedPath, HeaderMatcher, Origin, Redirect, RedirectMatcher, RuleRequest, SplitPath,
};

use crate::rules::LoadedRules;

/// `_redirects`.
pub fn redirects(bytes: &[u8]) {
    check(bytes, |text| LoadedRules::parse(Some(text), None, None, "site"));
}

/// `_headers`.
pub fn headers(bytes: &[u8]) {
    check(bytes, |text| LoadedRules::parse(None, Some(text), None, "site"));
}

/// `netlify.toml`.
pub fn netlify_toml(bytes: &[u8]) {
    check(bytes, |text| LoadedRules::parse(None, None, Some(text), "site"));
}

fn check(bytes: &[u8], parse: impl Fn(&str) -> LoadedRules) {
    let text = String::from_utf8_lossy(bytes);
    let (text, target) = text.split_once('\0').unwrap_or((&text, "/"));
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let mut loaded = parse(text);
    loaded.lint(&[], false);
    let rules = loaded.rules;
    let json = serde_json::to_string(&rules).expect("rules are text");
    assert_eq!(serde_json::from_str::<Rules>(&json).expect("it was written by this version"), rules);
    check_redirects(&rules, path, query);
    let path = FoldedPath::new(path);
    let matching: Vec<usize> =
        (0..rules.headers.len()).filter(|index| rules.headers[*index].pattern.matches(&path)).collect();
    assert_eq!(HeaderMatcher::new(rules.headers.iter().map(|rule| rule.pattern.clone())).find(&path), matching);
}

/// After so many redirects by one rule, and one for each segment that it may take off, it is a loop.
const REDIRECTS_MAX: usize = 40;

/// The tree finds what going through the list finds, no location leads to a host that the rule does not name, and no rule is a loop.
fn check_redirects(rules: &Rules, path: &str, query: Option<&str>) {
    let redirects_max = REDIRECTS_MAX + path.matches('/').count();
    let path = SplitPath::new(path);
    let request = RuleRequest::new("https", "a.example", None, &path, query);
    let matcher = RedirectMatcher::new(rules.redirects.clone());
    let found = matcher.find(&request);
    let first = rules.redirects.iter().position(|rule| rule.captures(&request).is_some());
    // Of more rules, not all that lead to the request itself are tried.
    let first = first.filter(|index| *index <= 100 || found.is_some());
    assert_eq!(found.as_ref().map(|found| found.index), first);
    let Some(found) = found else { return };
    let target = found.rule.to();
    let location = target.location(&found.captures, query);
    let origin = target.origin().map(Origin::as_str).unwrap_or_default();
    let rest = location.strip_prefix(origin).expect("the location begins with the origin");
    assert!(rest.starts_with('/') && !rest.starts_with("//"), "{location}");
    assert!(location.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\'), "{location}");
    check_end(found.rule, &request, redirects_max);
}

/// Following `rule` alone ends after so many redirects.
fn check_end(rule: &Redirect, request: &RuleRequest<'_>, redirects_max: usize) {
    let (mut target, mut query) = (None, request.query().map(str::to_owned));
    for _ in 0..redirects_max {
        let first = request.path();
        let split = target.as_deref().map(SplitPath::new);
        let next = request.at(split.as_ref().unwrap_or(first), query.as_deref());
        let Some(captures) = rule.captures(&next).filter(|_| rule.stays_on_origin(&next)) else { return };
        if !matches!(rule.action(), Action::Redirect(_)) {
            return;
        }
        let after = (rule.to().path(&captures), rule.to().query(&captures));
        target = Some(after.0);
        query = after.1.or(query);
    }
    panic!("a loop: {rule}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corpora_of_fuzz_targets_pass() {
        for (name, target) in
            [("redirects", redirects as fn(&[u8])), ("headers", headers), ("netlify_toml", netlify_toml)]
        {
            let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(name);
            let files: Vec<_> = std::fs::read_dir(&corpus).unwrap().collect();
            assert!(!files.is_empty(), "{name}");
            for file in files {
                target(&std::fs::read(file.unwrap().path()).unwrap());
            }
        }
    }
}
