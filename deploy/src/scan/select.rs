//! Selects the files of a directory.
//!
//! 1. `.well-known/**` is included (RFC 8615).
//! 2. `_headers`, `_redirects`, `netlify.toml`, `verge.toml` and `.assetsignore` at the root configure the push and are not part of the site.
//! 3. Files in `.assetsignore` are skipped.
//! 4. `.env*` files are an error, or skipped if secrets are allowed.
//! 5. Hidden files, `node_modules` and `__MACOSX*` are skipped.
//! 6. All other files are included.
//!
//! For a symbolic link, the name of the link counts; a link to something hidden is an error, unless the link itself is skipped.

use std::io;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::problem::Problem;
use super::secrets::is_env_file;

/// Files that configure the push. Neither served nor reported as skipped.
const CONTROL_FILES: [&str; 5] = ["_headers", "_redirects", "netlify.toml", "verge.toml", IGNORE_FILE];

/// The hidden directory at the root that is part of a site.
pub(super) const WELL_KNOWN: &str = ".well-known";

const IGNORE_FILE: &str = ".assetsignore";

/// A file or directory that is skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its relative path; ends with a slash if it is a directory.
    pub path: String,
    /// Why.
    pub reason: SkipReason,
}

/// Why a file or directory is skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SkipReason {
    /// Its name starts with a dot.
    Hidden,
    /// It is `node_modules`, or was created by an archive program.
    Junk,
    /// It is listed in `.assetsignore`.
    Ignored,
}

impl SkipReason {
    /// All reasons, in the order in which they are reported.
    pub const ALL: [Self; 3] = [Self::Hidden, Self::Junk, Self::Ignored];
}

/// What to do with a file or directory.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Action {
    Include,
    Control,
    Skip(SkipReason),
    Secret,
}

/// The rules that select the files of one directory.
pub(super) struct Selection {
    ignored: Gitignore,
    allow_secrets: bool,
    problems: Vec<Problem>,
}

impl Selection {
    /// Reads `.assetsignore` in `dir`, in gitignore syntax, if there is one.
    pub(super) fn load(dir: &Path, allow_secrets: bool) -> Self {
        match std::fs::read_to_string(dir.join(IGNORE_FILE)) {
            Ok(text) => Self::new(&text, allow_secrets),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::new("", allow_secrets),
            Err(source) => {
                let mut selection = Self::new("", allow_secrets);
                selection.problems.push(Problem::Unreadable { path: IGNORE_FILE.to_owned(), source });
                selection
            }
        }
    }

    fn new(patterns: &str, allow_secrets: bool) -> Self {
        let mut problems = Vec::new();
        let mut builder = GitignoreBuilder::new(".");
        for (line, pattern) in (1..).zip(patterns.trim_start_matches('\u{feff}').lines()) {
            if let Err(error) = builder.add_line(None, pattern) {
                problems.push(Problem::Pattern { line, reason: error.to_string() });
            }
        }
        let ignored = builder.build().unwrap_or_else(|error| {
            problems.push(Problem::Pattern { line: 1, reason: error.to_string() });
            Gitignore::empty()
        });
        Self { ignored, allow_secrets, problems }
    }

    /// The problems of `.assetsignore` itself.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Decides about `path`, relative to the directory, all of whose parents are included.
    pub(super) fn classify(&self, path: &str, is_dir: bool) -> Action {
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        let is_secret = !is_dir && is_env_file(name) && !self.allow_secrets;
        if path.split('/').next() == Some(WELL_KNOWN) {
            return if is_secret { Action::Secret } else { Action::Include };
        }
        if CONTROL_FILES.contains(&path) {
            return Action::Control;
        }
        if self.ignored.matched(path, is_dir).is_ignore() {
            return Action::Skip(SkipReason::Ignored);
        }
        if is_secret {
            return Action::Secret;
        }
        if name.starts_with('.') {
            return Action::Skip(SkipReason::Hidden);
        }
        if name == "node_modules" || name.starts_with("__MACOSX") {
            return Action::Skip(SkipReason::Junk);
        }
        Action::Include
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn classify(patterns: &str, path: &str) -> Action {
        let (path, is_dir) = path.strip_suffix('/').map_or((path, false), |dir| (dir, true));
        Selection::new(patterns, false).classify(path, is_dir)
    }

    #[test]
    fn ordinary_and_well_known_files_are_included() {
        for path in [
            "index.html",
            "a/b/c.js",
            "a/_headers",
            "a/verge.toml",
            "environment.js",
            ".well-known/",
            ".well-known/security.txt",
            ".well-known/.hidden",
            ".well-known/node_modules/",
        ] {
            assert_eq!(classify(".*\nnode_modules", path), Action::Include, "{path}");
        }
    }

    #[test]
    fn control_files_are_not_part_of_the_site() {
        for path in CONTROL_FILES {
            assert_eq!(classify("", path), Action::Control, "{path}");
        }
    }

    #[test]
    fn hidden_and_junk_files_are_skipped() {
        for path in [".git/", ".DS_Store", "a/.htaccess", "a/.well-known/", ".env/", "a/.assetsignore"] {
            assert_eq!(classify("", path), Action::Skip(SkipReason::Hidden), "{path}");
        }
        for path in ["node_modules/", "a/node_modules/", "__MACOSX/", "__MACOSX-1/"] {
            assert_eq!(classify("", path), Action::Skip(SkipReason::Junk), "{path}");
        }
    }

    #[test]
    fn env_files_are_secrets_unless_ignored_or_allowed() {
        for path in [".env", "a/.env.local", ".envrc", ".well-known/.env"] {
            assert_eq!(classify("", path), Action::Secret, "{path}");
        }
        assert_eq!(classify(".env*", "a/.env"), Action::Skip(SkipReason::Ignored));
        let allowing = Selection::new("", true);
        assert_eq!(allowing.classify(".env", false), Action::Skip(SkipReason::Hidden));
    }

    #[test]
    fn ignore_patterns_follow_gitignore() {
        let patterns = "\u{feff}# drafts\r\n*.map\r\n!keep.map\r\n/drafts/\r\n";
        for path in ["a.js.map", "a/b.map", "drafts/"] {
            assert_eq!(classify(patterns, path), Action::Skip(SkipReason::Ignored), "{path}");
        }
        for path in ["keep.map", "drafts", "a/drafts/", "map"] {
            assert_eq!(classify(patterns, path), Action::Include, "{path}");
        }
        let broken = Selection::new("*.map\n[z-a]\n", false);
        assert!(matches!(broken.into_problems()[..], [Problem::Pattern { line: 2, .. }]));
    }
}
