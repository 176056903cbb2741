//! Redirect rules: what `_redirects` and `[[redirects]]` of `netlify.toml` say.

use std::collections::BTreeMap;
use std::fmt;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::bounded;
use super::encoding::decode_form;
use super::path_pattern::{Captures, PathPattern, PathPatternError};
use super::rule_request::RuleRequest;
use super::split_path::SplitPath;
use super::target::{Target, TargetError};
use super::target_paths::TargetPaths;

/// A redirect rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Fields", into = "Fields")]
pub struct Redirect {
    site: Option<SiteCondition>,
    from: PathPattern,
    query: BTreeMap<String, QueryValue>,
    pub(super) to: Target,
    status: u16,
    is_forced: bool,
    /// The paths that it leads to, if it captures something for them.
    pub(super) target_paths: Option<TargetPaths>,
    /// Whether it would redirect each of them on, as `/* /b/:splat` does.
    is_repeating: bool,
    /// Whether each path that it leads to has fewer segments than the path of the request, as that of `/blog/* /:splat`.
    is_shortening: bool,
}

/// The fields of a rule as text. A field that this version does not know makes the rule, and its manifest, invalid: a condition that is
/// ignored would make a rule apply to everybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fields {
    /// A path pattern, or a URL with one.
    pub from: String,
    /// The parameters that the query must have: with this value, or with any for `:name`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "bounded::map::<_, _, 1000>")]
    pub query: BTreeMap<String, String>,
    /// A path or a URL.
    pub to: String,
    /// The status of the response.
    pub status: u16,
    /// Whether the rule applies although there is a file at the path.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

/// Scheme and host of the request, in lowercase.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SiteCondition {
    scheme: &'static str,
    host: Box<str>,
}

/// The value that a parameter of the query must have.
#[derive(Debug, Clone, PartialEq, Eq)]
enum QueryValue {
    Is(Box<str>),
    /// Any, captured under this name.
    Any(Box<str>),
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// The file at the target, with status 200.
    Rewrite,
    /// A redirect to the target, with this status.
    Redirect(u16),
    /// The file at the target, with this status: 4xx.
    Error(u16),
}

