//! `_redirects`: one redirect rule in each line.
//!
//! `from [key=value …] [to] [status[!]]`; a `#` at the start of a word begins a comment.

use std::borrow::Cow;
use std::collections::BTreeMap;

use verge_protocol::rules::Redirect;
use verge_protocol::rules::redirect::Fields;

use super::error::RuleError;
use crate::unicode_domain;

/// The status of a rule without one.
pub(super) const DEFAULT_STATUS: u16 = 301;

/// Conditions of Netlify's on the reader.
const CONDITIONS: [&str; 5] = ["Country", "Language", "Role", "Cookie", "Sign"];

/// Parses each line of `text` that has a rule. Lines are counted from 1.
pub(super) fn parse(text: &str) -> impl Iterator<Item = (usize, Result<Redirect, RuleError>)> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    (1..).zip(text.lines()).filter_map(|(line, text)| {
        let words: Vec<&str> = text.split_whitespace().take_while(|word| !word.starts_with('#')).collect();
        let (from, rest) = words.split_first()?;
        Some((line, parse_words(from, rest)))
    })
}

fn parse_words(from: &str, rest: &[&str]) -> Result<Redirect, RuleError> {
    let is_target = |word: &&str| word.starts_with('/') || starts_with_scheme(word);
    let (query, to, rest) = match rest.first() {
        Some(word) if word.bytes().next().is_some_and(|byte| byte.is_ascii_digit()) => (&rest[..0], None, rest),
        _ => match rest.iter().position(is_target) {
            Some(at) => (&rest[..at], Some(rest[at]), &rest[at + 1..]),
            None => return Err(RuleError::NoTarget),
        },
    };
    let query = query.iter().map(|pair| parse_pair(pair)).collect::<Result<Vec<_>, _>>()?;
    let (status, force, conditions) = match rest.split_first() {
        Some((word, rest)) if word.bytes().next().is_some_and(|byte| byte.is_ascii_digit()) => {
            let (digits, force) = word.strip_suffix('!').map_or((*word, false), |digits| (digits, true));
            let status = digits.parse().map_err(|_| RuleError::Status((*word).to_owned()))?;
            (status, force, rest)
        }
        _ => (DEFAULT_STATUS, false, rest),
    };
    if let Some(word) = conditions.first() {
        return Err(condition_error(word));
    }
    redirect(from, query, to, status, force)
}

fn starts_with_scheme(word: &str) -> bool {
    let is = |scheme: &str| word.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    is("https:") || is("http:")
}

/// A word after the status.
pub(super) fn condition_error(word: &str) -> RuleError {
    let name = word.split('=').next().unwrap_or_default();
    match CONDITIONS.into_iter().find(|known| known.eq_ignore_ascii_case(name)) {
        Some(known) => RuleError::Condition(known),
        None => RuleError::Word(word.to_owned()),
    }
}

