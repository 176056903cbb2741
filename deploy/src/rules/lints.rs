//! Warnings about rules that do nothing, or other than what they say.

mod missing_target;
mod replaced_header;
mod shadowed;
mod uncaptured_name;

use std::collections::HashSet;

use verge_protocol::SitePath;
use verge_protocol::rules::path_pattern::{Captures, PathPattern, Segment};
use verge_protocol::rules::{Action, Redirect, RedirectMatcher, RuleRequest, SplitPath};

pub(crate) use self::missing_target::has_file;
use self::missing_target::{AnsweringRules, Missing};
pub(super) use self::replaced_header::warnings as replaced_headers;
use self::shadowed::ShadowedRules;

/// How many redirects a browser follows, about.
const REDIRECTS_MAX: usize = 20;

/// How many pairs of rules are compared to find those that can never apply: seconds of work.
const COMPARED_MAX: usize = 5_000_000;

/// Warns about the redirect rules of a build with these `files`, which are named by where they are written. The page of a single-page app
/// answers for paths without a file.
pub(super) fn redirects(rules: &[(&str, &Redirect)], files: &[&SitePath], is_single_page: bool) -> Vec<String> {
    redirects_within(rules, files, is_single_page, COMPARED_MAX)
}

/// As [`redirects`], with so many pairs of rules compared at most.
fn redirects_within(
    rules: &[(&str, &Redirect)],
    files: &[&SitePath],
    is_single_page: bool,
    budget: usize,
) -> Vec<String> {
    let files: HashSet<&str> = files.iter().map(|path| path.as_str()).collect();
    let matcher = RedirectMatcher::new(rules.iter().map(|(_, rule)| (*rule).clone()).collect());
    let mut answering = AnsweringRules::new(rules.iter().map(|(_, rule)| *rule));
    let shadowed = ShadowedRules::new(&rules.iter().map(|(_, rule)| *rule).collect::<Vec<_>>(), budget);
    let mut warnings = Vec::new();
    for (index, (source, rule)) in rules.iter().enumerate() {
        let mut warn = |text: String| warnings.push(format!("{source}: {text}"));
        let (from, uncaptured) = (rule.from(), uncaptured_name::warning(rule));
        let is_target_as_meant = !rule.to().has_captures() && uncaptured.is_none();
        if let Some(reason) = from.unmatchable() {
            warn(format!("`{from}` can never match: {reason}"));
        } else if from.has_literal_wildcard() {
            warn(format!(
                "`{from}` is only for a path with a `*` in it: elsewhere than at the end of a segment, `*` is itself"
            ));
        } else if let Some(earlier) = shadowed.by(index) {
            warn(format!("`{rule}` can never apply, because {} comes first: `{}`", rules[earlier].0, rules[earlier].1));
        } else if leads_to_itself(rule) {
            warn(format!("`{rule}` leads to itself, and is ignored"));
        } else if let Some(others) = redirect_loop(&matcher, index, &files) {
            let others: Vec<&str> = others.iter().map(|index| rules[*index].0).collect();
            warn(format!("`{rule}` leads back to itself by {}: browsers give up", others.join(", ")));
        } else if !rule.is_forced()
            && from.is_literal()
            && let Some(file) = file_at(&files, from)
        {
            let what = if file == decoded(from) { "a file" } else { "a page" };
            warn(format!(
                "there is {what} at `{from}`, which is served: `!` after the status makes the rule come first"
            ));
        } else if let Some(text) = uncaptured {
            warn(text);
        } else if !is_single_page && let Some(missing) = answering.missing_target(index, rule, &files) {
            let to = rule.to();
            warn(match missing {
                Missing::Unanswered => {
                    format!("`{rule}` leads to a 404: neither a file nor another rule answers `{to}`")
                }
                Missing::AnsweredAsMiss(other) => format!(
                    "`{rule}` leads to a 404: there is no file at `{to}`, and no rule for it but `{}`",
                    rules[other].1
                ),
            });
        }
        if is_target_as_meant && !matches!(rule.action(), Action::Redirect(_)) && !has_file(&files, rule) {
            warn(format!("there is no file at `{}`: the response is 404", rule.to()));
        }
    }
    if let Some((source, _)) = shadowed.unchecked().map(|index| rules[index]) {
        warnings.push(format!(
            "{source}: too many rules are for the same paths: from here on, those that can never apply are not named"
        ));
    }
    warnings
}

