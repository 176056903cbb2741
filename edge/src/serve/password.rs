//! Checks the user and password of a request for a protected path (HTTP Basic authentication, RFC 7617).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use verge_protocol::rules::PasswordRule;

use super::request_path::RequestPath;
use crate::table::SiteRules;

/// What passwords say about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// The path has no password.
    Public,
    /// It has one, and the request has it too.
    Granted,
    /// It has one, and the request has none or another.
    Denied,
}

/// Checks a request for `path`, and for `rewritten`, where a rule leads without a redirect.
///
/// A page is protected under each of its addresses if it is under one of them: `/a`, `/a.html`, `/a/`, `/a/index.html`.
pub(super) fn check(
    rules: &SiteRules,
    path: &RequestPath<'_>,
    rewritten: Option<&RequestPath<'_>>,
    headers: &HeaderMap,
    is_preview: bool,
) -> Access {
    if !rules.has_passwords() {
        return Access::Public;
    }
    let paths: Vec<String> = [Some(path), rewritten].into_iter().flatten().flat_map(addresses).collect();
    match rules.password_of(paths.iter().map(String::as_str), is_preview) {
        None => Access::Public,
        Some(rule) if is_granted(rule, headers) => Access::Granted,
        Some(_) => Access::Denied,
    }
}

/// The path, and the other addresses and the names of a page that it may be an address of, and of its Markdown twin; percent-encoded as far as needed.
fn addresses(path: &RequestPath<'_>) -> Vec<String> {
    let decoded = path.decoded.split('/').filter(|segment| !segment.is_empty()).collect::<Vec<_>>().join("/");
    let name = [".html", ".htm"].into_iter().find_map(|suffix| decoded.strip_suffix(suffix)).unwrap_or(&decoded);
    let name = if name == "index" { "" } else { name.strip_suffix("/index").unwrap_or(name) };
    let index = if name.is_empty() { "index".to_owned() } else { format!("{name}/index") };
    let of_page =
        [".html", ".htm"].into_iter().flat_map(|suffix| [format!("{name}{suffix}"), format!("{index}{suffix}")]);
    let encode = |path: &str| format!("/{}", path.replace('%', "%25"));
    [&*decoded, name].into_iter().map(encode).chain(of_page.map(|path| encode(&path))).collect()
}

fn is_granted(rule: &PasswordRule, headers: &HeaderMap) -> bool {
    let credentials = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
        STANDARD.decode(encoded.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))
    });
    credentials.is_some_and(|credentials| rule.users.iter().any(|user| user.is(&credentials)))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::HeaderValue;
    use verge_protocol::Rules;
    use verge_protocol::rules::Credential;

    use super::*;

    fn access(pattern: &str, path: &str, rewritten: Option<&str>, authorization: Option<&str>) -> Access {
        let rule = PasswordRule {
            pattern: pattern.parse().unwrap(),
            only_previews: false,
            users: vec![Credential::new("demo", "ann:x"), Credential::new("demo", "bob:y:z")],
        };
        let rules = Arc::new(SiteRules::new(Rules { passwords: vec![rule], ..Rules::default() }));
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        let rewritten = rewritten.map(|path| RequestPath::parse(path).unwrap());
        check(&rules, &RequestPath::parse(path).unwrap(), rewritten.as_ref(), &headers, false)
    }

    #[test]
    fn right_user_and_password_are_granted() {
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        let with = |authorization: &str| access("/*", "/", None, Some(authorization));
        assert_eq!(with(&basic("ann:x")), Access::Granted);
        assert_eq!(with(&basic("bob:y:z").replace("Basic", "bASIC")), Access::Granted);
        for wrong in [&basic("ann:y"), &basic("bob:y"), &basic("ann"), "Basic", "Basic !", "Bearer YW5uOng="] {
            assert_eq!(with(wrong), Access::Denied, "{wrong}");
        }
        assert_eq!(access("/*", "/", None, None), Access::Denied);
    }

    #[test]
    fn page_is_protected_under_each_address() {
        for pattern in ["/a", "/a.html", "/a/", "/a/index.html"] {
            for path in ["/a", "/a/", "/a.html", "/a.htm", "/%61", "/a/index.html", "/A", "//a", "/a//"] {
                assert_eq!(access(pattern, path, None, None), Access::Denied, "{pattern} {path}");
            }
            assert_eq!(access(pattern, "/b", None, None), Access::Public, "{pattern}");
        }
        assert_eq!(access("/", "/index.html", None, None), Access::Denied);
        assert_eq!(access("/staff/*", "/public/x", Some("/staff/x"), None), Access::Denied);
        assert_eq!(access("/staff/*", "/public/x", Some("/other/x"), None), Access::Public);
    }
}
