//! `_headers`: blocks of a path and the headers of its responses.
//!
//! A line that starts with a slash is a path, `Name: value` a header, `! Name` takes a header off, and a line that starts with `#` is a
//! comment. Two headers of the same name in a block are one with both values, but for `Set-Cookie`.

use verge_protocol::rules::{Credential, HeaderChange, HeaderPattern, HeaderRule, PasswordRule};

use super::error::RuleError;

/// Codings of files that the build has encoded, which are sent with their `Content-Encoding` without a rule.
const CODED_EXTENSIONS: [(&str, &str); 3] = [("br", ".br"), ("gzip", ".gz"), ("gzip", ".svgz")];

/// What a line, or a key of `netlify.toml`, says about a path.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Setting {
    /// A header.
    Header(HeaderChange),
    /// Users with their passwords, each `user:password`.
    Users(Vec<String>),
    /// What the server does without a rule.
    Redundant,
}

/// The rules of a file. A block without headers is none.
#[derive(Debug, Default)]
pub(super) struct HeaderRules {
    /// With the line of the path.
    pub(super) headers: Vec<(usize, HeaderRule)>,
    /// Paths with passwords.
    pub(super) passwords: Vec<PasswordRule>,
    /// Invalid lines.
    pub(super) errors: Vec<(usize, RuleError)>,
    /// Lines that do nothing.
    pub(super) warnings: Vec<(usize, String)>,
}

/// Parses `text`. Lines are counted from 1; `site` is the one that passwords are for.
pub(super) fn parse(text: &str, site: &str) -> HeaderRules {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut rules = HeaderRules::default();
    let mut block: Option<Block> = None;
    // Whether the path of the block was an error.
    let mut is_skipping = false;
    for (line, text) in (1..).zip(text.lines().map(str::trim)) {
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if text.starts_with('/') {
            is_skipping = false;
            rules.finish(block.take(), site);
            match text.parse() {
                Ok(pattern) => block = Some(Block::new(line, pattern)),
                Err(error) => {
                    is_skipping = true;
                    rules.errors.push((line, RuleError::HeaderPath(error)));
                }
            }
            continue;
        }
        if text.starts_with("https://") || text.starts_with("http://") {
            // Its headers must not become those of the block before.
            rules.finish(block.take(), site);
            rules.errors.push((line, RuleError::PathWithHost(text.to_owned())));
            is_skipping = true;
            continue;
        }
        if is_skipping {
            continue;
        }
        let Some(block) = &mut block else {
            rules.errors.push((line, RuleError::NoPath));
            continue;
        };
        match parse_line(text, block.pattern.as_str()) {
            Ok(setting) => block.add(setting),
            Err(error) => {
                rules.errors.push((line, error));
                block.has_error = true;
            }
        }
    }
    rules.finish(block, site);
    rules
}

fn parse_line(text: &str, path: &str) -> Result<Setting, RuleError> {
    if let Some(name) = text.strip_prefix('!') {
        return Ok(Setting::Header(HeaderChange::new(name.trim(), None)?));
    }
    let (name, value) = text.split_once(':').ok_or_else(|| RuleError::NoColon(text.to_owned()))?;
    let (name, value) = (name.trim(), value.trim());
    if value.is_empty() && !is_basic_auth(name) {
        return Err(RuleError::NoValue(name.to_owned()));
    }
    setting(name, value, path)
}

fn is_basic_auth(name: &str) -> bool {
    name.eq_ignore_ascii_case("basic-auth")
}

