//! The rules of a manifest, compiled, with their header values made.

use std::collections::HashSet;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, header};
use verge_protocol::Rules;
use verge_protocol::rules::{FoldedPath, HeaderMatcher, HeaderRule, PasswordRule, RedirectMatcher};

/// The rules of a manifest.
#[derive(Default)]
pub(crate) struct SiteRules {
    redirects: RedirectMatcher,
    header_patterns: HeaderMatcher,
    headers: Vec<Vec<Change>>,
    password_patterns: HeaderMatcher,
    passwords: Vec<PasswordRule>,
    parts: usize,
    pieces: usize,
    bytes: usize,
}

/// What a rule does with a header.
struct Change {
    name: HeaderName,
    /// `None`: the header is taken off.
    value: Option<HeaderValue>,
    /// The rule has the same header before, such as `Set-Cookie`.
    is_repeated: bool,
}

/// The header rules of one path: those of `rules` with these numbers.
#[derive(Clone)]
pub(crate) struct PathHeaders {
    rules: Arc<SiteRules>,
    matching: Vec<usize>,
}

/// How many of the rules for a path count: the last ones.
const PATH_RULES_MAX: usize = 1000;

/// The headers that rules may give a response, and their bytes. What is beyond that is left out.
const RESPONSE_HEADERS_MAX: usize = 200;
const RESPONSE_BYTES_MAX: usize = 32 << 10;

/// What a response is of, as far as rules may say something about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderScope {
    /// The file at the path of the request: all headers.
    File,
    /// Another page, such as a fallback or a 404 page: none that describe the file which the path names, or how long it may be kept.
    OtherPage,
    /// The answer to a preflight: headers of cross-origin access only.
    Preflight,
}

/// Headers about the file at a path, which say nothing about another page in its place.
const OF_THE_FILE: [HeaderName; 5] = [
    header::CACHE_CONTROL,
    header::CONTENT_DISPOSITION,
    header::CONTENT_LANGUAGE,
    header::CONTENT_TYPE,
    header::EXPIRES,
];

/// Whether a header tells shared caches how long to keep a response: `CDN-Cache-Control` (RFC 9213), and the names of hosts for it.
pub(crate) fn is_for_shared_caches(name: &HeaderName) -> bool {
    name.as_str().ends_with("cdn-cache-control") || name == "surrogate-control"
}

impl SiteRules {
    /// Compiles `rules`.
    pub(crate) fn new(rules: Rules) -> Self {
        Self {
            parts: rules.parts(),
            pieces: rules.redirects.iter().map(|rule| rule.to().pieces()).sum(),
            bytes: rules.bytes(),
            redirects: RedirectMatcher::new(rules.redirects),
            header_patterns: HeaderMatcher::new(rules.headers.iter().map(|rule| rule.pattern.clone())),
            headers: rules.headers.iter().map(header_values).collect(),
            password_patterns: HeaderMatcher::new(rules.passwords.iter().map(|rule| rule.pattern.clone())),
            passwords: rules.passwords,
        }
    }

    /// Segments of paths, parameters of queries, headers and users: how much memory they take, about, besides that of their texts.
    pub(crate) fn parts(&self) -> usize {
        self.parts
    }

    /// Texts and placeholders of all targets: they take memory of their own.
    pub(crate) fn pieces(&self) -> usize {
        self.pieces
    }

    /// Bytes of all texts as they are in the manifest.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The redirect rules.
    pub(crate) fn redirects(&self) -> &RedirectMatcher {
        &self.redirects
    }

    /// The header rules for `path`, percent-encoded; `None` if there is none.
    pub(crate) fn headers_of(self: &Arc<Self>, path: &str) -> Option<PathHeaders> {
        if self.header_patterns.is_empty() {
            return None;
        }
        let matching = self.header_patterns.find(&FoldedPath::new(path));
        (!matching.is_empty()).then(|| PathHeaders { rules: Arc::clone(self), matching })
    }

    /// Whether any path has a password.
    pub(crate) fn has_passwords(&self) -> bool {
        !self.passwords.is_empty()
    }

