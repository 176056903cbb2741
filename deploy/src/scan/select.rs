//! Which files of a folder are taken.
//!
//! 1. `.well-known/**` always is (RFC 8615).
//! 2. `_headers`, `_redirects`, `verge.toml` and `.assetsignore` at the top steer the push and are not part of the site.
//! 3. What `.assetsignore` names is left out.
//! 4. `.env*` files stop the push; when they may not, they are left out like any hidden file.
//! 5. Hidden files, `node_modules` and `__MACOSX*` are left out.
//! 6. All else is taken.
//!
//! A link is judged by its own name; one that leads to something hidden stops the push, whatever else is said of its end.

use std::io;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::Options;
use super::problem::Problem;

/// Files that steer the push. Not served, and not worth a word.
const STEERING: [&str; 4] = ["_headers", "_redirects", "verge.toml", IGNORE_FILE];

/// The hidden folder at the top that is part of a site.
pub(super) const WELL_KNOWN: &str = ".well-known";

const IGNORE_FILE: &str = ".assetsignore";

/// Something that is left out. A folder stands for all that it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Skipped {
    /// Its path within the folder; a folder's ends with a slash.
    pub path: String,
    /// Why.
    pub reason: Reason,
}

/// Why something is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Its name starts with a dot.
    Hidden,
    /// It is what the build was made from, or what an archive program left behind.
    Debris,
    /// `.assetsignore` names it.
    Ignored,
}

impl Reason {
    /// Every reason, in the order in which they are told.
    pub const ALL: [Self; 3] = [Self::Hidden, Self::Debris, Self::Ignored];
}

/// What to do with a file or folder.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Take,
    Steer,
    Skip(Reason),
    Secret,
}

/// The rules for one folder.
pub(super) struct Selection {
    ignored: Gitignore,
    allow_secrets: bool,
    problems: Vec<Problem>,
}

impl Selection {
    /// The rules for `folder`, with its `.assetsignore` (gitignore syntax) when it has one.
    pub(super) fn of(folder: &Path, options: Options) -> Self {
        match std::fs::read_to_string(folder.join(IGNORE_FILE)) {
            Ok(text) => Self::new(&text, options),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::new("", options),
            Err(source) => {
                let mut selection = Self::new("", options);
                selection.problems.push(Problem::Unreadable { path: IGNORE_FILE.to_owned(), source });
                selection
            }
        }
    }

    fn new(patterns: &str, options: Options) -> Self {
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
        Self { ignored, allow_secrets: options.allow_secrets, problems }
    }

    /// What was wrong with the rules themselves.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Judges `path`, relative to the folder, every parent of which was taken.
    pub(super) fn judge(&self, path: &str, is_dir: bool) -> Verdict {
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        let is_secret = !is_dir && name.starts_with(".env") && !self.allow_secrets;
        if path.split('/').next() == Some(WELL_KNOWN) {
            return if is_secret { Verdict::Secret } else { Verdict::Take };
        }
        if STEERING.contains(&path) {
            return Verdict::Steer;
        }
        if self.ignored.matched(path, is_dir).is_ignore() {
            return Verdict::Skip(Reason::Ignored);
        }
        if is_secret {
            return Verdict::Secret;
        }
        if name.starts_with('.') {
            return Verdict::Skip(Reason::Hidden);
        }
        if name == "node_modules" || name.starts_with("__MACOSX") {
            return Verdict::Skip(Reason::Debris);
        }
        Verdict::Take
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(patterns: &str, path: &str) -> Verdict {
        let (path, is_dir) = path.strip_suffix('/').map_or((path, false), |folder| (folder, true));
        Selection::new(patterns, Options::default()).judge(path, is_dir)
    }

    #[test]
    fn ordinary_and_well_known_files_are_taken() {
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
            assert_eq!(judge(".*\nnode_modules", path), Verdict::Take, "{path}");
        }
    }

    #[test]
    fn what_steers_the_push_is_no_part_of_the_site() {
        for path in STEERING {
            assert_eq!(judge("", path), Verdict::Steer, "{path}");
        }
    }

    #[test]
    fn hidden_files_and_debris_are_left_out() {
        for path in [".git/", ".DS_Store", "a/.htaccess", "a/.well-known/", ".env/", "a/.assetsignore"] {
            assert_eq!(judge("", path), Verdict::Skip(Reason::Hidden), "{path}");
        }
        for path in ["node_modules/", "a/node_modules/", "__MACOSX/", "__MACOSX-1/"] {
            assert_eq!(judge("", path), Verdict::Skip(Reason::Debris), "{path}");
        }
    }

    #[test]
    fn environment_files_stop_the_push_unless_ignored_or_allowed() {
        for path in [".env", "a/.env.local", ".envrc", ".well-known/.env"] {
            assert_eq!(judge("", path), Verdict::Secret, "{path}");
        }
        assert_eq!(judge(".env*", "a/.env"), Verdict::Skip(Reason::Ignored));
        let allowing = Selection::new("", Options { allow_secrets: true, ..Options::default() });
        assert_eq!(allowing.judge(".env", false), Verdict::Skip(Reason::Hidden));
    }

    #[test]
    fn patterns_mean_what_git_means_by_them() {
        let patterns = "\u{feff}# drafts\r\n*.map\r\n!keep.map\r\n/drafts/\r\n";
        for path in ["a.js.map", "a/b.map", "drafts/"] {
            assert_eq!(judge(patterns, path), Verdict::Skip(Reason::Ignored), "{path}");
        }
        for path in ["keep.map", "drafts", "a/drafts/", "map"] {
            assert_eq!(judge(patterns, path), Verdict::Take, "{path}");
        }
        let broken = Selection::new("*.map\n[z-a]\n", Options::default());
        assert!(matches!(broken.into_problems()[..], [Problem::Pattern { line: 2, .. }]));
    }
}
