//! Selects the files of a directory.
//!
//! 1. `.well-known/**` is included (RFC 8615).
//! 2. `_headers`, `_redirects`, `netlify.toml`, `verge.toml` and `.assetsignore` at the root configure the push and are not part of the site.
//! 3. Files in `.assetsignore` are skipped.
//! 4. `.env*` files are an error, or skipped if secrets are allowed.
//! 5. Hidden files, `__MACOSX*`, and at the root `node_modules` and the server code of Cloudflare Pages (`_worker.js`, `_routes.json`) are skipped,
//!    unless a `!pattern` in `.assetsignore` brings them back. Repositories such as `.git` are always skipped.
//! 6. All other files are included.
//!
//! For a symbolic link, the name of the link counts; a link to something hidden, or to a file of rule 2, is an error, unless the link itself is skipped.

use std::io;
use std::path::Path;

use super::ignore_file::{IgnoreFile, Verdict, WELL_KNOWN};
use super::problem::Problem;
use super::secrets::is_env_file;

/// Files that configure the push. Neither served nor reported as skipped.
const CONTROL_FILES: [&str; 5] = ["_headers", "_redirects", "netlify.toml", "verge.toml", IGNORE_FILE];

const IGNORE_FILE: &str = ".assetsignore";

/// What a build for Cloudflare Pages has for its server, files or directories: the code, and the paths that it answers. Neither is served there.
const SERVER_CODE: [&str; 2] = ["_worker.js", "_routes.json"];

/// Repositories hold every earlier version, and often credentials: no pattern brings them back.
const REPOSITORIES: [&str; 5] = [".git", ".hg", ".svn", ".jj", ".bzr"];

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
    /// It is code for a server, or configures it.
    ServerCode,
    /// It is listed in `.assetsignore`.
    Ignored,
}

impl SkipReason {
    /// All reasons, in the order in which they are reported.
    pub const ALL: [Self; 4] = [Self::Hidden, Self::Junk, Self::ServerCode, Self::Ignored];

    /// Whether nobody asked for it: it is said even if little else is.
    pub fn is_automatic(self) -> bool {
        self != Self::Ignored
    }
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
    ignore_file: IgnoreFile,
    allow_secrets: bool,
    /// Why none of the file is read.
    unreadable: Option<Problem>,
}

impl Selection {
    /// Reads `.assetsignore` in `dir`, in gitignore syntax, if there is one.
    pub(super) fn load(dir: &Path, allow_secrets: bool) -> Self {
        let read = std::fs::read(dir.join(IGNORE_FILE)).map(String::from_utf8);
        match read {
            Ok(Ok(text)) => Self::new(&text, allow_secrets),
            Ok(Err(error)) => {
                let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let line = valid.split(|byte| *byte == b'\n').count();
                let reason = "not valid UTF-8: save the file as UTF-8".to_owned();
                Self { unreadable: Some(Problem::Pattern { line, reason }), ..Self::new("", allow_secrets) }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::new("", allow_secrets),
            Err(source) => {
                let unreadable = Some(Problem::Unreadable { path: IGNORE_FILE.to_owned(), source });
                Self { unreadable, ..Self::new("", allow_secrets) }
            }
        }
    }

    fn new(patterns: &str, allow_secrets: bool) -> Self {
        Self { ignore_file: IgnoreFile::parse(patterns), allow_secrets, unreadable: None }
    }

    /// Warns about each pattern of `.assetsignore` that is to leave out what is always included, and each `!pattern` that has brought back
    /// nothing.
    pub(super) fn warnings(&self) -> Vec<String> {
        let included = self.ignore_file.well_known_patterns().map(|(line, pattern)| {
            format!("{IGNORE_FILE}:{line}: `{pattern}` leaves nothing out: {WELL_KNOWN} at the root is always part of the site")
        });
        let unused = self.ignore_file.unused();
        let unused =
            unused.map(|(line, pattern)| format!("{IGNORE_FILE}:{line}: `{pattern}` brings nothing back: {UNUSED}"));
        included.chain(unused).collect()
    }

    /// The problems of `.assetsignore` itself.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.unreadable.into_iter().chain(self.ignore_file.into_problems()).collect()
    }

