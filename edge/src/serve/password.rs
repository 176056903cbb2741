//! Checks the user and password of a request for a protected path or file (HTTP Basic authentication, RFC 7617).

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, header};
use verge_protocol::rules::PasswordRule;
use verge_protocol::rules::password_rule::USER_AND_PASSWORD_MAX;

use crate::table::{SiteRules, addresses};

/// What passwords say about a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Nothing is protected.
    Public,
    /// Something is, and the request has its password.
    Granted,
    /// The request has no password, or another.
    Denied,
}

/// The file that a response would send.
#[derive(Debug, Clone, Copy)]
pub(super) struct SentFile<'a> {
    /// Its path, decoded and without a leading slash.
    pub(super) path: &'a str,
    /// Whether it is the file of the path of the request, and not one in its place.
    pub(super) is_at_path: bool,
}

/// Checks a request for `paths`, percent-encoded, that is answered with `file`, if with any. The first path is that of the request; the
/// others are what it stands for, such as the same with single slashes, so that no other way to write a path tells what is there.
///
/// A file is protected if one of its addresses is, whichever is requested; of several rules the last counts. A file in place of that of the
/// path, such as a fallback, needs its own password besides that of the path.
pub(super) fn check(
    rules: &SiteRules,
    paths: &[Cow<'_, str>],
    file: Option<SentFile<'_>>,
    headers: &HeaderMap,
    is_preview: bool,
) -> Access {
    if !rules.has_passwords() {
        return Access::Public;
    }
    let addresses = file.map(|file| addresses(file.path)).unwrap_or_default();
    let of = |paths: &mut dyn Iterator<Item = &str>| rules.password_of(paths, is_preview);
    let of_file = &mut addresses.iter().map(String::as_str);
    let of_path = &mut paths.iter().map(|path| &**path);
    let wanted = match file {
        Some(SentFile { is_at_path: true, .. }) => [of(&mut of_file.chain(of_path)), None],
        _ => [of(of_path), of(of_file)],
    };
    if wanted.iter().all(Option::is_none) {
        Access::Public
    } else if wanted.into_iter().flatten().all(|rule| is_granted(rule, headers)) {
        Access::Granted
    } else {
        Access::Denied
    }
}

/// The longest credentials that are decoded, in bytes of Base64. A longer header is not worth the hashes.
const ENCODED_MAX: usize = 4 * USER_AND_PASSWORD_MAX.div_ceil(3);

fn is_granted(rule: &PasswordRule, headers: &HeaderMap) -> bool {
    let credentials = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, encoded) = value.to_str().ok()?.split_once(' ')?;
        let encoded = Some(encoded.trim()).filter(|encoded| encoded.len() <= ENCODED_MAX)?;
        STANDARD.decode(encoded).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))
    });
    credentials.is_some_and(|credentials| rule.admits(&credentials))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::HeaderValue;
    use verge_protocol::Rules;
    use verge_protocol::rules::Credential;

    use super::*;

    fn rules(patterns: &[(&str, &str)]) -> Arc<SiteRules> {
        let rule = |(pattern, user): &(&str, &str)| PasswordRule {
            pattern: pattern.parse().unwrap(),
            only_previews: false,
            users: vec![Credential::new("demo", user)],
        };
        Arc::new(SiteRules::new(Rules { passwords: patterns.iter().map(rule).collect(), ..Rules::default() }))
    }

    /// `file` is at the path, or, after a `>`, in place of what is.
    fn access(patterns: &[(&str, &str)], path: &str, file: &str, authorization: Option<&str>) -> Access {
        let mut headers = HeaderMap::new();
        if let Some(value) = authorization {
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        let other = file.strip_prefix('>');
        let file = SentFile { path: other.unwrap_or(file), is_at_path: other.is_none() };
        check(&rules(patterns), &[path.into()], Some(file).filter(|file| !file.path.is_empty()), &headers, false)
    }

    fn basic(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn right_user_and_password_are_granted() {
        let with = |authorization: &str| access(&[("/*", "bob:y:z")], "/", "index.html", Some(authorization));
        assert_eq!(with(&basic("bob:y:z")), Access::Granted);
        assert_eq!(with(&basic("bob:y:z").replace("Basic", "bASIC")), Access::Granted);
        for wrong in [&basic("ann:y"), &basic("bob:y"), &basic("bob"), "Basic", "Basic !", "Bearer YW5uOng="] {
            assert_eq!(with(wrong), Access::Denied, "{wrong}");
        }
        assert_eq!(access(&[("/*", "a:b")], "/", "index.html", None), Access::Denied);
    }

    #[test]
    fn file_is_protected_under_each_address() {
        for (pattern, path, file) in [
            ("/a", "/a", "a.html"),
            ("/a", "/a.html", "a.html"),
            ("/a.html", "/a", "a.html"),
            ("/A/", "/%61/", "a/index.html"),
            ("/a", "/a/index.html", "a/index.html"),
            ("/a/index", "/a/", "a/index.html"),
            ("/a/index.html", "/a/", "a/index.html"),
            ("/index", "/", "index.html"),
            ("/", "/index.html", "index.html"),
            ("/a.html.html", "/a.html", "a.html.html"),
            ("/*.md", "/a", "a.md"),
            ("/a", "/a.md", "a.md"),
            ("/a.html", "/a.md", "a.md"),
            ("/*.js", "/a.js.gz", "a.js.gz"),
            ("/*.js", "/a.js.GZ", "a.js.GZ"),
            ("/a", "/a.html.Br", "a.html.Br"),
            ("/a/*", "/a", ""),
            ("/staff/*", "/public/x", ">staff/x"),
            ("/staff/*", "/staff/x", ">index.html"),
            ("/", "/route", ">index.html"),
        ] {
            assert_eq!(access(&[(pattern, "a:b")], path, file, None), Access::Denied, "{pattern} {path} {file}");
        }
        for (pattern, path, file) in [
            ("/*.html", "/a.css", "a.css"),
            ("/a", "/b", "b.html"),
            ("/a.md", "/a", "a.html"),
            ("/a/*", "/ab", "ab.html"),
            ("/", "/a.css", "a.css"),
        ] {
            assert_eq!(access(&[(pattern, "a:b")], path, file, None), Access::Public, "{pattern} {path} {file}");
        }
    }

    #[test]
    fn last_rule_of_a_file_counts_and_a_file_in_place_of_another_needs_both() {
        let patterns = [("/staff/*", "ann:x"), ("/*.html", "guest:y"), ("/guest/*", "guest:y")];
        let with = |path, file, user| access(&patterns, path, file, Some(&basic(user)));
        assert_eq!(with("/staff/a.json", "staff/a.json", "guest:y"), Access::Denied);
        assert_eq!(with("/staff/a.json", "staff/a.json", "ann:x"), Access::Granted);
        assert_eq!(with("/staff/a", "staff/a.html", "guest:y"), Access::Granted);
        assert_eq!(with("/guest/a.json", ">staff/a.json", "guest:y"), Access::Denied);
    }
}