fn decoded(from: &PathPattern) -> String {
    let literal = |segment: &Segment| match segment {
        Segment::Literal(text) => text.clone(),
        _ => "".into(),
    };
    from.segments().iter().map(literal).collect::<Vec<_>>().join("/")
}

/// The file that is served at this path, without a slash at its end: the file itself, or a page.
fn file_at(files: &HashSet<&str>, from: &PathPattern) -> Option<String> {
    let name = decoded(from);
    let page = if name.is_empty() { "index".to_owned() } else { name.clone() };
    [name, format!("{page}.html"), format!("{page}.htm")].into_iter().find(|file| files.contains(&**file))
}

/// Whether it redirects none of its paths, since it would lead to them. A rule without a host redirects to a URL from all other hosts.
fn leads_to_itself(rule: &Redirect) -> bool {
    let (scheme, host) = rule.site().unwrap_or_default();
    let is_redirected = |path: &String| {
        let path = SplitPath::new(path);
        rule.captures(&RuleRequest::new(scheme, host, None, &path, None)).is_some()
    };
    matches!(rule.action(), Action::Redirect(_))
        && !rule.asks_for_query()
        && (rule.site().is_some() || rule.to().origin().is_none())
        && !rule.from().examples().iter().any(is_redirected)
}

/// A request for `path` to no host.
fn request_of<'a>(path: &'a SplitPath<'a>) -> RuleRequest<'a> {
    RuleRequest::new("", "", None, path, None)
}

