//! `_redirects` as IPFS gateways mean it: the inputs and outcomes of its specification ("Web _redirects File"), of the gateway
//! conformance tests and of the tests of its Go library, and what they are here.
//!
//! Where the two differ, Netlify's meaning holds: `docs/FORMATS.md`, "Differences from IPFS". What a gateway answers over HTTP is in
//! `tests/cluster/rules.rs`.

use verge_protocol::rules::{Action, RedirectMatcher, RuleRequest, SplitPath};

use super::LoadedRules;

/// What a request for `target` gets by the rules `text`: status and target, `-` if no rule applies, `invalid` if the file is refused.
fn outcome(text: &str, target: &str) -> String {
    let loaded = LoadedRules::parse(Some(text), None, None, "site");
    if !loaded.invalid.is_empty() {
        return "invalid".to_owned();
    }
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    let path = SplitPath::new(path);
    let rules = RedirectMatcher::new(loaded.rules.redirects);
    let request = RuleRequest::new("https", "site.example", None, &path, query);
    let Some(found) = rules.find(&request) else { return "-".to_owned() };
    let target = match found.rule.action() {
        Action::Redirect(_) => found.rule.to().location(&found.captures, None),
        Action::Rewrite | Action::Error(_) => found.rule.to().path(&found.captures),
    };
    format!("{} {target}", found.rule.status())
}

/// The rules of the site `examples`.
const EXAMPLES: &str = "\
/redirect-one        /one.html
/301-redirect-one    /one.html      301
/302-redirect-two    /two.html      302
/200-index           /index.html    200
/posts/:year/:month/:day/:title  /articles/:year/:month/:day/:title  301
/splat/*             /redirected-splat/:splat  301
/not-found/*         /404.html      404
/gone/*              /410.html      410
/unavail/*           /451.html      451
/*                   /index.html    200
";

#[test]
fn ipfs_site_of_examples_has_the_outcomes_of_its_specification() {
    for (target, expected) in [
        ("/redirect-one", "301 /one.html"),
        ("/301-redirect-one", "301 /one.html"),
        ("/302-redirect-two", "302 /two.html"),
        ("/200-index", "200 /index.html"),
        ("/posts/2022/01/01/hello-world", "301 /articles/2022/01/01/hello-world"),
        ("/splat/one.html", "301 /redirected-splat/one.html"),
        ("/not-found/has-no-redirects-entry", "404 /404.html"),
        ("/gone/has-no-redirects-entry", "410 /410.html"),
        ("/unavail/has-no-redirects-entry", "451 /451.html"),
        ("/catch-all", "200 /index.html"),
    ] {
        assert_eq!(outcome(EXAMPLES, target), expected, "{target}");
        assert_eq!(outcome(&EXAMPLES.replace('\n', "\r\n"), target), expected, "{target} with CRLF");
    }
}

#[test]
fn ipfs_rules_mean_the_same_here() {
    for (text, target, expected) in [
        (
            "/posts/:month/:day/:year/:slug /articles/:year/:month/:day/:slug",
            "/posts/06/15/2022/hello-world",
            "301 /articles/2022/06/15/hello-world",
        ),
        ("/posts/* /articles/:splat", "/posts/2022/06/15/hello-world", "301 /articles/2022/06/15/hello-world"),
        ("# Home\n\n/home /index.html 301", "/home", "301 /index.html"),
        ("/from /to", "/from", "301 /to"),
        ("/from/ /to", "/from", "301 /to"),
        ("/* /to", "/from", "301 /to"),
        ("/* /other/:splat", "/from", "301 /other/from"),
        ("/:thing /:thing.html", "/from", "301 /from.html"),
        ("/a/:blah/yeah /b/:blah/yeah", "/a/x/yeah", "301 /b/x/yeah"),
        ("/%C4%85 /%C4%99 301", "/%C4%85", "301 /%C4%99"),
        ("/from a=b /to", "/from?a=b", "301 /to"),
        ("/from a=b /to", "/from?a=c&a=b", "301 /to"),
        ("/from a=b /to", "/from", "-"),
        ("/from a=:a /to/:a.html", "/from?a=b", "301 /to/b.html"),
        ("/from a=:a /to/:a.html", "/from", "-"),
        ("/empty type= /empty-type.html", "/empty?type=", "301 /empty-type.html"),
        ("/any type=:ignore /any-type.html 200", "/any?type=x", "200 /any-type.html"),
        ("/from q=:val r=:val /:val.html", "/from?q=qq&r=rr", "301 /qq.html"),
        ("/:val q=:val /:val.html", "/path?q=query", "301 /path.html"),
        ("/* q=:splat /:splat.html", "/path?q=query", "301 /path.html"),
    ] {
        assert_eq!(outcome(text, target), expected, "{text}: {target}");
    }
    for status in [200, 301, 302, 303, 307, 308, 404, 410, 451] {
        let rule = format!("/a{status} /b{status} {status}\n");
        assert_eq!(outcome(&rule, &format!("/a{status}")), format!("{status} /b{status}"));
    }
}

#[test]
fn ipfs_invalid_files_are_invalid_here() {
    for text in [
        "/home / 42",
        "/a /b 999",
        "hello",
        "a b 2\nc   d 42",
        "#/a \n\n/b",
        "/a/*/b blah",
        "/a ^&notparams /b",
        "/bad-status type=:type /to 3oo",
    ] {
        assert_eq!(outcome(text, "/a"), "invalid", "{text}");
    }
}

