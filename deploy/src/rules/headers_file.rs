//! `_headers`: blocks of a path and the headers of its responses.
//!
//! A line that starts with a slash is a path, `Name: value` a header, `! Name` takes a header off, and a line that starts with `#` is a
//! comment. Two headers of the same name in a block are one with both values, but for `Set-Cookie`.

use verge_protocol::rules::password_rule::USER_AND_PASSWORD_MAX;
use verge_protocol::rules::{Credential, HeaderChange, HeaderPattern, HeaderRule, PasswordRule};

use super::error::RuleError;
use super::password_line;

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
    // A line that is no valid path, to which the lines after it belong, or may belong.
    let mut invalid_path: Option<usize> = None;
    for (line, text) in (1..).zip(text.lines().map(str::trim)) {
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if let Some(path) = parse_path_line(text) {
            rules.finish(block.take(), site);
            invalid_path = None;
            match path {
                Ok(pattern) => block = Some(Block::new(line, pattern)),
                Err(error) => {
                    rules.errors.push((line, error));
                    invalid_path = Some(line);
                }
            }
            continue;
        }
        let is_password = password_line::is_like_line(text);
        match (&mut block, invalid_path) {
            (_, Some(path)) if is_password => rules.errors.push((line, RuleError::PasswordAfterInvalidPath(path))),
            // The error of its path stands for it.
            (None, Some(_)) => {}
            (None, None) if is_password => rules.errors.push((line, RuleError::PasswordWithoutPath)),
            (None, None) => rules.errors.push((line, RuleError::NoPath)),
            (Some(block), _) => match parse_line(text, block.pattern.as_str()) {
                Ok(setting) => block.add(setting),
                Err(error) => {
                    if password_line::may_be_path(&error) {
                        invalid_path = Some(line);
                    }
                    rules.errors.push((line, error));
                    block.has_error = true;
                }
            },
        }
    }
    rules.finish(block, site);
    rules
}

/// The pattern of a line that begins as a path does.
fn parse_path_line(text: &str) -> Option<Result<HeaderPattern, RuleError>> {
    let has_scheme = |scheme: &str| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme));
    let path = if ["https://", "http://"].into_iter().any(has_scheme) {
        // Its headers must not become those of the block before.
        Some(Err(RuleError::PathWithHost(text.to_owned())))
    } else {
        text.starts_with('/').then(|| Ok(text.parse()?))
    };
    // A path and a password on one line.
    path.map(|path| if password_line::follows_path(text) { Err(RuleError::User) } else { path })
}

fn parse_line(text: &str, path: &str) -> Result<Setting, RuleError> {
    let parsed = || {
        if let Some(name) = text.strip_prefix('!') {
            return Ok(Setting::Header(HeaderChange::new(name.trim(), None)?));
        }
        let (name, value) = text.split_once(':').ok_or_else(|| RuleError::NoColon(text.to_owned()))?;
        let (name, value) = (name.trim(), value.trim());
        if value.is_empty() && !password_line::is_like_name(name) {
            return Err(RuleError::NoValue(name.to_owned()));
        }
        setting(name, value, path)
    };
    // The error must not have the password in it.
    let is_like_password = password_line::is_like_line(text);
    parsed().map_err(|error| if is_like_password && !error.is_of_password() { RuleError::User } else { error })
}

