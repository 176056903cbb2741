//! `[[redirects]]` and `[[headers]]` of `netlify.toml`.

mod keys;
mod line_starts;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use verge_protocol::rules::Redirect;
use verge_protocol::rules::redirect::RedirectError;

use self::keys::Keys;
use self::line_starts::LineStarts;
use super::error::RuleError;
use super::headers_file::{Block, HeaderRules, setting};
use super::password_line;
use super::redirects_file::{DEFAULT_STATUS, condition_error, redirect};
use crate::toml_file::{self, TomlError};

/// What the tables say.
#[derive(Debug, Default)]
pub(super) struct NetlifyRules {
    /// Each table with its line; an error with that of its key.
    pub(super) redirects: Vec<(usize, Result<Redirect, RuleError>)>,
    /// With the lines of their tables, and of the keys that are errors, wherever they are.
    pub(super) headers: HeaderRules,
    /// About keys that do nothing, with the line if it is known.
    pub(super) warnings: Vec<(Option<usize>, String)>,
}

#[derive(Deserialize)]
struct NetlifyToml {
    #[serde(default)]
    redirects: Vec<Spanned<RedirectTable>>,
    #[serde(default)]
    headers: Vec<Spanned<HeadersTable>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RedirectTable {
    #[serde(alias = "origin")]
    from: Spanned<String>,
    #[serde(default, alias = "destination")]
    to: Option<Spanned<String>>,
    #[serde(default)]
    status: Option<Spanned<Scalar>>,
    #[serde(default)]
    force: bool,
    #[serde(default, alias = "params", alias = "parameters")]
    query: BTreeMap<String, Scalar>,
    #[serde(default)]
    conditions: Option<Spanned<BTreeMap<String, toml::Value>>>,
    /// Headers for the back end of a proxy.
    #[serde(default)]
    headers: BTreeMap<String, toml::Value>,
    #[serde(default, alias = "sign", alias = "signing")]
    signed: Option<Spanned<toml::Value>>,
    #[serde(default)]
    rate_limit: Option<Spanned<toml::Value>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadersTable {
    #[serde(rename = "for")]
    path: Spanned<String>,
    #[serde(default)]
    values: BTreeMap<String, Spanned<Values>>,
}

/// A number, `true`, `false` or a text, as people write all of them.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text or a number")]
enum Scalar {
    Number(u64),
    Boolean(bool),
    Text(String),
}

impl Scalar {
    fn into_text(self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Boolean(boolean) => boolean.to_string(),
            Self::Text(text) => text,
        }
    }
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text or a list of texts")]
enum Values {
    One(String),
    Many(Vec<String>),
}

/// Parses `text`, the content of `file`. `site` is the one that passwords are for. Errors: all keys that are unknown in a table of rules, else the
/// first thing that has not its form.
pub(super) fn parse(file: &Path, text: &str, site: &str) -> Result<NetlifyRules, Vec<TomlError>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = LineStarts::of(text);
    let keys = Keys::read(text, &lines);
    let unknown = keys.as_ref().map(Keys::unknown_of_tables).unwrap_or_default();
    if !unknown.is_empty() {
        return Err(unknown.into_iter().map(|(line, message)| TomlError::new(file, line, message)).collect());
    }
    let toml: NetlifyToml = toml_file::parse(file, text).map_err(|error| vec![error])?;
    let line_of = |at| lines.line_of(at);
    let mut rules = NetlifyRules::default();
    if let Some(keys) = keys {
        let ignored = keys.ignored();
        if !ignored.is_empty() {
            let are = if ignored.len() == 1 { "is" } else { "are" };
            let why = "a push neither builds nor runs functions";
            rules.warnings.push((None, format!("{} {are} ignored: {why}", ignored.join(", "))));
        }
        if let Some(line) = keys.unpretty_urls() {
            let hint = "pages have one address each, unless verge.toml has `html = \"keep\"`";
            rules.warnings.push((Some(line), format!("`pretty_urls = false` is ignored: {hint}")));
        }
        if let Some(line) = keys.spa_fallback() {
            let hint = "a single-page app has the rule `/* /index.html 200`, or `spa` in verge.toml";
            rules.warnings.push((Some(line), format!("`spa_fallback` is ignored: {hint}")));
        }
        rules.headers.errors.extend(keys.unknown());
        rules.headers.errors.extend(keys.passwords_elsewhere());
    }
    for table in toml.redirects {
        let at = table.span().start;
        let line = line_of(at);
        let table = table.into_inner();
        if !table.headers.is_empty() {
            rules
                .warnings
                .push((Some(line), "`headers` of a redirect are for the back end of a proxy, and ignored".to_owned()));
        }
        rules.redirects.push(match to_redirect(table, at) {
            Ok(rule) => (line, Ok(rule)),
            Err((at, error)) => (line_of(at), Err(error)),
        });
    }
    for table in toml.headers {
        let line = line_of(table.span().start);
        let HeadersTable { path, values } = table.into_inner();
        let path_line = line_of(path.span().start);
        let path = with_leading_slash(path.get_ref().trim());
        let pattern =
            match path.parse() {
                Ok(pattern) => pattern,
                Err(error) => {
                    rules.headers.errors.push((path_line, RuleError::HeaderPath(error)));
                    let passwords = values.iter().filter(|(name, _)| password_line::is_like_line(name));
                    rules.headers.errors.extend(passwords.map(|(_, value)| {
                        (line_of(value.span().start), RuleError::PasswordAfterInvalidPath(path_line))
                    }));
                    continue;
                }
            };
        let mut block = Block::new(line, pattern);
        for (name, values) in values {
            let is_like_password = password_line::is_like_line(&name);
            let line = line_of(values.span().start);
            let values = match values.into_inner() {
                Values::One(value) => vec![value],
                // As at Netlify, an empty list is an empty value.
                Values::Many(values) if values.is_empty() => vec![String::new()],
                Values::Many(values) => values,
            };
            for value in values {
                // A value may be written on several lines.
                let lines = value.lines().map(str::trim).filter(|line| !line.is_empty());
                let value = lines.collect::<Vec<_>>().join(" ");
                match setting(name.trim(), &value, &path) {
                    Ok(setting) => block.add(setting),
                    Err(error) if is_like_password && !error.is_of_password() => {
                        rules.headers.errors.push((line, RuleError::User));
                    }
                    Err(error) => rules.headers.errors.push((line, error)),
                }
            }
        }
        rules.headers.finish(Some(block), site);
    }
    Ok(rules)
}

/// The path of headers, which may be written as `*.js`.
fn with_leading_slash(path: &str) -> Cow<'_, str> {
    let is_whole = path.starts_with('/') || path.is_empty() || path.contains("://");
    if is_whole { path.into() } else { format!("/{path}").into() }
}