/// Why there is no such rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RedirectError {
    /// Of the path.
    #[error(transparent)]
    From(#[from] PathPatternError),
    /// Of the URL.
    #[error("invalid URL `{0}`: expected `https://` or `http://`, a host name and a path")]
    FromUrl(String),
    /// Of the target.
    #[error(transparent)]
    To(#[from] TargetError),
    /// Of the status.
    #[error("invalid status {0}: expected 200, 301, 302, 303, 307, 308 or 4xx")]
    Status(u16),
    /// The target of a rewrite is on another host.
    #[error("`{0}` with status {1} would be a proxy for another host, which is not supported yet")]
    Proxy(String, u16),
    /// A path that is the host's own at Netlify.
    #[error("`{0}` names a function of Netlify, which does not exist here")]
    NetlifyFunction(String),
}

impl Redirect {
    /// The pattern of the path.
    pub fn from(&self) -> &PathPattern {
        &self.from
    }

    /// The target.
    pub fn to(&self) -> &Target {
        &self.to
    }

    /// The status of the response.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// What it does.
    pub fn action(&self) -> Action {
        match self.status {
            200 => Action::Rewrite,
            300..400 => Action::Redirect(self.status),
            _ => Action::Error(self.status),
        }
    }

    /// Whether it applies although there is a file at the path.
    pub fn is_forced(&self) -> bool {
        self.is_forced
    }

    /// Whether it applies to each request for its paths.
    pub fn is_unconditional(&self) -> bool {
        self.site.is_none() && self.query.is_empty()
    }

    /// The scheme and the host of the requests that it is for; `None`: any.
    pub fn site(&self) -> Option<(&'static str, &str)> {
        self.site.as_ref().map(|site| (site.scheme, &*site.host))
    }

    /// Whether it asks something of the query of a request.
    pub fn asks_for_query(&self) -> bool {
        !self.query.is_empty()
    }

    /// Whether it would redirect on from wherever it leads to. To most of those paths it does not apply.
    pub(super) fn is_repeating(&self) -> bool {
        self.is_repeating
    }

    /// Whether each path that it leads to has fewer segments than that of the request: following it comes to an end, and never to the request
    /// itself.
    pub(super) fn is_shortening(&self) -> bool {
        self.is_shortening
    }

    /// Whether each request that has the host and the query which `other` asks for has those that it asks for.
    pub fn asks_no_more_than(&self, other: &Self) -> bool {
        let is_asked = |(name, wanted): (&String, &QueryValue)| match (other.query.get(name), wanted) {
            (None, _) => false,
            (Some(_), QueryValue::Any(_)) => true,
            (Some(asked), QueryValue::Is(_)) => asked == wanted,
        };
        (self.site.is_none() || self.site == other.site) && self.query.iter().all(is_asked)
    }

    /// Whether it asks the same of host and query as `other`, and captures the same of the query.
    pub(super) fn has_same_conditions(&self, other: &Self) -> bool {
        self.site == other.site && self.query == other.query
    }

    /// The names of values of the query on which the path that it leads to depends, each with the value that a request of `other` has, encoded
    /// as it is put in; `None`: any.
    pub(super) fn put_into_path<'s>(&'s self, other: &'s Self) -> impl Iterator<Item = (&'s str, Option<String>)> {
        self.query.iter().filter_map(|(parameter, value)| {
            let QueryValue::Any(name) = value else { return None };
            if self.from.names().any(|known| *known == **name) || !self.to.has_in_path(name) {
                return None;
            }
            let value = match other.query.get(parameter) {
                Some(QueryValue::Is(text)) => Some(utf8_percent_encode(text, RESERVED).to_string()),
                Some(QueryValue::Any(_)) | None => None,
            };
            Some((&**name, value))
        })
    }

    /// Whether many paths get the same file: the fallback of a single-page app.
    pub fn is_fallback(&self) -> bool {
        self.action() == Action::Rewrite && !self.from.is_literal() && !self.to.has_captures()
    }

    /// What the rule captures of a request; `None`: it does not apply.
    ///
    /// A redirect does not apply to where it leads itself, with or without a slash at the end, nor where it leads to if it would lead on and on from
    /// there: a browser would follow it until it gives up. So a single rule is never a loop.
    pub fn captures<'r>(&'r self, request: &RuleRequest<'r>) -> Option<Captures<'r>> {
        self.matched(request).filter(|captures| self.comes_to_an_end(request, captures))
    }

    /// Whether its target is on the scheme, host and port of `request`.
    pub fn stays_on_origin(&self, request: &RuleRequest<'_>) -> bool {
        self.to.origin().is_none_or(|origin| origin.is_of(request))
    }

    /// What the rule captures of a request, wherever it leads to.
    pub(super) fn matched<'r>(&'r self, request: &RuleRequest<'r>) -> Option<Captures<'r>> {
        if !self.meets_conditions(request) {
            return None;
        }
        let mut captures = self.from.captures(request.path)?;
        for (name, wanted) in &self.query {
            if let QueryValue::Any(captured) = wanted {
                let value = request.parameters().get(name)?;
                captures.push(captured, utf8_percent_encode(value, RESERVED).to_string());
            }
        }
        Some(captures)
    }

    /// Whether the request has the host and the query that it asks for.
    fn meets_conditions(&self, request: &RuleRequest<'_>) -> bool {
        let is_met = |(name, wanted): (&String, &QueryValue)| match (request.parameters().get(name), wanted) {
            (None, _) => false,
            (Some(value), QueryValue::Is(text)) => **text == **value,
            (Some(_), QueryValue::Any(_)) => true,
        };
        let is_of_site = |site: &SiteCondition| site.scheme == request.scheme && *site.host == *request.host;
        self.site.as_ref().is_none_or(is_of_site) && self.query.iter().all(is_met)
    }

    /// The parameters that the query must have, with their values; `None` for any value.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.query.iter().map(|(name, value)| match value {
            QueryValue::Is(text) => (&**name, Some(&**text)),
            QueryValue::Any(_) => (&**name, None),
        })
    }
}