/// What the header `name` with `value` at `path` says.
pub(super) fn setting(name: &str, value: &str, path: &str) -> Result<Setting, RuleError> {
    if password_line::is_like_name(name) && !password_line::is_name(name) {
        return Err(RuleError::MisspelledPassword(name.to_owned()));
    }
    if password_line::is_name(name) {
        let users: Vec<String> = value.split_whitespace().map(str::to_owned).collect();
        let is_user = |user: &String| {
            user.split_once(':').is_some_and(|(name, password)| !name.is_empty() && !password.is_empty())
        };
        // Without any, the path would be public.
        return if users.is_empty() || !users.iter().all(is_user) {
            Err(RuleError::User)
        } else if users.iter().any(|user| user.len() > USER_AND_PASSWORD_MAX) {
            Err(RuleError::LongPassword)
        } else {
            Ok(Setting::Users(users))
        };
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
            let rule = PasswordRule { pattern: pattern.clone(), only_previews: false, users };
            match rule.check_limits() {
                Ok(()) => self.passwords.push(rule),
                // A password, whatever limit it is.
                Err(error) => self.errors.push((line, RuleError::PasswordLimit(error))),
            }
        }
        if !headers.is_empty() {
            let rule = HeaderRule { pattern, headers };
            match rule.check_limits() {
                Ok(()) => self.headers.push((line, rule)),
                Err(error) => self.errors.push((line, RuleError::Limit(error))),
            }
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

    #[test]
    fn password_that_would_be_left_out_is_fatal_and_named_by_its_line() {
        let long = format!("/{}\n  Basic-Auth: ann:secret", "a".repeat(2000));
        for (text, lines) in [
            ("https://shop.example/staff/*\n  Basic-Auth: ann:secret", &[2][..]),
            ("HTTPS://shop.example/staff/*\n  X-A: 1\n  basic-auth: ann:secret", &[3]),
            (&*long, &[2]),
            ("/staff/*\n  Basic-Auth:", &[2]),
            ("/staff/*\n  Basic-Auth", &[2]),
            ("/staff/*\n  Basic-Auth ann:secret", &[2]),
            ("/staff/*\n  Basic_Auth: ann:secret", &[2]),
            ("/staff/*\n  Basic-Auth: ann", &[2]),
            ("/staff/* Basic-Auth: ann:secret", &[1]),
            ("/staff/*\r  Basic-Auth: ann:secret\r", &[1]),
            ("Basic-Auth: ann:secret\n/staff/*\n X-A: 1", &[1]),
            ("/public/*\n  X-A: 1\nstaff/*\n  Basic-Auth: ann:secret", &[4]),
            ("/public/*\n  X-A: 1\nstaff/:name\n  Basic-Auth: ann:secret", &[4]),
        ] {
            let rules = parse(text, "demo");
            let fatal = rules.errors.iter().filter(|(_, error)| error.is_of_password());
            assert_eq!(fatal.map(|(line, _)| *line).collect::<Vec<_>>(), lines, "{text}");
            // A password of one path must not become that of another.
            assert!(rules.passwords.is_empty(), "{text}");
            assert!(!format!("{:?}", rules.errors).contains("secret"), "{text}");
        }
    }

    #[test]
    fn misspelled_name_of_a_password_is_named() {
        assert_eq!(
            parsed("/a\n  Basic_Auth: a:b"),
            "2: error: `Basic_Auth` is misspelled: the name of a password is `Basic-Auth`"
        );
        for line in ["Basic_Auth a:b", "Basic-Auth a:b", "!Basic-Auth: a:b", "Basic-Auth: a"] {
            let error = parsed(&format!("/a\n  {line}"));
            assert_eq!(error, "2: error: invalid user: expected `Basic-Auth: user:password`", "{line}");
        }
    }

    #[test]
    fn password_after_an_invalid_header_or_in_the_next_block_is_kept() {
        for text in
            ["/a\n  Age: 1\n  Basic-Auth: ann:x", "/a\n  x\n/b\n  Basic-Auth: ann:x", "a\n/b\n  Basic-Auth: ann:x"]
        {
            let rules = parse(text, "demo");
            assert!(
                rules.passwords.len() == 1 && !rules.errors.iter().any(|(_, error)| error.is_of_password()),
                "{text}"
            );
        }
    }

    #[test]
    fn block_beyond_a_limit_is_an_error_and_a_password_is_fatal() {
        let headers: String = (0..101).map(|number| format!("  X-{number}: 1\n")).collect::<Vec<_>>().concat();
        let users: String = (0..1001).map(|number| format!(" u{number}:x")).collect::<Vec<_>>().concat();
        let long = "x".repeat(600);
        for (text, line, is_fatal) in [
            (format!("/a\n{headers}"), 1, false),
            (format!("/a\n  X-A: {}", "1".repeat(17_000)), 1, false),
            ("/*/:a/:b/:c/:d/:e/*\n  X-A: 1".to_owned(), 1, false),
            ("/*/:a/:b/:c/:d/:e/*\n  Basic-Auth: ann:x".to_owned(), 1, true),
            (format!("/a\n  Basic-Auth:{users}"), 1, true),
            (format!("/a\n  Basic-Auth: ann:{long}"), 2, true),
        ] {
            let rules = parse(&text, "demo");
            assert!(rules.headers.is_empty() && rules.passwords.is_empty(), "{text}");
            let errors: Vec<_> = rules.errors.iter().map(|(line, error)| (*line, error.is_of_password())).collect();
            assert_eq!(errors, [(line, is_fatal)], "{text}");
        }
    }
}
