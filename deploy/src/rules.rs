//! The rules of a build: `_redirects` and `_headers` in its directory, and `netlify.toml` of the project, in this order.

mod error;
mod headers_file;
#[cfg(test)]
mod ipfs_tests;
mod lints;
mod netlify_toml;
mod password_line;
mod redirects_file;
mod rule_text;

use std::io;
use std::path::{Path, PathBuf};

use verge_protocol::SitePath;
use verge_protocol::rules::{Credential, HeaderRule, LimitError, PasswordRule, Redirect, Rules};

use self::error::RuleError;
use self::headers_file::HeaderRules;
pub(crate) use self::lints::has_file;
use self::rule_text::RuleText;
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
    /// Where each block of headers is written.
    header_sources: Vec<String>,
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
        let mut read = |path: &Path, name| match std::fs::read(path) {
            Ok(bytes) => Some(RuleText::decode(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                unreadable.push((name, error));
                None
            }
        };
        let redirects = read(&dir.join(REDIRECTS), REDIRECTS);
        let headers = read(&dir.join(HEADERS), HEADERS);
        let toml = netlify_toml.and_then(|file| read(file, NETLIFY_TOML));
        let text = redirects.as_ref().map(|file| &*file.text);
        let mut loaded = Self::parse(
            text,
            headers.as_ref().and_then(RuleText::whole),
            toml.as_ref().and_then(RuleText::whole),
            site,
        );
        loaded.unreadable = unreadable;
        loaded.invalid.splice(0..0, redirects.iter().flat_map(|file| file.errors(REDIRECTS)));
        let required = [(HEADERS, &headers), (NETLIFY_TOML, &toml)];
        // What a line belongs to there is not known without the lines before it.
        let first = |(name, file): (&str, &Option<RuleText>)| file.as_ref()?.errors(name).next();
        loaded.fatal.splice(0..0, required.into_iter().filter_map(first));
        loaded
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
        for (line, rule) in headers.headers {
            self.rules.headers.push(rule);
            self.header_sources.push(format!("{file}:{line}"));
        }
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

    /// Warns about rules that do nothing, or lead nowhere, for a build with these `files`.
    pub fn lint(&mut self, files: &[&SitePath], is_single_page: bool) {
        let redirects: Vec<(&str, &Redirect)> =
            self.sources.iter().map(String::as_str).zip(&self.rules.redirects).collect();
        self.warnings.extend(lints::redirects(&redirects, files, is_single_page));
        let headers: Vec<(&str, &HeaderRule)> =
            self.header_sources.iter().map(String::as_str).zip(&self.rules.headers).collect();
        self.warnings.extend(lints::replaced_headers(&headers));
    }
}

fn is_single_page(rule: &Redirect) -> bool {
    rule.is_unconditional() && rule.is_fallback() && rule.from().as_str() == "/*" && rule.to().as_str() == "/index.html"
}

/// The `netlify.toml` nearest to a build: in the first of `dirs` that has one.
pub fn find_netlify_toml(dirs: &[PathBuf]) -> Option<PathBuf> {
    dirs.iter().map(|dir| dir.join(NETLIFY_TOML)).find(|file| file.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(files: &[(&str, &[u8])]) -> LoadedRules {
        let dir = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(dir.path().join(name), bytes).unwrap();
        }
        LoadedRules::load(dir.path(), Some(&dir.path().join(NETLIFY_TOML)), "demo")
    }

    #[test]
    fn redirect_that_is_not_utf8_is_invalid_with_its_line_and_others_are_read() {
        let loaded = load(&[(REDIRECTS, b"/a /b\n/caf\xe9 /c\n/d\n/e /f\n")]);
        assert_eq!(loaded.invalid[0], "_redirects:2: not valid UTF-8: save the file as UTF-8");
        assert!(loaded.invalid[1].starts_with("_redirects:3: no target"), "{:?}", loaded.invalid);
        assert_eq!(loaded.sources, ["_redirects:1", "_redirects:4"]);
        assert!(loaded.fatal.is_empty() && loaded.unreadable.is_empty());
        let utf16: Vec<u8> = "\u{feff}/a /b\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
        let loaded = load(&[(REDIRECTS, &utf16)]);
        assert!(loaded.rules.redirects.is_empty());
        assert_eq!(loaded.invalid, ["_redirects:1: the file is UTF-16, and none of it is read: save it as UTF-8"]);
    }

    #[test]
    fn file_with_passwords_or_tables_that_is_not_utf8_is_fatal_with_its_line() {
        let loaded = load(&[
            (HEADERS, b"/x\n  X-A: 1\n/caf\xe9/*\n  Basic-Auth: ann:s\xe9cret\n"),
            (NETLIFY_TOML, b"[[redirects]]\nfrom = \"/\xfc\"\nto = \"/\"\n"),
        ]);
        let expected = [
            "_headers:3: not valid UTF-8: save the file as UTF-8",
            "netlify.toml:2: not valid UTF-8: save the file as UTF-8",
        ];
        assert_eq!(loaded.fatal, expected);
        assert_eq!(loaded.rules, Rules::default());
    }
}
