//! `.assetsignore`: patterns in gitignore syntax. `!pattern` brings back what an earlier pattern, or the push by itself, leaves out.

use std::cell::RefCell;
use std::collections::BTreeSet;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};
use verge_protocol::nfc::nfc;

use super::problem::Problem;

/// The hidden directory at the root that is part of a site.
pub(super) const WELL_KNOWN: &str = ".well-known";

/// What the patterns say of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Ignored,
    BroughtBack,
    Unmentioned,
}

/// The patterns of a directory.
pub(super) struct IgnoreFile {
    patterns: Gitignore,
    /// The same without the negated ones: what would be left out but for them.
    positive: Gitignore,
    negated: Vec<Negated>,
    /// Line and text of the patterns that name `.well-known` at the root, or something there.
    well_known: Vec<(usize, String)>,
    problems: Vec<Problem>,
    /// The texts of the negated patterns that have brought something back.
    used: RefCell<BTreeSet<String>>,
}

/// A `!pattern`.
struct Negated {
    line: usize,
    text: String,
}

impl IgnoreFile {
    /// Parses the content of the file. Invalid patterns become problems, and are left out. Names are compared in normalization form C.
    pub(super) fn parse(text: &str) -> Self {
        let (mut all, mut positive) = (GitignoreBuilder::new("."), GitignoreBuilder::new("."));
        // To git an unclosed `[` matches nothing: here it is named.
        all.allow_unclosed_class(false);
        let (mut problems, mut negated, mut well_known) = (Vec::new(), Vec::new(), Vec::new());
        for (line, pattern) in (1..).zip(text.trim_start_matches('\u{feff}').lines()) {
            let pattern = &*nfc(pattern);
            if let Err(error) = all.add_line(None, pattern) {
                problems.push(Problem::Pattern { line, reason: error.to_string() });
            } else if pattern.starts_with('!') {
                negated.push(Negated { line, text: pattern.trim_end().to_owned() });
            } else {
                let _ = positive.add_line(None, pattern);
                if names_well_known(pattern) {
                    well_known.push((line, pattern.trim_end().to_owned()));
                }
            }
        }
        let mut build = |builder: &GitignoreBuilder| {
            builder.build().unwrap_or_else(|error| {
                problems.push(Problem::Pattern { line: 1, reason: error.to_string() });
                Gitignore::empty()
            })
        };
        let (patterns, positive) = (build(&all), build(&positive));
        Self { patterns, positive, negated, well_known, problems, used: RefCell::default() }
    }

    /// The problems of the file.
    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Line and text of each pattern that is to leave out `.well-known` at the root, or something there.
    pub(super) fn well_known_patterns(&self) -> impl Iterator<Item = (usize, &str)> {
        self.well_known.iter().map(|(line, pattern)| (*line, &**pattern))
    }

    /// What the last pattern that matches this path says.
    pub(super) fn verdict(&self, path: &str, is_dir: bool) -> Verdict {
        match self.patterns.matched(path, is_dir) {
            Match::Ignore(_) => Verdict::Ignored,
            Match::Whitelist(glob) => {
                if self.positive.matched(path, is_dir).is_ignore() {
                    self.used.borrow_mut().insert(glob.original().trim_end().to_owned());
                }
                Verdict::BroughtBack
            }
            Match::None => Verdict::Unmentioned,
        }
    }

    /// Whether the last pattern that matches a path which is left out otherwise brings it back.
    pub(super) fn brings_back(&self, path: &str, is_dir: bool) -> bool {
        let matched = self.patterns.matched(path, is_dir);
        if let Match::Whitelist(glob) = matched {
            self.used.borrow_mut().insert(glob.original().trim_end().to_owned());
        }
        matched.is_whitelist()
    }

    /// Whether a pattern names a path below this directory, from the root on.
    pub(super) fn brings_back_below(&self, directory: &str) -> bool {
        self.negated.iter().any(|negated| {
            let pattern = negated.text.trim_start_matches('!').trim_start_matches('/');
            pattern.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
        })
    }

    /// Line and text of each negated pattern that has brought back nothing yet.
    pub(super) fn unused(&self) -> impl Iterator<Item = (usize, String)> {
        let used = self.used.borrow().clone();
        let unused = self.negated.iter().filter(move |negated| !used.contains(&negated.text));
        unused.map(|negated| (negated.line, negated.text.clone()))
    }
}

/// Whether a pattern begins with the name of the directory, at the root or anywhere.
fn names_well_known(pattern: &str) -> bool {
    let path = pattern.trim_start_matches("**/").trim_start_matches('/');
    path.split('/').next().is_some_and(|first| first.trim_end() == WELL_KNOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_follow_gitignore() {
        let patterns = "\u{feff}# drafts\r\n*.map\r\n!keep.map\r\n/drafts/\r\n";
        let verdict = |path: &str| {
            let (path, is_dir) = path.strip_suffix('/').map_or((path, false), |dir| (dir, true));
            IgnoreFile::parse(patterns).verdict(path, is_dir)
        };
        for (path, expected) in [
            ("a.js.map", Verdict::Ignored),
            ("a/b.map", Verdict::Ignored),
            ("drafts/", Verdict::Ignored),
            ("keep.map", Verdict::BroughtBack),
            ("drafts", Verdict::Unmentioned),
            ("a/drafts/", Verdict::Unmentioned),
            ("map", Verdict::Unmentioned),
        ] {
            assert_eq!(verdict(path), expected, "{path}");
        }
    }

    #[test]
    fn invalid_pattern_is_a_problem_with_its_line() {
        for pattern in ["[z-a]", "[", "a/[bc", "![", "a\\", "{a"] {
            let broken = IgnoreFile::parse(&format!("*.map\n{pattern}\n*.ts\n"));
            assert_eq!(broken.verdict("a.ts", false), Verdict::Ignored, "{pattern}");
            assert!(matches!(broken.into_problems()[..], [Problem::Pattern { line: 2, .. }]), "{pattern}");
        }
        for pattern in ["\\[", "[[]", "[slug].html", "]"] {
            assert!(IgnoreFile::parse(pattern).into_problems().is_empty(), "{pattern}");
        }
    }

    #[test]
    fn decomposed_pattern_matches_composed_name() {
        assert_eq!(IgnoreFile::parse("cafe\u{301}.txt").verdict("caf\u{e9}.txt", false), Verdict::Ignored);
    }

    #[test]
    fn directory_of_a_path_that_is_brought_back_is_known() {
        let file = IgnoreFile::parse("!/.config/app.json\n!.cache/\n");
        assert!(file.brings_back_below(".config"));
        for other in [".cache", ".conf", ".config/app.json"] {
            assert!(!file.brings_back_below(other), "{other}");
        }
    }
}