    /// Decides about `path`, relative to the directory, all of whose parents are included.
    pub(super) fn classify(&self, path: &str, is_dir: bool) -> Action {
        let name = path.rsplit_once('/').map_or(path, |(_, name)| name);
        let is_secret = !is_dir && is_env_file(name) && !self.allow_secrets;
        if path.split('/').next() == Some(WELL_KNOWN) {
            return if is_secret { Action::Secret } else { Action::Include };
        }
        if is_control_file(path) {
            return Action::Control;
        }
        if self.ignore_file.verdict(path, is_dir) == Verdict::Ignored {
            return Action::Skip(SkipReason::Ignored);
        }
        if is_secret {
            return Action::Secret;
        }
        if is_env_file(name) && !is_dir {
            return Action::Skip(SkipReason::Hidden);
        }
        match self.skipped_by_default(path, is_dir) {
            Some(reason) => Action::Skip(reason),
            None => Action::Include,
        }
    }

    /// Why `path` is skipped unless `.assetsignore` says otherwise, and does not. What leads to a path that it brings back is not skipped,
    /// but all else there is.
    fn skipped_by_default(&self, path: &str, is_dir: bool) -> Option<SkipReason> {
        let mut skipped = None;
        for (end, name) in ends(path) {
            let prefix = &path[..end];
            let is_whole = end == path.len();
            let reason = if REPOSITORIES.contains(&name) && (is_dir || !is_whole) {
                return Some(SkipReason::Hidden);
            } else if name.starts_with('.') {
                Some(SkipReason::Hidden)
            } else if prefix == "node_modules" || name.starts_with("__MACOSX") {
                Some(SkipReason::Junk)
            } else if SERVER_CODE.contains(&prefix) {
                Some(SkipReason::ServerCode)
            } else {
                None
            };
            skipped = skipped.or(reason);
            if skipped.is_some() && self.ignore_file.brings_back(prefix, is_dir || !is_whole) {
                skipped = None;
            }
        }
        skipped.filter(|_| !(is_dir && self.ignore_file.brings_back_below(path)))
    }
}

/// Whether a file with this path configures the push. Case does not matter: some file systems find the file under any.
pub(super) fn is_control_file(path: &str) -> bool {
    control_file(path).is_some()
}

/// The file that configures the push and has this name, but perhaps for case.
pub(super) fn control_file(path: &str) -> Option<&'static str> {
    CONTROL_FILES.into_iter().find(|file| file.eq_ignore_ascii_case(path))
}

/// What is said of a pattern without effect.
const UNUSED: &str = "only a top-level node_modules, _worker.js and _routes.json, __MACOSX*, hidden files and what an earlier pattern \
                      names are left out";