    /// The last rule that protects one of `paths`, percent-encoded, on a preview or not.
    pub(crate) fn password_of<'p>(
        &self,
        paths: impl Iterator<Item = &'p str>,
        is_preview: bool,
    ) -> Option<&PasswordRule> {
        let matching = paths.flat_map(|path| self.password_patterns.find(&FoldedPath::new(path)));
        let applies = |index: &usize| is_preview || !self.passwords[*index].only_previews;
        matching.filter(applies).max().map(|index| &self.passwords[index])
    }
}

/// A value that is no header value is a fault of the origin, and left out.
fn header_values(rule: &HeaderRule) -> Vec<Change> {
    let mut names = HashSet::new();
    let mut convert = |name: &str, value: Option<&str>| {
        let value = value.map(|value| HeaderValue::from_bytes(value.as_bytes())).transpose().ok()?;
        let name: HeaderName = name.parse().ok()?;
        let is_repeated = !names.insert(name.clone());
        Some(Change { name, value, is_repeated })
    };
    rule.headers.iter().filter_map(|header| convert(header.name(), header.value())).collect()
}

impl PathHeaders {
    /// The headers that [`Self::apply`] sets, each with its last value and the number of the rule in the manifest.
    pub(crate) fn set_by_rules(&self, scope: HeaderScope, is_tls: bool) -> Vec<(HeaderName, HeaderValue, usize)> {
        let mut set: Vec<(HeaderName, HeaderValue, usize)> = Vec::new();
        for number in self.counted() {
            for Change { name, value, .. } in &self.rules.headers[*number] {
                if !is_left_out(name, scope, is_tls) {
                    set.retain(|(earlier, ..)| earlier != name);
                    set.extend(value.clone().map(|value| (name.clone(), value, *number)));
                }
            }
        }
        set
    }

    /// The last of the rules.
    fn counted(&self) -> &[usize] {
        &self.matching[self.matching.len().saturating_sub(PATH_RULES_MAX)..]
    }

    /// Changes the headers of a response. A header of a later rule replaces that of an earlier one, and the server's own. `Vary` is added
    /// to, and HSTS is left out without TLS (RFC 6797 §7.2). Of very many rules for a path the last 1,000 count, and of their headers the
    /// first 200 and 32 KiB.
    pub(crate) fn apply(&self, headers: &mut HeaderMap, scope: HeaderScope, is_tls: bool) {
        let own_vary = headers.get(header::VARY).cloned();
        let (mut count, mut bytes) = (0_usize, 0_usize);
        for Change { name, value, is_repeated } in self.counted().iter().flat_map(|index| &self.rules.headers[*index]) {
            if is_left_out(name, scope, is_tls) {
                continue;
            }
            let Some(value) = value else {
                headers.remove(name);
                continue;
            };
            let size = |value: &HeaderValue| name.as_str().len() + value.len();
            let replaced = headers.get(name).filter(|_| !is_repeated).map(size);
            let has_room = replaced.is_some() || count < RESPONSE_HEADERS_MAX;
            if !has_room || bytes.saturating_sub(replaced.unwrap_or(0)) + size(value) > RESPONSE_BYTES_MAX {
                continue;
            }
            count += usize::from(replaced.is_none());
            bytes = bytes.saturating_sub(replaced.unwrap_or(0)) + size(value);
            if *is_repeated {
                drop(headers.try_append(name, value.clone()));
            } else {
                drop(headers.try_insert(name, value.clone()));
            }
        }
        if let Some(own) = own_vary {
            merge_vary(headers, &own);
        }
    }
}

/// Whether a rule says nothing about a header of a response of this scope.
fn is_left_out(name: &HeaderName, scope: HeaderScope, is_tls: bool) -> bool {
    let is_of_file = OF_THE_FILE.contains(name) || is_for_shared_caches(name);
    let is_of_other_response = match scope {
        HeaderScope::File => false,
        HeaderScope::OtherPage => is_of_file,
        HeaderScope::Preflight => !name.as_str().starts_with("access-control-"),
    };
    is_of_other_response || (name == header::STRICT_TRANSPORT_SECURITY && !is_tls)
}

