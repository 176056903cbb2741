//! A folder, looked through and described as a build.
//!
//! Two steps, so that a bar can show how far the second is: [`Listing::of`] walks the folder and decides what is taken;
//! [`Listing::read`] reads and hashes it. All that is wrong is found before anything is said, and nothing is sent until then.

mod checks;
mod fallback;
mod hash;
mod problem;
mod rules;
mod secrets;
mod select;
mod walk;

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use verge_protocol::{Build, SitePath};

use self::fallback::Decision;
pub use self::fallback::Why;
pub use self::problem::{Problem, Refused};
pub use self::select::{Reason, Skipped};
use self::walk::Found;

/// What flags and settings say about a scan.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Go on although there are `.env` files (left out all the same) or private keys (taken).
    pub allow_secrets: bool,
    /// Go on although there are rules that are not evaluated yet.
    pub ignore_rules: bool,
    /// Go on although there is no `index.html`.
    pub force: bool,
    /// Whether it is a single-page app; `None`: to be found out.
    pub single_page: Option<bool>,
}

/// A folder, looked through but not yet read.
#[derive(Debug)]
pub struct Listing {
    files: Vec<Found>,
    problems: Vec<Problem>,
    fallback: Decision,
    /// What is left out, in the order of paths.
    pub skipped: Vec<Skipped>,
    /// What a person should know, in sentences.
    pub warnings: Vec<String>,
}

/// A folder as a build, and where each file of it lies.
#[derive(Debug)]
pub struct Scan {
    /// What the origin is told.
    pub build: Build,
    /// The file on disk behind each path.
    pub sources: BTreeMap<SitePath, PathBuf>,
}

impl Listing {
    /// Looks through `folder`.
    pub fn of(folder: &Path, options: Options) -> Self {
        let selection = select::Selection::of(folder, options);
        let mut walked = walk::walk(folder, &selection);
        let rules = rules::Rules::of(folder);
        let paths: Vec<&SitePath> = walked.files.iter().map(|file| &file.path).collect();
        let mut warnings = checks::confusable(&paths);
        let fallback = fallback::decide(options.single_page, rules.single_page, &paths);
        if rules.single_page && !fallback.single_page {
            warnings.push("_redirects asks for a single-page app, which is turned off".to_owned());
        }
        let mut problems = selection.into_problems();
        problems.append(&mut walked.problems);
        problems.extend(checks::lacking(&paths, options.force, fallback.single_page));
        if !options.allow_secrets {
            problems.extend(secrets::private_keys(&walked.files));
        }
        if options.ignore_rules {
            warnings.extend(rules.unevaluated.iter().map(|rule| format!("{rule}: not evaluated")));
            problems.extend(rules.unreadable);
        } else {
            problems
                .extend(rules.unevaluated.iter().map(|rule| Problem::Rule(rule.to_string())).chain(rules.unreadable));
        }
        Self { files: walked.files, problems, fallback, skipped: walked.skipped, warnings }
    }

    /// How many files are taken.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// How many bytes they hold.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }

    /// Why paths without a file are answered with `index.html`; `None`: they are not.
    pub fn single_page(&self) -> Option<Why> {
        self.fallback.single_page.then_some(self.fallback.why)
    }

    /// Reads every file through `open`, and says how many bytes it read as it goes. Blocks: it is work for a thread of its own.
    pub fn read<R: Read>(
        mut self,
        open: impl Fn(&Path) -> io::Result<R> + Sync,
        progress: impl Fn(u64) + Sync,
    ) -> Result<Scan, Refused> {
        if !self.problems.is_empty() {
            // It will be refused: whether the rest can be read is worth knowing, hashing it is not.
            self.problems.extend(hash::unreadable(&self.files, &open));
            return Err(Refused::new(self.problems));
        }
        let contents = hash::describe(&self.files, &open, &progress).map_err(Refused::new)?;
        let mut files = BTreeMap::new();
        let mut sources = BTreeMap::new();
        for (found, content) in self.files.into_iter().zip(contents) {
            files.insert(found.path.clone(), content);
            sources.insert(found.path, found.source);
        }
        Ok(Scan { build: Build { files, fallback: self.fallback.fallback() }, sources })
    }
}