/// Where each segment of a path ends, and the segment.
fn ends(path: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut start = 0;
    path.split('/').map(move |name| {
        let end = start + name.len();
        start = end + 1;
        (end, name)
    })
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
            assert_eq!(classify(".*\n/node_modules", path), Action::Include, "{path}");
        }
    }

    #[test]
    fn control_files_are_not_part_of_the_site() {
        for path in CONTROL_FILES {
            assert_eq!(classify("", path), Action::Control, "{path}");
        }
        for path in ["_Headers", "_REDIRECTS", "Netlify.toml", "Verge.TOML"] {
            assert_eq!(classify("", path), Action::Control, "{path}");
        }
    }

    #[test]
    fn hidden_and_junk_files_are_skipped() {
        for path in [".git/", ".DS_Store", "a/.htaccess", "a/.well-known/", ".env/", "a/.assetsignore"] {
            assert_eq!(classify("", path), Action::Skip(SkipReason::Hidden), "{path}");
        }
        for path in ["node_modules/", "__MACOSX/", "a/__MACOSX/", "__MACOSX-1/"] {
            assert_eq!(classify("", path), Action::Skip(SkipReason::Junk), "{path}");
        }
    }

    #[test]
    fn server_code_at_the_root_is_skipped_unless_brought_back() {
        for path in ["_worker.js", "_worker.js/", "_worker.js/index.js", "_worker.js/chunks/a.mjs", "_routes.json"] {
            assert_eq!(classify("", path), Action::Skip(SkipReason::ServerCode), "{path}");
            assert_eq!(classify("!_worker.js\n!/_routes.json", path), Action::Include, "{path}");
        }
        for path in ["a/_worker.js", "docs/_routes.json", "functions/", "_worker.json", "worker.js", "_worker.js.html"]
        {
            assert_eq!(classify("", path), Action::Include, "{path}");
        }
        assert_eq!(classify("!_worker.js/index.js", "_worker.js/"), Action::Include);
        assert_eq!(classify("!_worker.js/index.js", "_worker.js/index.js"), Action::Include);
        assert_eq!(classify("!_worker.js/index.js", "_worker.js/a.js"), Action::Skip(SkipReason::ServerCode));
    }

    #[test]
    fn only_top_level_node_modules_is_skipped() {
        for path in ["assets/node_modules/", "assets/node_modules/@acme/icons/Icons.ttf", "node_modules.html"] {
            assert_eq!(classify("", path), Action::Include, "{path}");
        }
    }

    #[test]
    fn negated_pattern_brings_back_hidden_and_junk_files() {
        for (patterns, path) in [
            ("!.htaccess", ".htaccess"),
            ("!.htaccess", "a/.htaccess"),
            ("!node_modules", "node_modules/"),
            ("!node_modules", "node_modules/m/i.js"),
            ("!/.config/", ".config/a/b.json"),
            ("!.config/app.json", ".config/"),
            ("!.config/app.json", ".config/app.json"),
            ("!__MACOSX", "__MACOSX/x"),
            ("*.map\n!.a.map", ".a.map"),
        ] {
            assert_eq!(classify(patterns, path), Action::Include, "{patterns}: {path}");
        }
        for (patterns, path) in [
            ("!node_modules", "node_modules/.bin/"),
            ("!.config/app.json", ".config/key.json"),
            ("!*.json", ".config/"),
            ("!.htaccess\n.htaccess", ".htaccess"),
        ] {
            assert!(matches!(classify(patterns, path), Action::Skip(_)), "{patterns}: {path}");
        }
    }

    #[test]
    fn secrets_and_repositories_are_never_brought_back() {
        let patterns = "!*\n!.*\n!.git\n!.git/config\n!.env";
        for path in [".git/", ".git/config", "a/.svn/", ".git/hooks/"] {
            assert_eq!(classify(patterns, path), Action::Skip(SkipReason::Hidden), "{path}");
        }
        assert_eq!(classify(patterns, ".env"), Action::Secret);
        let allowing = Selection::new(patterns, true);
        assert_eq!(allowing.classify("a/.env", false), Action::Skip(SkipReason::Hidden));
        assert_eq!(classify("!.gitignore", ".gitignore"), Action::Include);
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
    fn ignore_file_that_is_not_utf8_is_a_problem_with_its_line() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(IGNORE_FILE), b"*.map\n/caf\xe9\n").unwrap();
        let problems = Selection::load(dir.path(), false).into_problems();
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(problems, [".assetsignore:2: not valid UTF-8: save the file as UTF-8"]);
    }

    #[test]
    fn pattern_that_names_well_known_is_said_to_have_no_effect() {
        for pattern in [".well-known", "/.well-known/", "**/.well-known/**", ".well-known/security.txt", ".well-known "]
        {
            assert_eq!(classify(pattern, ".well-known/security.txt"), Action::Include, "{pattern}");
            let expected = format!(
                ".assetsignore:2: `{}` leaves nothing out: .well-known at the root is always part of the site",
                pattern.trim_end()
            );
            assert_eq!(Selection::new(&format!("*.map\n{pattern}\n"), false).warnings(), [expected]);
        }
        for pattern in ["# .well-known", ".*", "a/.well-known", ".well-known.bak"] {
            assert_eq!(Selection::new(pattern, false).warnings(), [""; 0], "{pattern}");
        }
    }

    #[test]
    fn negated_pattern_without_effect_is_named() {
        let selection = Selection::new("!node_modules\n*.map\n!keep.map\n!.x\n!.y\n", false);
        for (path, is_dir) in [("assets/node_modules", true), ("keep.map", false), (".x", false)] {
            assert_eq!(selection.classify(path, is_dir), Action::Include, "{path}");
        }
        insta::assert_snapshot!(selection.warnings().join("\n"));
    }
}