/// All that is reserved or not allowed in a URL (RFC 3986 §2.3).
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

impl TryFrom<Fields> for Redirect {
    type Error = RedirectError;

    fn try_from(fields: Fields) -> Result<Self, RedirectError> {
        let Fields { from, query, to, status, force } = fields;
        if !matches!(status, 200 | 301 | 302 | 303 | 307 | 308 | 400..500) {
            return Err(RedirectError::Status(status));
        }
        let (site, pattern) = if from.contains("://") {
            let (site, path) = split_url(&from).ok_or_else(|| RedirectError::FromUrl(from.clone()))?;
            (Some(site), path)
        } else {
            (None, &*from)
        };
        let is_netlify = |path: &str| path == "/.netlify" || path.starts_with("/.netlify/");
        if let Some(path) = [pattern, &to].into_iter().find(|path| is_netlify(path)) {
            return Err(RedirectError::NetlifyFunction(path.to_owned()));
        }
        let pattern: PathPattern = pattern.parse()?;
        let query: BTreeMap<String, QueryValue> = query
            .into_iter()
            .map(|(name, value)| match value.strip_prefix(':').filter(|name| !name.is_empty()) {
                Some(captured) => (name, QueryValue::Any(captured.into())),
                None => (name, QueryValue::Is(decode_form(&value).into())),
            })
            .collect();
        let of_query = query.values().filter_map(|value| match value {
            QueryValue::Any(name) => Some(&**name),
            QueryValue::Is(_) => None,
        });
        let target = Target::parse(&to, pattern.names().chain(of_query))?;
        if target.origin().is_some() && !(300..400).contains(&status) {
            return Err(RedirectError::Proxy(to, status));
        }
        let leads_on = |path: &String| pattern.captures(&SplitPath::new(path)).is_some();
        let target_paths = target.paths(&pattern);
        let is_repeating = target_paths.is_some() && target.examples(&pattern).iter().all(leads_on);
        let is_shortening = target.is_shorter_than(&pattern);
        Ok(Self {
            site,
            from: pattern,
            query,
            to: target,
            status,
            is_forced: force,
            target_paths,
            is_repeating,
            is_shortening,
        })
    }
}

fn split_url(url: &str) -> Option<(SiteCondition, &str)> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = ["https", "http"].into_iter().find(|known| scheme.eq_ignore_ascii_case(known))?;
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let is_host = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let site = SiteCondition { scheme, host: host.to_ascii_lowercase().into() };
    is_host.then_some((site, if path.is_empty() { "/" } else { path }))
}

impl From<Redirect> for Fields {
    fn from(rule: Redirect) -> Self {
        let from = match &rule.site {
            Some(site) => format!("{}://{}{}", site.scheme, site.host, rule.from),
            None => rule.from.to_string(),
        };
        let value = |value| match value {
            // As it was read: decoded once more, it must give the same.
            QueryValue::Is(text) => utf8_percent_encode(&text, RESERVED).to_string(),
            QueryValue::Any(name) => format!(":{name}"),
        };
        let query = rule.query.into_iter().map(|(name, wanted)| (name, value(wanted))).collect();
        Self { from, query, to: rule.to.as_str().to_owned(), status: rule.status, force: rule.is_forced }
    }
}

