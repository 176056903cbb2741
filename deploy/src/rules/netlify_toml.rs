//! `[[redirects]]` and `[[headers]]` of `netlify.toml`.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use toml::Spanned;
use verge_protocol::rules::Redirect;

use super::error::RuleError;
use super::headers_file::{Block, HeaderRules, setting};
use super::password_line;
use super::redirects_file::{DEFAULT_STATUS, condition_error, redirect};
use crate::toml_file::{self, TomlError};

/// What the tables say.
#[derive(Debug, Default)]
pub(super) struct NetlifyRules {
    /// Each table with its line.
    pub(super) redirects: Vec<(usize, Result<Redirect, RuleError>)>,
    /// With the lines of their tables.
    pub(super) headers: HeaderRules,
    /// About keys that do nothing, with the line if it is known.
    pub(super) warnings: Vec<(Option<usize>, String)>,
}

/// Tables and keys that this program reads.
const USED: [&str; 3] = ["build", "headers", "redirects"];

#[derive(Deserialize)]
struct NetlifyToml {
    #[serde(default)]
    redirects: Vec<Spanned<RedirectTable>>,
    #[serde(default)]
    headers: Vec<Spanned<HeadersTable>>,
    #[serde(default)]
    build: BTreeMap<String, toml::Value>,
    #[serde(flatten)]
    rest: BTreeMap<String, toml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RedirectTable {
    #[serde(alias = "origin")]
    from: String,
    #[serde(default, alias = "destination")]
    to: Option<String>,
    #[serde(default)]
    status: Option<Scalar>,
    #[serde(default)]
    force: bool,
    #[serde(default, alias = "params", alias = "parameters")]
    query: BTreeMap<String, Scalar>,
    #[serde(default)]
    conditions: BTreeMap<String, toml::Value>,
    /// Headers for the back end of a proxy.
    #[serde(default)]
    headers: BTreeMap<String, toml::Value>,
    #[serde(default, alias = "sign", alias = "signing")]
    signed: Option<toml::Value>,
    #[serde(default)]
    rate_limit: Option<toml::Value>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HeadersTable {
    #[serde(rename = "for")]
    path: String,
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

/// Parses `text`, the content of `file`. `site` is the one that passwords are for.
pub(super) fn parse(file: &Path, text: &str, site: &str) -> Result<NetlifyRules, TomlError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let toml: NetlifyToml = toml_file::parse(file, text)?;
    let line_of = |at: usize| 1 + text[..at.min(text.len())].matches('\n').count();
    let mut rules = NetlifyRules::default();
    let of_building =
        toml.build.keys().filter(|key| !matches!(key.as_str(), "base" | "publish")).map(|key| format!("build.{key}"));
    let ignored: Vec<String> =
        of_building.chain(toml.rest.keys().filter(|key| !USED.contains(&&***key)).cloned()).collect();
    if !ignored.is_empty() {
        let verb = if ignored.len() == 1 { "concerns" } else { "concern" };
        rules.warnings.push((
            None,
            format!(
                "{} {verb} building, and {} ignored",
                ignored.join(", "),
                if ignored.len() == 1 { "is" } else { "are" }
            ),
        ));
    }
    let others = toml.build.iter().chain(&toml.rest).filter(|(name, value)| has_password(name, value));
    rules
        .headers
        .errors
        .extend(others.map(|(name, _)| (password_line_of(text, name), RuleError::PasswordInOtherTable(name.clone()))));
    for table in toml.redirects {
        let line = line_of(table.span().start);
        let table = table.into_inner();
        if !table.headers.is_empty() {
            rules
                .warnings
                .push((Some(line), "`headers` of a redirect are for the back end of a proxy, and ignored".to_owned()));
        }
        rules.redirects.push((line, to_redirect(table)));
    }
    for table in toml.headers {
        let line = line_of(table.span().start);
        let HeadersTable { path, values } = table.into_inner();
        let path = with_leading_slash(path.trim());
        let pattern = match path.parse() {
            Ok(pattern) => pattern,
            Err(error) => {
                rules.headers.errors.push((line, RuleError::HeaderPath(error)));
                let passwords = values.iter().filter(|(name, _)| password_line::is_like_line(name));
                rules.headers.errors.extend(
                    passwords
                        .map(|(_, value)| (line_of(value.span().start), RuleError::PasswordAfterInvalidPath(line))),
                );
                continue;
            }
        };
        let mut block = Block::new(line, pattern);
        for (name, values) in values {
            let of_password = password_line::is_like_line(&name).then(|| line_of(values.span().start));
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
                match (setting(name.trim(), &value, &path), of_password) {
                    (Ok(setting), _) => block.add(setting),
                    (Err(RuleError::LongPassword), Some(line)) => {
                        rules.headers.errors.push((line, RuleError::LongPassword));
                    }
                    (Err(_), Some(line)) => rules.headers.errors.push((line, RuleError::User)),
                    (Err(error), None) => rules.headers.errors.push((line, error)),
                }
            }
        }
        rules.headers.finish(Some(block), site);
    }
    Ok(rules)
}

/// Whether a value has headers with a password in it, as `[[headers]]` has them. Variables of a build and settings of a plugin may have such
/// names too.
fn has_password(name: &str, value: &toml::Value) -> bool {
    let in_table = |table: &toml::Table, is_headers: bool| {
        let is_password = |name: &str| is_headers && password_line::is_like_line(name);
        table.iter().any(|(name, value)| is_password(name) || has_password(name, value))
    };
    match value {
        toml::Value::Table(table) => in_table(table, name == "values"),
        toml::Value::Array(tables) if name != "plugins" => {
            tables.iter().filter_map(toml::Value::as_table).any(|table| in_table(table, true))
        }
        _ => false,
    }
}

/// The line of the first password after the name of the table, about.
fn password_line_of(text: &str, table: &str) -> usize {
    let lines = || (1..).zip(text.lines());
    let start = lines().find(|(_, line)| line.trim_start_matches([' ', '\t', '[', '"']).starts_with(table));
    let start = start.map_or(1, |(line, _)| line);
    lines().skip(start).find(|(_, line)| password_line::is_like_line(line)).map_or(start, |(line, _)| line)
}

/// The path of headers, which may be written as `*.js`.
fn with_leading_slash(path: &str) -> Cow<'_, str> {
    let is_whole = path.starts_with('/') || path.is_empty() || path.contains("://");
    if is_whole { path.into() } else { format!("/{path}").into() }
}