/// The rule of a table; an error is at the returned place in the text.
fn to_redirect(table: RedirectTable, at: usize) -> Result<Redirect, (usize, RuleError)> {
    if let Some(conditions) = &table.conditions
        && let Some(name) = conditions.get_ref().keys().next()
    {
        return Err((conditions.span().start, condition_error(name)));
    }
    if let Some(signed) = &table.signed {
        return Err((signed.span().start, RuleError::Condition("Sign")));
    }
    if let Some(limit) = &table.rate_limit {
        return Err((limit.span().start, RuleError::RateLimit));
    }
    let at_from = table.from.span().start;
    let at_to = table.to.as_ref().map_or(at_from, |to| to.span().start);
    let at_status = table.status.as_ref().map_or(at, |status| status.span().start);
    let status = match table.status.map(|status| status.into_inner().into_text()) {
        None => DEFAULT_STATUS,
        Some(text) => text.parse().map_err(|_| (at_status, RuleError::TableStatus(text)))?,
    };
    let query = table.query.into_iter().map(|(name, value)| (name, value.into_text()));
    let to = table.to.as_ref().map(|to| to.get_ref().as_str());
    redirect(table.from.get_ref(), query, to, status, table.force).map_err(|error| {
        let at = match &error {
            RuleError::Redirect(RedirectError::Status(_)) => at_status,
            RuleError::Redirect(RedirectError::From(_) | RedirectError::FromUrl(_)) => at_from,
            RuleError::Redirect(
                RedirectError::To(_) | RedirectError::Proxy(..) | RedirectError::NetlifyFunction(_),
            ) => at_to,
            _ => at,
        };
        (at, error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        let rules = match parse(Path::new("netlify.toml"), text, "demo") {
            Ok(rules) => rules,
            Err(errors) => return errors.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"),
        };
        let mut lines = Vec::new();
        for (line, rule) in rules.redirects {
            lines.push(rule.map_or_else(|error| format!("{line}: error: {error}"), |rule| format!("{line}: {rule}")));
        }
        for (line, rule) in rules.headers.headers {
            lines.push(format!(
                "{line}: {} {:?}",
                rule.pattern,
                rule.headers.iter().map(ToString::to_string).collect::<Vec<_>>()
            ));
        }
        lines.extend(rules.headers.errors.iter().map(|(line, error)| format!("{line}: error: {error}")));
        lines.extend(rules.warnings.iter().map(|(line, warning)| format!("{line:?}: warning: {warning}")));
        lines.join("\n")
    }

    #[test]
    fn tables_are_read() {
        let text = "[build]\npublish = \"dist\"\ncommand = \"yarn build\"\n\n[context.production]\nx = 1\n\n\
            [[redirects]]\nfrom = \"/a\"\nto = \"/b\"\n\n[[redirects]]\nfrom = \"/c/*\"\nstatus = 200\nforce = true\n\n\
            [[redirects]]\nfrom = \"/s\"\nto = \"/s/:id\"\nquery = {id = \":id\"}\nstatus = \"302\"\n\n\
            [[redirects]]\nfrom = \"/d\"\nto = \"/e\"\nconditions = {Country = [\"de\"]}\n\n\
            [[headers]]\nfor = \"/*\"\n[headers.values]\nX-Frame-Options = \"DENY\"\nLink = [\"<a>\", \"<b>\"]\nAge = \"1\"\nCache-Control = '''\n  max-age=0,\n  no-cache'''\n";
        insta::assert_snapshot!(parsed(text));
    }

    #[test]
    fn tables_as_people_write_them_are_read() {
        let text = "redirects = [\n  {from = '*', to = \"/b\", status = 302},\n  \
                    {origin = \"a\", destination = \"/b\", params = {id = 1, x = true}},\n]\n\
                    [[headers]]\nfor = \" *.js \"\n\
                    values = {X-A = \"two  words\", X-B = \"\", X-C = [], X-E = [\"1 \", \"\", \"2\"], \" X-D \" = \" d \"}\n\
                    [[headers]]\nfor = \"/a\"\n[headers.values]\nX-A = '''\n  a;\n  b  c\n'''\n";
        insta::assert_snapshot!(parsed(text));
    }

    #[test]
    fn invalid_table_error_names_it() {
        let text = "[[redirects]]\nfrom = \"/a\"\nto = \"b\"\n\
                    [[redirects]]\nfrom = \"/a\"\nto = \"/b\"\nstatus = \"302!\"\n\
                    [[redirects]]\nfrom = \"https://a.example:81/\"\nto = \"/b\"\n\
                    [[redirects]]\nfrom = \"\"\nto = \"/b\"\n\
                    [[headers]]\nfor = \"\"\nvalues = {X-A = \"1\"}\n\
                    [[headers]]\nfor = \"https://a.example/*\"\nvalues = {X-A = \"1\"}\n\
                    [[headers]]\nfor = \"/a\"\nvalues = {Basic-Auth = [], \"! X-A\" = \"1\"}\n";
        insta::assert_snapshot!(parsed(text));
        for (text, error) in [
            (
                "[[headers]]\nfor = \"/a\"\n[headers.values]\nX-A = 1\n",
                "netlify.toml:4: expected a text or a list of texts",
            ),
            ("[[redirects]]\nfrom = \"/a\"\nquery = {a = []}\n", "netlify.toml:3: expected a text or a number"),
        ] {
            assert_eq!(parsed(text).lines().next(), Some(error));
        }
    }

    #[test]
    fn unknown_key_of_a_table_is_an_error_with_its_line() {
        assert!(
            parsed("[[redirects]]\nfrom = \"/a\"\ntoo = \"/b\"\n").starts_with("netlify.toml:3: unknown field `too`")
        );
        assert!(
            parsed("\n[[headers]]\nfor = \"/a\"\nvalue = {}\n").starts_with("netlify.toml:4: unknown field `value`")
        );
        assert!(parsed("[[redirects]]\nto = \"/b\"\n").starts_with("netlify.toml:1: missing field `from`"));
    }

    #[test]
    fn all_unknown_keys_of_the_tables_are_named() {
        let text = "[[headers]]\nfor = \"/a\"\nvalue = {}\n[[redirects]]\nfrom = \"/a\"\ntoo = \"/b\"\nx = 1\n";
        assert_eq!(
            parsed(text).lines().collect::<Vec<_>>(),
            [
                "netlify.toml:3: unknown field `value` in `[[headers]]`: did you mean `values`?",
                "netlify.toml:6: unknown field `too` in `[[redirects]]`: did you mean `to`?",
                "netlify.toml:7: unknown field `x` in `[[redirects]]`",
            ]
        );
    }

    #[test]
    fn unknown_table_at_the_top_is_an_error_with_its_line_and_a_hint() {
        let text = "publish = \"dist\"\n[bild]\nx = 1\n[[redirect]]\nfrom = \"/a\"\n[[redirect]]\nfrom = \"/b\"\n\
                    [settings]\nx = 1\n[[header]]\nfor = \"/*\"\n[header.values]\nX-A = \"1\"\n";
        insta::assert_snapshot!(parsed(text));
        let rules = parse(Path::new("netlify.toml"), text, "demo").unwrap();
        assert!(!rules.headers.errors.iter().any(|(_, error)| error.is_of_password()));
        for table in ["build", "context", "dev", "functions", "edge_functions", "images", "template", "Settings"] {
            let text = parsed(&format!("[{table}.x]\ny = 1\n"));
            assert!(text.contains(" is ignored: ") && !text.contains("error"), "{table}: {text}");
        }
    }

    #[test]
    fn key_of_build_at_the_top_is_an_error_with_a_hint() {
        for key in ["base", "command", "environment", "ignore", "processing", "publish"] {
            let error = format!("1: error: unknown table or key `{key}`: it belongs to `[build]`");
            assert_eq!(parsed(&format!("[{key}]\nx = 1\n")), error);
        }
    }

    #[test]
    fn pretty_urls_that_are_off_are_said_to_be_set_in_verge_toml() {
        let expected = "Some(3): warning: `pretty_urls = false` is ignored: pages have one address each, unless verge.toml has `html = \"keep\"`";
        for text in [
            "[build]\n[build.processing.html]\n  pretty_urls = false\n",
            "[build]\n\nprocessing = { html = { pretty_urls = false } }\n",
            "\n\nbuild.processing.html.pretty_urls = false\n",
        ] {
            assert!(parsed(text).lines().any(|line| line == expected), "{text}: {}", parsed(text));
        }
        for text in ["[build.processing.html]\npretty_urls = true\n", "[build.processing]\npretty_urls = false\n"] {
            assert_eq!(
                parsed(text),
                "None: warning: build.processing is ignored: a push neither builds nor runs functions"
            );
        }
    }

    #[test]
    fn spa_fallback_is_ignored_and_said() {
        let text = parsed("[dev]\nx = 1\n[build]\nbase = \"x\"\n");
        assert_eq!(text, "None: warning: dev is ignored: a push neither builds nor runs functions");
        let text = parsed("\n  spa_fallback = true\n");
        assert_eq!(
            text,
            "Some(2): warning: `spa_fallback` is ignored: a single-page app has the rule `/* /index.html 200`, or `spa` in verge.toml"
        );
    }

    #[test]
    fn lines_of_a_large_file_are_found_in_bounded_time() {
        let tables = |key: &str| -> String {
            let table = |index| format!("[[headers]]\nfor = \"/{index}\"\n{key} = {{X-A = \"{index}\"}}\n\n");
            (0..10_000).map(table).collect::<Vec<_>>().concat()
        };
        let rules = parse(Path::new("netlify.toml"), &tables("values"), "demo").unwrap();
        assert_eq!(rules.headers.headers.last().map(|(line, _)| *line), Some(4 * 9_999 + 1));
        let errors = parse(Path::new("netlify.toml"), &tables("value"), "demo").unwrap_err();
        assert_eq!(errors.len(), 10_000);
        assert!(errors[9_999].to_string().starts_with(&format!("netlify.toml:{}: ", 4 * 9_999 + 3)));
    }

    #[test]
    fn error_of_a_table_is_at_the_line_of_its_key() {
        for (table, line) in [
            ("[[redirects]]\nfrom = \"/a\"\nto = \"/b\"\n\nstatus = 299\n", 5),
            ("[[redirects]]\nto = \"/b\"\nfrom = \"\"\n", 3),
            ("[[redirects]]\nfrom = \"/a\"\nto = \"b\"\n", 3),
            ("[[redirects]]\nfrom = \"/a\"\nto = \"/b\"\nconditions = {Country = [\"de\"]}\n", 4),
            ("[[redirects]]\nfrom = \"/a\"\nto = \"/b\"\n[redirects.rate_limit]\nx = 1\n", 4),
            ("[[headers]]\n\nfor = \"\"\n", 3),
            ("[[headers]]\nfor = \"/a\"\n[headers.values]\nX-A = \"1\"\n\"X A\" = \"1\"\n", 5),
        ] {
            let parsed = parsed(table);
            assert!(parsed.lines().any(|error| error.starts_with(&format!("{line}: error: "))), "{parsed}\n{table}");
        }
    }

    #[test]
    fn password_that_would_be_left_out_is_fatal_and_named_by_its_line() {
        let fatal = |text: &str| -> Vec<usize> {
            let rules = parse(Path::new("netlify.toml"), text, "demo").unwrap();
            assert!(rules.headers.passwords.is_empty(), "{text}");
            rules.headers.errors.iter().filter(|(_, error)| error.is_of_password()).map(|(line, _)| *line).collect()
        };
        for (text, lines) in [
            (
                "[[headers]]\nfor = \"http://a.example/staff\"\n[headers.values]\nBasic-Auth = \"ann:secret\"\n",
                &[4][..],
            ),
            (
                "[[headers]]\nfor = \"https://a.example/*\"\n[headers.values]\nX-A = \"1\"\nbasic_auth = \"ann:secret\"\n",
                &[5],
            ),
            ("[[headers]]\nfor = \"/staff/*\"\n[headers.values]\nBasic-Auth = \"\"\n", &[4]),
            ("[[headers]]\nfor = \"/staff/*\"\n[headers.values]\nBasic-Auth = []\n", &[4]),
            ("[[headers]]\nfor = \"/staff/*\"\n[headers.values]\n\"Basic-Auth \" = \"ann\"\n", &[4]),
            ("[[headers]]\nfor = \"/staff/*\"\nvalues.BasicAuth = \"ann:secret\"\n", &[3]),
            ("[[header]]\nfor = \"/staff/*\"\n[header.values]\nBasic-Auth = \"ann:secret\"\n", &[4]),
            (
                "[context.production]\nx = 1\n[[context.production.headers]]\nvalues.x = 1\nBasic-Auth = \"ann:x\"\n",
                &[5],
            ),
            ("[context.production.headers.\"/staff/*\"]\nX-A = 1\nBasic-Auth = \"ann:secret\"\n", &[3]),
            ("[header]\nfor = \"/staff/*\"\nBasic-Auth = \"ann:secret\"\n", &[3]),
            ("Basic-Auth = \"ann:x\"\n", &[1]),
            ("[build]\nheaders = [{for = \"/*\", values = {Basic-Auth = \"ann:x\"}}]\nbasic_auth = \"b:y\"\n", &[2, 3]),
            ("[[headers]]\nfor = \"http://a.example/staff\"\n[headers.values]\nX-A = \"1\"\n", &[]),
            ("[build]\nenvironment = {BASIC_AUTH = \"x\"}\n[template.environment]\nBASIC_AUTH = \"x\"\n", &[]),
            (
                "[build.environment]\nBASIC_AUTH_USER = \"ann\"\n[context.production.environment]\nBASIC_AUTH = \"x\"\n",
                &[],
            ),
            ("[[plugins]]\npackage = \"x\"\n[plugins.inputs]\nbasicAuth = true\n", &[]),
            ("[Basic-Auth]\n\"/staff/*\" = \"ann:secret\"\n", &[1]),
            ("x = 1\n[basic_auth.staff]\nann = \"secret\"\n", &[2]),
            ("[[Basic-Auth]]\nfor = \"/staff/*\"\n[[Basic-Auth]]\nfor = \"/*\"\n", &[1]),
            ("Basic-Auth = {ann = \"secret\"}\n", &[1]),
            ("[header.values.Basic-Auth]\nann = \"secret\"\n", &[1]),
            ("[context.production.headers.values.Basic-Auth]\nann = \"secret\"\n", &[1]),
            ("[build.Basic-Auth]\nann = \"secret\"\n", &[1]),
            ("[build]\nheaders = [[{Basic-Auth = \"ann:secret\"}]]\n", &[2]),
            ("[functions.basic-auth]\nnode_bundler = \"esbuild\"\n", &[]),
            ("[context.production.functions.basic-auth]\nincluded_files = []\n", &[]),
            ("[functions]\nBasic-Auth = \"ann:secret\"\n", &[2]),
            ("[functions.staff.Basic-Auth]\nann = \"secret\"\n", &[1]),
            ("[functions.basic-auth.Basic-Auth]\nann = \"secret\"\n", &[1]),
        ] {
            assert_eq!(fatal(text), lines, "{text}");
        }
    }
}