/// What the header `name` with `value` at `path` says.
pub(super) fn setting(name: &str, value: &str, path: &str) -> Result<Setting, RuleError> {
    if is_basic_auth(name) {
        let users: Vec<String> = value.split_whitespace().map(str::to_owned).collect();
        let is_user = |user: &String| {
            user.split_once(':').is_some_and(|(name, password)| !name.is_empty() && !password.is_empty())
        };
        // Without any, the path would be public.
        let are_users = !users.is_empty() && users.iter().all(is_user);
        return if are_users { Ok(Setting::Users(users)) } else { Err(RuleError::User) };
    }
    let is_coded = |(coding, extension): (&str, &str)| value.eq_ignore_ascii_case(coding) && path.ends_with(extension);
    if name.eq_ignore_ascii_case("content-encoding") && CODED_EXTENSIONS.into_iter().any(is_coded) {
        return Ok(Setting::Redundant);
    }
    Ok(Setting::Header(HeaderChange::new(name, Some(value))?))
}

/// A path and what is said about it.
pub(super) struct Block {
    line: usize,
    pattern: HeaderPattern,
    headers: Vec<HeaderChange>,
    users: Vec<String>,
    is_redundant: bool,
    has_error: bool,
}

impl Block {
    pub(super) fn new(line: usize, pattern: HeaderPattern) -> Self {
        Self { line, pattern, headers: Vec::new(), users: Vec::new(), is_redundant: false, has_error: false }
    }

    pub(super) fn add(&mut self, setting: Setting) {
        match setting {
            Setting::Users(users) => self.users.extend(users),
            Setting::Redundant => self.is_redundant = true,
            Setting::Header(change) => {
                let joins = change.name() != "set-cookie";
                let same = self.headers.iter_mut().find(|header| joins && header.name() == change.name());
                match (same, change.value()) {
                    (Some(header), Some(value)) => header.append(value),
                    (Some(header), None) => *header = change,
                    (None, _) => self.headers.push(change),
                }
            }
        }
    }
}

impl HeaderRules {
    pub(super) fn finish(&mut self, block: Option<Block>, site: &str) {
        let Some(Block { line, pattern, headers, users, is_redundant, has_error }) = block else { return };
        if headers.is_empty() && users.is_empty() && !is_redundant && !has_error {
            self.warnings.push((line, format!("`{pattern}` has no headers")));
        }
        if !users.is_empty() {
            let users = users.iter().map(|user| Credential::new(site, user)).collect();
            self.passwords.push(PasswordRule { pattern: pattern.clone(), only_previews: false, users });
        }
        if !headers.is_empty() {
            self.headers.push((line, HeaderRule { pattern, headers }));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        let rules = parse(text, "demo");
        let mut lines = Vec::new();
        for (line, rule) in &rules.headers {
            lines.push(format!("{line}: {}", rule.pattern));
            lines.extend(rule.headers.iter().map(|header| format!("     {header}")));
        }
        lines.extend(rules.passwords.iter().map(|rule| format!("{} has {} users", rule.pattern, rule.users.len())));
        lines.extend(rules.errors.iter().map(|(line, error)| format!("{line}: error: {error}")));
        lines.extend(rules.warnings.iter().map(|(line, warning)| format!("{line}: warning: {warning}")));
        lines.join("\n")
    }

    #[test]
    fn blocks_in_any_layout_are_read() {
        let text = "\u{feff}# all\r\n/*\r\n  X-Frame-Options: DENY\r\n\tLink: </a.css>; rel=preload\r\n  Link: </b.css>; rel=preload\r\n\
                    /assets/*\n! Access-Control-Allow-Origin\nCache-Control: public, max-age=60\nset-cookie: a=1\nSet-Cookie: b=2\n\
                    /staff/*\n  Basic-Auth: ann:x bob:y:z\n/Build/*.js.gz\n  Content-Encoding: gzip\n  Content-Type: text/javascript";
        insta::assert_snapshot!(parsed(text));
    }

    #[test]
    fn invalid_line_error_names_it() {
        let text = "X-A: 1\n/z\nX-Z: 1\nhttps://a.example/*\n  X-Y: 1\n/a\nX-B\nX-C:\nX D: 1\nContent-Length: 5\nContent-Encoding: br\nBasic-Auth: ann\nBasic-Auth:\n!\n/b\n/c\nX-E: 1";
        insta::assert_snapshot!(parsed(text));
    }
}