fn to_redirect(table: RedirectTable) -> Result<Redirect, RuleError> {
    if let Some(name) = table.conditions.keys().next() {
        return Err(condition_error(name));
    }
    if table.signed.is_some() {
        return Err(RuleError::Condition("Sign"));
    }
    if table.rate_limit.is_some() {
        return Err(RuleError::RateLimit);
    }
    let status = match table.status.map(Scalar::into_text) {
        None => DEFAULT_STATUS,
        Some(text) => text.parse().map_err(|_| RuleError::Status(text))?,
    };
    let query = table.query.into_iter().map(|(name, value)| (name, value.into_text()));
    redirect(&table.from, query, table.to.as_deref(), status, table.force)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        let rules = match parse(Path::new("netlify.toml"), text, "demo") {
            Ok(rules) => rules,
            Err(error) => return error.to_string(),
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
            ("[[headers]]\nfor = \"http://a.example/staff\"\n[headers.values]\nX-A = \"1\"\n", &[]),
            (
                "[build.environment]\nBASIC_AUTH_USER = \"ann\"\n[context.production.environment]\nBASIC_AUTH = \"x\"\n",
                &[],
            ),
            ("[[plugins]]\npackage = \"x\"\n[plugins.inputs]\nbasicAuth = true\n", &[]),
        ] {
            assert_eq!(fatal(text), lines, "{text}");
        }
    }
}