/// The other rules through which a redirect from the rule at `index`, for one path to one path, comes back to it. A rule that leads to the
/// path it is for is none.
fn redirect_loop(matcher: &RedirectMatcher, index: usize, files: &HashSet<&str>) -> Option<Vec<usize>> {
    let rule = &matcher.rules()[index];
    if !rule.from().is_literal() {
        return None;
    }
    let (mut rule, mut others) = (rule, Vec::new());
    for _ in 0..REDIRECTS_MAX {
        let is_followed =
            matches!(rule.action(), Action::Redirect(_)) && !rule.to().has_captures() && rule.to().origin().is_none();
        if !is_followed {
            return None;
        }
        let location = rule.to().path(&Captures::default());
        let has_file = has_file(files, rule);
        let path = SplitPath::new(&location);
        let found = matcher.find(&request_of(&path))?;
        if has_file && !found.rule.is_forced() {
            return None;
        }
        if found.index == index {
            return (!others.is_empty()).then_some(others);
        }
        others.push(found.index);
        rule = &matcher.rules()[found.index];
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::rules::redirects_file;

    fn warnings_of(text: &str) -> String {
        warnings_within(text, COMPARED_MAX)
    }

    fn warnings_within(text: &str, budget: usize) -> String {
        let rules: Vec<(String, Redirect)> =
            redirects_file::parse(text).map(|(line, rule)| (format!("_redirects:{line}"), rule.unwrap())).collect();
        let rules: Vec<(&str, &Redirect)> = rules.iter().map(|(source, rule)| (&**source, rule)).collect();
        let files: Vec<SitePath> =
            ["index.html", "file.txt", "app/index.html", "page.html"].map(|path| path.parse().unwrap()).into();
        redirects_within(&rules, &files.iter().collect::<Vec<_>>(), false, budget).join("\n")
    }

    #[test]
    fn rules_that_do_nothing_are_named() {
        insta::assert_snapshot!(warnings_of(
            "/j/*.html /m\n/n/* /m/:splat\n/n/x /y\n/n/:a/b /y\n/n /y\n/same /same/ 301\n/s/* /s/:splat\n/ü/* /ü/:splat\n/:x/:y /:y/:x\n/file.txt /x\n/q id=1 /r\n/q id=1 /t\n\
             /a /b\n/b /c 302\n/c /a\n/w /missing.html 200\n/* /index.html 200\n/late /x"
        ));
    }

    #[test]
    fn rules_that_can_apply_have_no_warning() {
        let text = "/n/:a /m\n/n/:a/:b /m\n/n/* /m\n/q id=1 /r\n/q id=2 /r\n/q /r\nhttps://a.example/* https://b.example/:splat 301!\n/p/:x/y /z\n\
                    /p/* /z\n/file.txt /x 301!\n/app/* /app/index.html 200\n/* /index.html 200";
        assert_eq!(warnings_of(text), "");
        for text in [
            "/* / 301\n/ /home 302",
            "/blog/* /blog 301\n/blog /news 301",
            "/* /b/:splat 301\n/b/x /y 301",
            "/home / 301\n/ /home 301",
        ] {
            let warnings = warnings_of(text);
            assert!(!warnings.contains("can never") && !warnings.contains("back to itself"), "{text}: {warnings}");
        }
    }

    #[test]
    fn rule_with_a_segment_that_nothing_matches_is_named() {
        for (from, what) in [
            ("/old//page", "an empty segment"),
            ("//h/x", "an empty segment"),
            ("/c//", "an empty segment"),
            ("/a/./b", "a dot segment"),
            ("/a/..", "a dot segment"),
            ("/%2e/a", "a dot segment"),
        ] {
            assert_eq!(
                warnings_of(&format!("{from} /file.txt 301")),
                format!("_redirects:1: `{from}` can never match: {what} matches nothing"),
            );
            let rule = redirects_file::parse(&format!("{from} /file.txt 301")).next().unwrap().1.unwrap();
            assert!(rule.captures(&request_of(&SplitPath::new(from))).is_none(), "{from}");
        }
        for rule in [
            "/.* /file.txt 301",
            "/a%2A* /file.txt 301",
            "/a%2Ab /file.txt 301",
            "/..a /file.txt 301",
            "/a/ /file.txt 301",
        ] {
            assert_eq!(warnings_of(rule), "", "{rule}");
        }
    }

    #[test]
    fn rule_that_asks_for_more_than_an_earlier_one_is_named() {
        for text in [
            "/q k=1 /b\n/q k=1 j=2 /b 302",
            "/a/* k=1 /file.txt\n/a/c k=1 j=3 /file.txt 302",
            "/q k=:v /b\n/q k=1 /b 302",
            "/q k=:v /b\n/q k=:w /b 302",
            "/q k=:v /b\n/q j=1 k=2 /b 302",
            "/* /file.txt 301\n/* /file.txt 301",
            "/* /b/:splat 301\n/* /b/:splat 302",
            "/* /file.txt 301\n/* k=1 /file.txt 302",
            "/blog/:year/:slug /blog/:slug\n/blog/2026/x /file.txt",
            "/* /b/:splat 301\n/x /file.txt",
            "http://a.example/* https://a.example/:splat 301!\nhttp://a.example/x /file.txt",
            "https://a.example/* https://b.example/:splat 301!\nhttps://a.example/x k=1 /file.txt",
            "/x* /y/:splat\n/xy /file.txt",
            "/blog/* https://blog.x.test/:splat 301\n/blog/post-1 /file.txt 302",
            "/blog/* https://blog.x.test/:splat 301\n/blog/:p /file.txt 302",
            "/blog/* https://blog.x.test/:splat 301\n/blog/* /file.txt 302",
            "/blog/* https://blog.x.test/:splat 301\n/blog /file.txt 302",
            "/blog/* https://blog.x.test/:splat 301\nhttps://blog.x.test/blog/a /file.txt 302",
            "/blog/:y/:m/* https://blog.x.test/:m/:splat 301\n/blog/2026/11/a /file.txt 302",
            "/old/* /:splat 301\n/old/x /file.txt 302",
            "/shop id=:id /p/:id 301\n/shop id=7 color=red /file.txt 302",
            "/shop id=:id /p/:id 301\n/shop id=7 /file.txt 302",
            "/shop id=:id /p/:id 301\n/shop id=2e /file.txt 302",
            "/index.php p=:id /:id 301\n/index.php p=7 /file.txt 302",
            "/shop id=:id /p/a-:id 301\n/shop id=a.b lang=a /file.txt 302",
            "/:a/* https://a.example/:splat 301\n/x* /file.txt 302",
        ] {
            let warnings = warnings_of(text);
            let named = warnings.lines().filter(|line| line.contains("can never apply"));
            assert!(named.eq(warnings.lines().filter(|line| line.starts_with("_redirects:2:"))), "{text}: {warnings}");
            assert!(warnings.contains("can never apply, because _redirects:1 comes first"), "{text}: {warnings}");
        }
    }

    #[test]
    fn rule_that_an_earlier_one_leaves_a_request_is_not_named() {
        for text in [
            "/q k=1 j=2 /b\n/q k=1 /b 302",
            "/q k=1 /b\n/q k=:v /b 302",
            "/q k=1 /q\n/q k=1 /b",
            "/a /a?x=1\n/a /b",
            "/q k=:v /x/:v\n/q k=.. /b",
            "/:x/a /a/:x\n/a/a /b",
            "/x* /y/:splat\n/x.. /b",
            "/* https://a.example/:splat 301\n/x /b",
            "/* https://a.example/:splat 301\n/* /b",
            "/a/b/* /a:splatb 301\n/a/b/* /b",
            "/a/* /:splat/:splat 301\n/a/* /b",
            "/:splat/* /:splat 301\n/x* /b",
            "/shop id=:id /p/:id 301\n/shop /b",
            "/shop id=:id /p/:id 301\n/shop id=:n /b",
            "/shop id=:id /p/%:id 301\n/shop id=2e /b",
            "/shop id=:id /p/.:id 301\n/shop id=. /b",
            "/shop id=:id /:id 301\n/shop id=shop /b",
            "/* https://a.example/:splat 301\nhttps://a.example/x /b",
            "https://a.example/x /b\n/x /b",
            "https://a.example/x /b\nhttp://a.example/x /b",
        ] {
            assert!(!warnings_of(text).contains("can never apply"), "{text}");
        }
    }

    proptest! {
        /// The engine answers no request by a rule that is said to never apply.
        #[test]
        fn rule_that_can_never_apply_is_found_for_no_request(
            lines in proptest::collection::vec(
                "(https://a\\.example|http://a\\.example|https://b\\.example)?\
                 (/|/a|/b|/d|/:x|/\\*|/a/b|/a/\\*|/a/b/\\*|/a/a/\\*|/:x/\\*|/a\\*|/:x/b|/a/:x|/\\*/b|/a\\*/b|/:x/:y|/a\\.\\.) \
                 (k=1 |k=:v |k=\\.\\. |k=a |k=d )?(j=1 |j=:w )?\
                 (https://a\\.example|https://b\\.example|http://a\\.example)?\
                 (/d|/a|/a/b|/d/:splat|/:splat/:splat|/:x/:splat|/:splat/b|/a:splatb|/a\\.:v|/a/:splat|/:splat|/:x|/a/:x|/:x/b|/:y/:x|/:x/:x|/d/:v|/:v|/a\\?k=1|/a\\?j=:v|/a\\.:splat|/:x-b) \
                 (301|302!)",
                2..5,
            ),
            rewrites in proptest::collection::vec(any::<bool>(), 4),
        ) {
            let rules: Vec<Redirect> = lines
                .iter()
                .zip(&rewrites)
                .filter_map(|(line, is_rewrite)| {
                    let line = if *is_rewrite { line.replace("301", "200") } else { line.clone() };
                    redirects_file::parse(&line).next()?.1.ok()
                })
                .collect();
            let shadowed = ShadowedRules::new(&rules.iter().collect::<Vec<_>>(), COMPARED_MAX);
            let never: Vec<usize> = (0..rules.len()).filter(|index| shadowed.by(*index).is_some()).collect();
            let matcher = RedirectMatcher::new(rules);
            let paths = ["/", "/a", "/a/", "/b", "/d", "/c", "/a/a", "/a/b", "/b/b", "/a/b/b", "/d/d", "/a/d/b", "/ab", "/a..", "/a../b", "/a-b", "/d/1", "/a/a/a", "/a/a/b/", "/a/b//", "/a//", "/a/b/a/b", "/a/a/a/a"];
            let queries = [None, Some("k=1"), Some("k=.."), Some("k=a&j=1"), Some("k=1&j=1"), Some("k=1&j=2"), Some("k=b"), Some("j=1"), Some("k=..&j=1"), Some("k=a"), Some("k=d&j=1"), Some("j=k&k=1")];
            for path in paths.iter().filter(|_| !never.is_empty()) {
                let path = SplitPath::new(path);
                for query in queries {
                    for (scheme, host) in [("https", "a.example"), ("http", "a.example"), ("https", "b.example"), ("http", "c.example")] {
                        let found = matcher.find(&RuleRequest::new(scheme, host, None, &path, query));
                        let found = found.map(|found| found.index).filter(|index| never.contains(index));
                        prop_assert_eq!(found, None, "{} {} {:?} {:?}", scheme, host, path, query);
                    }
                }
            }
        }
    }

    #[test]
    fn targets_that_are_no_path_of_the_site_are_named_once() {
        insta::assert_snapshot!(warnings_of(
            "/a /gone 301\n/b/:x /c/:y 301\n/d/:x /e/:y 200\n/f /f/\n/file.txt /gone 301\n/g /app 301\n/h /gone 200"
        ));
        let rule = redirects_file::parse("/a /gone 301").next().unwrap().1.unwrap();
        assert_eq!(redirects(&[("_redirects:1", &rule)], &[], true), [""; 0], "the app answers");
    }

    #[test]
    fn rule_for_the_address_of_a_page_is_named() {
        let note = |from: &str, what: &str| {
            format!(
                "_redirects:1: there is {what} at `{from}`, which is served: `!` after the status makes the rule come first"
            )
        };
        assert_eq!(warnings_of("/page /file.txt 301"), note("/page", "a page"));
        assert_eq!(warnings_of("/page/ /file.txt 302"), note("/page/", "a page"));
        assert_eq!(warnings_of("/ /app/ 302"), note("/", "a page"));
        assert_eq!(warnings_of("/page.html /app/ 302"), note("/page.html", "a file"));
        // The page is at `/app/`.
        for rule in ["/app /file.txt 301", "/page /file.txt 301!", "/pag /file.txt 301", "/page/x /file.txt 301"] {
            assert_eq!(warnings_of(rule), "", "{rule}");
        }
    }

    #[test]
    fn rule_of_a_host_that_leads_to_itself_is_named() {
        for rule in [
            "https://a.example/x http://a.example/x 302",
            "https://a.example/* https://a.example/:splat 301",
            "http://a.example/file.txt /file.txt 301",
            "https://A.example/x/* https://a.example:443/x/:splat 308",
        ] {
            let warnings = warnings_of(rule);
            assert!(warnings.ends_with("leads to itself, and is ignored"), "{rule}: {warnings}");
        }
        for rule in [
            "http://a.example/x https://a.example/x 302",
            "https://a.example/* https://a.example:8443/:splat 301",
            "https://a.example/x https://b.example/x 302",
            "/x https://a.example/x 302",
            "https://a.example/* https://a.example/b/:splat 301",
        ] {
            assert_eq!(warnings_of(rule), "", "{rule}");
        }
    }

    #[test]
    fn redirect_to_a_miss_is_named_with_the_rule_for_misses() {
        let answers = "neither a file nor another rule answers `/gone`";
        assert_eq!(warnings_of("/old /gone 301"), format!("_redirects:1: `/old /gone 301` leads to a 404: {answers}"));
        assert_eq!(
            warnings_of("/old /gone 301\n/* /file.txt 404"),
            "_redirects:1: `/old /gone 301` leads to a 404: there is no file at `/gone`, and no rule for it but `/* /file.txt 404`"
        );
        assert_eq!(warnings_of("/old /gone/x 301\n/gone/* /file.txt 404"), "");
    }

    #[test]
    fn many_rules_of_one_path_are_checked_in_bounded_time() {
        let by_query: String =
            (0..20_000).map(|id| format!("/index.php id={id} lang=en /index.html 302\n")).collect::<Vec<_>>().concat();
        assert_eq!(warnings_of(&format!("{by_query}/index.php id=7 lang=en /file.txt 302\n")).lines().count(), 1);
        let by_host: String =
            (0..20_000).map(|host| format!("https://{host}.example/x /index.html 302\n")).collect::<Vec<_>>().concat();
        assert_eq!(warnings_of(&format!("{by_host}https://7.example/x /file.txt 302\n")).lines().count(), 1);
        let by_query: String = (0..5000)
            .map(|id| format!("/x k{id}=1 /index.html 302\n/x k{id}=1 j=1 /file.txt 302\n"))
            .collect::<Vec<_>>()
            .concat();
        assert!(!warnings_of(&by_query).contains("from here on"));
        let same = warnings_of(&"/x /index.html 302\n".repeat(20_000));
        assert!(same.lines().count() == 19_999 && same.lines().all(|line| line.contains("can never apply")));
        let unlike = (0..100).map(|id| format!("/x/* /x/y{id}/:splat 301\n")).collect::<Vec<_>>().concat();
        let warnings = warnings_within(&unlike, 1000);
        assert!(warnings.contains("from here on, those that can never apply are not named"), "{warnings}");
    }
}