#[test]
fn ipfs_differences_are_those_of_the_documentation() {
    let long = "/from /to 301\n".repeat(5000);
    for (text, target, of_ipfs, expected) in [
        // A rule may come before a file.
        ("/home / 301!", "/home", "invalid", "301 /"),
        // Limits are of rules, not of the file.
        (&*long, "/from", "invalid", "301 /to"),
        // Other statuses of clients' errors.
        ("/a /b 403", "/a", "invalid", "403 /b"),
        // A wildcard before the end.
        ("/a/*/b /c", "/a/x/b", "invalid", "301 /c"),
        // A path without its first slash, a host, and a comment behind a rule.
        ("* /to", "/from", "invalid", "301 /to"),
        ("https://site.example/a /b", "/a", "invalid", "301 /b"),
        ("/a /b # moved", "/a", "invalid", "301 /b"),
        // Names that are not captured are literal.
        ("/:this /:that.html", "/from", "-", "301 /:that.html"),
        // The last of several values counts.
        ("/from a=b /to", "/from?a=b&a=c", "301 /to", "-"),
        ("/from a=:a /:a.html", "/from?a=b&a=c", "301 /b.html", "301 /c.html"),
        // Parameters are text, and have an `=`.
        ("/p :type=whatever /to", "/p?:type=whatever", "invalid", "301 /to"),
        ("/p type=what:ever /to", "/p?type=what:ever", "invalid", "301 /to"),
        ("/p val=a&val=b /to", "/p?val=a%26val%3Db", "invalid", "301 /to"),
        ("/any-val val /to", "/any-val?val=", "301 /to", "invalid"),
        ("/multi a=a b=:b c= d /multi-:b.html", "/multi?a=a&b=x&c=&d=", "301 /multi-x.html", "invalid"),
        // No proxies, no other schemes.
        ("/from https://example.com 200", "/from", "200 https://example.com", "invalid"),
        ("/from ipfs://bafy/ 301", "/from", "301 ipfs://bafy/", "invalid"),
        // The first of two placeholders with one name counts.
        ("/:from/:from /:from.html", "/a/b", "301 /b.html", "301 /a.html"),
        // What is in a location is percent-encoded.
        ("/ą /ę 301", "/%C4%85", "301 /ę", "301 /%C4%99"),
    ] {
        assert_eq!(outcome(text, target), expected, "{} {target}", text.lines().next().unwrap_or_default());
        assert_ne!(of_ipfs, expected, "{text} is no difference");
    }
}
