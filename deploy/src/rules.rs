//! The rules of a build: `_redirects` and `_headers` in its directory, and `netlify.toml` of the project, in this order.

mod error;
mod headers_file;
#[cfg(test)]
mod ipfs_tests;
mod lints;
mod netlify_toml;
mod password_line;
mod redirects_file;

use std::io;
use std::path::{Path, PathBuf};

use verge_protocol::SitePath;
use verge_protocol::rules::{Credential, LimitError, PasswordRule, Redirect, Rules};

use self::error::RuleError;
use self::headers_file::HeaderRules;
use crate::project::Protection;

const REDIRECTS: &str = "_redirects";
const HEADERS: &str = "_headers";
const NETLIFY_TOML: &str = "netlify.toml";

/// The rules of a build, and all that is wrong with them.
#[derive(Debug, Default)]
pub struct LoadedRules {
    /// Those that are valid.
    pub rules: Rules,
    /// Where each redirect rule is written, such as `_redirects:3`.
    sources: Vec<String>,
    /// Rules that are invalid or not supported, one line each.
    pub invalid: Vec<String>,
    /// Errors that no flag ignores, one line each: files whose rules are not known, and passwords.
    pub fatal: Vec<String>,
    /// Whether a password is among those errors, or in a file whose rules are not known.
    pub has_unread_password: bool,
    /// Files that cannot be read, and why.
    pub unreadable: Vec<(&'static str, io::Error)>,
    /// About rules that do nothing, one line each.
    pub warnings: Vec<String>,
}

impl LoadedRules {
    /// Reads the rules of the build in `dir`. `netlify_toml` is the file of the project; `site` is the one that passwords are for.
    pub fn load(dir: &Path, netlify_toml: Option<&PathBuf>, site: &str) -> Self {
        let mut unreadable = Vec::new();
        let mut read = |path: &Path, name| match std::fs::read_to_string(path) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                unreadable.push((name, error));
                None
            }
        };
        let redirects = read(&dir.join(REDIRECTS), REDIRECTS);
        let headers = read(&dir.join(HEADERS), HEADERS);
        let toml = netlify_toml.and_then(|file| read(file, NETLIFY_TOML));
        Self { unreadable, ..Self::parse(redirects.as_deref(), headers.as_deref(), toml.as_deref(), site) }
    }

    /// Parses the texts of `_redirects`, `_headers` and `netlify.toml`. `site` is the one that passwords are for.
    pub fn parse(redirects: Option<&str>, headers: Option<&str>, toml: Option<&str>, site: &str) -> Self {
        let mut loaded = Self::default();
        for (line, rule) in redirects.into_iter().flat_map(redirects_file::parse) {
            loaded.add_redirect(REDIRECTS, line, rule);
        }
        if let Some(text) = headers {
            loaded.add_headers(HEADERS, headers_file::parse(text, site));
        }
        match toml.map(|text| netlify_toml::parse(Path::new(NETLIFY_TOML), text, site)) {
            None => {}
            Some(Ok(netlify)) => {
                for (line, rule) in netlify.redirects {
                    loaded.add_redirect(NETLIFY_TOML, line, rule);
                }
                loaded.add_headers(NETLIFY_TOML, netlify.headers);
                loaded.warnings.extend(netlify.warnings.into_iter().map(|(line, warning)| match line {
                    Some(line) => format!("{NETLIFY_TOML}:{line}: {warning}"),
                    None => format!("{NETLIFY_TOML}: {warning}"),
                }));
            }
            Some(Err(errors)) => {
                loaded.has_unread_password |= toml.is_some_and(password_line::is_mentioned);
                loaded.fatal.extend(errors.iter().map(ToString::to_string));
            }
        }
        loaded
    }

    fn add_redirect(&mut self, file: &str, line: usize, rule: Result<Redirect, RuleError>) {
        match rule {
            Ok(rule) => {
                self.rules.redirects.push(rule);
                self.sources.push(format!("{file}:{line}"));
            }
            Err(error) => self.invalid.push(format!("{file}:{line}: {error}")),
        }
    }

    fn add_headers(&mut self, file: &str, headers: HeaderRules) {
        self.rules.headers.extend(headers.headers.into_iter().map(|(_, rule)| rule));
        self.rules.passwords.extend(headers.passwords);
        for (line, error) in headers.errors {
            self.has_unread_password |= error.is_of_password();
            let errors = if error.is_of_password() { &mut self.fatal } else { &mut self.invalid };
            errors.push(format!("{file}:{line}: {error}"));
        }
        self.warnings.extend(headers.warnings.iter().map(|(line, warning)| format!("{file}:{line}: {warning}")));
    }

    /// Protects all paths, but for those with users of their own.
    pub fn protect(&mut self, protection: &Protection, site: &str) {
        let pattern = "/*".parse().expect("a pattern with a leading slash");
        let users = protection.users.iter().map(|user| Credential::new(site, user)).collect();
        self.rules.passwords.insert(0, PasswordRule { pattern, only_previews: protection.only_previews, users });
    }

    /// Whether there is a rule `/* /index.html 200`.
    pub fn has_single_page_rule(&self) -> bool {
        self.rules.redirects.iter().any(is_single_page)
    }

    /// Takes the rules `/* /index.html 200` out.
    pub fn remove_single_page_rules(&mut self) {
        let mut sources = std::mem::take(&mut self.sources).into_iter();
        self.rules.redirects.retain(|rule| {
            let source = sources.next().unwrap_or_default();
            let is_kept = !is_single_page(rule);
            if is_kept {
                self.sources.push(source);
            }
            is_kept
        });
    }

    /// Why there are too many rules, if so.
    pub fn exceeded_limit(&self) -> Option<LimitError> {
        self.rules.check().err()
    }

    /// Warns about rules that do nothing for a build with these `files`.
    pub fn lint(&mut self, files: &[&SitePath]) {
        let redirects: Vec<(&str, &Redirect)> =
            self.sources.iter().map(String::as_str).zip(&self.rules.redirects).collect();
        self.warnings.extend(lints::warnings(&redirects, files));
    }
}

fn is_single_page(rule: &Redirect) -> bool {
    rule.is_unconditional() && rule.is_fallback() && rule.from().as_str() == "/*" && rule.to().as_str() == "/index.html"
}

/// The `netlify.toml` nearest to a build: in the first of `dirs` that has one.
pub fn find_netlify_toml(dirs: &[PathBuf]) -> Option<PathBuf> {
    dirs.iter().map(|dir| dir.join(NETLIFY_TOML)).find(|file| file.is_file())
}