fn parse_pair(pair: &str) -> Result<(String, String), RuleError> {
    let (name, value) = pair
        .split_once('=')
        .filter(|(name, _)| !name.is_empty())
        .ok_or_else(|| RuleError::Parameter(pair.to_owned()))?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The rule; a target that is left out is the path itself, below `/*` of a rewrite.
pub(super) fn redirect(
    from: &str,
    query: impl IntoIterator<Item = (String, String)>,
    to: Option<&str>,
    status: u16,
    force: bool,
) -> Result<Redirect, RuleError> {
    let from = with_a_labels(&with_leading_slash(from));
    let mut parameters = BTreeMap::new();
    for (name, value) in query {
        if parameters.insert(name.clone(), value).is_some() {
            return Err(RuleError::DuplicateParameter(name));
        }
    }
    let to = match (to, from.strip_suffix("/*")) {
        (Some(to), _) => with_a_labels(to),
        (None, Some(folder)) if status == 200 && from.starts_with('/') => format!("{folder}/:splat"),
        (None, _) => return Err(RuleError::NoTarget),
    };
    let fields = Fields { from, query: parameters, to, status, force };
    let rule: Redirect = fields.try_into()?;
    rule.check_limits()?;
    Ok(rule)
}

/// A URL with its host in Unicode as A-labels, by which a request names it. What is no such URL, or has an invalid host, is left as it is, and is
/// an error of the rule if it has to be one.
fn with_a_labels(text: &str) -> String {
    let in_a_labels = || {
        let (scheme, rest) = text.split_once("://").filter(|_| starts_with_scheme(text))?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
        let host = unicode_domain::parse(host).ok().filter(|_| !host.is_ascii())?;
        Some(format!("{scheme}://{host}{port}{path}"))
    };
    in_a_labels().unwrap_or_else(|| text.to_owned())
}

/// `/*` for `*`, as at Netlify. What has a dot before its first slash may be meant as a host.
fn with_leading_slash(from: &str) -> Cow<'_, str> {
    let first = from.split('/').next().unwrap_or_default();
    let is_path_without_slash = !first.is_empty() && !first.contains([':', '.']);
    if is_path_without_slash { format!("/{from}").into() } else { from.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<String> {
        let show = |(line, rule): (usize, Result<Redirect, RuleError>)| match rule {
            Ok(rule) => format!("{line}: {rule}"),
            Err(error) => format!("{line}: error: {error}"),
        };
        parse(text).map(show).collect()
    }

    #[test]
    fn rules_in_any_layout_are_read() {
        let text = "\u{feff}# moved\r\n\r\n/old\t/new\r\n  /a  /b   302!  # for now\n/c id=:id x=1 /c/:id 301\n/* /index.html 200\n\
                    https://a.example/* https://b.example/:splat 308\n/app/* 200\n/n /m#part 301\n/gone /404.html 410\n* /index.html 200\nc/* 200";
        insta::assert_snapshot!(parsed(text).join("\n"));
    }

    #[test]
    fn host_in_unicode_is_stored_in_a_labels() {
        let text = "https://münchen.example/x /t\n/a https://MÜNCHEN.example/\nhttp://faß.example./* https://bücher.example:8443/é/:splat?x=ü#ö 302\n\
                    /b https://例え.example\n/c https://xn--mnchen-3ya.example/ü";
        let expected = [
            "1: https://xn--mnchen-3ya.example/x /t 301",
            "2: /a https://xn--mnchen-3ya.example/ 301",
            "3: http://xn--fa-hia.example/* https://xn--bcher-kva.example:8443/é/:splat?x=ü#ö 302",
            "4: /b https://xn--r8jz45g.example 301",
            "5: /c https://xn--mnchen-3ya.example/ü 301",
        ];
        assert_eq!(parsed(text), expected);
    }

    #[test]
    fn host_in_unicode_that_is_invalid_is_an_error_that_names_it() {
        for (line, named) in [
            ("https://-ü.example/x /t", "https://-ü.example/x"),
            ("https://ü:80/x /t", "https://xn--tda:80/x"),
            ("/a https://ü_x.example/", "https://ü_x.example/"),
            ("/a https://me@münchen.example/", "https://me@münchen.example/"),
            ("/:x https://:x.münchen.example/", "https://:x.münchen.example/"),
        ] {
            let lines = parsed(line);
            assert!(lines[0].starts_with("1: error: ") && lines[0].contains(named), "{line}: {lines:?}");
        }
    }

    #[test]
    fn invalid_line_error_names_it() {
        let text = "/a\n/a b\na.example/a /b\n/a x /b\n/a =1 /b\n/a x=1 x=2 /b\n/a /b 3o1\n/a /b 301 Country=de\n/a /b Language=en\n/a /b 301 x\n\
                    /a 301\n/a 200\n/a /b 999\n/api/* https://api.example/:splat 200\n/a?b=c /d\n/a //b.example\n/x/* /.netlify/functions/:splat 200";
        insta::assert_snapshot!(parsed(text).join("\n"));
    }
}