/// As a line of `_redirects`.
impl fmt::Display for Redirect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields = Fields::from(self.clone());
        formatter.write_str(&fields.from)?;
        for (name, value) in &fields.query {
            write!(formatter, " {name}={value}")?;
        }
        write!(formatter, " {} {}{}", fields.to, fields.status, if fields.force { "!" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(from: &str, query: &[(&str, &str)], to: &str, status: u16) -> Result<Redirect, RedirectError> {
        let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Fields { from: from.to_owned(), query, to: to.to_owned(), status, force: false }.try_into()
    }

    fn location(rule: &Redirect, url: &str) -> Option<String> {
        let (scheme, rest) = url.split_once("://").unwrap();
        let (host, target) = rest.split_at(rest.find('/').unwrap());
        let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
        let path = SplitPath::new(path);
        let (host, port) = host.split_once(':').map_or((host, None), |(host, port)| (host, port.parse().ok()));
        let captures = rule.captures(&RuleRequest::new(scheme, host, port, &path, query))?;
        Some(rule.to().location(&captures, query))
    }

    #[test]
    fn query_must_have_all_parameters_in_any_order() {
        let blog = rule("/s", &[("id", ":id")], "/blog/:id", 301).unwrap();
        let at = |target: &str| location(&blog, &format!("https://a.example{target}"));
        assert_eq!(at("/s?id=1").unwrap(), "/blog/1?id=1");
        assert_eq!(at("/s?z=2&id=a/b+c&id=d%2Fe").unwrap(), "/blog/d%2Fe?z=2&id=a/b+c&id=d%2Fe");
        assert_eq!(at("/s?id=").unwrap(), "/blog/?id=");
        assert_eq!(["/s", "/s?id", "/s?ID=1", "/s?x=1"].map(at), [None, None, None, None]);
        let both = rule("/s", &[("a", "1"), ("b", ":b")], "/x?b=:b", 302).unwrap();
        let at = |target: &str| location(&both, &format!("https://a.example{target}"));
        assert_eq!(at("/s?b=%20&c&a=%31").unwrap(), "/x?b=%20");
        assert_eq!(["/s?a=1", "/s?a=2&b=1"].map(at), [None, None]);
    }

    #[test]
    fn host_of_a_rule_must_be_that_of_the_request() {
        let rule = rule("http://WWW.a.example/x/*", &[], "https://a.example/:splat", 301).unwrap();
        assert_eq!(location(&rule, "http://www.a.example/x/y").unwrap(), "https://a.example/y");
        assert_eq!(location(&rule, "https://www.a.example/x/y"), None);
        assert_eq!(location(&rule, "http://a.example/x/y"), None);
    }

    #[test]
    fn redirect_that_takes_segments_off_applies_however_many_there_are() {
        for (from, to, start) in [
            ("/a/*", "/:splat", ""),
            ("/a/b/*", "https://a.example/a/:splat", "https://a.example/a"),
            ("/:x/*", "/:splat", ""),
        ] {
            let rule = rule(from, &[], to, 301).unwrap();
            let segments = from.replace("/*", "").replace(":x", "c");
            let url = format!("https://a.example{}", segments.repeat(30));
            assert_eq!(location(&rule, &url).unwrap(), format!("{start}{}", segments.repeat(29)), "{from} {to}");
        }
    }

    #[test]
    fn redirect_to_the_request_itself_does_not_apply() {
        let at = |from: &str, to: &str, target: &str| {
            location(&rule(from, &[], to, 301).unwrap(), &format!("https://a.example{target}"))
        };
        for (from, to, target) in [
            ("/a", "/a/", "/a"),
            ("/a", "/a/", "/a/"),
            ("/*", "/:splat", "/x/y?z"),
            ("/*", "https://a.example/:splat", "/x"),
            ("/a", "/a?b=1", "/a?b=1"),
            ("/a", "/a#b", "/a"),
        ] {
            assert_eq!(at(from, to, target), None, "{from} {to}");
        }
        for (from, to, path, location) in [
            ("/*", "/b/:splat", "/x", Some("/b/x")),
            ("/*", "/b/:splat", "/b/x", None),
            ("/*", "/b/:splat", "/bc", Some("/b/bc")),
            ("/:a/*", "/x/:a/:splat", "/x/q/w", None),
            ("/:a", "/x-:a", "/q", Some("/x-q")),
            ("/:a/*", "/:a/:b", "/q/w", Some("/q/:b")),
            ("/:a/*", "/:a/:b", "/q/:b", None),
            ("/:a", "/x-:a", "/x-q", None),
            ("/i/:a", "/i/:a.png", "/i/q", Some("/i/q.png")),
            ("/i/:a", "/i/:a.png", "/i/q.png", None),
            ("/*", "/:splat.html", "/a/q", Some("/a/q.html")),
            ("/*", "/:splat.html", "/a/q.html", None),
            ("/:a/:b", "/:a/:a", "/q/w", Some("/q/q")),
            ("/:a/:b", "/:a/:a", "/q/q", None),
            ("/n/*", "/:splat", "/n/n/x", Some("/n/x")),
            ("/*", "/", "/x", Some("/")),
            ("/*", "/", "/", None),
        ] {
            assert_eq!(at(from, to, path).as_deref(), location, "{from} {to} {path}");
        }
        assert_eq!(at("/*", "https://b.example/:splat", "/x").unwrap(), "https://b.example/x");
        // From there edges redirect to TLS.
        assert_eq!(at("/*", "http://a.example/:splat", "/x"), None);
        assert_eq!(at("/*", "http://a.example/b/:splat", "/x").unwrap(), "http://a.example/b/x");
        assert_eq!(at("/*", "http://a.example/b/:splat", "/b/x"), None);
        assert_eq!(at("/a", "/a?b=1", "/a").unwrap(), "/a?b=1");
    }

    #[test]
    fn redirect_to_another_port_of_the_host_applies_until_it_is_there() {
        let at = |to: &str, url: &str| location(&rule("/*", &[], to, 301).unwrap(), url);
        let other = "https://a.example:8443/:splat";
        for url in
            ["https://a.example/x", "https://a.example:443/x", "https://a.example:9443/x", "http://a.example:8443/x"]
        {
            assert_eq!(at(other, url).unwrap(), "https://a.example:8443/x", "{url}");
        }
        assert_eq!(at(other, "https://a.example:8443/x"), None);
        assert_eq!(at("https://a.example/:splat", "https://a.example:8443/x").unwrap(), "https://a.example/x");
        assert_eq!(at("https://a.example:443/:splat", "https://a.example/x"), None);
        assert_eq!(at("https://a.example./:splat", "https://a.example/x"), None);
        // To another path of that port: once.
        let other = "https://a.example:8443/b/:splat";
        assert_eq!(at(other, "https://a.example/b/x").unwrap(), "https://a.example:8443/b/b/x");
        assert_eq!(at(other, "https://a.example:8443/b/b/x"), None);
        let site = rule("https://a.example/*", &[], "https://a.example:8443/:splat", 301).unwrap();
        assert_eq!(location(&site, "https://a.example/x").unwrap(), "https://a.example:8443/x");
        assert_eq!(location(&site, "https://a.example:8443/x"), None);
    }

    #[test]
    fn redirect_that_would_lead_on_without_end_does_not_apply() {
        let at = |from: &str, to: &str, path: &str| {
            location(&rule(from, &[], to, 301).unwrap(), &format!("https://a.example{path}"))
        };
        for (from, to, path, location) in [
            // Longer and longer.
            ("/a/*", "/:splat/a/a", "/a/a", None),
            ("/a/*", "/:splat/a/a", "/a/b", Some("/b/a/a")),
            ("/*/:a/:b", "/t/:splat/:splat", "/1/2/3", Some("/t/1/1")),
            ("/*/:a/:b", "/t/:splat/:splat", "/t/1/1", Some("/t/t/t")),
            ("/*/:a/:b", "/t/:splat/:splat", "/t/t/t/t", None),
            ("/a/*", "/a/:splat/:splat", "/a/b", None),
            ("/a/*", "https://a.example/:splat/a/a", "/a/a", None),
            ("/a/*", "https://b.example/:splat/a/a", "/a/a", Some("https://b.example/a/a/a")),
            ("/*", "/b//c/:splat", "/b/c/x", None),
            ("/*", "/:splat%CC%96", "/q%CC%81%CC%96", None),
            ("/*", "/:splat:splat", "/", None),
            // By way of the folder above.
            ("/a/*", "/a/../a/:splat", "/a/b", None),
            ("/a/*", "/b/../a/:splat/x", "/a/b", Some("/a/b/x")),
            ("/a/*", "/b/../a/:splat/x", "/a/b/x", None),
            ("/a", "/b/../a", "/a", None),
            ("/*", "/b/%2e./:splat", "/b", None),
            ("/*", "/b/../c/:splat", "/x", Some("/c/x")),
            ("/*", "/b/../c/:splat", "/c/x", None),
            ("/:a", "/:a/../b", "/x", Some("/b")),
            ("/:a", "/:a/../b", "/b", None),
            ("/a/*", "/b/../c/:splat", "/a/b", Some("/c/b")),
            // Back and forth.
            ("/x/:a/:b/*", "/x/:b/:a/:splat", "/x/1/2", None),
            // Some steps, and an end.
            ("/n/*", "/:splat", "/n/n/n/x", Some("/n/n/x")),
        ] {
            assert_eq!(at(from, to, path).as_deref(), location, "{from} {to} {path}");
        }
        let empty = rule("/*", &[("q", ":q")], "/x/:q/y/:splat", 301).unwrap();
        assert_eq!(location(&empty, "https://a.example/x/y/z?q="), None);
        let query = rule("/s", &[("id", ":id")], "/s?id=x:id", 301).unwrap();
        assert_eq!(location(&query, "https://a.example/s?id=1"), None);
        let apostrophe = rule("/menu", &[], "/menu?title=Ann's", 302).unwrap();
        assert_eq!(location(&apostrophe, "https://a.example/menu").unwrap(), "/menu?title=Ann%27s");
        assert_eq!(location(&apostrophe, "https://a.example/menu?title=Ann%27s"), None);
        // What is captured is no way up.
        let comments = rule("/comments", &[("post", ":post")], "/posts/:post/comments", 301).unwrap();
        let at = |post: &str| location(&comments, &format!("https://a.example/comments?post={post}"));
        assert_eq!([at(".."), at("."), at("%2e.")], [const { None }; 3]);
        assert_eq!(at("a..").unwrap(), "/posts/a../comments?post=a..");
        let hidden = rule("/f/:a", &[("q", ":b")], "/.:a/:b", 301).unwrap();
        assert_eq!(location(&hidden, "https://a.example/f/x?q=.."), None);
        let percent = rule("/f/:a", &[], "/x/.%:a/y", 301).unwrap();
        assert_eq!(location(&percent, "https://a.example/f/2e"), None);
        assert_eq!(location(&percent, "https://a.example/f/2f").unwrap(), "/x/.%2f/y");
        let by_http = rule("https://a.example/*", &[], "http://a.example/x/:splat", 301).unwrap();
        assert_eq!(location(&by_http, "https://a.example/1").unwrap(), "http://a.example/x/1");
        assert_eq!(location(&by_http, "https://a.example/x/1"), None);
        let prefix = rule("/x*", &[], "/a/:splat/x..", 301).unwrap();
        assert_eq!(location(&prefix, "https://a.example/x../x.."), None);
    }

    #[test]
    fn invalid_rule_is_rejected() {
        let error = |from: &str, to: &str, status| rule(from, &[], to, status).unwrap_err();
        for status in [0, 100, 201, 300, 304, 305, 399, 500, 999] {
            assert_eq!(error("/a", "/b", status), RedirectError::Status(status));
        }
        assert!(matches!(error("ftp://a.example/", "/b", 301), RedirectError::FromUrl(_)));
        assert!(matches!(error("https:///a", "/b", 301), RedirectError::FromUrl(_)));
        assert!(matches!(error("/a", "https://b.example/", 200), RedirectError::Proxy(_, 200)));
        assert!(matches!(error("/a", "https://b.example/", 404), RedirectError::Proxy(_, 404)));
        assert!(matches!(error("/api/*", "/.netlify/functions/:splat", 200), RedirectError::NetlifyFunction(_)));
    }

    #[test]
    fn rule_is_the_same_after_serialization() {
        for rule in [
            rule("/a/*", &[], "/b/:splat", 301),
            rule("https://a.example/", &[("x", "a b&%"), ("y", ":z")], "/b?c=:z#d", 404),
        ] {
            let rule = rule.unwrap();
            let json = serde_json::to_string(&rule).unwrap();
            assert_eq!(serde_json::from_str::<Redirect>(&json).unwrap(), rule, "{json}");
        }
        let unknown = r#"{"from":"/a","to":"/b","status":301,"country":["de"]}"#;
        assert!(serde_json::from_str::<Redirect>(unknown).is_err());
    }
}