/// Adds the names in `own` to `Vary`, unless it has them.
fn merge_vary(headers: &mut HeaderMap, own: &HeaderValue) {
    let names = |value: &HeaderValue| -> Vec<String> {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        text.split(',').map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
    };
    let mut all = names(own);
    for name in headers.get_all(header::VARY).iter().flat_map(names) {
        if !all.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
            all.push(name);
        }
    }
    if let Ok(value) = HeaderValue::try_from(all.join(", ")) {
        headers.insert(header::VARY, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(json: &str) -> Arc<SiteRules> {
        Arc::new(SiteRules::new(serde_json::from_str(json).unwrap()))
    }

    fn applied(rules: &Arc<SiteRules>, path: &str, scope: HeaderScope, is_tls: bool) -> Vec<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        if let Some(of_path) = rules.headers_of(path) {
            of_path.apply(&mut headers, scope, is_tls);
        }
        let mut lines: Vec<String> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        lines
    }

    #[test]
    fn headers_of_later_rules_replace_earlier_ones_and_defaults() {
        let rules = rules(
            r#"{"headers":[
                {"for":"/*","headers":[["x-a","1"],["vary","Cookie, accept-encoding"],["strict-transport-security","max-age=1"]]},
                {"for":"/b","headers":[["x-a","2"],["set-cookie","c=1"],["set-cookie","d=2"],["cache-control","max-age=9"],
                                        ["access-control-allow-origin",null]]}]}"#,
        );
        insta::assert_snapshot!(
            [("/b", HeaderScope::File, true), ("/b", HeaderScope::OtherPage, false), ("/c", HeaderScope::File, false)]
                .map(|(path, scope, is_tls)| format!(
                    "{path} {scope:?} {is_tls}\n{}",
                    applied(&rules, path, scope, is_tls).join("\n")
                ))
                .join("\n\n")
        );
    }

    #[test]
    fn response_gets_a_bounded_number_of_headers_and_bytes() {
        let rule = |number: usize, size: usize| {
            let headers: Vec<_> =
                (0..100).map(|header| serde_json::json!([format!("x-{number}-{header}"), "v".repeat(size)])).collect();
            serde_json::json!({ "for": "/*", "headers": headers })
        };
        let apply = |count: usize, size: usize| {
            let list: Vec<_> = (0..count).map(|number| rule(number, size)).collect();
            let rules = rules(&serde_json::json!({ "headers": list }).to_string());
            let mut headers = HeaderMap::new();
            rules.headers_of("/a").unwrap().apply(&mut headers, HeaderScope::File, true);
            headers
        };
        assert_eq!(apply(1500, 1).len(), RESPONSE_HEADERS_MAX);
        // The first of the last 1,000 rules.
        assert!(apply(1500, 1).contains_key("x-500-0") && !apply(1500, 1).contains_key("x-499-0"));
        let bytes: usize = apply(5, 1000).iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
        assert!((RESPONSE_BYTES_MAX - 1100..=RESPONSE_BYTES_MAX).contains(&bytes), "{bytes}");
        // A header that is replaced does not count twice.
        let same = r#"{"for":"/*","headers":[["x-a","1"]]}"#;
        let many =
            rules(&format!(r#"{{"headers":[{},{{"for":"/*","headers":[["x-b","2"]]}}]}}"#, vec![same; 900].join(",")));
        let mut headers = HeaderMap::new();
        many.headers_of("/a").unwrap().apply(&mut headers, HeaderScope::File, true);
        assert_eq!(headers.len(), 2);
    }

    #[test]
    fn last_password_rule_of_any_of_the_paths_counts() {
        let rules = rules(
            r#"{"passwords":[{"for":"/*","only_previews":true,"users":[]},{"for":"/a/*","users":[]},{"for":"/a/b","users":[]}]}"#,
        );
        let of = |paths: &[&str], is_preview| {
            rules.password_of(paths.iter().copied(), is_preview).map(|rule| rule.pattern.to_string())
        };
        assert_eq!(of(&["/c"], false), None);
        assert_eq!(of(&["/c"], true).unwrap(), "/*");
        assert_eq!(of(&["/a/x"], false).unwrap(), "/a/*");
        assert_eq!(of(&["/A/%62/"], true).unwrap(), "/a/b");
        assert_eq!(of(&["/c", "/a/b"], false).unwrap(), "/a/b");
    }
}
