//! The worst requests that rules within limits allow. What they cost is measured by the example `rule_cost`: here each would be minutes of work
//! without limits and indexes.

use super::redirect::Fields;
use super::{
    FoldedPath, HeaderMatcher, HeaderPattern, PathPattern, Redirect, RedirectMatcher, RuleRequest, Rules, SplitPath,
};

/// The longest target of a request, in bytes.
const TARGET_MAX: usize = 8 << 10;

fn redirect(from: &str, query: &[(&str, &str)], to: &str) -> Redirect {
    let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Fields { from: from.to_owned(), query, to: to.to_owned(), status: 301, force: false }.try_into().unwrap()
}

/// The rule for a request.
fn find(redirects: Vec<Redirect>, path: &str, query: Option<&str>) -> Option<usize> {
    let rules = Rules { redirects, ..Rules::default() };
    assert_eq!(rules.check(), Ok(()));
    let matcher = RedirectMatcher::new(rules.redirects);
    let path = SplitPath::new(path);
    matcher.find(&RuleRequest::new("https", "a.example", None, &path, query)).map(|found| found.index)
}

#[test]
fn query_is_parsed_once_for_many_rules_of_a_path() {
    let rules = |to: &str| -> Vec<Redirect> {
        (0..5000).map(|id| redirect("/index.php", &[("id", &id.to_string())], &format!("{to}/{id}"))).collect()
    };
    let query = "a=&".repeat(TARGET_MAX / 3);
    assert_eq!(find(rules("/new"), "/index.php", Some(&query)), None);
    assert_eq!(find(rules("/new"), "/index.php", Some(&format!("id=1&{query}id=4999"))), Some(4999));
}

#[test]
fn rules_of_other_hosts_are_not_compared_with_a_request() {
    let rule = |host: usize| redirect(&format!("https://h{host}.example/*"), &[], &format!("/{host}"));
    let mut rules: Vec<Redirect> = (0..20_000).map(rule).collect();
    rules.push(redirect("/a/*", &[], "/t"));
    rules.push(redirect("https://a.example/*", &[], "/t"));
    let matcher = RedirectMatcher::new(rules);
    for _ in 0..20_000 {
        for (path, index) in [("/a/b", 20_000), ("/b", 20_001)] {
            let path = SplitPath::new(path);
            let found = matcher.find(&RuleRequest::new("https", "a.example", None, &path, None));
            assert_eq!(found.map(|found| found.index), Some(index));
        }
    }
}

#[test]
fn rules_that_share_parameters_are_found_by_those_that_they_do_not_share() {
    let rule = |id: usize| redirect("/p", &[("lang", "en"), ("id", &id.to_string()), ("any", ":x")], "/new");
    let rules: Vec<Redirect> = (0..20_000).map(rule).collect();
    assert_eq!(find(rules, "/p", Some("lang=en&id=x&any=1")), None);
}

/// The pattern of literals and placeholders that are the digits of a number.
fn combination(number: usize, digits: u32) -> String {
    (0..digits)
        .map(
            |digit| {
                if number.checked_shr(digit).unwrap_or(0) & 1 == 0 { "/a".to_owned() } else { format!("/:p{digit}") }
            },
        )
        .collect()
}

#[test]
fn segments_after_a_wildcard_are_compared_at_one_place() {
    let path = "/a".repeat(TARGET_MAX / 2);
    let rules = |end: &str| -> Vec<Redirect> {
        (0..8192).map(|number| redirect(&format!("/*{}{end}", combination(number, 13)), &[("x", "1")], "/t")).collect()
    };
    assert_eq!(find(rules("/b"), &path, None), None);
    assert_eq!(find(rules(""), &path, None), None);
    let rules = (0..100).map(|number| redirect(&format!("/*{}/b/*", combination(number, 100)), &[], "/t")).collect();
    assert_eq!(find(rules, &path, None), None);
}

#[test]
fn rules_that_lead_to_the_request_itself_are_not_all_tried() {
    let path = format!("/a{}", "/b".repeat(TARGET_MAX / 2 - 2));
    let rules = |count: usize, from: &str, to: &str| vec![redirect(from, &[], to); count];
    assert_eq!(find(rules(40_000, "/a/*", "/a/:splat"), &path, None), None);
    // Each location would be 16 times as long as the request.
    assert_eq!(find(rules(40_000, "/a/*", &format!("/a{}", "/:splat".repeat(16))), &path, None), None);
    assert_eq!(find(rules(100, "/a/*/b/*", &format!("/a{}", "/:splat".repeat(16))), &path, None), None);
    // What is captured has dot segments, or what looks like them.
    for segment in ["/.", "/...", "/%2e%2e%2e"] {
        let path = format!("/a{}", segment.repeat(TARGET_MAX / segment.len() - 1));
        assert_eq!(find(rules(10_000, "/a/*", &format!("/a{}", "/:splat".repeat(16))), &path, None), None, "{segment}");
    }
}

#[test]
fn text_before_a_wildcard_is_looked_for_once() {
    let text = "a".repeat(300);
    let encoded: String = "%61".repeat(TARGET_MAX / 3 - 1);
    let rules: Vec<Redirect> = (0..20_000).map(|number| redirect(&format!("/{text}*/{number}"), &[], "/t")).collect();
    assert_eq!(find(rules, &format!("/{encoded}"), None), None);
    let pattern: PathPattern = format!("/{}*", "a".repeat(1000)).parse().unwrap();
    assert!(pattern.captures(&SplitPath::new(&format!("/{encoded}"))).is_some());
}

#[test]
fn header_patterns_are_found_by_the_text_beside_their_wildcards() {
    for (pattern, path) in [
        ("/:a/h{}", "/q/h7"),
        ("/*.e{}", "/a/b.e7"),
        ("/:a/*.e{}", "/q/b.e7"),
        ("/*/h{}", "/a/b/h7"),
        ("/h{}*", "/h7"),
        ("/p*-{}.js", "/p/q-7.js"),
        ("/p{}-*.js", "/p7-q.js"),
    ] {
        let patterns = (0..20_000).map(|number| pattern.replace("{}", &number.to_string()).parse().unwrap());
        let matcher = HeaderMatcher::new(patterns);
        let path = FoldedPath::new(path);
        for _ in 0..10_000 {
            let found = matcher.find(&path);
            assert!(found.contains(&7) && found.len() <= 2, "{pattern}: {found:?}");
        }
    }
}

#[test]
fn header_patterns_do_not_try_each_place() {
    let patterns = |count: usize, pattern: &str| -> Vec<HeaderPattern> { vec![pattern.parse().unwrap(); count] };
    let placeholders: String = (0..120).map(|number| format!("/:p{number}")).collect::<Vec<_>>().concat();
    for patterns in [
        patterns(3000, &format!("/*{placeholders}/b")),
        patterns(100, "/*/a/a/a/b*b/*"),
        patterns(20, "/*/a/:a/:b/:c/:d/b/*"),
        patterns(40_000, "/*.js"),
        patterns(100, &format!("/*{}/*", "a".repeat(1000))),
        patterns(20, &format!("/*{}/:x/b/*", "a".repeat(1000))),
    ] {
        let matcher = HeaderMatcher::new(patterns.into_iter());
        for path in ["/a".repeat(TARGET_MAX / 2), format!("/{}b", "a".repeat(TARGET_MAX))] {
            assert!(matcher.find(&FoldedPath::new(&path)).is_empty());
        }
    }
}
